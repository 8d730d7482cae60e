"""Load a stack: ``python -m benchmarks.steady URL [--rate 100 …]``, for --for SECONDS.

With --driven it takes orders instead, a line each on standard input: ``phase NAME``, ``stop``.
Prints the figures as JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import sys

from benchmarks.steady.client import Client, Plan


def parser() -> argparse.ArgumentParser:
    """Return the options: Plan's fields, and how long."""
    found = argparse.ArgumentParser(prog="python -m benchmarks.steady", description=__doc__)
    found.add_argument("url")
    for each in dataclasses.fields(Plan):
        if each.name in ("url", "name"):
            continue
        if each.name == "gets":
            found.add_argument("--get", dest="gets", action="append")
        elif each.default is not dataclasses.MISSING:
            found.add_argument(f"--{each.name}", type=type(each.default))
    found.add_argument("--for", dest="duration", type=float, default=30.0, metavar="SECONDS")
    found.add_argument("--driven", action="store_true")
    return found


async def run(plan: Plan, duration: float | None) -> None:
    """Run for so many seconds, or as standard input says."""
    client = Client(plan)
    running = asyncio.create_task(client.run())
    loop = asyncio.get_running_loop()
    if duration is None:
        reader = asyncio.StreamReader()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        # The end of the input is that of whoever gave the orders.
        while (line := (await reader.readline()).decode().strip()) and line != "stop":
            client.phase(line.removeprefix("phase "))
    else:
        await asyncio.wait([running], timeout=duration)
    client.stop()
    await running
    json.dump(client.report(), sys.stdout)
    sys.stdout.write("\n")


def main() -> None:
    """Read the options and run."""
    options = vars(parser().parse_args())
    duration, driven = options.pop("duration"), options.pop("driven")
    given = {name: value for name, value in options.items() if value is not None}
    if "gets" in given:
        given["gets"] = tuple(given["gets"])
    asyncio.run(run(Plan(**given), None if driven else duration))


if __name__ == "__main__":
    main()
