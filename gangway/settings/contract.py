"""The variable contract: what each variable means and may be, and what an environment gets wrong.

Nothing here touches an engine. `check` returns every finding at once, so that one round of mending
is enough.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from gangway.base.errors import Finding, FindingsError, nearest
from gangway.base.output import mask
from gangway.settings.environment import KINDS, PRECEDENCE, Environment, Variable
from gangway.settings.spec import ALL_KINDS, FILE, Contract, Spec, load

__all__ = ["FILE", "Contract", "Spec", "check", "load", "reference", "require"]

WEAK_BELOW: Final = 16  # characters: shorter secrets can be guessed


def check(env: Environment, contract: Contract, *, secrets: bool = True) -> list[Finding]:
    """Return everything that is wrong with the environment, each with place and fix.

    `secrets` includes production's secret files, which only commands that start something need.
    """
    findings = [*_unknown_names(env, contract), *_kind(env), *_values(env, contract)]
    findings += [*_ports(env, contract), *_stack(env)]
    if env.kind == "prod":
        findings += _secret_variables(env, contract)
        if secrets:
            findings += _secret_files(env, contract)
    return findings


def require(env: Environment, contract: Contract, *, secrets: bool = True) -> None:
    """Raise FindingsError with everything that `check` finds."""
    findings = check(env, contract, secrets=secrets)
    if findings:
        noun = "one thing" if len(findings) == 1 else f"{len(findings)} things"
        raise FindingsError(findings, summary=f"{noun} to fix in the {env.name} environment")


def table(env: Environment, contract: Contract) -> list[tuple[str, str, str]]:
    """Return (name, value, origin) for every variable that is set or known, secrets masked.

    Sorted by name; a variable that nothing sets shows the contract's default.
    """
    known = {spec.name for spec in contract.variables.values() if not spec.inside}
    names = set(env.variables) | known
    rows = []
    for name in sorted(names):
        spec = contract.variables.get(name)
        found = env.variable(name)
        if found is None and spec is not None:
            found = Variable(name, spec.default_for(env.kind) or "", "default")
        if found is None:
            continue
        value = mask(found.value) if contract.is_secret(name) else found.value
        rows.append((name, value, found.origin))
    return rows


def reference(contract: Contract) -> str:
    """Return docs/variables.md: the contract as Markdown tables, one for each group."""
    lines = [
        "# Variables",
        "",
        "<!-- Made from env/contract.yml; after a change: python -m gangway.settings.contract -->",
        "",
        "A variable's value comes from the first of these that sets it:",
        "",
        *(f"{number}. {text}" for number, text in enumerate(PRECEDENCE.values(), 1)),
        "",
        "`invoke dev.env` shows every value and where it comes from.",
        "",
        "`dev`, `test` and `prod` are kinds of environments: `ENVIRONMENT=staging` is of the kind",
        "`prod`.",
    ]
    group = None
    for spec in contract.variables.values():
        if spec.group != group:
            group = spec.group
            lines += ["", f"## {group}", ""]
            if spec.inside:
                lines += ["Set by the Compose files for each service; not read from env files.", ""]
            lines += [
                "| Variable | Type | Default | Required in | Meaning |",
                "| --- | --- | --- | --- | --- |",
            ]
        lines.append(_row(spec))
    return "\n".join(lines) + "\n"


def _row(spec: Spec) -> str:
    kind = " \\| ".join(spec.choices) if spec.choices else spec.type
    if spec.min is not None or spec.max is not None:
        low = "" if spec.min is None else f"{spec.min:.10g}"
        high = "" if spec.max is None else f"{spec.max:.10g}"
        kind += f" {low}..{high}"
    if spec.secret:
        kind += ", secret"
    if isinstance(spec.default, Mapping):
        default = ", ".join(f"{name}: `{value}`" for name, value in spec.default.items())
    else:
        default = f"`{spec.default}`" if spec.default else ""
    required = ", ".join(name for name in ALL_KINDS if name in spec.required)
    return f"| `{spec.name}` | {kind} | {default} | {required} | {spec.meaning} |"


def _unknown_names(env: Environment, contract: Contract) -> Iterator[Finding]:
    places = dict.fromkeys(env.overrides, "command line") | dict(env.places)
    for name, where in places.items():
        spec = contract.variables.get(name)
        if spec and spec.inside:
            fix = "set it in the service's `environment` in the Compose file"
            yield Finding(f"{name} has no effect in an env file", where, fix)
        elif not contract.knows(name):
            known = [spec.name for spec in contract.variables.values() if not spec.inside]
            guess = nearest(name, known)
            fix = f"did you mean {guess}?" if guess else f"describe it in {FILE}"
            yield Finding(f"{name} is not a known variable", where, fix)


def _kind(env: Environment) -> Iterator[Finding]:
    found = env.variable("ENVIRONMENT")
    if found and found.value in KINDS and KINDS[found.value] != env.kind:
        yield Finding(
            f"ENVIRONMENT={found.value} does not fit the {env.name} environment",
            found.origin,
            "unset it" if found.layer == "shell" else f"leave it to env/{env.name}.env",
        )


def _values(env: Environment, contract: Contract) -> Iterator[Finding]:
    for spec in contract.variables.values():
        if spec.inside:
            continue
        found = _effective(env, spec)
        what = f"{spec.meaning[:1].lower()}{spec.meaning[1:]}"
        if not found.value and env.kind in spec.required:
            where = f"env/{env.name}.env" if found.layer == "default" else found.origin
            blank = "empty" if found.layer != "default" else "not set"
            yield Finding(f"{spec.name} is {blank}", where, f"set it ({what})")
        elif fault := spec.fault(found.value):
            shown = "its value" if spec.secret else repr(found.value)
            yield Finding(
                f"{spec.name}: {shown} {fault}", found.origin, f"give another value ({what})"
            )
        elif spec.exists:
            yield from _missing_paths(env, spec, found)
        if found.value and found.layer != "default":
            yield from _lacking(env, contract, spec, found)


def _lacking(
    env: Environment, contract: Contract, spec: Spec, found: Variable
) -> Iterator[Finding]:
    for name, wanted in spec.only_with.items():
        other = contract.variables[name]
        value = _effective(env, other).value
        # Without a default in environments of this kind it has no say there.
        if value not in ("", wanted):
            what = f"{spec.name} needs {name}={wanted}, and that is {value} here"
            meaning = f"{other.meaning[:1].lower()}{other.meaning[1:]}"
            yield Finding(what, found.origin, f"{name}: {meaning}")


def _missing_paths(env: Environment, spec: Spec, found: Variable) -> Iterator[Finding]:
    separator = env.get("COMPOSE_PATH_SEPARATOR") or ":"
    paths = found.value.split(separator) if spec.type == "paths" else [found.value]
    for path in filter(None, paths):
        if (env.root / path).exists():
            continue
        beside = (env.root / path).parent
        names = [entry.name for entry in beside.iterdir()] if beside.is_dir() else []
        guess = nearest(Path(path).name, names)
        fix = f"did you mean {Path(path).with_name(guess)}?" if guess else spec.meaning
        yield Finding(f"{spec.name} names {path}, which is not there", found.origin, fix)


def _ports(env: Environment, contract: Contract) -> Iterator[Finding]:
    users: dict[int, tuple[Spec, Variable]] = {}
    for spec in contract.published():
        found = _effective(env, spec)
        if not found.value or spec.fault(found.value):
            continue
        if spec.profile and spec.profile not in (*env.profiles, *env.optional):
            continue
        port = int(found.value)
        if port in users:
            other, first = users[port]
            yield Finding(
                f"{spec.name} is {port}, which {other.name} ({first.origin}) has already",
                found.origin,
                "give one of them another port (`--ports auto` would move both)",
            )
        else:
            users[port] = (spec, found)


def _stack(env: Environment) -> Iterator[Finding]:
    if env.kind not in env.meant_for:
        found = env.variable("STACK_ENVIRONMENTS")
        yield Finding(
            f"the {env.stack} stack is not meant for the {env.name} environment",
            found.origin if found else "",
            f"it runs in {' and '.join(env.meant_for)}; `invoke stacks` lists the others",
        )


def _secret_variables(env: Environment, contract: Contract) -> Iterator[Finding]:
    for spec in contract.variables.values():
        found = env.variable(spec.name)
        if not spec.secret or spec.type == "url" or not found or not found.value:
            continue
        if spec.in_file:
            yield Finding(
                f"{spec.name} would stand in the containers' environment",
                found.origin,
                f"put it in a file, mode 0600, and set {spec.in_file} to its path",
            )
        elif fault := _weakness(spec, found.value):
            fix = f"run `invoke {env.name}.init` and leave {spec.name} out"
            yield Finding(f"{spec.name} {fault}", found.origin, fix)


def _secret_files(env: Environment, contract: Contract) -> Iterator[Finding]:
    directory = _value(env, contract, "SECRETS_DIR") or "."
    init = f"invoke {env.name}.init"
    for spec in contract.variables.values():
        if spec.secret_file:
            where = (Path(directory) / spec.secret_file).as_posix()
            missing = Finding(f"the secret {spec.name} has no file", where, init)
            yield from _secret_file(env, contract, spec, where, missing, f"rm {where} && {init}")
        elif spec.in_file and (where := env.get(spec.in_file)):
            # One that isn't there is a path's finding already.
            yield from _secret_file(env, contract, spec, where, None, f"write it to {where}")


def _secret_file(
    env: Environment,
    contract: Contract,
    spec: Spec,
    where: str,
    missing: Finding | None,
    fix: str,
) -> Iterator[Finding]:
    path = env.root / where
    try:
        status = path.stat()
        value = path.read_text(encoding="utf-8", errors="replace").strip("\r\n")
    except FileNotFoundError:
        if missing:
            yield missing
        return
    except OSError as error:
        yield Finding(f"cannot be read: {error.strerror}", where, f"ls -l {where}")
        return
    if stat.S_IMODE(status.st_mode) & 0o077:
        mode = f"{stat.S_IMODE(status.st_mode):04o}"
        yield Finding(f"others can read it (mode {mode})", where, f"chmod 600 {where}")
    yield from _owner(env, contract, status, where)
    if not value:
        yield Finding("it is empty", where, fix)
    elif fault := spec.fault(value) or _weakness(spec, value):
        yield Finding(f"the secret {spec.name} {fault}", where, fix)


def _owner(
    env: Environment, contract: Contract, status: os.stat_result, where: str
) -> Iterator[Finding]:
    user = _value(env, contract, "APP_UID")
    if hasattr(os, "getuid") and user.isdecimal() and status.st_uid != int(user):
        yield Finding(
            f"it belongs to user {status.st_uid}, and the containers run as {user}",
            where,
            f"chown {user} {where}",
        )


def _weakness(spec: Spec, value: str) -> str | None:
    if not value:
        return None
    defaults = {spec.default_for(kind) for kind in ALL_KINDS} | spec.insecure
    if value in defaults:
        return "has a default value that everybody knows"
    if len(value) < WEAK_BELOW:
        return f"has {len(value)} characters; less than {WEAK_BELOW} can be guessed"
    return None


def _value(env: Environment, contract: Contract, name: str) -> str:
    spec = contract.variables.get(name)
    return _effective(env, spec).value if spec else env.get(name)


def _effective(env: Environment, spec: Spec) -> Variable:
    found = env.variable(spec.name)
    # Compose's own defaults are `${NAME:-default}`: an empty value counts as none.
    if found and (found.value or env.kind in spec.required):
        return found
    return Variable(spec.name, spec.default_for(env.kind) or "", "default")


if __name__ == "__main__":
    print(reference(load(Path.cwd())), end="")
