"""What Docker does with releases on one machine; see `gangway.engines.releases.Production`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from gangway.engines import volumes
from gangway.engines.docker import rollout
from gangway.engines.docker.client import Client
from gangway.engines.docker.records import VolumeRecords
from gangway.engines.docker.released_images import ReleasedImages
from gangway.engines.docker.shipping import DockerShipping
from gangway.engines.interface import CannotDo
from gangway.engines.nodes import Nodes
from gangway.engines.releases import Place, Rollout, Target
from gangway.model.model import Model


@dataclass(frozen=True)
class DockerProduction:
    """See `gangway.engines.releases.Production`; `model` is the checkout's."""

    client: Client
    model: Model

    @cached_property
    def records(self) -> VolumeRecords:
        return VolumeRecords(self.client)

    @cached_property
    def images(self) -> ReleasedImages:
        return ReleasedImages(self.client, self.model)

    @cached_property
    def shipping(self) -> DockerShipping:
        return DockerShipping(self.client)

    @property
    def nodes(self) -> Nodes:
        raise CannotDo(
            "this is one machine: there are no nodes",
            fix="--engine swarm has several (docs/swarm.md)",
        )

    def rollout(self, target: Target, state: Mapping[str, Any]) -> Rollout:
        return rollout.begun(self.client, target, state)

    def resumed(self, journal: Mapping[str, Any]) -> Rollout:
        return rollout.resumed(self.client, journal)

    def refuse_new_secret(self, service: str) -> None:
        return

    def stock(self, refs: Sequence[str]) -> None:
        """It runs where they are."""

    def place_of(self, volume: str) -> Place:
        return volumes.place(self.client.environment.runner, ["docker"])

    def front(self, words: Sequence[str]) -> None:
        rollout.run_front(self.client, words)
