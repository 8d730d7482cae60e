"""Write the pictures in the README and the docs again: `python -m gangway.operations.graph`."""

from __future__ import annotations

import sys
from pathlib import Path

from gangway.base.errors import GangwayError
from gangway.operations.graph import pictures

if __name__ == "__main__":
    try:
        pictures.redraw(Path.cwd())
    except GangwayError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(error.status) from None
