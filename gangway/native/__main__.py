"""`python -m gangway.native`: the plain command that tasks print."""

import sys

from gangway.native.commands import main

sys.exit(main(sys.argv[1:]))
