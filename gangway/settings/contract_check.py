"""What an environment gets wrong by the contract: every finding at once, no engine touched."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from gangway.base.errors import Finding, FindingsError, nearest
from gangway.settings import secrets
from gangway.settings.contract import ALL_KINDS, FILE, Contract, Spec, size_in_bytes
from gangway.settings.environment import KINDS, Environment, Variable

WEAK_BELOW: Final = 16  # characters: shorter secrets can be guessed


def check(env: Environment, contract: Contract, *, secrets: bool = True) -> list[Finding]:
    """Return everything that is wrong with the environment, each with place and fix.

    `secrets` includes the secrets' files, which only commands that start something need.
    """
    if elsewhere := list(_stack(env)):
        # All else that is wrong comes from that.
        return elsewhere
    findings = [*_place(env), *_unknown_names(env, contract), *_kind(env)]
    findings += _values(env, contract)
    findings += [*_ports(env, contract), *_addresses_in_the_open(env, contract)]
    if secrets:
        findings += _secret_files(env, contract)
    return findings


def require(env: Environment, contract: Contract, *, secrets: bool = True) -> None:
    """Raise FindingsError with everything that `check` finds."""
    refuse(env, check(env, contract, secrets=secrets))


def refuse(env: Environment, findings: Sequence[Finding]) -> None:
    """Raise FindingsError with these findings; do nothing for none."""
    if findings:
        noun = "one thing" if len(findings) == 1 else f"{len(findings)} things"
        raise FindingsError(findings, summary=f"{noun} to fix in the {env.name} environment")


def unmade(env: Environment, contract: Contract) -> Iterator[Finding]:
    """Yield each secret that the environment must have and that has neither file nor value."""
    for spec in contract.of_stack(env.stack):
        wanted = spec.secret and not spec.secret_file and env.kind in spec.required
        given = _effective(env, spec).value or (spec.in_file and env.get(spec.in_file))
        if wanted and not given:
            yield Finding(f"{spec.name} has no file", None, _how_to_set(env, spec))


def how_to_make(env: Environment, contract: Contract, name: str, where: str) -> str:
    """Return what to do for a secret whose file of this name isn't there, for people."""
    if env.kind != "prod":
        return f"write it to {where}; git restore {where} brings back one that git has"
    if name in contract.secret_files(env.stack):
        return f"invoke {env.name}.init"
    own = f"write it to {where}, mode 0600"
    spec = contract.variables.get(name.upper())
    if spec and not spec.secret_file:
        add = f"`secret_file: {name}` for {spec.name} in {_described_in(spec)}"
    else:
        add = f"a secret with `secret_file: {name}` in {FILE}"
    return f"{own}; or add {add}, and invoke {env.name}.init makes it"


def _place(env: Environment) -> Iterator[Finding]:
    if ":" in str(env.root):
        yield Finding(
            "the checkout's path has a colon, which separates the parts of a mount and of PATH",
            str(env.root),
            "move the checkout, or rename that folder",
        )


def _unknown_names(env: Environment, contract: Contract) -> Iterator[Finding]:
    places = dict.fromkeys(env.overrides, "command line") | dict(env.places)
    for name, where in places.items():
        spec = contract.variables.get(name)
        if spec and spec.inside:
            fix = "set it in the service's `environment` in the Compose file"
            yield Finding(f"{name} has no effect in an env file", where, fix)
        elif spec and spec.secret_file:
            file = (Path(_value(env, contract, "SECRETS_DIR")) / spec.secret_file).as_posix()
            yield Finding(f"{name} is a secret, and read from a file", where, f"write it to {file}")
        elif not contract.knows(name):
            known = [spec.name for spec in contract.variables.values() if not spec.inside]
            guess = nearest(name, known)
            part = f"{Path(where).parent}/contract.yml" if where.startswith("stacks/") else FILE
            fix = f"did you mean {guess}?" if guess else f"describe it in {part}"
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
    for spec in contract.of_stack(env.stack):
        if spec.inside or spec.secret_file:
            continue
        found = _effective(env, spec)
        what = f"{spec.meaning[:1].lower()}{spec.meaning[1:]}"
        if not found.value and env.kind in spec.required:
            where = f"env/{env.name}.env" if found.layer == "default" else found.origin
            blank = "empty" if found.layer != "default" else "not set"
            yield Finding(
                f"{spec.name} is {blank}", where, _how_to_set(env, spec) or f"set it ({what})"
            )
        elif fault := spec.fault(found.value):
            shown = "its value" if spec.secret else repr(found.value)
            yield Finding(
                f"{spec.name}: {shown} {fault}", found.origin, f"give another value ({what})"
            )
        elif spec.exists:
            yield from _missing_paths(env, spec, found)
        elif spec.below:
            yield from _too_large(env, contract, spec, found)
        if found.value and found.layer != "default":
            yield from _lacking(env, contract, spec, found)


def _how_to_set(env: Environment, spec: Spec) -> str:
    """Return what to do for a secret that isn't a file; empty for what is no secret."""
    if not spec.secret:
        return ""
    if spec.in_file:
        return f"set {spec.in_file} to the path of a file with it"
    name = spec.name.lower()
    make = f"invoke {env.name}.init makes it" if env.kind == "prod" else "write it to that file"
    return (
        f"a secret is a file: add `secret_file: {name}` in {_described_in(spec)} and a secret "
        f"{name} to the Compose file, then {make}; or `in_file`, a variable with the path of one"
    )


def _described_in(spec: Spec) -> str:
    return f"stacks/{spec.stack}/contract.yml" if spec.stack else FILE


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
    if spec.instead_of in env.profiles:
        rest = ",".join(name for name in env.profiles if name != spec.instead_of)
        yield Finding(
            f"{spec.name} is set, and the profile {spec.instead_of} is on as well",
            found.origin,
            f"choose: leave {spec.name} out, or set COMPOSE_PROFILES={rest}",
        )


def _too_large(
    env: Environment, contract: Contract, spec: Spec, found: Variable
) -> Iterator[Finding]:
    """Yield a size that doesn't fit in the one that it must be below."""
    room = _effective(env, contract.variables[spec.below or ""])
    own, limit = size_in_bytes(found.value), size_in_bytes(room.value)
    if own is None or not limit:
        return
    if own == 0 or own >= limit:
        value = f"{found.value} (no limit)" if own == 0 else found.value
        yield Finding(
            f"{spec.name} is {value}, and {room.name} only {room.value} ({room.origin})",
            found.origin,
            f"lower {spec.name} or raise {room.name}: a third more than {spec.name} leaves room "
            "for what it takes besides",
        )


def _missing_paths(env: Environment, spec: Spec, found: Variable) -> Iterator[Finding]:
    paths = found.value.split(env.separator) if spec.type == "paths" else [found.value]
    # A stack has no overlay for an environment that it isn't meant for: that is said by itself.
    own = f"stacks/{env.stack}/"
    for path in filter(None, paths):
        absent = path.startswith(own) and env.kind not in env.meant_for
        if absent or (env.root / path).exists():
            continue
        beside = (env.root / path).parent
        names = [entry.name for entry in beside.iterdir()] if beside.is_dir() else []
        guess = nearest(Path(path).name, names)
        fix = f"did you mean {Path(path).with_name(guess)}?" if guess else spec.meaning
        yield Finding(f"{spec.name} names {path}, which is not there", found.origin, fix)


def _ports(env: Environment, contract: Contract) -> Iterator[Finding]:
    users: dict[int, tuple[Spec, Variable]] = {}
    for spec in contract.published(env.stack):
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


def _addresses_in_the_open(env: Environment, contract: Contract) -> Iterator[Finding]:
    for spec in contract.of_stack(env.stack):
        found = env.variable(spec.name)
        if env.kind == "prod" and spec.in_file and found and found.value:
            yield Finding(
                f"{spec.name} would stand in the containers' environment",
                found.origin,
                f"put it in a file, mode 0600, and set {spec.in_file} to its path",
            )


def _secret_files(env: Environment, contract: Contract) -> Iterator[Finding]:
    directory = _value(env, contract, "SECRETS_DIR") or "."
    for spec in contract.of_stack(env.stack):
        if spec.secret_file:
            where = (Path(directory) / spec.secret_file).as_posix()
            make = f"invoke {env.name}.init" if env.kind == "prod" else f"write it to {where}"
            if (env.root / where).exists():
                yield from _secret_file(env, contract, spec, where, f"rm {where} && {make}")
            else:
                make = how_to_make(env, contract, spec.secret_file, where)
                yield Finding(f"the secret {spec.name} has no file", where, make)
        # One that isn't there is a path's finding already.
        elif spec.in_file and (where := env.get(spec.in_file)) and (env.root / where).exists():
            yield from _secret_file(env, contract, spec, where, f"write it to {where}")


def _secret_file(
    env: Environment, contract: Contract, spec: Spec, where: str, fix: str
) -> Iterator[Finding]:
    path = env.root / where
    try:
        status = path.stat()
        value = path.read_text(encoding="utf-8", errors="replace").strip("\r\n")
    except OSError as error:
        yield Finding(f"cannot be read: {error.strerror}", where, f"ls -l {where}")
        return
    mode = stat.S_IMODE(status.st_mode)
    weakness = None
    if env.kind == "prod":
        if mode & 0o077:
            yield _open(path, mode, where)
        yield from _owner(env, contract, status, where)
        weakness = _weakness(spec, value)
    elif not mode & 0o004:
        # Known to everybody, and the data stores run as users of their own.
        what = f"the containers can't read it (mode {mode:04o})"
        yield Finding(what, where, f"chmod 644 {where}")
    if env.kind == "prod" and not value:
        yield Finding("it is empty", where, fix)
    elif fault := spec.fault(value) or weakness:
        yield Finding(f"the secret {spec.name} {fault}", where, fix)


def _open(path: Path, mode: int, where: str) -> Finding:
    if secrets.keeps_modes(path.parent):
        return Finding(f"others can read it (mode {mode:04o})", where, f"chmod 600 {where}")
    what = f"its file system keeps no modes, and so others can read it (mode {mode:04o})"
    return Finding(what, where, secrets.OTHER_PLACE)


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
