"""`python -m gangway.engines.swarm`: the commands that the tasks print for a Swarm."""

import sys

from gangway.engines.command_line import main
from gangway.engines.swarm.engine import SwarmEngine
from gangway.settings.environment import SWARM

sys.exit(main(sys.argv[1:], SWARM, lambda found, words: SwarmEngine(found).call(*words)))
