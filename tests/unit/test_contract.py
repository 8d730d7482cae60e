"""The contract: every fault at once, each with its place and its fix."""

# `shell` is an argument of load() here, and starts none.
# ruff: noqa: S604

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gangway.base.errors import Finding, FindingsError, GangwayError
from gangway.settings import cache, contract, contract_check, reference, secrets
from gangway.settings.contract import Spec
from gangway.settings.environment import Environment, Kind, environments, load
from tests.unit.conftest import ROOT

if TYPE_CHECKING:
    from tests.unit.conftest import Checkout

DEV = """ENVIRONMENT=development
COMPOSE_PROJECT_NAME=x
COMPOSE_FILE=base.yml
COMPOSE_PROFILES=database,api,app
POSTGRES_DB=x
SECRETS_DIR=./known
"""
PROD = """ENVIRONMENT=production
COMPOSE_PROJECT_NAME=x
COMPOSE_FILE=base.yml
POSTGRES_DB=x
SECRETS_DIR=./secrets
"""
REAL = contract.load(ROOT)


def found(
    root: Path,
    name: str = "dev",
    *,
    shell: dict[str, str] | None = None,
    overrides: dict[str, str] | None = None,
) -> list[Finding]:
    return contract_check.check(load(root, name, shell=shell or {}, overrides=overrides), REAL)


def made(checkout: Checkout, **files: str) -> Path:
    """Make a checkout with `dev`, `prod` and the secrets of both."""
    root = checkout(
        {
            "base.yml": "",
            "env/dev.env": DEV + files.get("dev", ""),
            "env/prod.env": PROD + files.get("prod", ""),
        }
    )
    names = REAL.secret_files("core")
    for name in names:
        checkout({f"known/{name}": "gangway\n"})
        (root / "known" / name).chmod(0o644)
    me = (os.geteuid(), os.getegid())
    secrets.init(root / "secrets", names, owner=me)
    lines = f"APP_UID={me[0]}\nAPP_GID={me[1]}\n"
    return checkout({".gangway/prod.env": lines})


@pytest.mark.parametrize("name", environments(ROOT))
def test_the_environments_of_this_checkout_keep_the_contract(name: str) -> None:
    env = load(ROOT, name, shell={})
    assert contract_check.check(env, REAL, secrets=False) == []


def test_a_correct_environment_has_no_finding(checkout: Checkout) -> None:
    root = made(checkout)
    assert found(root) == []
    assert found(root, "prod") == []


@pytest.mark.parametrize(
    ("line", "what", "fix"),
    [
        ("LOG_LEVLE=debug", "LOG_LEVLE is not a known variable", "did you mean LOG_LEVEL?"),
        ("QQQQQQ=1", "QQQQQQ is not a known variable", "describe it in env/contract.yml"),
        (
            "POSTGRES_PASSWORD=x",
            "POSTGRES_PASSWORD is a secret, and read from a file",
            "write it to known/postgres_password",
        ),
        ("APP_TARGET=x:y", "APP_TARGET has no effect in an env file", "`environment`"),
        ("WEB_CONCURRENCY=two", "WEB_CONCURRENCY: 'two' is not a whole number", None),
        ("WEB_CONCURRENCY=0", "WEB_CONCURRENCY: '0' is below 1", None),
        ("APP_UID=4294967295", "'4294967295' is above 4294967294", None),
        ("API_CPUS=half", "API_CPUS: 'half' is not a number", None),
        ("PUBLISHED_API_PORT=70000", "PUBLISHED_API_PORT: '70000' is out of range", None),
        ("PUBLISHED_API_PORT=0", "PUBLISHED_API_PORT: '0' is out of range", None),
        ("PUBLISHED_API_PORT=http", "PUBLISHED_API_PORT: 'http' is not a port number", None),
        ("PUBLISHED_API_PORT=5000", "PUBLISHED_A", "--ports auto"),
        ("SEED=yes", "SEED: 'yes' is not 1 or 0", None),
        ("LOG_LEVEL=debgu", "LOG_LEVEL: 'debgu' is none of debug, info", None),
        ("API_URL=api:8000", "API_URL: 'api:8000' is not a URL", None),
        ("API_MEMORY=lots", "API_MEMORY: 'lots' is not a size", None),
        ("PYTHON_IMAGE='my image'", "PYTHON_IMAGE: 'my image' is not an image", None),
        ("POSTGRES_USER=my-name", "POSTGRES_USER: 'my-name' does not look like", None),
        ("IMAGE_TAG=a/b", "IMAGE_TAG: 'a/b' does not look like", None),
        ("TRUSTED_PROXIES='10.0.0.0/8 ::1 lb'", "has 'lb', which is no address", None),
        ("TRUSTED_PROXIES=10.0.0.1/8", "10.0.0.1/8 has host bits set", None),
        ("CLIENT_MAX_HEADER=16m", "CLIENT_MAX_HEADER: '16m' does not look like", None),
        ("CLIENT_RATES=/login=5", "CLIENT_RATES: '/login=5' does not look like", None),
        ("CLOSED_PATHS=docs", "CLOSED_PATHS: 'docs' does not look like", None),
        ("API_STATIC_URL='/a b/'", "API_STATIC_URL: '/a b/' does not look like", None),
        ("POSTGRES_USER=", "POSTGRES_USER is empty", "set it"),
        ("BUILD_CA_BUNDLE=no.pem", "BUILD_CA_BUNDLE names no.pem, which is not there", None),
    ],
)
def test_each_mistake_is_found_with_its_line(
    line: str, what: str, fix: str | None, checkout: Checkout
) -> None:
    root = made(checkout, dev=f"# a comment\n{line}\n")
    (finding,) = found(root)
    assert what in finding.what
    assert finding.where == "env/dev.env:8" or "PUBLISHED_APP_PORT" in finding.what
    assert fix is None or fix in (finding.fix or "")


def test_all_mistakes_are_found_at_once(checkout: Checkout) -> None:
    root = made(checkout, dev="LOG_LEVLE=x\nSEED=maybe\nPOSTGRES_USER=\nAPP_UID=-1\n")
    with pytest.raises(FindingsError) as caught:
        contract_check.require(load(root, "dev", shell={}), REAL)
    assert sorted(finding.where or "" for finding in caught.value.findings) == [
        "env/dev.env:10",
        "env/dev.env:7",
        "env/dev.env:8",
        "env/dev.env:9",
    ]
    assert str(caught.value).startswith("4 things to fix in the dev environment:\n")
    assert caught.value.status == 2


@pytest.mark.parametrize(
    ("value", "is_right"),
    [("1", True), ("65535", True), ("65536", False), ("-1", False), ("80 ", False), ("٨", False)],
)
def test_ports_are_whole_numbers_in_range(value: str, is_right: bool) -> None:
    assert (REAL.variables["PUBLISHED_API_PORT"].fault(value) is None) is is_right


@pytest.mark.parametrize(
    ("kind", "right", "wrong"),
    [
        ("int", ["0", "-3", "12"], ["1.5", "1_000", "x", "٣"]),
        ("number", ["0.5", "2"], ["1e3", ".5", "nan"]),
        ("bool", ["0", "1"], ["true", "yes", "2"]),
        ("url", ["http://a", "https://me:pw@h:1/p?q#f", "postgresql://h/db"], ["//h", "http://"]),
        (
            "postgres_url",
            [
                "postgresql://u:p%40s@db.example.com:6543/d?sslmode=require",
                "postgres://u.v@h/d",
                "postgresql://u:p@[2001:db8::1]:65535/d",
            ],
            [
                "postgres//u:p@h/d",
                "mysql://u:p@h/d",
                "postgresql://u:p@s@h/d",
                "postgresql://u:p/s@h/d",
                "postgresql://h:6543/d",
                "postgresql://u:p@h:65536/d",
                "postgresql://u:p@h:port/d",
                "postgresql://u:p@h",
            ],
        ),
        ("size", ["512m", "1g", "1.5GB", "1024"], ["m", "1 g", "1t"]),
        ("memory", ["512m", "0.5g", "6m", "536870912"], ["512", "5m", "lots", "1t"]),
        ("nginx_size", ["20m", "512K", "1g", "1024", "0"], ["20mb", "1.5g", "10b"]),
        ("redis_size", ["128mb", "1GB", "64m", "1024", "10b"], ["0.5g", "1.5gb", "1t"]),
        ("duration", ["30s", "1m30s", "200ms"], ["30", "s", "1d"]),
        (
            "image",
            ["python:3.13-slim", "host.example:5000/a/b:T.1", "x@sha256:" + "a" * 64],
            ["a b", ":tag", "x:", "x@sha256:12"],
        ),
        ("string", ["anything at all"], []),
    ],
)
def test_types(kind: str, right: list[str], wrong: list[str]) -> None:
    spec = Spec("X", kind, "", "")
    assert [value for value in right if spec.fault(value)] == []
    assert [value for value in wrong if not spec.fault(value)] == []


@pytest.mark.parametrize(
    ("lines", "what"),
    [
        ("REDIS_MAXMEMORY=1gb\n", "REDIS_MAXMEMORY is 1gb, and REDIS_MEMORY only 192m (default)"),
        ("REDIS_MAXMEMORY=0\n", "REDIS_MAXMEMORY is 0 (no limit), and REDIS_MEMORY only 192m"),
        ("REDIS_MEMORY=64m\n", "REDIS_MAXMEMORY is 128mb, and REDIS_MEMORY only 64m (env/dev"),
        ("REDIS_MAXMEMORY=1gb\nREDIS_MEMORY=1g\n", "is 1gb, and REDIS_MEMORY only 1g"),
        ("REDIS_MAXMEMORY=1gb\nREDIS_MEMORY=1.5g\n", None),
    ],
)
def test_a_size_that_does_not_fit_in_another_is_found(
    lines: str, what: str | None, checkout: Checkout
) -> None:
    findings = found(made(checkout, dev=lines))
    assert [finding.what for finding in findings if what and what in finding.what] or not what
    assert len(findings) == (what is not None)


def test_two_services_on_one_port_are_named_both(checkout: Checkout) -> None:
    root = made(checkout, dev="PUBLISHED_API_PORT=9000\nPUBLISHED_APP_PORT=9000\n")
    (finding,) = found(root)
    assert finding.where == "env/dev.env:8"
    assert finding.what == (
        "PUBLISHED_APP_PORT is 9000, which PUBLISHED_API_PORT (env/dev.env:7) has already"
    )


def test_a_port_that_a_default_has_already_is_found(checkout: Checkout) -> None:
    (finding,) = found(made(checkout, dev="PUBLISHED_REDIS_PORT=5432\n"))
    assert "PUBLISHED_POSTGRES_PORT (default) has already" in finding.what


def test_a_required_variable_that_nothing_sets_is_found(checkout: Checkout) -> None:
    root = checkout({"env/x.env": "ENVIRONMENT=staging\nSECRETS_DIR=x\n"})
    places = {finding.what: finding.where for finding in found(root, "x")}
    assert places["COMPOSE_FILE is not set"] == "env/x.env"
    assert places["COMPOSE_PROJECT_NAME is not set"] == "env/x.env"


def test_a_missing_compose_file_gets_the_nearest_name(checkout: Checkout) -> None:
    root = made(checkout, dev="")
    checkout({"env/local.env": "COMPOSE_FILE=base.yml:docker-compose.dve.yml\n"})
    checkout({"docker-compose.dev.yml": ""})
    (finding,) = found(root)
    assert finding.where == "env/local.env:1"
    assert "names docker-compose.dve.yml, which is not there" in finding.what
    assert finding.fix == "did you mean docker-compose.dev.yml?"


def test_the_shell_may_have_names_that_the_contract_does_not_know(checkout: Checkout) -> None:
    root = made(checkout, dev="COMPOSE_PARALLEL_LIMIT=2\nDOCKER_BUILDKIT=1\n")
    assert found(root, shell={"EDITOR": "vi", "LOG_LEVLE": "x"}) == []


def test_a_typed_name_that_is_unknown_is_found(checkout: Checkout) -> None:
    (finding,) = found(made(checkout), overrides={"LOG_LEVLE": "debug"})
    assert (finding.where, finding.fix) == ("command line", "did you mean LOG_LEVEL?")


def test_a_wrong_value_of_the_shell_is_found_and_named_as_the_shells(checkout: Checkout) -> None:
    (finding,) = found(made(checkout, dev="LOG_LEVEL=info\n"), shell={"LOG_LEVEL": "loud"})
    assert finding.where == "shell"


def test_another_kind_of_environment_from_the_shell_is_found(checkout: Checkout) -> None:
    (finding,) = found(made(checkout), "prod", shell={"ENVIRONMENT": "development"})
    assert (finding.where, finding.fix) == ("shell", "unset it")


@pytest.mark.parametrize("value", ["gangway", "changeme", "x", ""])
def test_development_may_have_secrets_that_everybody_knows(value: str, checkout: Checkout) -> None:
    root = made(checkout)
    (root / "known/postgres_password").write_text(value)
    assert found(root) == []


def test_what_the_containers_of_development_cannot_read_is_found(checkout: Checkout) -> None:
    root = made(checkout)
    (root / "known/secret_key").chmod(0o600)
    (finding,) = found(root)
    assert finding.what == "the containers can't read it (mode 0600)"
    assert (finding.where, finding.fix) == ("known/secret_key", "chmod 644 known/secret_key")


def test_a_secret_of_development_that_is_missing_is_found(checkout: Checkout) -> None:
    root = made(checkout)
    (root / "known/redis_password").unlink()
    (finding,) = found(root)
    assert finding.what == "the secret REDIS_PASSWORD has no file"
    assert finding.where == "known/redis_password"
    assert finding.fix == (
        "write it to known/redis_password; git restore known/redis_password brings back one that"
        " git has"
    )


def test_a_missing_secret_file_says_how_to_make_it(checkout: Checkout) -> None:
    root = made(checkout)
    (root / "secrets/redis_password").unlink()
    (finding,) = found(root, "prod")
    assert finding.what == "the secret REDIS_PASSWORD has no file"
    assert (finding.where, finding.fix) == ("secrets/redis_password", "invoke prod.init")
    assert contract_check.check(load(root, "prod", shell={}), REAL, secrets=False) == []


SECRET = "groups: {A: {MAIL_KEY: {type: string, meaning: m, secret: true, required: [prod]}}}"


def test_a_secret_that_is_no_file_says_how_it_becomes_one(checkout: Checkout) -> None:
    root = checkout(
        {
            "env/x.env": "ENVIRONMENT=production\nCOMPOSE_FILE=c.yml\nCOMPOSE_PROJECT_NAME=x\n"
            "SECRETS_DIR=s\n",
            "c.yml": "",
            "env/contract.yml": SECRET,
            "apps/api/x": "",
            "apps/x": "",
        }
    )
    env = load(root, "x", shell={})
    (finding,) = contract_check.check(env, contract.load(root))
    assert (finding.what, finding.where) == ("MAIL_KEY is not set", "env/x.env")
    assert "`secret_file: mail_key` in env/contract.yml" in str(finding.fix)
    assert "invoke x.init" in str(finding.fix)
    (unmade,) = contract_check.unmade(env, contract.load(root))
    assert (unmade.what, unmade.fix) == ("MAIL_KEY has no file", finding.fix)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660])
def test_a_secret_that_others_can_read_is_found(mode: int, checkout: Checkout) -> None:
    root = made(checkout)
    (root / "secrets/secret_key").chmod(mode)
    (finding,) = found(root, "prod")
    assert finding.what == f"others can read it (mode {mode:04o})"
    assert finding.fix == "chmod 600 secrets/secret_key"


def test_where_no_mode_is_kept_the_fix_is_another_place(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = made(checkout)
    (root / "secrets/secret_key").chmod(0o777)
    monkeypatch.setattr(secrets, "keeps_modes", lambda _: False)
    (finding,) = found(root, "prod")
    assert finding.what.startswith("its file system keeps no modes")
    assert (finding.fix or "").startswith("set SECRETS_DIR to a folder on one that does")


def test_a_colon_in_the_checkout_s_path_is_found(tmp_path: Path, checkout: Checkout) -> None:
    root = tmp_path / "build:42 (my app) #2"
    made(checkout)
    shutil.copytree(tmp_path, root, ignore=shutil.ignore_patterns("build*"))
    (finding,) = found(root)
    assert "a colon" in finding.what
    assert finding.where == str(root)
    plain = root.rename(tmp_path / "build (my app) #2")
    assert found(plain) == []


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("", "it is empty"),
        ("\n", "it is empty"),
        ("gangway\n", "has a default value that everybody knows"),
        ("changeme", "has a default value that everybody knows"),
        ("hunter2hunter2", "has 14 characters; less than 16"),
    ],
)
def test_a_secret_file_with_a_poor_secret_is_found(
    content: str, what: str, checkout: Checkout
) -> None:
    root = made(checkout)
    (root / "secrets/postgres_password").write_text(content)
    (finding,) = found(root, "prod")
    assert what in finding.what
    assert finding.where == "secrets/postgres_password"
    assert "invoke prod.init" in str(finding.fix)
    assert "hunter" not in str(finding)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can give files away")
def test_a_secret_that_the_containers_cannot_read_is_found(checkout: Checkout) -> None:
    root = made(checkout)
    os.chown(root / "secrets/secret_key", 4711, 4711)
    (finding,) = found(root, "prod")
    assert finding.what == f"it belongs to user 4711, and the containers run as {os.geteuid()}"
    assert finding.fix == f"chown {os.geteuid()} secrets/secret_key"


OUTSIDE = "postgresql://me:a-long-enough-password@db.invalid:6543/habits"
STACK = "STACK_EXTERNAL_DATABASE=1\n"


def test_an_external_database_is_refused_where_the_stack_s_apps_take_none(
    checkout: Checkout,
) -> None:
    root = made(checkout)
    alone = {"COMPOSE_PROFILES": "api,app"}
    (finding,) = found(root, overrides=alone | {"DATABASE_URL": OUTSIDE})
    assert finding.what == "DATABASE_URL needs STACK_EXTERNAL_DATABASE=1, and that is 0 here"
    assert finding.where == "command line" and "leave DATABASE_URL" in str(finding.fix)
    assert found(root, shell={"DATABASE_URL": ""}) == []
    taken = made(checkout, dev=STACK)
    assert found(taken, shell={"DATABASE_URL": OUTSIDE}, overrides=alone) == []


def test_an_external_database_beside_our_own_is_refused(checkout: Checkout) -> None:
    (finding,) = found(made(checkout, dev=STACK), shell={"DATABASE_URL": OUTSIDE})
    assert finding.what == "DATABASE_URL is set, and the profile database is on as well"
    assert finding.where == "shell" and OUTSIDE not in str(finding)
    assert finding.fix == "choose: leave DATABASE_URL out, or set COMPOSE_PROFILES=api,app"


def test_production_takes_an_external_database_s_address_from_a_file_only(
    checkout: Checkout,
) -> None:
    root = made(checkout, prod=STACK)
    (finding,) = found(root, "prod", shell={"DATABASE_URL": OUTSIDE})
    assert finding.what == "DATABASE_URL would stand in the containers' environment"
    assert "DATABASE_URL_FILE" in str(finding.fix) and OUTSIDE not in str(finding)


def test_all_that_is_wrong_with_that_file_is_said_at_once(checkout: Checkout) -> None:
    lines = "DATABASE_URL_FILE=secrets/database_url\nDATA_INTERNAL=false\n"
    root = made(checkout, prod=STACK + lines)
    file = root / "secrets/database_url"
    file.write_text("mysql://me:secret@db/x")
    file.chmod(0o644)
    whats = [finding.what for finding in found(root, "prod")]
    assert whats[0] == "others can read it (mode 0644)"
    assert whats[1].startswith("the secret DATABASE_URL is not an address")


@pytest.mark.parametrize(
    ("content", "mode", "what"),
    [
        (OUTSIDE, 0o644, "others can read it (mode 0644)"),
        ("", 0o600, "it is empty"),
        ("mysql://me:secret@db/x", 0o600, "the secret DATABASE_URL is not an address"),
    ],
)
def test_that_file_is_held_to_the_rules_of_secrets(
    content: str, mode: int, what: str, checkout: Checkout
) -> None:
    lines = "DATABASE_URL_FILE=secrets/database_url\nDATA_INTERNAL=false\n"
    root = made(checkout, prod=STACK + lines)
    file = root / "secrets/database_url"
    (missing,) = found(root, "prod")
    assert missing.what == "DATABASE_URL_FILE names secrets/database_url, which is not there"
    file.write_text(OUTSIDE)
    file.chmod(0o600)
    assert found(root, "prod") == []
    file.write_text(content)
    file.chmod(mode)
    (finding,) = found(root, "prod")
    assert finding.what.startswith(what) and finding.where == "secrets/database_url"
    assert "secret@" not in str(finding)


def test_an_external_database_needs_a_way_out_of_the_data_network(checkout: Checkout) -> None:
    root = made(checkout, prod=STACK + "DATABASE_URL_FILE=secrets/database_url\n")
    (root / "secrets/database_url").write_text(OUTSIDE)
    (root / "secrets/database_url").chmod(0o600)
    (finding,) = found(root, "prod")
    assert finding.what == "DATABASE_URL_FILE needs DATA_INTERNAL=false, and that is true here"
    assert str(finding.where).startswith("env/prod.env:")


def contract_of(checkout: Checkout, text: str) -> Path:
    return checkout({"env/contract.yml": text})


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("groups: {}\nx: ]\n", "env/contract.yml:2", "not YAML"),
        ("- a\n", "env/contract.yml", "`groups` must hold groups"),
        ("groups:\n  A: 1\n", "env/contract.yml:2", "the group 'A' must hold variables"),
        ("groups:\n  A:\n    b: {type: int, meaning: m}\n", "env/contract.yml:3", "in capitals"),
        ("groups:\n  A:\n    B: 1\n", "env/contract.yml:3", "needs at least `type`"),
        ("groups:\n  A:\n    B: {type: int}\n", "env/contract.yml:3", "`meaning` is missing"),
        ("groups:\n  A:\n    B: {meaning: m}\n", "env/contract.yml:3", "`type` is missing"),
        (
            "groups:\n  A:\n    B: {type: integer, meaning: m}\n",
            "env/contract.yml:3",
            "`type` must be one of string,",
        ),
        (
            'groups:\n  A:\n    B: {type: int, meaning: m, only_with: {C: "1"}}\n',
            "env/contract.yml:3",
            "B: C is described nowhere",
        ),
        (
            "groups:\n  A:\n    B: {type: int, meaning: m, secrt: true}\n",
            "env/contract.yml:3",
            "unknown field `secrt`; did you mean secret?",
        ),
        (
            "groups:\n  A:\n    B: {type: int, meaning: m, default: x}\n",
            "env/contract.yml:3",
            "its default 'x' is not a whole number",
        ),
        (
            "groups:\n  A:\n    B: {type: string, meaning: m, default: yes}\n",
            "env/contract.yml:3",
            "`default` must be text or a number",
        ),
        (
            "groups:\n  A:\n    B: {type: string, meaning: m, required: [production]}\n",
            "env/contract.yml:3",
            "`required` must be a list of",
        ),
        (
            "groups:\n  A:\n    B: {type: enum, meaning: m}\n",
            "env/contract.yml:3",
            "an enum needs `choices`",
        ),
        (
            "groups:\n  A:\n    B: {type: string, meaning: m, pattern: '['}\n",
            "env/contract.yml:3",
            "`pattern` must be a regular expression",
        ),
        (
            "groups:\n  A:\n    B: {type: int, meaning: m}\n  C:\n    B: {type: int, meaning: m}\n",
            "env/contract.yml:5",
            "B: env/contract.yml describes it already",
        ),
        ("prefixes: x\ngroups: {}\n", "env/contract.yml:1", "`prefixes` must be a list"),
    ],
)
def test_a_malformed_contract_is_shown_with_its_lines(
    text: str, where: str, what: str, checkout: Checkout
) -> None:
    with pytest.raises(GangwayError) as caught:
        contract.load(contract_of(checkout, text))
    findings = caught.value.findings
    assert findings[0].where == where
    assert any(what in finding.what for finding in findings)


def test_all_faults_of_a_contract_are_shown_at_once(checkout: Checkout) -> None:
    text = "groups:\n  A:\n    B: {type: int}\n    C: 1\n"
    with pytest.raises(FindingsError) as caught:
        contract.load(contract_of(checkout, text))
    places = [finding.where for finding in caught.value.findings]
    assert places == ["env/contract.yml:3", "env/contract.yml:4"]


def test_a_missing_contract_is_one_clear_message(tmp_path: Path) -> None:
    with pytest.raises(GangwayError, match=r"cannot read it: No such file") as caught:
        contract.load(tmp_path)
    assert caught.value.where == "env/contract.yml"


def test_the_contract_of_another_project_needs_none_of_our_names(checkout: Checkout) -> None:
    root = checkout(
        {
            "base.yml": "",
            "env/contract.yml": (
                "groups:\n  Mine:\n"
                "    MY_KEY: {type: string, secret: true, secret_file: k, meaning: m}\n"
            ),
            "env/p.env": (
                "ENVIRONMENT=production\nCOMPOSE_FILE=base.yml\n"
                "COMPOSE_PROJECT_NAME=x\nSECRETS_DIR=./s\n"
            ),
        }
    )
    (finding,) = contract_check.check(load(root, "p", shell={}), contract.load(root))
    assert (finding.what, finding.where) == ("the secret MY_KEY has no file", "s/k")


NONE = "groups: {}\n"
MAIL = """groups:
  Mail:
    MAIL_FROM: {type: string, meaning: Who it is from, required: [dev]}
    MAIL_TRIES: {type: int, meaning: How often, default: 3}
    MAIL_KEY: {type: string, secret: true, secret_file: mail_key, meaning: m}
    PUBLISHED_MAIL_PORT: {type: port, published: true, default: 8025, meaning: m}
"""


def with_mail(checkout: Checkout, stack: str = "", dev: str = "") -> Path:
    """Make a checkout with a stack of its own, `mail`."""
    return checkout(
        {
            "base.yml": "",
            "env/contract.yml": NONE,
            "env/dev.env": DEV.replace("POSTGRES_DB=x\n", "") + dev,
            "stacks/mail/stack.env": stack,
            "stacks/mail/contract.yml": MAIL,
        }
    )


def test_a_stack_describes_its_variables_itself_and_they_are_its_own(checkout: Checkout) -> None:
    known = contract.load(with_mail(checkout))
    assert known.variables["MAIL_FROM"].stack == "mail"
    assert known.variables["ENVIRONMENT"].stack == ""
    assert {spec.name for spec in known.of_stack("mail")} == set(known.variables)
    assert not [spec.name for spec in known.of_stack("core") if spec.name.startswith("MAIL")]
    assert [spec.name for spec in known.published("mail")][-1:] == ["PUBLISHED_MAIL_PORT"]
    assert "PUBLISHED_MAIL_PORT" not in [spec.name for spec in known.published("core")]
    assert (known.secret_files("mail"), known.secret_files("core")) == (["mail_key"], [])


def test_what_a_stack_needs_is_asked_for_where_it_runs_and_nowhere_else(
    checkout: Checkout,
) -> None:
    root = with_mail(checkout, stack="MAIL_TRIES=often\n")
    known = contract.load(root)
    assert contract_check.check(load(root, "dev", shell={}), known) == []
    mail = load(root, "dev", stack="mail", shell={})
    assert [(finding.what, finding.where) for finding in contract_check.check(mail, known)] == [
        ("MAIL_FROM is not set", "env/dev.env"),
        ("MAIL_TRIES: 'often' is not a whole number", "stacks/mail/stack.env:1"),
        ("the secret MAIL_KEY has no file", "known/mail_key"),
    ]


def test_an_unknown_variable_of_a_stack_is_to_be_described_by_the_stack(
    checkout: Checkout,
) -> None:
    root = with_mail(checkout, stack="QQQQQQ=1\nMAIL_FORM=me\n")
    mail = load(root, "dev", stack="mail", shell={})
    unknown = contract_check.check(mail, contract.load(root), secrets=False)[:2]
    assert [(finding.where, finding.fix) for finding in unknown] == [
        ("stacks/mail/stack.env:1", "describe it in stacks/mail/contract.yml"),
        ("stacks/mail/stack.env:2", "did you mean MAIL_FROM?"),
    ]


@pytest.mark.parametrize(
    ("file", "name", "other"),
    [
        ("env/contract.yml", "LOG_LEVEL", "gangway/settings/contract.yml"),
        ("stacks/post/contract.yml", "LOG_LEVEL", "gangway/settings/contract.yml"),
        ("stacks/post/contract.yml", "MAIL_FROM", "stacks/mail/contract.yml"),
    ],
)
def test_a_variable_that_two_files_describe_is_refused_with_both(
    file: str, name: str, other: str, checkout: Checkout
) -> None:
    root = with_mail(checkout)
    checkout({file: f"groups:\n  A:\n    {name}: {{type: int, meaning: m}}\n"})
    with pytest.raises(FindingsError) as caught:
        contract.load(root)
    (finding,) = caught.value.findings
    assert finding.where == f"{file}:3"
    assert finding.what == f"{name}: {other} describes it already"


def test_a_fault_in_a_stack_s_contract_is_shown_with_its_file(checkout: Checkout) -> None:
    root = with_mail(checkout)
    checkout({"stacks/mail/contract.yml": "groups:\n  A:\n    B: {type: int}\n"})
    with pytest.raises(FindingsError, match=r"stacks/mail/contract.yml is malformed") as caught:
        contract.load(root)
    assert [finding.where for finding in caught.value.findings] == ["stacks/mail/contract.yml:3"]


def test_a_task_finds_what_the_stack_sets_or_else_the_default(checkout: Checkout) -> None:
    root = with_mail(checkout, stack="MAIL_FROM=me\n")
    mail = load(root, "dev", stack="mail", shell={})
    assert contract.needed("MAIL_FROM", mail) == "me"
    assert contract.needed("MAIL_TRIES", mail) == "3"


@pytest.mark.parametrize(
    ("stack", "file"), [("mail", "stacks/mail/stack.env"), ("core", "env/dev.env")]
)
def test_a_variable_that_a_task_needs_and_the_stack_lacks_is_named_with_its_file(
    stack: str, file: str, checkout: Checkout
) -> None:
    environment = load(with_mail(checkout), "dev", stack=stack, shell={})
    with pytest.raises(GangwayError, match=f"the {stack} stack has no MAIL_FROM") as caught:
        contract.needed("MAIL_FROM", environment)
    assert caught.value.fix == f"set it in {file}"


def test_the_reference_in_the_docs_is_current() -> None:
    written = (ROOT / "docs/variables.md").read_text(encoding="utf-8")
    assert written == reference.reference(REAL), "python -m gangway.settings.reference"


def test_the_reference_names_every_variable_once() -> None:
    names = re.findall(r"^\| `([A-Z_]+)` \|", reference.reference(REAL), re.MULTILINE)
    assert sorted(names) == sorted(REAL.variables)


def test_secrets_are_known_or_guessed() -> None:
    assert REAL.is_secret("POSTGRES_PASSWORD")
    assert REAL.is_secret("STRIPE_API_KEY")
    assert REAL.is_secret("github_token")
    assert not REAL.is_secret("LOG_LEVEL")
    assert not REAL.is_secret("SECRETS_DIR")


def compose_files() -> list[Path]:
    """Return every Compose file of the repository: core's own, and each stack's."""
    found = [*ROOT.glob("docker-compose*.yml"), *ROOT.glob("stacks/*/*.yml")]
    return sorted(
        path for path in found if path.name not in ("docker-compose.override.yml", "contract.yml")
    )


def uses() -> dict[str, set[str]]:
    """Return what the Compose files read: each variable with the files that do."""
    found: dict[str, set[str]] = {}
    for path in compose_files():
        text = "\n".join(
            line for line in path.read_text().splitlines() if not line.lstrip().startswith("#")
        )
        names = re.findall(r"(?<!\$)\$\{([A-Z_][A-Z0-9_]*)", text)
        names += re.findall(r"^\s+\w+: \{environment: (\w+)\}", text, re.MULTILINE)
        for name in names:
            found.setdefault(name, set()).add(path.relative_to(ROOT).as_posix())
    return found


def test_every_variable_that_the_compose_files_read_is_in_the_contract() -> None:
    read = uses()
    assert len(read) > 20
    assert {name: files for name, files in read.items() if not REAL.knows(name)} == {}
    inside = {name for name, spec in REAL.variables.items() if spec.inside}
    assert inside & set(read) == set()


def test_a_variable_that_one_stack_alone_reads_is_described_by_that_stack() -> None:
    wrong = []
    for name, files in uses().items():
        folders = {Path(file).parent.name if "/" in file else "" for file in files}
        spec = REAL.variables.get(name)
        if spec and spec.stack and folders != {spec.stack}:
            wrong.append((name, spec.stack, files))
    assert wrong == []


def test_an_ipv6_address_to_publish_on_is_in_brackets_as_compose_wants_it() -> None:
    spec = contract.load(ROOT).variables["BIND_ADDRESS"]
    assert not spec.fault("[::1]") and not spec.fault("0.0.0.0")
    assert spec.fault("::1") and spec.fault("localhost")


@pytest.mark.parametrize("kind", ["dev", "test", "prod"])
def test_the_contract_has_the_defaults_of_the_compose_files(kind: Kind) -> None:
    wrong = []
    native = ["native"] if kind != "prod" else []
    for path in compose_files():
        # docker-compose.yml and compose.yml, or docker-compose.dev.yml and dev.yml.
        overlay = path.stem.removeprefix("docker-").removeprefix("compose").removeprefix(".")
        if overlay not in ("", kind, *native):
            continue
        for variable, default in re.findall(r"(?<!\$)\$\{(\w+):-([^}$]+)\}", path.read_text()):
            spec = REAL.variables[variable]
            defaults = {spec.default_for(kind)}
            if not overlay:  # an overlay may have another default
                defaults |= {spec.default_for("prod")}
            # What every environment must set has no default that counts.
            if default not in defaults and kind not in spec.required:
                wrong.append((path.relative_to(ROOT).as_posix(), variable, default))
    assert wrong == []


def test_a_copy_of_the_checkout_without_git_keeps_the_contract(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    for name in ("env", "secrets/dev", "docker-compose.yml", "docker-compose.dev.yml"):
        source = ROOT / name
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, tmp_path / name)
    (tmp_path / "env/local.env").unlink(missing_ok=True)
    env: Environment = load(tmp_path, "dev", shell={})
    assert contract_check.check(env, contract.load(tmp_path)) == []


@pytest.mark.parametrize("file", ["env/contract.yml", "stacks/jobs/contract.yml"])
def test_a_contract_that_was_read_before_is_read_anew_when_it_changes(
    file: str, checkout: Checkout
) -> None:
    parts = [ROOT / contract.FILE, *ROOT.glob("stacks/*/contract.yml")]
    root = checkout({path.relative_to(ROOT).as_posix(): path.read_text() for path in parts})
    assert contract.load(root) == contract.load(root) == REAL
    text = (root / file).read_text()
    (name, *_) = re.findall(r"^    ([A-Z_]+):", text, re.MULTILINE)
    (root / file).write_text(text.replace(f"    {name}:", "    LOUDNESS:", 1))
    assert set(contract.load(root).variables) ^ set(REAL.variables) == {name, "LOUDNESS"}


def test_a_contract_that_was_read_before_gains_that_of_a_new_stack(checkout: Checkout) -> None:
    root = contract_of(checkout, NONE)
    assert "MAIL_FROM" not in contract.load(root).variables
    with_mail(checkout)
    assert "MAIL_FROM" in contract.load(root).variables


def test_what_was_found_right_by_other_rules_is_checked_again(checkout: Checkout) -> None:
    wrong = "groups: {one: {NAME: {type: text, meaning: m, colour: red}}}"
    root = contract_of(checkout, wrong)
    right = {contract.FILE: {"groups": {"one": {"NAME": {"type": "string", "meaning": "m"}}}}}
    texts = {"gangway/settings/contract.yml": contract.OWN.read_text(), contract.FILE: wrong}
    cache.keep(root, "contract", [texts, 0, 0], right)
    with pytest.raises(FindingsError, match="unknown field `colour`"):
        contract.load(root)
