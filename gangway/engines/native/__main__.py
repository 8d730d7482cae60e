"""`python -m gangway.engines.native`: the plain command that tasks print."""

import sys

from gangway.engines.native.engine import main

sys.exit(main(sys.argv[1:]))
