"""Looking for known weaknesses in what production is made of, each scanner by itself.

Scanners that can't run are reported as such, with the reason and what to do: silence never counts
as a clean result.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from gangway.base import output
from gangway.base.errors import GangwayError
from gangway.base.output import say
from gangway.base.process import Completed, Runner
from gangway.operations.project import Project
from gangway.settings import checkout
from gangway.settings.apps import Libraries, libraries

_TRIVY: Final = "https://trivy.dev/latest/getting-started/installation/"
_SEVERITIES: Final = "LOW,MEDIUM,HIGH,CRITICAL"
#: Seconds that one call may take: an advisory service may hang, a large image takes its time.
PATIENCE: Final = 600.0
_SHOWN: Final = 20
_NOT_ALL: Final = 2


@dataclass(frozen=True)
class Outcome:
    """What a scanner made of one thing: `findings`, or the reason why it wasn't run.

    `gap` says what of it wasn't looked at, though the rest was.
    """

    scanner: str
    what: str
    findings: tuple[str, ...] = ()
    not_run: str = ""
    gap: str = ""

    @property
    def result(self) -> str:
        """The table's last column."""
        if self.not_run:
            return f"not run: {self.not_run}"
        count = len(self.findings)
        found = f"{count} finding{'s' * (count != 1)}" if count else "clean"
        return f"{found}; not looked at: {self.gap}" if self.gap else found


def scan(project: Project) -> int:
    """Run every scanner and print a table of what each found.

    Return 0 where everything was looked at and nothing found, 1 for findings, 2 where something
    wasn't looked at. A dry run says what would be looked at.
    """
    if project.dry_run:
        for what in (
            "every Dockerfile",
            "the merged model",
            *(each.locks[0] for each in _libraries(project)),
            *_images(project),
        ):
            print(f"# would look at {what}")
        return 0
    outcomes = []
    for outcome in _outcomes(project):
        outcomes.append(outcome)
        for finding in outcome.findings[:_SHOWN]:
            say(f"{outcome.scanner}: {finding}")
        if (more := len(outcome.findings) - _SHOWN) > 0:
            say(f"{outcome.scanner}: and {more} more in {outcome.what}")
    rows = [(each.scanner, each.what, each.result) for each in outcomes]
    print(output.table(rows, ("SCANNER", "WHAT", "RESULT")))
    if (found := status(outcomes)) == _NOT_ALL:
        say("nothing was found, but not everything was looked at: status 2")
    return found


def status(outcomes: Sequence[Outcome]) -> int:
    """Return the exit status for these outcomes."""
    if any(each.findings for each in outcomes):
        return 1
    return _NOT_ALL if not outcomes or any(each.not_run or each.gap for each in outcomes) else 0


def _outcomes(project: Project) -> Iterator[Outcome]:
    # Programs of `.venv` first, as in the tests: their versions are locked.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    runner = Runner(project.root, {**project.environment.process_environment(), "PATH": path})
    model = project.model
    yield hadolint(runner)
    yield compose_lint(runner, project.name, model.raw)
    for wanted in _libraries(project):
        yield pip_audit(runner, wanted)
    images = _images(project)
    if shutil.which("trivy", path=path):
        yield from (trivy(runner, image, project.name) for image in images)
    else:
        yield Outcome("trivy", f"{len(images)} images", not_run=f"it isn't installed: {_TRIVY}")


def _libraries(project: Project) -> list[Libraries]:
    """Return what the images of the stack's apps have, without what only development has."""
    found = filter(None, map(libraries, project.model.services.values()))
    return list(dict.fromkeys(replace(each, locks=each.locks[:1], groups="") for each in found))


def _images(project: Project) -> list[str]:
    services = project.model.services.values()
    return sorted({str(each["image"]) for each in services if "image" in each})


# ---- Dockerfiles and the model: what can be told without a network


def hadolint(runner: Runner) -> Outcome:
    """Lint every Dockerfile; `.hadolint.yaml` says which rules stay, and why."""
    files = sorted((runner.cwd / "docker").rglob("*Dockerfile"))
    names = [path.relative_to(runner.cwd).as_posix() for path in files]
    what = f"{len(names)} Dockerfile{'s' * (len(names) != 1)}"
    if reason := _lacking(runner, "hadolint"):
        return Outcome("hadolint", what, not_run=reason)
    if not names:
        return Outcome("hadolint", what, not_run="there is none below docker/")
    found = _json(_run(runner, ["hadolint", "--format", "json", *names]))
    if not isinstance(found, list):
        return Outcome("hadolint", what, not_run=str(found))
    findings = (
        f"{each['file']}:{each['line']}: {each['code']} {each['message']}" for each in found
    )
    return Outcome("hadolint", what, tuple(findings))


def compose_lint(runner: Runner, environment: str, model: Mapping[str, Any]) -> Outcome:
    """Lint the merged model; `.compose-lint.yml` says which findings stay, and why."""
    what = f"the merged model of {environment}"
    if reason := _lacking(runner, "compose-lint"):
        return Outcome("compose-lint", what, not_run=reason)
    file = checkout.state(runner.cwd, f"{environment}.scan.yml")
    file.touch(mode=0o600)
    # JSON is YAML.
    file.write_text(json.dumps(model, indent=2), encoding="utf-8")
    argv = ["compose-lint", "check", "--format", "json", "--skip-suppressed", "--fail-on", "low"]
    # By its name: what else Compose reads of this checkout is in the model already.
    done = _run(runner, [*argv, "--no-merge-overrides", "--no-env", str(file)])
    found = _json(done)
    if not isinstance(found, dict):
        return Outcome("compose-lint", what, not_run=str(found))
    findings = (
        f"{each['service']}: {each['rule_id']} {each['message']} ({each['severity']})"
        for each in found["findings"]
        if not each.get("suppressed")
    )
    return Outcome("compose-lint", what, tuple(findings))


# ---- locked packages


def pip_audit(runner: Runner, wanted: Libraries) -> Outcome:
    """Look an app's locked packages up at an advisory service, with their hashes if they have any.

    The service is pip-audit's to know: PIP_AUDIT_VULNERABILITY_SERVICE and PIP_AUDIT_OSV_URL name
    another one, such as a mirror's.
    """
    what = wanted.lock(runner.cwd).relative_to(runner.cwd).as_posix()
    if reason := _lacking(runner, "pip-audit", "uv"):
        return Outcome("pip-audit", what, not_run=reason)
    builder = str(runner.cwd / "docker" / "install-dependencies")
    # What the image is built from, word for word.
    uv = shutil.which("uv", path=runner.environment["PATH"]) or "uv"
    build = Runner(runner.cwd, {**runner.environment, "UV": uv})
    made = _run(build, [sys.executable, "-B", builder, "--print", *wanted.words])
    if made.status != 0:
        return Outcome("pip-audit", what, not_run=_last(made.stderr))
    file = checkout.state(runner.cwd, "scan.requirements.txt")
    file.write_text(made.stdout, encoding="utf-8")
    checked = "--require-hashes" if "--hash" in made.stdout else "--no-deps"
    argv = ["pip-audit", "--format", "json", checked, "--disable-pip"]
    done = _run(runner, [*argv, "--progress-spinner", "off", "--requirement", str(file)])
    found = _json(done)
    if not isinstance(found, dict):
        return Outcome("pip-audit", what, not_run=f"the advisory service does not answer ({found})")
    return _audited(what, found["dependencies"])


def _audited(what: str, packages: Sequence[Mapping[str, Any]]) -> Outcome:
    # What the service doesn't know is skipped, and then "no known vulnerabilities" says nothing.
    skipped = [each["name"] for each in packages if "skip_reason" in each]
    if packages and len(skipped) == len(packages):
        reason = f"the advisory service knows none of the {len(packages)} packages (a mirror's?)"
        return Outcome(
            "pip-audit", what, not_run=f"{reason}; PIP_AUDIT_VULNERABILITY_SERVICE=osv asks another"
        )
    findings = (
        f"{what}: {each['name']} {each['version']}: {found['id']},"
        f" {'mended in ' + ', '.join(found['fix_versions']) if found['fix_versions'] else 'no fix'}"
        for each in packages
        for found in each.get("vulns", ())
    )
    return Outcome("pip-audit", what, tuple(findings), gap=", ".join(skipped))


# ---- images


def trivy(runner: Runner, image: str, environment: str) -> Outcome:
    """Look the packages in an image up in Trivy's database, which Trivy fetches itself."""
    if _run(runner, ["docker", "image", "inspect", image]).status != 0:
        reason = f"there is no such image yet: invoke {environment}.build"
        return Outcome("trivy", image, not_run=reason)
    argv = ["trivy", "image", "--quiet", "--format", "json", "--scanners", "vuln,secret"]
    done = _run(runner, [*argv, "--severity", _SEVERITIES, image])
    found = _json(done)
    if done.status != 0 or not isinstance(found, dict):
        return Outcome(
            "trivy",
            image,
            not_run=f"{_last(done.stderr)}; its database: trivy image --download-db-only",
        )
    return Outcome("trivy", image, tuple(_trivy_findings(image, found)))


def _trivy_findings(image: str, report: Mapping[str, Any]) -> Iterator[str]:
    for target in report.get("Results") or ():
        for each in target.get("Vulnerabilities") or ():
            fixed = each.get("FixedVersion")
            yield (
                f"{image}: {each['PkgName']} {each['InstalledVersion']}: {each['VulnerabilityID']}"
                f" ({each['Severity'].lower()}), {f'mended in {fixed}' if fixed else 'no fix'}"
            )
        for each in target.get("Secrets") or ():
            yield f"{image}: {target['Target']}:{each['StartLine']}: {each['Title']}"


# ---- running a program, and reading what it left


def _run(runner: Runner, argv: Sequence[str]) -> Completed:
    """Run a program to its end; one that can't be started, or takes too long, failed like any."""
    try:
        return runner.capture(argv, timeout=PATIENCE)
    except GangwayError as error:
        return Completed(tuple(argv), 127, "", error.message)
    except OSError as error:
        return Completed(tuple(argv), 126, "", f"{argv[0]} can't be run: {error.strerror}")


def _lacking(runner: Runner, *programs: str) -> str:
    """Return why these can't be run; nothing where all of them are there."""
    lacking = [each for each in programs if not shutil.which(each, path=runner.environment["PATH"])]
    if not lacking:
        return ""
    return f"no {', no '.join(lacking)} here: scripts/bootstrap installs it"


def _json(done: Completed) -> Any:
    """Return what a program printed as JSON; its last message, as text, where it printed none."""
    try:
        return json.loads(done.stdout)
    except ValueError:
        return _last(done.stderr) or f"exit status {done.status}"


def _last(text: str) -> str:
    """Return the last line of a message, cut where it goes on and on."""
    lines = text.strip().splitlines() or ["it gave no reason"]
    return lines[-1] if len(lines[-1]) <= 160 else f"{lines[-1][:159]}…"
