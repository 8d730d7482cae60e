"""The variables as tables: the contract's as docs/variables.md, an environment's for `dev.env`.

`python -m gangway.settings.reference` writes docs/variables.md of the checkout that it is run in.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from gangway.base.output import mask
from gangway.settings.contract import ALL_KINDS, Contract, Spec, load
from gangway.settings.environment import PRECEDENCE, Environment, Variable

FILE: Final = "docs/variables.md"


def table(env: Environment, contract: Contract) -> list[tuple[str, str, str]]:
    """Return (name, value, origin) for every variable that is set or known, secrets masked.

    Sorted by name; a variable that nothing sets shows the contract's default.
    """
    known = {
        spec.name
        for spec in contract.of_stack(env.stack)
        if not spec.inside and not spec.secret_file
    }
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
    """Return the contract as Markdown tables, one for each group."""
    lines = [
        "# Variables",
        "",
        "<!-- Made from the contract; after a change: python -m gangway.settings.reference -->",
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
    groups: dict[str, list[Spec]] = {}
    for spec in contract.variables.values():
        groups.setdefault(spec.group, []).append(spec)
    for group, specs in groups.items():
        lines += ["", f"## {group}", ""]
        if any(spec.inside for spec in specs):
            lines += ["Set by the Compose files for each service; not read from env files.", ""]
        lines += [
            "| Variable | Type | Default | Required in | Meaning |",
            "| --- | --- | --- | --- | --- |",
            *map(_row, specs),
        ]
    return "\n".join(lines) + "\n"


def _row(spec: Spec) -> str:
    kind = " \\| ".join(spec.choices) if spec.choices else spec.type
    if spec.min is not None or spec.max is not None:
        low = "" if spec.min is None else f"{spec.min:.10g}"
        high = "" if spec.max is None else f"{spec.max:.10g}"
        kind += f" {low}..{high}"
    if spec.secret_file:
        kind = f"secret, in the file `{spec.secret_file}`"
    elif spec.secret:
        kind += ", secret"
    if isinstance(spec.default, Mapping):
        default = ", ".join(f"{name}: `{value}`" for name, value in spec.default.items())
    else:
        default = f"`{spec.default}`" if spec.default else ""
    required = ", ".join(name for name in ALL_KINDS if name in spec.required)
    return f"| `{spec.name}` | {kind} | {default} | {required} | {spec.meaning} |"


if __name__ == "__main__":
    Path(FILE).write_text(reference(load(Path.cwd())), encoding="utf-8")
