"""`python -m gangway.operations.native`: the plain command that tasks print."""

import sys

from gangway.operations.native.commands import main

sys.exit(main(sys.argv[1:]))
