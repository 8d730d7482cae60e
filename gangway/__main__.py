"""`gangway`, or `python -m gangway`: what Gangway says of itself; the tasks are Invoke's."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from gangway import __version__


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the command line says (the process's own for None); return the exit status."""
    parser = argparse.ArgumentParser(
        prog="gangway",
        description="One Python web stack in every environment. The tasks: invoke --list",
    )
    parser.add_argument("--version", action="version", version=f"gangway {__version__}")
    parser.parse_args(argv)
    parser.print_help()
    return 0


if __name__ == "__main__":
    sys.exit(main())
