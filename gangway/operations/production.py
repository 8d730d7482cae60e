"""Production only: its secrets."""

from __future__ import annotations

from gangway.operations.project import Project
from gangway.settings import contract, secrets


def init(project: Project) -> None:
    """Make the environment's secret files; those that exist are kept."""
    folder = project.root / project.environment.get("SECRETS_DIR")
    names = contract.load(project.root).secret_files(project.environment.stack)
    if project.dry_run:
        missing = [folder / name for name in names if not (folder / name).exists()]
        for path in missing:
            print(f"# would make {path}")
        return
    for outcome in secrets.init(folder, names):
        print(f"{outcome.action:<8}  {outcome.path.relative_to(project.root)}")
