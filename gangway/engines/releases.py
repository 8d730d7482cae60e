"""What an engine does with releases: `Production`, and what it is asked and answers in it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import IO, Any, NamedTuple, Protocol

from gangway.base.process import Completed, Runner
from gangway.engines.nodes import Nodes
from gangway.engines.start import Start
from gangway.model.release import Image, Release


class Records(Protocol):
    """What is known of an environment's releases: text files that are kept where it runs.

    So they outlive every checkout, and whoever deploys there sees the same.
    """

    def read(self) -> Mapping[str, str]:
        """Return every file's text by its path, such as `releases/NAME.json`."""

    def write(self, files: Mapping[str, str | None]) -> None:
        """Write files, and remove those with None for a text."""

    def held(self, task: str) -> AbstractContextManager[None]:
        """Keep every other `task` away that changes what runs here, wherever it is called.

        Raises GangwayError where one is at work, with its name and who called it.
        """


class Target(NamedTuple):
    """What is to run: a release, and what is asked for besides.

    `numbers` are the replicas of services where that isn't what the model says. `anew` are services
    that get new replicas though nothing about them has changed, `replace` those whose data is
    theirs alone, and that may be stopped for a while. `only` are all that is to be looked at, with
    what they need; without any it is everything.
    """

    release: Release
    numbers: Mapping[str, int] = {}
    anew: frozenset[str] = frozenset()
    replace: frozenset[str] = frozenset()
    only: frozenset[str] = frozenset()


class Answer(NamedTuple):
    """What a new replica of a service said to a request; status 0: nothing."""

    service: str
    replica: str
    status: int
    body: str


class Rollout(Protocol):
    """A release on its way to being what runs: the steps of a deploy, in their order.

    Each step that starts something is a context manager with the start to be watched, None where
    there is nothing to do. Until `end`, `take_back` undoes all of them.
    """

    @property
    def moves(self) -> Mapping[str, str]:
        """The services that something is done to, each with the reason for it, for people."""

    @property
    def runs_once(self) -> Sequence[str]:
        """The services that `migrate` would run; none where they have run already, the same."""

    @property
    def left(self) -> Mapping[str, str]:
        """The services that should be replaced and aren't, each with the reason: they keep data."""

    def journal(self) -> Mapping[str, Any]:
        """Return what `Production.resumed` needs to undo or to finish it, as JSON has it."""

    def ground(self) -> AbstractContextManager[Start | None]:
        """Start the data stores that don't run."""

    def once(self, words: Sequence[str]) -> Completed:
        """Run a command in a new container of the release's migrations, and return what it said."""

    def migrate(self) -> AbstractContextManager[Start | None]:
        """Run what runs once, before everything else of the release."""

    def beside(self) -> AbstractContextManager[Start | None]:
        """Start new replicas beside the old ones; nobody asks them anything."""

    def ask(self, service: str, path: str) -> Sequence[Answer]:
        """Ask each new replica of a service for a path, from where the proxy is."""

    def switch(self) -> None:
        """Have the proxy send every new request to the new replicas, all at once."""

    def follow(self) -> AbstractContextManager[Start | None]:
        """Stop what must not run twice, and start the new ones."""

    def end(self) -> None:
        """Let the old replicas come to their end, and remove them."""

    def take_back(self) -> None:
        """Have what ran before serve, and remove everything new."""

    def state(self) -> Mapping[str, Any]:
        """Return what the records must say of what runs, once it is done."""


class Mark(NamedTuple):
    """What an image of a release says of itself.

    `moment` is when what it is made of was changed last, in seconds since the epoch; `labels` are
    written into it.
    """

    moment: int
    labels: Mapping[str, str]


class Images(Protocol):
    """The images of releases. `services` are such as are built here."""

    def building(self, services: Sequence[str], *, no_cache: bool) -> list[str]:
        """Return the call that builds their images, so that `built` makes the same of the same."""

    def built(self, services: Sequence[str], marks: Mapping[str, Mark]) -> Mapping[str, Image]:
        """Return what each service's image is since it was built last.

        `marks` are those of the images, by the names that `sources` gives. The same sources have
        made the same image, wherever and whenever.
        """

    def tag(self, image: Image) -> None:
        """Give an image that is here the name `image.ref`."""

    def sources(self, services: Sequence[str]) -> Mapping[str, Any]:
        """Return what the images would be made of now, as JSON has it, by the images' names."""

    def changed(self, services: Sequence[str], before: Mapping[str, Any]) -> Sequence[str]:
        """Return what of that is another than `before`: settings and files, for people."""

    def files(self, image: Image, wanted: Callable[[str], bool]) -> Mapping[str, bytes]:
        """Return the files of an image that are `wanted`, by their paths without a leading `/`."""

    def used(self) -> frozenset[str]:
        """Return the numbers of the images that any container of the engine has, ended ones too."""


class Held(NamedTuple):
    """An image that an engine has: its size in bytes, and its layers, the lowest first.

    `known_to` are the registries' names of it, with its digest there.
    """

    image: Image
    size: int
    layers: tuple[str, ...]
    known_to: tuple[str, ...]


class Shipping(Protocol):
    """How images get to an engine from another one: by a registry, or as a stream."""

    def platform(self) -> str:
        """Return what it runs, such as linux/amd64."""

    def room(self) -> int | None:
        """Return how many bytes are free where it keeps images; None where it can't be told."""

    def held(self, refs: Iterable[str]) -> Mapping[str, Held]:
        """Return those of the images that are there."""

    def chains(self) -> frozenset[str]:
        """Return all layers that are there, each upon those below it: `gangway.model.layout`."""

    def name(self, ref: str, name: str) -> None:
        """Give an image another name, too."""

    def forget(self, names: Iterable[str]) -> None:
        """Take names away, and the images that have no other; those that aren't there are none."""

    def push(self, ref: str, place: str) -> str:
        """Send an image to a registry by the name `place`; return its digest there."""

    def pull(self, place: str) -> None:
        """Get an image from a registry; raises GangwayError."""

    def push_files(self, files: Mapping[str, bytes], place: str) -> None:
        """Send files to a registry, as an image that has nothing else."""

    def pull_files(self, place: str) -> Mapping[str, bytes] | None:
        """Return the files of such an image; None where the registry has none of that name."""

    def saved(self, refs: Sequence[str]) -> AbstractContextManager[IO[bytes]]:
        """Read images, as an OCI layout in a tar."""

    def loading(self) -> AbstractContextManager[IO[bytes]]:
        """Write what `saved` read; layers that are there may be left out of it."""


class Place(NamedTuple):
    """The engine that has a volume, or is to have it."""

    runner: Runner
    docker: tuple[str, ...]
    """the call by which `runner` reaches it, such as `docker --host ssh://…`"""
    number: str
    """the engine's own, which tells it from all others"""
    node: str
    """the machine's name, for people"""


class Production(Protocol):
    """What an engine can do with releases."""

    @property
    def records(self) -> Records:
        """What is known of the environment's releases."""

    @property
    def images(self) -> Images:
        """The images of releases."""

    @property
    def shipping(self) -> Shipping:
        """How images get here and away."""

    @property
    def nodes(self) -> Nodes:
        """The machines that it has; raises CannotDo where that is one alone."""

    def rollout(self, target: Target, state: Mapping[str, Any]) -> Rollout:
        """Return the deploy of a release, with nothing changed yet; `state` is the records' own.

        Raises GangwayError where the release can't run here.
        """

    def resumed(self, journal: Mapping[str, Any]) -> Rollout:
        """Return a deploy whose process has gone, to be ended or taken back."""

    def stock(self, refs: Sequence[str]) -> None:
        """Have images that have got here wherever they may be run."""

    def place_of(self, volume: str) -> Place:
        """Return the engine that has a volume, or is to have it."""

    def refuse_new_secret(self, service: str) -> None:
        """Raise CannotDo where a data store that runs can't see a secret that is another by now."""

    def front(self, words: Sequence[str]) -> None:
        """Have the proxy's own program `front` do something.

        Raises GangwayError for no proxy, and where it refuses.
        """
