#!/usr/bin/env python3
"""Uvicorn under the reloader, for development: the same command line as ``uvicorn`` itself.

When it stops, uvicorn drops a connection that it has accepted but not read yet, and with it a
request that came in the moment of a save. Here such a request is answered first.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import os
import socket
import sys

import uvicorn

# Seconds in which a request that was sent before the stop has arrived.
UNDER_WAY = 0.02


class Patient(uvicorn.Server):
    """A server that stops accepting a moment before it closes what is idle."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start once the application is imported."""
        gc.enable()
        await super().startup(sockets)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop in two steps."""
        for server in self.servers:
            server.close()
        await asyncio.sleep(UNDER_WAY)
        if self.server_state.connections or self.server_state.tasks:
            await super().shutdown(sockets)
        elif not self.force_exit:
            # Nobody is connected: what else uvicorn does is to wait for them.
            await self.lifespan.shutdown()


if __name__ == "__main__":
    sys.path[0] = os.getcwd()
    # What an import makes stays: looking for garbage in it takes a seventh of the time.
    gc.disable()
    # The package hides the module of this name behind the command.
    importlib.import_module("uvicorn.main").Server = Patient  # type: ignore[attr-defined]
    uvicorn.main(prog_name="uvicorn")
