"""What holds between the models of different environments, and for the files they come from."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from gangway.model.model import Model
from gangway.settings import contract, environment
from gangway.settings.environment import Kind
from tests.policy.rendering import BASE_ALONE, Case, cases, combinations, render, render_files
from tests.policy.rules import PROXY, TEST_RUNNER, internal_ports
from tests.unit.conftest import ROOT, compose_programs

CONTRACT = contract.load(ROOT)
COMBINATIONS = combinations()
ENVIRONMENTS = environment.environments(ROOT)
# One stack in two environments.
PAIRS = [pair for pair in itertools.combinations(COMBINATIONS, 2) if pair[0].stack == pair[1].stack]

# What scripts read of the system's own variables.
OF_THE_SYSTEM = {"HOME", "PYTHONPATH", "POSTGRES_INITDB_ARGS"}
# The parts of a stack that only some environments have.
SOMEWHERE = {PROXY, TEST_RUNNER, "backup"}
PORTS = {
    "postgres": {5432}, "redis": {6379}, "qdrant": {6333}, "api": {8000}, "app": {5000},
    "django": {8000}, "fastapi": {8001}, "frontend": {3000}, "langflow": {7860}, PROXY: {8080},
}  # fmt: skip


def in_words(pair: tuple[Case, Case]) -> str:
    return f"{pair[0].environment}-{pair[1].environment}-{pair[0].stack}"


# ---- between environments


@pytest.mark.parametrize("pair", PAIRS, ids=in_words)
def test_two_environments_have_the_same_services(pair: tuple[Case, Case]) -> None:
    one, other = (set(render(case)["services"]) - SOMEWHERE for case in pair)
    assert one == other


@pytest.mark.parametrize("case", [*cases(), BASE_ALONE], ids=str)
def test_a_service_has_the_same_internal_port_everywhere(case: Case) -> None:
    for name, ports in internal_ports(render(case)).items():
        assert ports == PORTS.get(name, ports) and len(ports) == 1, name


@pytest.mark.parametrize("case", cases(), ids=str)
def test_apps_are_told_those_ports(case: Case) -> None:
    for name, service in render(case)["services"].items():
        told = service.get("environment") or {}
        for store in ("postgres", "redis"):
            if f"{store.upper()}_HOST" in told:
                assert told[f"{store.upper()}_HOST"] == store, name
                assert {int(told[f"{store.upper()}_PORT"])} == PORTS[store], name
        if "API_URL" in told:
            door = "nginx:8001" if case.kind == "prod" else "api:8000"
            assert told["API_URL"] == f"http://{door}", name


@pytest.mark.parametrize("pair", PAIRS, ids=in_words)
def test_two_environments_run_side_by_side(pair: tuple[Case, Case]) -> None:
    one, other = (Model(render(case)) for case in pair)
    assert one.project != other.project
    assert {port.port for port in one.published()}.isdisjoint(
        port.port for port in other.published()
    )
    assert set(one.volumes()).isdisjoint(other.volumes())
    assert images_built(one).isdisjoint(images_built(other))


@pytest.mark.parametrize("case", cases(), ids=str)
def test_no_two_services_publish_one_port(case: Case) -> None:
    ports = [port.port for port in Model(render(case)).published()]
    assert len(ports) == len(set(ports))


@pytest.mark.parametrize("case", [case for case in COMBINATIONS if case.kind != "prod"], ids=str)
def test_every_service_has_a_native_command_or_a_profile_that_excludes_it(case: Case) -> None:
    raw = render_files(case, (*case.env_files, "env/engines/native.env"))
    assert missing_natively(raw) == []


def test_a_service_without_a_native_command_is_found() -> None:
    described = {"entrypoint": ["scripts/native/mail"]}
    services = {"mail": {}, "api": described}
    assert missing_natively({"services": services}) == ["mail"]


def test_production_and_staging_share_no_secret() -> None:
    files = [secret_files(render(Case(name))) for name in ENVIRONMENTS if kind(name) == "prod"]
    assert all(files) and len(files) > 1
    for one, other in itertools.combinations(files, 2):
        assert one.isdisjoint(other)


# ---- image sources


@pytest.mark.parametrize("case", COMBINATIONS, ids=str)
def test_the_defaults_are_the_images_of_the_registry(case: Case) -> None:
    first, *rest = case.env_files
    stated = render_files(case, (first, "env/images/registry.env", *rest))
    assert stated == render(case)


@pytest.mark.parametrize("source", environment.image_sources(ROOT))
@pytest.mark.parametrize("case", COMBINATIONS, ids=str)
def test_a_source_of_images_changes_nothing_but_images(case: Case, source: str) -> None:
    from_there = render(replace(case, images=source))
    assert without_images(from_there) == without_images(render(case))


@pytest.mark.parametrize("case", COMBINATIONS, ids=str)
def test_every_image_can_come_from_another_source(case: Case) -> None:
    for image in base_images(render(replace(case, images="mirror"))):
        assert image.startswith("mirror.example.com/hub/")
    for image in base_images(render(replace(case, images="offline"))):
        assert image.startswith("gangway.local/")


# ---- Compose itself


@pytest.mark.parametrize("case", COMBINATIONS, ids=str)
def test_both_composes_render_the_same(case: Case) -> None:
    if len(found := compose_programs()) < 2:
        pytest.skip(f"only one Compose here: {', '.join(found)}")
    one, other = (render_files(case, tuple(case.env_files), compose) for compose in found)
    assert without_bind_options(one) == without_bind_options(other)


# ---- the contract (tests/unit/test_contract.py holds the Compose files to it) and the linter


def test_every_variable_that_our_scripts_are_given_is_in_the_contract() -> None:
    scripts = "\n".join(map(Path.read_text, programs("scripts")))
    for case in COMBINATIONS:
        for name, service in render(case)["services"].items():
            for variable in service.get("environment") or {}:
                if re.search(rf"\b{variable}\b", scripts) and variable not in OF_THE_SYSTEM:
                    assert variable in CONTRACT.variables, f"{name} in {case}: {variable}"


def test_every_variable_of_the_contract_is_read_by_something() -> None:
    ours = "\n".join(map(Path.read_text, sorted((ROOT / "gangway").rglob("*.py"))))
    inside = "\n".join(map(Path.read_text, programs("scripts", "apps", "docker")))
    layers = [*compose_files(), *(ROOT / "env").glob("*/*.env"), *ROOT.glob("stacks/*/*.env")]
    used = {name for path in layers for name in references(path)}
    used |= {name for spec in CONTRACT.variables.values() for name in spec.only_with}
    secrets = {name for case in COMBINATIONS for name in render(case)["secrets"]}
    for name, spec in CONTRACT.variables.items():
        if spec.inside:
            assert re.search(rf"\b{name}\b", inside), f"no program reads {name}"
        elif not name.startswith(CONTRACT.prefixes):
            # In our own code a name stands as a text of its own.
            mounted = spec.secret_file and spec.secret_file in secrets
            written = f'"{name}"' in ours or f"${{{name}}}" in ours
            assert name in used or mounted or written, f"nothing reads {name}"


def test_what_the_linter_lets_pass_is_explained_beside_the_setting() -> None:
    comments = "\n".join(
        line
        for path in compose_files()
        for line in path.read_text(encoding="utf-8").splitlines()
        if line.lstrip().startswith("#")
    )
    exceptions = yaml.safe_load((ROOT / ".compose-lint.yml").read_text(encoding="utf-8"))["rules"]
    for rule, exception in exceptions.items():
        assert rule in comments
        # For services one by one, or where a rule of ours is in its place.
        whole = {key: exception[key] for key in exception if key != "reason"} == {"enabled": False}
        assert whole or set(exception) == {"exclude_services"}, rule
        reasons = [exception["reason"]] if whole else list(exception["exclude_services"].values())
        assert all(reasons), "each with its reason"


# ---- reading models and files


def kind(name: str) -> Kind:
    return environment.kind_of(ROOT, name)


def missing_natively(raw: dict[str, Any]) -> list[str]:
    # The proxy of `up --https` is refused natively.
    return sorted(
        name
        for name, service in Model(raw).services.items()
        if not service.get("entrypoint") and service.get("profiles") != ["https"]
    )


def images_built(model: Model) -> set[str]:
    return {service["image"] for service in model.services.values() if service.get("build")}


def secret_files(raw: dict[str, Any]) -> set[str]:
    services = raw["services"].values()
    used = {secret["source"] for each in services for secret in each.get("secrets") or ()}
    # An empty file is none.
    return {raw["secrets"][name]["file"] for name in used} - {os.devnull}


def base_images(raw: dict[str, Any]) -> Iterator[str]:
    for service in raw["services"].values():
        if build := service.get("build"):
            yield from (value for name, value in build["args"].items() if name.endswith("_IMAGE"))
        else:
            yield service["image"]


def without_images(raw: dict[str, Any]) -> dict[str, Any]:
    # What is shared in a file stands in its services, too.
    parts = {key: part for key, part in raw.items() if not key.startswith("x-")}
    return parts | {
        "services": {
            name: {key: value for key, value in service.items() if key not in ("image", "build")}
            | {"target": (service.get("build") or {}).get("target")}
            for name, service in raw["services"].items()
        }
    }


def without_bind_options(raw: dict[str, Any]) -> dict[str, Any]:
    # Compose before 5 spells out that a bind mount of the short form makes its directory.
    def mounts(service: dict[str, Any]) -> list[dict[str, Any]]:
        found = service.get("volumes") or []
        return [{key: value for key, value in mount.items() if key != "bind"} for mount in found]

    services = raw["services"].items()
    return raw | {"services": {name: each | {"volumes": mounts(each)} for name, each in services}}


def compose_files() -> list[Path]:
    found = [*ROOT.glob("docker-compose*.yml"), *ROOT.glob("stacks/*/*.yml")]
    others = ("contract.yml", "docker-compose.override.yml")
    return sorted(path for path in found if path.name not in others)


def programs(*directories: str) -> Iterator[Path]:
    for directory in directories:
        for path in sorted((ROOT / directory).rglob("*")):
            hidden = any(part.startswith(".") for part in path.relative_to(ROOT).parts)
            if path.is_file() and not hidden and path.suffix in ("", ".py", ".sh", ".template"):
                yield path


def references(path: Path) -> set[str]:
    """Return the variables that Compose would put into a file."""
    lines = path.read_text(encoding="utf-8").splitlines()
    code = "\n".join(line for line in lines if not line.lstrip().startswith("#"))
    # `$$` is a dollar sign for the container's own shell.
    found = re.findall(r"\$\{?([A-Z_][A-Z0-9_]*)", code.replace("$$", ""))
    # A name without a value is passed on where something sets it.
    passed = re.findall(r"^ +([A-Z][A-Z0-9_]*):$", code, re.MULTILINE)
    return {*found, *passed, *re.findall(r"\{environment: ([A-Z][A-Z0-9_]*)\}", code)}
