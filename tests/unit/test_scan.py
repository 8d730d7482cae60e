"""The scanners, each with the real program, and what counts as clean."""

from __future__ import annotations

import json
import os
import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from gangway.base.process import Runner
from gangway.operations import scan
from gangway.operations.scan import Outcome
from gangway.settings.apps import Libraries

ROOT = Path(__file__).parents[2]
PROGRAMS = str(Path(sys.executable).parent)
HASH = "sha256:" + "0123456789abcdef" * 4


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with the linters' settings, an app, and what images are built with."""
    for name in (".hadolint.yaml", ".compose-lint.yml"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "docker").mkdir()
    shutil.copy(ROOT / "docker" / "install-dependencies", tmp_path / "docker")
    shutil.copytree(ROOT / "docker" / "locks", tmp_path / "docker" / "locks")
    (tmp_path / "apps" / "api").mkdir(parents=True)
    (tmp_path / "apps" / "api" / "requirements.txt").write_text(
        f"first==1.0 --hash={HASH}\nsecond==2.0 --hash={HASH}\n"
    )
    return tmp_path


def runner(checkout: Path, path: str = PROGRAMS, **variables: str) -> Runner:
    environment = {**os.environ, "PATH": f"{path}:/usr/bin:/bin", **variables}
    return Runner(checkout, environment)


class TestDockerfiles:
    def test_a_careless_one_is_found_with_its_place(self, checkout: Path) -> None:
        (checkout / "docker" / "bad.Dockerfile").write_text("FROM debian\nRUN cd / && sudo ls\n")
        outcome = scan.hadolint(runner(checkout))
        assert outcome.what == "1 Dockerfile" and outcome.result.endswith("findings")
        assert "docker/bad.Dockerfile:1: DL3006" in outcome.findings[0]

    def test_ours_are_clean(self) -> None:
        assert scan.hadolint(runner(ROOT)).result == "clean"


class TestModel:
    def test_a_careless_one_is_found_with_its_service(self, checkout: Path) -> None:
        service = {"image": "debian:12", "privileged": True, "ports": ["5432:5432"]}
        outcome = scan.compose_lint(
            runner(checkout), "prod", {"name": "x", "services": {"db": service}}
        )
        assert len(outcome.findings) > 3
        assert any(found.startswith("db: ") and "rivileged" in found for found in outcome.findings)

    def test_a_careful_one_is_clean(self, checkout: Path) -> None:
        careful = {
            "image": f"debian:12.1@{HASH}", "read_only": True, "cap_drop": ["ALL"],
            "security_opt": ["no-new-privileges:true"], "user": "1000:1000",
            "healthcheck": {"test": ["CMD", "true"]}, "restart": "unless-stopped",
            "logging": {"driver": "json-file", "options": {"max-size": "1m", "max-file": "2"}},
            "deploy": {"resources": {"limits": {"cpus": "1", "memory": "64m", "pids": 9}}},
        }  # fmt: skip
        outcome = scan.compose_lint(
            runner(checkout), "prod", {"name": "x", "services": {"db": careful}}
        )
        assert outcome.result == "clean", outcome.findings


@contextmanager
def advisories(known: dict[str, list[dict[str, Any]]]) -> Iterator[str]:
    """An advisory service with OSV's interface; a package that it doesn't know has no entry."""

    class Service(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            found = known.get(asked["package"]["name"], [])
            body = json.dumps({"vulns": found} if found else {}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Service) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/v1/query"
        server.shutdown()


def advisory(package: str) -> dict[str, Any]:
    event = {"events": [{"introduced": "0"}, {"fixed": "2.1"}], "type": "ECOSYSTEM"}
    affected = {"package": {"name": package, "ecosystem": "PyPI"}, "ranges": [event]}
    return {"id": "PYSEC-2026-1", "affected": [affected], "summary": "bad", "aliases": []}


class TestLockedPackages:
    def audit(self, checkout: Path, url: str) -> Outcome:
        service = {"PIP_AUDIT_VULNERABILITY_SERVICE": "osv", "PIP_AUDIT_OSV_URL": url}
        return scan.pip_audit(
            runner(checkout, **service, NO_PROXY="127.0.0.1"),
            Libraries(("apps/api/requirements.txt",)),
        )

    def test_a_known_weakness_is_found(self, checkout: Path) -> None:
        with advisories({"second": [advisory("second")]}) as url:
            outcome = self.audit(checkout, url)
        assert outcome.findings == (
            "apps/api/requirements.txt: second 2.0: PYSEC-2026-1, mended in 2.1",
        ), outcome
        assert outcome.result == "1 finding"

    def test_none_is_clean(self, checkout: Path) -> None:
        with advisories({}) as url:
            assert self.audit(checkout, url).result == "clean"

    def test_a_service_that_does_not_answer_is_no_clean_result(self, checkout: Path) -> None:
        outcome = self.audit(checkout, "http://127.0.0.1:1/v1/query")
        assert outcome.result.startswith("not run: the advisory service does not answer")
        assert "Traceback" not in outcome.result

    def test_a_poetry_lock_is_audited_as_it_is_built_from(self, checkout: Path) -> None:
        app = checkout / "apps" / "plots"
        app.mkdir()
        (app / "poetry.lock").write_text(
            '[[package]]\nname = "second"\nversion = "2.0"\ngroups = ["main"]\n'
            f'files = [{{file = "x", hash = "{HASH}"}}]\n\n'
            '[[package]]\nname = "tool"\nversion = "1.0"\ngroups = ["dev"]\n'
            f'files = [{{file = "x", hash = "{HASH}"}}]\n\n'
            '[metadata]\nlock-version = "2.1"\ncontent-hash = ""\n'
        )
        with advisories({name: [advisory(name)] for name in ("second", "tool")}) as url:
            service = {"PIP_AUDIT_VULNERABILITY_SERVICE": "osv", "PIP_AUDIT_OSV_URL": url}
            outcome = scan.pip_audit(runner(checkout, **service), Libraries(("apps/plots",)))
        assert [each.partition(" ")[2][:8] for each in outcome.findings] == ["second 2"]

    def test_a_lock_that_cannot_be_read_says_so(self, checkout: Path) -> None:
        (checkout / "apps/api/requirements.txt").unlink()
        (checkout / "apps/api/poetry.lock").write_text("[metadata]\n")
        outcome = scan.pip_audit(runner(checkout), Libraries(("apps/api",)))
        assert "its format is none" in outcome.result

    def test_packages_that_the_service_does_not_know_are_not_clean(self) -> None:
        """pip-audit itself calls these "no known vulnerabilities", with exit status 0."""
        skipped = [{"name": name, "skip_reason": "not found"} for name in ("first", "second")]
        known = {"name": "third", "version": "1", "vulns": []}
        assert scan._audited("a lock", skipped).result.startswith("not run: ")
        assert "none of the 2" in scan._audited("a lock", skipped).result
        partly = scan._audited("a lock", [*skipped, known])
        assert partly.result == "clean; not looked at: first, second"
        assert scan._audited("a lock", []).result == "clean"


TRIVY = """#!/bin/sh
# Speaks as Trivy does; its database is what this can't have.
case "$*" in *broken*) echo 'FATAL	failed to download vulnerability DB' >&2; exit 1 ;; esac
cat <<'REPORT'
{"Results": [
  {"Target": "debian", "Vulnerabilities": [
    {"PkgName": "zlib", "InstalledVersion": "1", "VulnerabilityID": "CVE-1", "Severity": "HIGH",
     "FixedVersion": "2"}]},
  {"Target": "/srv/key.pem", "Secrets": [{"Title": "A private key", "StartLine": 3}]}]}
REPORT
"""


class TestImages:
    @pytest.fixture
    def tools(self, tmp_path_factory: pytest.TempPathFactory) -> str:
        folder = tmp_path_factory.mktemp("tools")
        for name, text in {
            "trivy": TRIVY,
            "docker": "#!/bin/sh\ncase $* in *absent*) exit 1; esac\n",
        }.items():
            file = folder / name
            file.write_text(text)
            file.chmod(0o755)
        return str(folder)

    def test_its_findings_are_counted(self, checkout: Path, tools: str) -> None:
        outcome = scan.trivy(runner(checkout, tools), "x-api:local", "prod")
        assert outcome.findings == (
            "x-api:local: zlib 1: CVE-1 (high), mended in 2",
            "x-api:local: /srv/key.pem:3: A private key",
        )

    def test_an_image_that_is_not_there_and_a_lost_database_are_said(
        self, checkout: Path, tools: str
    ) -> None:
        absent = scan.trivy(runner(checkout, tools), "absent:local", "prod")
        assert absent.result == "not run: there is no such image yet: invoke prod.build"
        broken = scan.trivy(runner(checkout, tools), "broken:local", "prod")
        assert "failed to download" in broken.result and "--download-db-only" in broken.result


def test_findings_are_1_and_what_was_not_looked_at_is_2() -> None:
    clean, found = Outcome("a", "x"), Outcome("b", "x", ("one",))
    not_run = Outcome("c", "x", not_run="no network")
    assert scan.status([clean, clean]) == 0
    assert scan.status([clean, not_run]) == 2
    assert scan.status([clean, Outcome("d", "x", gap="one package")]) == 2
    assert scan.status([]) == 2
    assert scan.status([clean, found, not_run]) == 1
    assert scan.status([not_run, not_run]) == 2
    assert not_run.result == "not run: no network"


def test_a_program_that_is_missing_is_named(checkout: Path) -> None:
    outcome = scan.hadolint(runner(checkout, "/nonexistent"))
    assert outcome.result == "not run: no hadolint here: scripts/bootstrap installs it"


def test_a_program_that_may_not_be_run_is_named(checkout: Path, tmp_path: Path) -> None:
    folder = tmp_path / "closed"
    folder.mkdir()
    (checkout / "docker").mkdir(exist_ok=True)
    (checkout / "docker" / "Dockerfile").touch()
    (folder / "hadolint").write_text("#!/nonexistent/python\n")
    (folder / "hadolint").chmod(0o755)
    outcome = scan.hadolint(runner(checkout, str(folder)))
    assert outcome.result.startswith("not run: ") and "hadolint" in outcome.result
