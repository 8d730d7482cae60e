"""A production that moves to another engine, with its data: from one machine into a Swarm, or back.

It stops, its data is copied and compared, and its release runs there. Until that is so, whatever
goes wrong has it run again where it was. What is under way is in the records of where it was, so
that a move that was killed is gone on with, and nobody starts a second one beside it.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from gangway.base.errors import GangwayError
from gangway.base.output import confirm, say
from gangway.base.process import interrupts_later
from gangway.engines import volumes
from gangway.engines.releases import Place, Target
from gangway.model.model import Model
from gangway.model.release import STATE, Release
from gangway.operations import down, preflight
from gangway.operations.project import Project, with_choices
from gangway.operations.release_records import MOVED, Known, load
from gangway.operations.releases import build
from gangway.operations.rollout.transaction import How, alone, run, step
from gangway.settings import checkout


class Volume(NamedTuple):
    """A volume with data, and the engines that it goes from and to."""

    name: str
    source: Place
    target: Place

    @property
    def stays(self) -> bool:
        """Whether it is there already."""
        return self.source.number == self.target.number


class Move(NamedTuple):
    """What moves from where to where."""

    project: Project
    there: Project
    at: str
    release: Release
    volumes: Sequence[Volume]

    def noted(self, begun: Sequence[str], *, done: bool = False) -> Mapping[str, object]:
        """Return what the records of where it comes from say: the volumes `begun` are its own."""
        return {"to": self.there.engine.name, "at": self.at, "volumes": begun, "done": done}


def move(project: Project, engine: str, *, at: str, yes: bool, timeout: float) -> None:
    """Have another engine run what this one runs; `at` is where it answers, as DOCKER_HOST has it.

    Nobody is served meanwhile. Raises GangwayError, with everything as it was, where any of it
    can't be done.
    """
    there = with_choices(project, engine=engine, overrides={"DOCKER_HOST": at} if at else {})
    if there.engine.name == project.engine.name and not at:
        raise GangwayError(
            f"{project.name} is on {engine} already",
            fix=f"say where it comes from: invoke {project.name}.move {engine} --engine docker",
        )
    with project.changing("move"):
        project, _ = preflight.prepare(project, ())
        there.engine.check()
        with alone(project, "move") as known, alone(there, "move") as other:
            release = _release(project, there, known, other)
            found = _volumes(project, there, release)
            if project.dry_run:
                for each in found:
                    print(f"# {each.name}: {each.source.node} -> {each.target.node}")
                return
            names = ", ".join(each.name for each in found) or "it has none"
            confirm(
                f"{project.name} stops until its data is on {there.engine.name}: {names}", yes=yes
            )
            _send_images(project, there, release)
            # Nothing of it is done yet: it says what is wrong with it there.
            there.engine.production.rollout(Target(release), other.state)
            _change(Move(project, there, at, release, found), known, other, timeout)
    checkout.record(project.root, project.name, {"GANGWAY_ENGINE": engine})


def _release(project: Project, there: Project, known: Known, other: Known) -> Release:
    """Return what is to move; raises GangwayError where it isn't in order on either side."""
    if known.current is None:
        raise GangwayError(
            f"{project.name} runs no release here", fix=f"invoke {project.name}.up starts one"
        )
    if other.current and not known.state.get(MOVED):
        raise GangwayError(
            f"{there.engine.name} runs a {project.name} of that name: {other.current.name}",
            fix=f"invoke {project.name}.down --engine {there.engine.name} ends that one",
        )
    return known.current


def _send_images(project: Project, there: Project, release: Release) -> None:
    """Have the other engine have the images that this one has."""
    here, other = project.engine.production.shipping, there.engine.production.shipping
    model = Model(release.model)
    refs = dict.fromkeys(str(model.services[name]["image"]) for name in model.by_default())
    theirs = other.held(refs)
    missing = [
        ref
        for ref, held in here.held(refs).items()
        if ref not in theirs or theirs[ref].image.id != held.image.id
    ]
    if missing:
        with (
            step(f"{len(missing)} images sent"),
            here.saved(missing) as source,
            other.loading() as sink,
        ):
            shutil.copyfileobj(source, sink)
    there.engine.production.stock(list(refs))


def _volumes(project: Project, there: Project, release: Release) -> Sequence[Volume]:
    return [
        Volume(
            name, project.engine.production.place_of(name), there.engine.production.place_of(name)
        )
        for name in Model(release.model).volumes()
    ]


def _change(move_: Move, known: Known, other: Known, timeout: float) -> None:
    project, there = move_.project, move_.there
    began = time.monotonic()
    copied: list[Volume] = []
    before = (known.state.get(MOVED) or {}).get("volumes") or ()
    _note(project, known, move_.noted(before))
    try:
        with step("stopped"):
            _stop(project)
        if not other.current:
            for volume in move_.volumes:
                if not volume.stays:
                    _copy(move_, known, volume, before)
                    copied.append(volume)
            _hand_over(project, there)
        release = build.build(there, images_of=move_.release)
        now = load(there.engine.production.records)
        run(there, now, Target(release), How("move", timeout))
    except BaseException as error:
        _back(move_, known, copied, error)
        raise
    _note(project, known, move_.noted((), done=True))
    seconds = time.monotonic() - began
    say(f"{project.name} runs on {there.engine.name}; nobody was served for {seconds:.1f} s")


def _stop(project: Project) -> None:
    if down.take_down(project) != 0:
        raise GangwayError(f"{project.name} could not be stopped")


def _copy(move_: Move, known: Known, volume: Volume, before: Sequence[str]) -> None:
    """Copy a volume; what a move that was killed has left of those it had begun makes way."""
    if volume.name in before:
        volumes.remove(volume.target, volume.name)
    else:
        volumes.require_empty(volume.target, volume.name)
        _note(move_.project, known, move_.noted([*before, volume.name]))
    with step(f"copied {volume.name}"):
        there = volumes.copy(volume.source, volume.target, volume.name)
    size = sum(entry.size for entry in there.values()) / 1e6
    say(f"  {len(there)} files, {size:.1f} MB, each as on {volume.source.node}")


def _hand_over(project: Project, there: Project) -> None:
    """Give the other engine's records all that is known of releases, but not what runs."""
    files = project.engine.production.records.read()
    there.engine.production.records.write(
        {path: text for path, text in files.items() if path != STATE}
    )


def _back(move_: Move, known: Known, copied: Sequence[Volume], error: BaseException) -> None:
    """Have it run again where it was; what goes wrong with that, too, is said before `error`."""
    project = move_.project
    why = error.message if isinstance(error, GangwayError) else "interrupted"
    say(f"{project.name} goes back to where it was: {why}")
    with interrupts_later():
        try:
            down.take_down(move_.there)
            for volume in copied:
                volumes.remove(volume.target, volume.name)
            _note(project, known, None)
            run(project, known, Target(move_.release), How("move"))
        except GangwayError as second:
            say(f"that failed, too: {second.message}; invoke {project.name}.up tries again")


def _note(project: Project, known: Known, moved: Mapping[str, object] | None) -> None:
    state = {key: value for key, value in known.state.items() if key != MOVED}
    if moved:
        state[MOVED] = dict(moved)
    project.engine.production.records.write({STATE: json.dumps(state)})
