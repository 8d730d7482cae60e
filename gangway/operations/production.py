"""Production only: its secrets, a certificate among them."""

from __future__ import annotations

from gangway.base.output import say
from gangway.operations.project import Project
from gangway.settings import certificates, contract, contract_check, secrets, tls


def init(project: Project) -> None:
    """Make the environment's secret files; those that exist are kept.

    What the contract calls a secret, wants in production and has no file for is named: it isn't
    made.
    """
    env, known = project.environment, contract.load(project.root)
    folder = project.root / env.get("SECRETS_DIR")
    names = known.secret_files(env.stack)
    if project.dry_run:
        missing = [folder / name for name in names if not (folder / name).exists()]
        for path in missing:
            print(f"# would make {path}")
        if names_wanted := tls.own_is_due(env):
            print(f"# would make {tls.folder(env)}: a certificate for {' '.join(names_wanted)}")
        return
    for outcome in secrets.init(folder, names):
        path = outcome.path
        shown = path.relative_to(project.root) if path.is_relative_to(project.root) else path
        print(f"{outcome.action:<8}  {shown}")
    if names_wanted := tls.own_is_due(env):
        made = certificates.self_signed(names_wanted)
        certificates.write(tls.folder(env), made, secrets.default_owner())
        print(f"{'made':<8}  {tls.shown(env)}: for {' '.join(names_wanted)}")
    for finding in (*contract_check.unmade(env, known), *tls.findings(env)):
        say(f"not made: {finding}")
