"""Lock files of every kind, as requirements that can be installed: see `install-dependencies`."""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 # an app may have an older one
    print(
        f"install-dependencies: this is Python {sys.version.split()[0]}, 3.11 or later is needed:"
        " PYTHON_VERSION in the stack's file",
        file=sys.stderr,
    )
    raise SystemExit(2)
