"""Why Compose failed, put so that the cause can be seen."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from gangway.base.errors import GangwayError
from gangway.base.output import say
from gangway.engines.docker.client import Client
from gangway.settings import offline, ports

_SHOWN_LINES: Final = 20
_NOISE: Final = re.compile(
    r"^#\d+ (DONE|CACHED|sha256|transferring|naming|writing|exporting)|^\s*$"
)
# What our own programs in a build say: the reason, and what is to be done.
_REASON: Final = re.compile(
    r"^#(\d+) [\d.]+ (?:install-dependencies|install-packages|build-step): (?!warning: )(.+)",
    re.MULTILINE,
)
# Who says these has been reached, whatever it couldn't reach itself.
_THERE: Final = re.compile(r"Error response from daemon:|failed to solve:")
_NOT_THERE: Final = re.compile(
    r"cannot connect to the docker daemon|error during connect|connection refused|EOF",
    re.IGNORECASE,
)
# What is said last of a registry: warnings come before, and what is built in spite of them.
_NO_IMAGE: Final = re.compile(
    r"(?:failed to resolve source metadata for|Error response from daemon: (?:Get|Head)|"
    r"pull access denied for|failed to do request|manifest for|manifest unknown).*"
)
_NO_SOURCE: Final = re.compile(r"bind source path does not exist: (.*)")
# Asked, and answered: it isn't for the network to mend.
_REFUSED: Final = re.compile(r"denied|unauthorized|manifest (for|unknown)|not found")
_OFFLINE: Final = re.compile(re.escape(offline.REGISTRY) + r"[\w/-]+:[\w.-]*\w")


def compose_failed(client: Client, said: Iterable[str], status: int) -> GangwayError:
    """Return the error for a `docker compose up` that failed before any service did.

    `said` is what it wrote on stderr, `status` its exit status.
    """
    said = list(said)
    text = "\n".join(said)
    lines = [line for line in said if not _NOISE.search(line)]
    last = lines[-1].strip() if lines else f"docker compose ended with status {status}"
    name = client.environment.name
    if _NOT_THERE.search(last) and not _THERE.search(last):
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
    if image := _NO_IMAGE.search(last):
        # It pulls several at once, and the last line names none.
        whose = ", ".join(dict.fromkeys(re.findall(r"^ *(\S+) Error ", text, re.MULTILINE)))
        return _no_image(name, image[0].strip()[:200], whose)
    if gone := _NO_SOURCE.search(last):
        return GangwayError(
            f"{gone[1]} isn't there, and a service has it mounted",
            fix="is it a secret, a config or a volume? Make it, then try again",
        )
    return _other(said, lines, last)


def _other(said: Sequence[str], lines: Sequence[str], last: str) -> GangwayError:
    """Return the error of a build or a call that failed by itself, after showing what it said."""
    if reason := _REASON.search("\n".join(said)):
        return _not_built(said, *reason.groups())
    context = [line for line in lines if re.match(r"#\d+ (ERROR|\d)|\S* *>>>|error:|failed", line)]
    say("\n".join(f"  | {line}" for line in (context or lines)[-_SHOWN_LINES:]))
    return GangwayError(f"docker compose failed: {last}", fix="the lines above say why")


def _not_built(said: Iterable[str], step: str, reason: str) -> GangwayError:
    """Return the error of a build whose own program gave the reason; show what else it said."""
    spoken = [re.match(rf"#{step} [\d.]+ ?(.*)", line) for line in said]
    others = [found[1] for found in spoken if found and not found[1].endswith(f": {reason}")]
    if others:
        say("\n".join(f"  | {line}" for line in others[-_SHOWN_LINES:]))
    return GangwayError(f"an image can't be built: {reason}")


def _no_image(environment: str, said: str, whose: str) -> GangwayError:
    """Return the error for what an engine said of a registry; `whose` are the services' names."""
    who = f" ({whose})" if whose else ""
    what = f"an image can't be pulled{who}: {said}"
    if ours := _OFFLINE.search(said):
        fix = f"it is made on this machine: {offline.how_to_have(ours[0])}"
    elif _REFUSED.search(said):
        fix = "is its name right, and may you have it (docker login)?"
    else:
        fix = (
            "is the registry reachable? Without one: invoke images.offline, "
            f"then invoke {environment}.up --images offline (or GANGWAY_IMAGES=offline); "
            "a mirror: --images mirror"
        )
    return GangwayError(what, fix=fix)
