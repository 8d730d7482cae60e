"""The labels by which a Swarm's things are known."""

from __future__ import annotations

from typing import Final

STACK: Final = "com.docker.stack.namespace"
"""What is a project's own: `docker stack` knows it by that, too."""
ONE_OFF: Final = "dev.gangway.one-off"
"""A service that is there for one command."""
MADE_OF: Final = "dev.gangway.spec"
"""A service, with what tells one spec of it from another."""
FILE: Final = "dev.gangway.file"
"""A secret or a config that is the model's, with the name that it has there."""
MEMORY: Final = "dev.gangway.memory"
"""A volume that is a container's memory."""
ENCRYPTED: Final = "dev.gangway.encrypted"
"""A network, with what was found out when it was made: yes or no."""
HOST: Final = "dev.gangway.host"
"""A node, with where its engine answers, as docker's `--host` has it."""
DATA: Final = "dev.gangway.data."
"""With a volume's name behind: the node that has the volume."""
HERE: Final = "here"
"""That label's value."""
