"""`python -m gangway.engines.native`: the plain command that tasks print."""

import sys

from gangway.engines.command_line import main
from gangway.engines.native.engine import NativeEngine
from gangway.settings.environment import NATIVE

sys.exit(main(sys.argv[1:], NATIVE, lambda found, words: NativeEngine(found).call(*words)))
