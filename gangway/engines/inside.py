"""Commands that look into a container, or run in it on behalf of a task."""

from __future__ import annotations

from typing import Final

from gangway.engines.interface import py_spy

SPY: Final = "/opt/debugger/bin/py-spy"
# In the container that looks, which is gone afterwards.
_OUTPUT: Final = "/tmp/profile.svg"  # noqa: S108

LIST: Final = (
    'for p in /proc/[0-9]*; do printf "%s %s\\n" "$(cat $p/stat)" "$(readlink $p/exe)"; done'
)


def sidecar(container: str, image: str, pid: str, seconds: int) -> list[str]:
    """Return the call of py-spy in a container beside the service's, which writes the SVG.

    The service itself keeps all its restrictions: only who looks may look.
    """
    return [
        "docker", "run", "--rm", "--pid", f"container:{container}", "--network", "none",
        "--user", "0:0", "--cap-drop", "ALL", "--cap-add", "SYS_PTRACE",
        "--security-opt", "no-new-privileges", "--entrypoint", "sh", image,
        "-ec", py_spy(SPY, pid, seconds, _OUTPUT),
    ]  # fmt: skip


# Ends what an engine's exec has begun, told by its words: such a process has no parent in there.
END = """
words=$(printf '%s\\n' "$@")
for each in /proc/[0-9]*; do
    [ "$(tr '\\0' '\\n' <"$each/cmdline" 2>/dev/null)" = "$words" ] || continue
    if grep -q '^PPid:[[:space:]]*0$' "$each/status"; then kill -TERM "${each#/proc/}"; fi
done
"""
