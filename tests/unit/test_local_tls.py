"""`dev.up --https`: which certificate, by whom, and where."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gangway.base.errors import GangwayError
from gangway.operations import local_tls
from gangway.settings import certificates
from gangway.settings.certificates import Certificate
from gangway.settings.environment import Environment, load
from tests.unit.conftest import ROOT


def development(tmp_path: Path, **shell: str) -> Environment:
    """Return development in a checkout of the test's."""
    checkout = tmp_path / "checkout"
    (checkout / "env").mkdir(parents=True, exist_ok=True)
    (checkout / "env" / "dev.env").write_text("ENVIRONMENT=development\n", encoding="utf-8")
    around = {"PATH": os.environ["PATH"], "XDG_DATA_HOME": str(tmp_path / "data"), **shell}
    return load(checkout, "dev", shell=around)


def made(env: Environment) -> Certificate:
    """Make it, and return what it says."""
    local_tls._certificate(env)
    pair = certificates.read(env.root / ".gangway" / "tls")
    assert pair
    return certificates.parse(pair.certificate)


def without_mkcert(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_tls, "_mkcert_root", lambda env: None)


def test_our_own_ca_vouches_for_this_machine_and_is_made_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    without_mkcert(monkeypatch)
    env = development(tmp_path)
    first = made(env)
    ca = tmp_path / "data" / "gangway" / "ca"
    authority = (ca / "certificate.pem").read_bytes()
    assert first.names == ("localhost", "*.localhost", "127.0.0.1", "::1")
    assert first.issuer == certificates.parse(authority).issuer
    assert (ca / "key.pem").stat().st_mode & 0o777 == 0o600
    assert str(ca / "certificate.pem") in capsys.readouterr().err
    assert made(env).bits == first.bits
    assert (ca / "certificate.pem").read_bytes() == authority


def test_more_names_make_for_another_certificate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_mkcert(monkeypatch)
    first = made(development(tmp_path))
    second = made(development(tmp_path, TLS_NAMES="shop.test"))
    assert second.bits != first.bits
    assert second.covers("shop.test")


def test_mkcerts_ca_is_taken_where_it_is_there(tmp_path: Path) -> None:
    theirs = certificates.authority("mkcert")
    root, programs = tmp_path / "mkcert", tmp_path / "bin"
    root.mkdir()
    programs.mkdir()
    (root / "rootCA.pem").write_bytes(theirs.certificate)
    certificates.write(tmp_path / "one", certificates.issued(["localhost"], theirs))
    program = programs / "mkcert"
    program.write_text(
        f'#!/bin/sh\n[ "$1" != -CAROOT ] || {{ echo {root}; exit; }}\n'
        f"cp {tmp_path}/one/certificate.pem $2; cp {tmp_path}/one/key.pem $4\n",
        encoding="utf-8",
    )
    program.chmod(0o755)
    found = made(development(tmp_path, PATH=f"{programs}:{os.environ['PATH']}"))
    assert found.issuer == certificates.parse(theirs.certificate).issuer
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("name", ["prod", "test"])
def test_elsewhere_it_is_refused(name: str) -> None:
    from gangway.operations.project import open_project

    with pytest.raises(GangwayError, match="--https is for development"):
        local_tls.with_https(open_project(ROOT, name, engine="docker"), ())


def test_natively_it_is_refused() -> None:
    from gangway.operations.project import open_project

    with pytest.raises(GangwayError, match="natively there is no proxy"):
        local_tls.with_https(open_project(ROOT, "dev", engine="native"), ())
