"""Certificates as the tasks make, read and judge them."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path

import pytest

from gangway.base.errors import Finding
from gangway.operations import production, tls
from gangway.operations.project import Project, open_project
from gangway.settings import certificates
from gangway.settings import tls as settings
from gangway.settings.certificates import Pair
from tests.unit.conftest import ROOT

NAME = "www.shop.test"
MakeProject = Callable[..., Project]


@pytest.fixture
def project(tmp_path: Path) -> MakeProject:
    """Open production with its secrets in a folder of the test's."""

    def make(**variables: str) -> Project:
        overrides: Mapping[str, str] = {"SECRETS_DIR": str(tmp_path / "secrets"), **variables}
        return open_project(ROOT, "prod", engine="docker", overrides=overrides)

    return make


def findings(project: Project) -> list[Finding]:
    return list(settings.findings(project.environment))


class TestCertificates:
    """gangway.settings.certificates."""

    def test_one_of_our_own_is_for_its_names_and_vouches_for_itself(self) -> None:
        found = certificates.parse(certificates.self_signed([NAME, "10.0.0.1"]).certificate)
        assert found.names == (NAME, "10.0.0.1")
        assert found.self_signed
        assert 390 < found.days_left() < 398

    def test_openssl_takes_it_for_its_name_and_no_other(self, tmp_path: Path) -> None:
        certificates.write(tmp_path / "tls", certificates.self_signed([NAME]))
        file = str(tmp_path / "tls" / certificates.CERTIFICATE)

        def verified(name: str) -> int:
            argv = ["openssl", "verify", "-CAfile", file, "-verify_hostname", name, file]
            return subprocess.run(argv, check=False, capture_output=True).returncode

        assert verified(NAME) == 0
        assert verified("other.test") != 0

    def test_one_that_the_development_ca_vouches_for_is_trusted_with_it(
        self, tmp_path: Path
    ) -> None:
        authority = certificates.authority("me")
        pair = certificates.issued(["localhost", "127.0.0.1", "::1"], authority)
        (tmp_path / "ca.pem").write_bytes(authority.certificate)
        (tmp_path / "one.pem").write_bytes(pair.certificate)
        argv = ["openssl", "verify", "-x509_strict", "-CAfile", str(tmp_path / "ca.pem"),
                "-verify_hostname", "localhost", str(tmp_path / "one.pem")]  # fmt: skip
        done = subprocess.run(argv, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr

    def test_the_development_ca_can_vouch_for_nobody_elses_name(self, tmp_path: Path) -> None:
        authority = certificates.authority("me")
        (tmp_path / "ca.pem").write_bytes(authority.certificate)
        (tmp_path / "one.pem").write_bytes(
            certificates.issued(["bank.example"], authority).certificate
        )
        argv = ["openssl", "verify", "-CAfile", str(tmp_path / "ca.pem"), str(tmp_path / "one.pem")]
        done = subprocess.run(argv, check=False, capture_output=True, text=True)
        assert done.returncode != 0
        assert "permitted subtree violation" in done.stdout + done.stderr

    def test_files_are_their_owners_alone(self, tmp_path: Path) -> None:
        certificates.write(tmp_path / "tls", certificates.self_signed([NAME]))
        modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "tls").iterdir()}
        assert modes == {"certificate.pem": 0o600, "key.pem": 0o600}
        assert (tmp_path / "tls").stat().st_mode & 0o777 == 0o700

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            (lambda pair, other: pair, None),
            (lambda pair, other: Pair(pair.certificate, other.key), "another certificate's key"),
            (lambda pair, other: Pair(b"no", other.key), "certificate.pem is no certificate"),
            (lambda pair, other: Pair(pair.certificate, b"no"), "key.pem is no key"),
        ],
    )
    def test_what_is_wrong_with_a_pair_is_said(
        self, change: Callable[[Pair, Pair], Pair], said: str | None
    ) -> None:
        pair, other = certificates.self_signed([NAME]), certificates.self_signed([NAME])
        fault = certificates.fault(change(pair, other))
        assert fault is None if said is None else said in (fault or "")

    def test_a_wildcard_is_for_one_label(self) -> None:
        found = certificates.parse(certificates.self_signed(["*.shop.test"]).certificate)
        assert found.covers("WWW.shop.test")
        assert not found.covers("shop.test")
        assert not found.covers("a.b.shop.test")


class TestProductionInit:
    """invoke prod.init, with TLS."""

    def test_a_self_signed_certificate_is_made_once(self, project: MakeProject) -> None:
        production.init(opened := project(TLS="self-signed", TLS_NAMES=f"{NAME}, shop.test"))
        folder = settings.folder(opened.environment)
        made = certificates.read(folder)
        assert made
        assert certificates.parse(made.certificate).names == (NAME, "shop.test")
        production.init(opened)
        assert certificates.read(folder) == made
        assert findings(opened) == [] or all("belongs to" in each.what for each in findings(opened))

    def test_it_is_made_again_for_other_names_or_when_it_ends(self, project: MakeProject) -> None:
        opened = project(TLS="self-signed", TLS_NAMES=NAME)
        folder = settings.folder(opened.environment)
        for there in (
            certificates.self_signed(["other.test"]),
            certificates.self_signed([NAME], timedelta(days=29)),
        ):
            certificates.write(folder, there)
            production.init(opened)
            found = certificates.read(folder)
            assert found
            assert found != there
            assert certificates.parse(found.certificate).names == (NAME,)

    def test_somebodys_own_is_never_replaced(self, project: MakeProject) -> None:
        opened = project(TLS="self-signed", TLS_NAMES=NAME)
        theirs = certificates.issued(["localhost"], certificates.authority("them"))
        certificates.write(settings.folder(opened.environment), theirs)
        production.init(opened)
        assert certificates.read(settings.folder(opened.environment)) == theirs

    def test_without_tls_there_is_none(self, project: MakeProject) -> None:
        production.init(opened := project())
        assert not settings.folder(opened.environment).exists()


class TestFindings:
    """What `up` refuses before anything is started."""

    def test_no_certificate(self, project: MakeProject) -> None:
        (found,) = findings(project(TLS="files"))
        assert found.what == "TLS=files has no certificate there"
        assert "certificate.pem" in (found.fix or "")

    @pytest.mark.parametrize("mode", ["acme", "self-signed"])
    def test_no_name(self, project: MakeProject, mode: str) -> None:
        (found,) = findings(project(TLS=mode))
        assert found == Finding(
            f"TLS={mode} is for no name", "command line", "set TLS_NAMES, such as: www.example.org"
        )

    def test_a_wildcard_that_no_question_at_port_80_proves(self, project: MakeProject) -> None:
        (found,) = findings(project(TLS="acme", TLS_NAMES="shop.test *.shop.test"))
        assert "*.shop.test" in found.what

    def test_a_key_that_others_can_read(self, project: MakeProject) -> None:
        opened = project(TLS="files")
        folder = settings.folder(opened.environment)
        certificates.write(folder, certificates.self_signed([NAME]))
        (folder / certificates.KEY).chmod(0o644)
        key = f"{settings.shown(opened.environment)}/key.pem"
        assert Finding("others can read it", key, f"chmod 600 {key}") in findings(opened)

    def test_a_key_of_another_certificate(self, project: MakeProject) -> None:
        opened = project(TLS="files")
        one, other = certificates.self_signed([NAME]), certificates.self_signed([NAME])
        certificates.write(settings.folder(opened.environment), Pair(one.certificate, other.key))
        assert findings(opened)[0].what == "key.pem is another certificate's key"

    def test_another_word_than_the_four(self, project: MakeProject) -> None:
        from gangway.settings import contract, contract_check

        env = project(TLS="letsencrypt").environment
        said = [str(each) for each in contract_check.check(env, contract.load(ROOT), secrets=False)]
        assert any(
            "'letsencrypt' is none of off, files, self-signed, acme" in each for each in said
        )


class TestShown:
    """invoke prod.tls."""

    def test_the_file_is_shown_where_nothing_answers(
        self, project: MakeProject, capsys: pytest.CaptureFixture[str], free_port: int
    ) -> None:
        opened = project(TLS="files", PUBLISHED_HTTPS_PORT=str(free_port))
        certificates.write(settings.folder(opened.environment), certificates.self_signed([NAME]))
        assert tls.show(opened) == 0
        assert NAME in capsys.readouterr().out

    def test_an_end_in_14_days_is_a_finding(
        self, project: MakeProject, capsys: pytest.CaptureFixture[str], free_port: int
    ) -> None:
        opened = project(TLS="files", PUBLISHED_HTTPS_PORT=str(free_port))
        pair = certificates.self_signed([NAME], timedelta(days=10))
        certificates.write(settings.folder(opened.environment), pair)
        assert tls.show(opened) == 1
        assert "the certificate ends in 9 days" in capsys.readouterr().err

    def test_what_is_served_counts_and_another_file_is_a_finding(
        self, project: MakeProject, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        folder = tmp_path / "served"
        certificates.write(folder, certificates.self_signed([NAME]))
        argv = ["openssl", "s_server", "-accept", "127.0.0.1:0", "-quiet", "-www",
                "-cert", str(folder / certificates.CERTIFICATE),
                "-key", str(folder / certificates.KEY)]  # fmt: skip
        del argv[argv.index("-quiet")]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as server:
            try:
                assert server.stdout
                line = next(each for each in server.stdout if each.startswith("ACCEPT"))
                port = line.rpartition(":")[2].strip()
                opened = project(
                    TLS="files", PUBLISHED_HTTPS_PORT=port, TLS_NAMES=f"{NAME} other.test"
                )
                there = certificates.self_signed(["later.test"])
                certificates.write(settings.folder(opened.environment), there)
                assert tls.show(opened) == 1
            finally:
                server.kill()
        shown = capsys.readouterr()
        assert f"served at 127.0.0.1:{port}" in shown.out
        assert "the certificate is not for other.test" in shown.err
        assert "is not the one that is served" in shown.err

    def test_without_tls_that_is_said(
        self, project: MakeProject, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert tls.show(project()) == 0
        assert "TLS=off" in capsys.readouterr().out


@pytest.fixture
def free_port() -> int:
    """A port where nobody answers."""
    import socket

    with socket.socket() as end:
        end.bind(("127.0.0.1", 0))
        return int(end.getsockname()[1])


def test_python_trusts_the_development_ca(tmp_path: Path) -> None:
    authority = certificates.authority("me")
    context = ssl.create_default_context(cadata=authority.certificate.decode())
    assert context.get_ca_certs()
