"""What a Swarm's services write, from whichever node."""

from __future__ import annotations

import contextlib
import re
import sys
import time
from collections.abc import Sequence
from datetime import datetime
from queue import Queue
from threading import Lock, Thread
from typing import Final

from gangway.base import output
from gangway.base.errors import GangwayError
from gangway.engines.swarm.api import Api, Refused
from gangway.engines.swarm.cluster import Swarm

_AGE: Final = re.compile(r"(\d+)([smhd])")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_TASK: Final = re.compile(rb"com\.docker\.swarm\.task\.id=([^, ]*)\S* ")
# Seconds in which lines of several services are put in the order of their times.
_TOGETHER: Final = 0.2


def last(swarm: Swarm, task: str, lines: int) -> str:
    """Return the last lines that a task wrote; what the Swarm says of it where it never ran."""
    try:
        query = {"stdout": 1, "stderr": 1, "tail": lines}
        found = b"".join(data for _, data in swarm.api.output(f"/tasks/{task}/logs", **query))
    except Refused:
        found = b""
    if text := found.decode(errors="replace").rstrip():
        return text
    try:
        status = swarm.api.get(f"/tasks/{task}")["Status"]
    except Refused:
        return ""
    return str(status.get("Err") or status.get("Message") or "")


class Written:
    """What a job writes, passed on to our own streams while it runs."""

    def __init__(self, swarm: Swarm, task: str) -> None:
        """Begin with nothing passed on of what `task` writes."""
        self._api = Api(swarm.environment.runner, swarm.api.host)
        self._path = f"/tasks/{task}/logs"
        self._passed = {"stdout": 0, "stderr": 0}
        self._lock = Lock()
        self._over = False

    def follow(self) -> None:
        """Pass on what comes, from now on and beside whoever calls."""
        Thread(target=self._read, daemon=True).start()

    def finish(self) -> None:
        """Pass on what is left of a job that has ended: to follow its log has no end."""
        with self._lock:
            self._over = True
        whole = {"stdout": b"", "stderr": b""}
        for stream, data in self._api.output(self._path, stdout=1, stderr=1):
            whole[stream] += data
        for stream, data in whole.items():
            _pass_on(stream, data[self._passed[stream] :])

    def _read(self) -> None:
        with contextlib.suppress(GangwayError, OSError):
            for stream, data in self._api.output(self._path, stdout=1, stderr=1, follow=1):
                with self._lock:
                    if self._over:
                        return
                    self._passed[stream] += len(data)
                    _pass_on(stream, data)


def _pass_on(stream: str, data: bytes) -> None:
    to = sys.stdout if stream == "stdout" else sys.stderr
    to.buffer.write(data)
    to.flush()


def show(swarm: Swarm, services: Sequence[str], *, follow: bool, since: str, tail: str) -> int:
    """Print log lines of services, or of all, each with its replica; `follow` until interrupted."""
    there = swarm.services()
    wanted = {name: each["ID"] for name, each in there.items() if name in (services or there)}
    slots = {
        t.id: f"{t.service}.{t.slot if t.slot.isdecimal() else t.node[:6]}" for t in swarm.tasks()
    }
    width = max((len(slots.get(t.id, t.service)) for t in swarm.tasks()), default=0)
    lines: Queue[tuple[bytes, str] | None] = Queue()
    query = {
        "stdout": 1, "stderr": 1, "details": 1, "timestamps": 1, "since": moment(since),
        "tail": tail or "all", "follow": int(follow),
    }  # fmt: skip
    for name, number in wanted.items():
        api = Api(swarm.environment.runner, swarm.api.host)
        arguments = (api, f"/services/{number}/logs", query, name, lines)
        Thread(target=_read, args=arguments, daemon=True).start()
    left = len(wanted)
    while left:
        batch = [lines.get()]
        until = time.monotonic() + _TOGETHER if follow else None
        while left and (until is None or not lines.empty() or time.monotonic() < until):
            if batch[-1] is None:
                left -= 1
                batch.pop()
                if not left:
                    break
            if until and lines.empty():
                time.sleep(_TOGETHER / 4)
                if lines.empty():
                    break
            batch.append(lines.get())
        for line, name in sorted(each for each in batch if each):
            if not _wrote(line, name, slots, width):
                return 0
    return 0


def _read(
    api: Api, path: str, query: dict[str, object], name: str, lines: Queue[tuple[bytes, str] | None]
) -> None:
    rest = b""
    try:
        for _, data in api.output(path, **query):
            *whole, rest = (rest + data).split(b"\n")
            for line in whole:
                lines.put((line, name))
    except (GangwayError, OSError):
        pass  # the service has gone, or its node doesn't answer: the others still write
    finally:
        if rest:
            lines.put((rest, name))
        lines.put(None)


def _wrote(line: bytes, name: str, slots: dict[str, str], width: int) -> bool:
    """Write a line to standard output; return False once nobody reads it any more (`| head`)."""
    # Each begins with its time, then where it is from, then what was written.
    _, _, text = line.partition(b" ")
    found = _TASK.match(text) or _TASK.search(text)
    who = slots.get(found[1].decode(), name) if found else name
    shown = text[found.end() :] if found else text
    try:
        sys.stdout.write(f"{who:<{width}}  | {shown.decode(errors='replace')}\n")
        sys.stdout.flush()
    except BrokenPipeError:
        output.nobody_reads()
        return False
    return True


def moment(text: str) -> str:
    """Return a time, or an age before now, as seconds since the epoch; empty for none."""
    if not text:
        return ""
    if ages := _AGE.findall(text):
        age = sum(int(number) * _SECONDS[unit] for number, unit in ages)
        return f"{time.time() - age:.3f}"
    try:
        return f"{datetime.fromisoformat(text).timestamp():.3f}"
    except ValueError:
        raise GangwayError(
            f"--since {text!r} is neither a time nor an age",
            fix="--since 10m, or --since 2026-01-31T12:00:00",
        ) from None
