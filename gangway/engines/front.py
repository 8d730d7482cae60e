"""What the proxy's own program, `front`, says to whoever has it do something."""

from __future__ import annotations

from gangway.base.errors import GangwayError
from gangway.base.process import Completed


def checked(done: Completed, environment: str) -> None:
    """Raise GangwayError, with its last words, where it has refused; see `invoke prod.logs`."""
    if done.status != 0:
        said = (done.stderr or done.stdout).strip().splitlines() or ["it gave no reason"]
        raise GangwayError(
            f"the proxy refuses: {said[-1].removeprefix('front: ')}",
            fix=f"see invoke {environment}.logs nginx",
        )
