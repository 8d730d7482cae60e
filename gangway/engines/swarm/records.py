"""Records of releases as Swarm configs, which every manager has."""

from __future__ import annotations

import base64
import contextlib
import time
import zlib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.client import CONFLICT
from typing import Any, Final

from gangway.engines import held
from gangway.engines.swarm.api import Refused
from gangway.engines.swarm.cluster import Swarm

_OF: Final = "dev.gangway.records"
_PATH: Final = "dev.gangway.path"
_VERSION: Final = "dev.gangway.version"
_PARTS: Final = "dev.gangway.parts"
_PART: Final = "dev.gangway.part"
# A Swarm takes 500 kB for a config; some is left for what else is in a call.
_MOST_BYTES: Final = 400 * 1000


@dataclass(frozen=True)
class SwarmRecords:
    """See `gangway.engines.releases.Records`.

    A config never changes: a file's new text is another one, and the older ones go once it is
    there. So whoever reads meanwhile finds the one or the other.
    """

    swarm: Swarm

    def read(self) -> Mapping[str, str]:
        found = {}
        for path, versions in self._there().items():
            for version in sorted(versions, reverse=True):
                parts = sorted(versions[version], key=lambda part: int(_label(part, _PART)))
                if len(parts) == int(_label(parts[0], _PARTS)):
                    data = b"".join(base64.b64decode(part["Spec"]["Data"]) for part in parts)
                    found[path] = zlib.decompress(data).decode()
                    break
        return found

    def write(self, files: Mapping[str, str | None]) -> None:
        before = self._there()
        number = f"{time.time_ns():020d}"
        for each, (path, text) in enumerate(files.items()):
            if text is not None:
                self._put(path, text, number, f"{number}-{each}")
            for parts in before.get(path, {}).values():
                for part in parts:
                    self.swarm.api.delete(f"/configs/{part['ID']}")

    @contextlib.contextmanager
    def held(self, task: str) -> Iterator[None]:
        name = f"{self.swarm.project}-deploying"[-64:]
        holder = held.me(task)
        body = {"Name": name, "Labels": holder._asdict(), "Data": base64.b64encode(b"-").decode()}
        try:
            number = self.swarm.api.post("/configs/create", body)["ID"]
        except Refused as refused:
            if refused.code != CONFLICT:
                raise
            self._take_over(name, task)
            number = self.swarm.api.post("/configs/create", body)["ID"]
        try:
            yield
        finally:
            self.swarm.api.delete(f"/configs/{number}")

    def _take_over(self, name: str, task: str) -> None:
        for each in self.swarm.api.find("/configs", name=[name]):
            if each["Spec"]["Name"] == name:
                holder = held.Holder(**each["Spec"]["Labels"])
                held.require_gone(holder, self.swarm.project, task, f"docker config rm {name}")
                self.swarm.api.delete(f"/configs/{each['ID']}")

    def _there(self) -> dict[str, dict[str, list[Any]]]:
        """Return the configs of each path, by version."""
        found: dict[str, dict[str, list[Any]]] = defaultdict(lambda: defaultdict(list))
        for each in self.swarm.api.find("/configs", label=[f"{_OF}={self.swarm.project}"]):
            found[_label(each, _PATH)][_label(each, _VERSION)].append(each)
        return found

    def _put(self, path: str, text: str, version: str, name: str) -> None:
        data = zlib.compress(text.encode(), 9)
        pieces = [data[i : i + _MOST_BYTES] for i in range(0, len(data), _MOST_BYTES)]
        for part, piece in enumerate(pieces):
            labels = {_OF: self.swarm.project, _PATH: path, _VERSION: version}
            labels |= {_PART: str(part), _PARTS: str(len(pieces))}
            body = {
                "Name": f"{self.swarm.project[:32]}-{name}-{part}",
                "Labels": labels,
                "Data": base64.b64encode(piece).decode(),
            }
            self.swarm.api.post("/configs/create", body)


def _label(config: Any, name: str) -> str:
    return str(config["Spec"]["Labels"][name])
