"""Why Compose failed, put so that the cause can be seen."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from gangway.base.errors import GangwayError
from gangway.base.output import say
from gangway.engines.docker.client import Client
from gangway.settings import ports

_SHOWN_LINES: Final = 20
_NOISE: Final = re.compile(
    r"^#\d+ (DONE|CACHED|sha256|transferring|naming|writing|exporting)|^\s*$"
)
_NOT_THERE: Final = re.compile(
    r"cannot connect to the docker daemon|error during connect|connection refused|EOF",
    re.IGNORECASE,
)


def compose_failed(client: Client, said: Iterable[str], status: int) -> GangwayError:
    """Return the error for a `docker compose up` that failed before any service did.

    `said` is what it wrote on stderr, `status` its exit status.
    """
    said = list(said)
    text = "\n".join(said)
    lines = [line for line in said if not _NOISE.search(line)]
    last = lines[-1].strip() if lines else f"docker compose ended with status {status}"
    name = client.environment.name
    if _NOT_THERE.search(last):
        return client.unreachable(text)
    if "no space left on device" in text.lower():
        return GangwayError(
            "the disk is full: no space left on device",
            fix="free some: docker system df shows what the engine holds, "
            "docker builder prune clears the build cache",
        )
    port = re.search(
        r"(?:Bind for|listen tcp\d?) \S*?:(\d+).*(?:already allocated|already in use)", text
    )
    if port:
        return ports.taken(client.environment, int(port[1]), client.publisher(int(port[1])))
    image = re.search(
        r"(?:failed to resolve source metadata for|Error response from daemon: Get|"
        r"pull access denied for|failed to do request|no such host)[^\n]*",
        text,
    )
    if image:
        return GangwayError(
            f"an image can't be pulled: {image[0].strip()[:200]}",
            fix="is the registry reachable? Without one: invoke images.offline, "
            f"then invoke {name}.up --images offline (or GANGWAY_IMAGES=offline); "
            "a mirror: --images mirror",
        )
    context = [line for line in lines if re.match(r"#\d+ (ERROR|\d)|\S* *>>>|error:|failed", line)]
    say("\n".join(f"  | {line}" for line in (context or lines)[-_SHOWN_LINES:]))
    return GangwayError(f"docker compose failed: {last}", fix="the lines above say why")
