"""Another container for the proxy, whose published port one container can have at a time.

The new one starts beside the old, without the network that publishes the port; then the old one
ends its connections by answers, and the network changes hands. Where every network of the proxy
publishes (EGRESS=open), the new one starts when the old one has stopped.
"""

from __future__ import annotations

from dataclasses import dataclass

from gangway.engines.docker.client import Client
from gangway.engines.docker.replicas import Replica
from gangway.model.model import Model
from gangway.model.moves import PROXY

# Seconds that an old proxy has whose port is wanted: streams don't hold that up.
_GRACE = "3"
# Seconds for each call of the engine.
_SECONDS = 120.0


@dataclass(frozen=True)
class Swap:
    """The swap of an `old` container of the proxy for a `new` one that hasn't been started."""

    client: Client
    model: Model
    old: Replica
    new: Replica

    @property
    def beside(self) -> bool:
        """Whether both can run at once: on the same networks, one of which publishes nothing."""
        networks = self.model.networks(PROXY)
        same = set(self.old.addresses) <= networks.keys()
        return same and len(self._open()) < len(networks)

    def prepare(self) -> None:
        """Have the new one start without the port, or free that."""
        if self.beside:
            for network in self._open():
                self.client.do("network", "disconnect", network, self.new.id, timeout=_SECONDS)
            return
        self._leave()
        self.client.do("stop", "--time", _GRACE, self.old.id, timeout=_SECONDS)

    def take_over(self) -> None:
        """Give the new one, which is healthy, the port."""
        if not self.beside:
            return
        self._leave()
        for network in self._open():
            self.client.do(
                "network", "disconnect", "--force", network, self.old.id, timeout=_SECONDS
            )
            self.client.do(
                "network", "connect", "--alias", PROXY, network, self.new.id, timeout=_SECONDS
            )

    def take_back(self) -> None:
        """Have the old one serve again; the new one has stopped."""
        for network in self._open():
            if network not in self.old.addresses:
                self.client.do(
                    "network", "connect", "--alias", PROXY, network, self.old.id, timeout=_SECONDS
                )
        # It may have left already, and then listens to nobody.
        self.client.do("restart", "--time", _GRACE, self.old.id, timeout=_SECONDS)

    def _open(self) -> list[str]:
        return [name for name, closed in self.model.networks(PROXY).items() if not closed]

    def _leave(self) -> None:
        # One from before knows no `leave`, and is stopped or disconnected all the same.
        argv = ["docker", "exec", self.old.id, "front", "leave"]
        self.client.environment.runner.capture(argv, timeout=60)
