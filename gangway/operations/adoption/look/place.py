"""Where an app is: the folder that containers get, the working directory, what is imported from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from gangway.operations.adoption.look.image import Image
from gangway.operations.adoption.look.tree import Tree, common, join, seen_from, within


@dataclass(frozen=True)
class Place:
    """An app's folders, as seen from the repository's root."""

    source: str
    """What containers have at /srv/app."""
    workdir: str
    roots: tuple[str, ...]
    """The folders that are imported from, the working directory among them."""

    @property
    def facts(self) -> dict[str, str]:
        """The variables of the stack's file."""
        found = {"API_SOURCE": self.source or "."}
        if self.workdir != self.source:
            found["API_WORKDIR"] = seen_from(self.source, self.workdir)
        beside = [seen_from(self.workdir, each) for each in self.roots if each != self.workdir]
        if beside:
            found["API_PYTHONPATH"] = ":".join(each or "." for each in beside)
        elsewhere = [each for each in self.roots if not within(self.workdir, each)]
        if elsewhere:
            # What the reloader watches is the working directory, unless it is told more.
            found["RELOAD_WATCH"] = ":".join(
                [".", *(seen_from(self.workdir, each) for each in elsewhere)]
            )
        return found


def find(
    tree: Tree,
    *,
    project: str,
    root: str,
    manage: str | None,
    image: Image | None,
    beside: Iterable[str],
    assets: str | None,
) -> Place:
    """Return an app's place.

    `project` is the folder of its lock, `root` what its entry point is imported from, `manage` the
    folder of manage.py, `beside` the folders of packages that it takes from the repository.
    """
    workdir = _workdir(tree, project, root, manage, image)
    siblings = [import_root(tree, each) for each in beside]
    paths = list(image.python_path) if image else []
    roots = [workdir]
    for each in (root, *paths, *siblings):
        if each not in roots and (each in tree.folders or not each):
            roots.append(each)
    if image and workdir != project and not within(workdir, project):
        # PYTHONPATH=. of a Dockerfile is the working directory's.
        roots = [each for each in roots if each != project or project == root or each in siblings]
    holds = [project, workdir, root, *siblings, *beside]
    if assets is not None:
        holds.append(assets)
    return Place(common(holds), workdir, tuple(roots))


def _workdir(tree: Tree, project: str, root: str, manage: str | None, image: Image | None) -> str:
    if manage is not None:
        return manage
    today = image.workdir if image else None
    if today is not None and within(project, today) and within(today, root):
        return today
    alembic = {folder: tree.has(join(folder, "alembic.ini")) for folder in (project, root)}
    if root == project or alembic[project]:
        return project
    if root.rpartition("/")[2] in ("src", "lib") and not alembic[root]:
        return project
    return root if within(project, root) else project


def import_root(tree: Tree, folder: str) -> str:
    """Return the folder of a package that its modules are imported from."""
    source = join(folder, "src")
    return source if source in tree.folders else folder
