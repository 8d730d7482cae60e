"""Front ends: what Node builds into the app, and what is an app of its own."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from gangway.operations.adoption.found import Loss
from gangway.operations.adoption.look.shell import Command
from gangway.operations.adoption.look.tree import Tree, join, parent, within

_KINDS = (
    ("next", "Next.js"),
    ("nuxt", "Nuxt"),
    ("@remix-run/dev", "Remix"),
    ("@sveltejs/kit", "SvelteKit"),
    ("astro", "Astro"),
    ("@angular/core", "Angular"),
    ("react-scripts", "React"),
    ("vite", "Vite"),
    ("webpack", "webpack"),
    ("esbuild", "esbuild"),
    ("tailwindcss", "Tailwind"),
)
_SERVERS = ("Next.js", "Nuxt", "Remix", "SvelteKit")
_OUTPUT = re.compile(
    r"(?:outDir|outdir|outfile|distDir|path|output)\s*[:=]\s*(?:path\.\w+\([^\"']*)?[\"']([^\"']+)[\"']"
)


@dataclass
class Assets:
    """What is built before the app's image is."""

    folder: str = ""
    command: str = ""
    where: str = ""
    found: bool = False
    evidence: list[tuple[str, str]] = field(default_factory=list)
    losses: list[Loss] = field(default_factory=list)


def find(tree: Tree, source: str, built: Iterable[tuple[str, Command, str]]) -> Assets:
    """Return what Node builds for the app in a folder.

    `built` is what a Dockerfile builds: folder, command, place.
    """
    result = Assets()
    every = list(built)
    packages = {
        parent(path): _package(tree, path)
        for path in tree.named("package.json")
        if path.count("/") < 4 and "node_modules" not in path
    }
    if every:
        _from_dockerfile(tree, result, every, packages, source)
    for folder, package in packages.items():
        kind = _kind(package)
        place = join(folder, "package.json")
        if result.found and folder == result.folder:
            result.evidence.append(
                (f"assets in {folder or '.'} ({kind or 'Node'}): {result.command}", place)
            )
            continue
        script = "build" if "build" in package.get("scripts", {}) else ""
        if not script or not kind or "workspaces" in package:
            continue
        if (
            not result.found
            and kind not in _SERVERS
            and _writes_into(tree, folder, package, source)
        ):
            result.found, result.folder, result.where = True, folder, place
            result.command = "npm run build"
            result.evidence.append((f"assets in {folder or '.'} ({kind}): npm run build", place))
        else:
            result.evidence.append((f"a front end in {folder or '.'} ({kind})", place))
            result.losses.append(
                Loss(
                    f"the front end in {folder or '.'} ({kind})",
                    place,
                    "it isn't part of the app's image: add it as a container, `gangway add service "
                    f"{(folder or 'frontend').rpartition('/')[2]}`",
                )
            )
    if result.found:
        _installable(tree, result)
    return result


def _installable(tree: Tree, result: Assets) -> None:
    names = tree.beside(result.folder)
    if {"package-lock.json", "yarn.lock", "pnpm-lock.yaml"} & set(names):
        return
    result.losses.append(
        Loss(
            "no package-lock.json, yarn.lock or pnpm-lock.yaml beside it",
            join(result.folder, "package.json"),
            "each build may install others: npm install --package-lock-only"
            f" (in {result.folder or '.'})",
        )
    )


def _from_dockerfile(
    tree: Tree,
    result: Assets,
    every: list[tuple[str, Command, str]],
    packages: dict[str, dict[str, Any]],
    source: str,
) -> None:
    folder = next((each for each, _, _ in every if each), every[0][0])
    if folder not in packages:
        folder = next((each for each in packages if within(folder, each)), folder)
    if folder not in packages:
        command, place = every[0][1], every[0][2]
        result.losses.append(
            Loss(command.text, place, "name the folder with package.json in API_ASSETS")
        )
        return
    if not within(source, folder) and not _writes_into(tree, folder, packages[folder], source):
        return
    lines = [_npm(command) for _, command, _ in every]
    result.found, result.folder, result.where = True, folder, every[0][2]
    result.command = " && ".join(lines)
    if any(not line.startswith(("npm ", "npx ")) for line in lines):
        # With the packages' own programs on the path, as the Dockerfile has them there.
        result.command = f"env NODE_ENV=production npm exec --call '{result.command}'"


def _npm(command: Command) -> str:
    """Return what a package manager runs, as npm runs it."""
    words = list(command.words)
    if command.program in ("yarn", "pnpm", "bun") and len(words) > 1:
        script = words[2] if words[1] == "run" and len(words) > 2 else words[1]
        return f"npm run {script}"
    return command.text.replace("'", '"')


def _package(tree: Tree, path: str) -> dict[str, Any]:
    try:
        content = json.loads(tree.text(path))
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def _kind(package: dict[str, Any]) -> str:
    names = {**package.get("dependencies", {}), **package.get("devDependencies", {})}
    return next((kind for name, kind in _KINDS if name in names), "")


def _writes_into(tree: Tree, folder: str, package: dict[str, Any], source: str) -> bool:
    """Say whether a build puts its files into the app's folder."""
    texts = [
        tree.text(join(folder, name))
        for name in tree.beside(folder)
        if re.fullmatch(
            r"(vite|webpack|esbuild|rollup|tailwind|postcss|next)[\w.-]*\.(m?js|cjs|ts|mts)", name
        )
    ]
    texts.append(str(package.get("scripts", {}).get("build", "")))
    for text in texts:
        for match in _OUTPUT.finditer(text):
            target = join(folder, match[1])
            if within(source, target) and not within(folder, target):
                return True
        for match in re.finditer(r"(?:-o|--outdir|--outfile|--output|--out-dir|-d)[ =](\S+)", text):
            target = join(folder, match[1])
            if within(source, target) and (not within(folder, target) or folder == source):
                return True
    # In the app's folder itself, what is built is beside the sources.
    return bool(source) and folder != source and within(source, folder)
