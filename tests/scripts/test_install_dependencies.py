"""docker/install-dependencies: what ends up in an environment for every kind of lock.

The packages are made here, with nothing in them, and no index is asked.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / "docker" / "install-dependencies"
UV = Path(sys.executable).with_name("uv")
HERE = ".".join(map(str, sys.version_info[:2]))


@dataclass(frozen=True)
class Place:
    """A checkout, the packages that there are, and an environment to install them in."""

    root: Path
    shelf: Path
    venv: Path

    def write(self, files: Mapping[str, str]) -> None:
        for name, text in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")

    def run(self, *words: str, app: str = "") -> subprocess.CompletedProcess[str]:
        known = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        return subprocess.run(
            [sys.executable, "-B", PROGRAM, *words],
            cwd=self.root,
            env={
                **known, "APP": app, "UV": str(UV), "VENV": str(self.venv),
                "UV_NO_INDEX": "1", "UV_FIND_LINKS": str(self.shelf), "UV_OFFLINE": "1",
            },
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    def installed(self, *words: str) -> set[str]:
        done = self.run(*words)
        assert done.returncode == 0, done.stderr
        found = self.venv.glob("lib/python*/site-packages/*.dist-info")
        # Of a project of the checkout there is only what Python is told of it.
        return {path.name.partition("-")[0] for path in found if (path / "RECORD").exists()}

    def refused(self, *words: str) -> str:
        """Return the one message, after which nothing was installed."""
        done = self.run(*words)
        assert done.returncode == 2 and done.stdout == "" and "Traceback" not in done.stderr
        assert not list(self.venv.glob("lib/python*/site-packages/*.dist-info"))
        assert done.stderr.startswith("install-dependencies: ")
        return done.stderr.removeprefix("install-dependencies: ").strip()

    def hashed(self, *names: str) -> str:
        return "".join(f"{name}==1.2 --hash={digest(self.shelf, name)}\n" for name in names)


def wheel(shelf: Path, name: str, *needs: str) -> None:
    info = f"{name}-1.2.dist-info"
    requires = "".join(f"Requires-Dist: {each}\n" for each in needs)
    with zipfile.ZipFile(shelf / f"{name}-1.2-py3-none-any.whl", "w") as archive:
        files = {
            "METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n{requires}",
            "WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            "RECORD": "",
        }
        for file, text in files.items():
            archive.writestr(zipfile.ZipInfo(f"{info}/{file}"), text)


def digest(shelf: Path, name: str) -> str:
    data = (shelf / f"{name}-1.2-py3-none-any.whl").read_bytes()
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    wheel(shelf, "web", "base")
    for name in ("base", "tool", "extra", "other"):
        wheel(shelf, name)
    # There is no wheel of these.
    for name in ("old", "older"):
        (shelf / f"{name}-1.2.tar.gz").write_bytes(b"")
    root, venv = tmp_path / "checkout", tmp_path / "venv"
    root.mkdir()
    subprocess.run([UV, "venv", "--quiet", "--python", sys.executable, venv], check=True)
    return Place(root, shelf, venv)


class TestRequirements:
    def test_with_hashes_each_is_checked(self, place: Place) -> None:
        place.write({"requirements.txt": place.hashed("web", "base")})
        assert place.installed("requirements.txt") == {"web", "base"}

    def test_another_hash_is_said_without_showing_any(self, place: Place) -> None:
        wrong = "".join(f" --hash=sha256:{number:064}" for number in range(40))
        place.write({"requirements.txt": f"base==1.2{wrong}\n"})
        said = place.refused("requirements.txt")
        assert said.startswith("base==1.2 isn't what was locked") and "sha256" not in said

    def test_what_is_missing_among_hashes_is_named(self, place: Place) -> None:
        place.write({"requirements.txt": place.hashed("web")})
        assert place.refused("requirements.txt").startswith("base is needed and isn't in the lock")

    def test_one_without_a_hash_among_others_is_named_with_its_line(self, place: Place) -> None:
        place.write({"requirements.txt": f"{place.hashed('web')}# base\nbase==1.2\n"})
        assert place.refused("requirements.txt").startswith("requirements.txt:3: base==1.2 has no")

    def test_without_hashes_what_they_need_comes_along(self, place: Place) -> None:
        place.write({"requirements.txt": "web\n"})
        assert place.installed("requirements.txt") == {"web", "base"}

    def test_what_it_includes_counts_and_a_constraint_installs_nothing(self, place: Place) -> None:
        place.write(
            {
                "requirements/prod.txt": "-r base.txt\n--constraint=../limits.txt\nweb\n",
                "requirements/base.txt": "tool \\\n  ==1.2  # the tool\n",
                "limits.txt": "other==9\n",
            }
        )
        assert place.installed("requirements/prod.txt") == {"web", "base", "tool"}

    def test_a_group_is_another_file(self, place: Place) -> None:
        place.write(
            {
                "app/requirements.txt": place.hashed("base"),
                "app/dev.txt": "-r requirements.txt\ntool\n",
            }
        )
        found = place.installed("--groups", "app/dev.txt", "app/requirements.txt")
        assert found == {"base", "tool"}

    def test_a_group_by_name_has_no_meaning_there(self, place: Place) -> None:
        place.write({"requirements.txt": "base\n"})
        said = place.refused("--groups", "dev", "requirements.txt")
        assert "API_GROUPS names dev" in said and "requirements file" in said

    def test_the_checkout_itself_is_not_installed_but_what_it_needs(self, place: Place) -> None:
        place.write(
            {
                "requirements.txt": "-e .[plots]\n./libs/ours\ntool\n",
                "pyproject.toml": "[project]\nname = 'shop'\ndependencies = ['base']\n"
                "[project.optional-dependencies]\nplots = ['extra']\nother = ['other']\n",
                "libs/ours/setup.py": "",
            }
        )
        assert place.installed("requirements.txt") == {"base", "extra", "tool"}

    def test_a_file_that_is_not_there_is_named_with_who_includes_it(self, place: Place) -> None:
        place.write({"requirements.txt": "-r base.txt\n"})
        said = place.refused("requirements.txt")
        assert (
            said.startswith("base.txt: cannot read it") and "requirements.txt includes it" in said
        )


class TestUv:
    @pytest.fixture(autouse=True)
    def workspace(self, place: Place) -> None:
        def locked(name: str, *needs: str) -> str:
            found = f'url = "https://x.invalid/{name}-1.2-py3-none-any.whl"'
            return (
                f'[[package]]\nname = "{name}"\nversion = "1.2"\n'
                f'source = {{ registry = "https://x.invalid/simple" }}\n{depends(*needs)}'
                f'wheels = [{{ {found}, hash = "{digest(place.shelf, name)}", size = 1 }}]\n\n'
            )

        def depends(*needs: str) -> str:
            names = ", ".join(f'{{ name = "{each}" }}' for each in needs)
            return f"dependencies = [{names}]\n"

        place.write(
            {
                "pyproject.toml": "[tool.uv.workspace]\nmembers = ['backend', 'shared']\n"
                "[dependency-groups]\nlint = ['other']\n",
                "backend/pyproject.toml": "[project]\nname = 'backend'\nversion = '1'\n"
                "requires-python = '>=3.11'\ndependencies = ['web', 'shared']\n"
                "[project.optional-dependencies]\nplots = ['extra']\n"
                "[dependency-groups]\ndev = ['tool']\n"
                "[tool.uv.sources]\nshared = {workspace = true}\n",
                "shared/pyproject.toml": "[project]\nname = 'shared'\nversion = '1'\n"
                "requires-python = '>=3.11'\n",
                "uv.lock": 'version = 1\nrevision = 3\nrequires-python = ">=3.11"\n\n'
                '[manifest]\nmembers = ["backend", "shared"]\n\n'
                '[manifest.dependency-groups]\nlint = [{ name = "other" }]\n\n'
                '[[package]]\nname = "backend"\nversion = "1"\nsource = { virtual = "backend" }\n'
                f"{depends('web', 'shared')}\n"
                '[package.optional-dependencies]\nplots = [{ name = "extra" }]\n\n'
                '[package.dev-dependencies]\ndev = [{ name = "tool" }]\n\n'
                "[package.metadata]\nrequires-dist = [\n"
                '    { name = "extra", marker = "extra == \'plots\'" },\n'
                '    { name = "shared", virtual = "shared" },\n    { name = "web" },\n]\n'
                'provides-extras = ["plots"]\n\n'
                '[package.metadata.requires-dev]\ndev = [{ name = "tool" }]\n\n'
                '[[package]]\nname = "shared"\nversion = "1"\nsource = { virtual = "shared" }\n\n'
                + locked("web", "base")
                + "".join(locked(name) for name in ("base", "tool", "extra", "other")),
            }
        )

    def test_a_member_s_dependencies_are_installed_and_no_member(self, place: Place) -> None:
        assert place.installed("--package", "backend", "uv.lock") == {"web", "base"}

    def test_groups_and_extras_are_told_apart_by_themselves(self, place: Place) -> None:
        words = ("--package", "backend", "--extras", "plots", "--groups", "dev lint", "uv.lock")
        assert place.installed(*words) == {"web", "base", "extra", "tool", "other"}

    def test_a_group_that_is_not_there_is_refused_with_those_that_are(self, place: Place) -> None:
        said = place.refused("--package", "backend", "--groups", "devel", "uv.lock")
        assert "API_GROUPS names devel" in said and "(dev, lint, plots)" in said

    def test_a_member_that_is_not_there_is_refused_with_those_that_are(self, place: Place) -> None:
        said = place.refused("--package", "back", "uv.lock")
        assert "API_PACKAGE names back" in said and "(backend, shared)" in said

    def test_another_python_is_refused_in_one_line(self, place: Place) -> None:
        project = place.root / "backend" / "pyproject.toml"
        project.write_text(project.read_text().replace(">=3.11", ">=3.99"))
        assert place.refused("--package", "backend", "uv.lock") == (
            "the app needs Python >=3.99 (backend/pyproject.toml), "
            f"this is {HERE}: PYTHON_VERSION in the stack's file"
        )

    def test_a_dependency_that_the_lock_lacks_is_named(self, place: Place) -> None:
        project = place.root / "backend" / "pyproject.toml"
        project.write_text(project.read_text().replace("['web',", "['web', 'other>=1',"))
        said = place.refused("--package", "backend", "uv.lock")
        assert "which asks for other>=1: uv lock" in said

    def test_a_package_outside_the_app_s_folder_is_refused_with_what_takes_it_in(
        self, place: Place
    ) -> None:
        (place.root / "checkout").mkdir()
        done = place.run("--package", "backend", "uv.lock", app="backend")
        assert (done.returncode, done.stderr) == (2, (
            "install-dependencies: shared comes from a path, shared, and an image has backend"
            " alone: API_SOURCE=. in the stack's file takes both in, with API_WORKDIR=backend and"
            " API_PYTHONPATH=../shared (its folder to import from)\n"
        ))  # fmt: skip
        assert place.run("--package", "backend", "uv.lock", app=".").returncode == 0

    def test_every_project_of_the_workspace_is_read(self, place: Place) -> None:
        read = place.run("--files", "--package", "backend", "uv.lock").stdout.split()
        assert read == [
            "uv.lock", "pyproject.toml", "backend/pyproject.toml", "shared/pyproject.toml",
        ]  # fmt: skip


def test_a_poetry_package_outside_the_app_s_folder_is_refused(place: Place) -> None:
    place.write(
        {
            "apps/probe/poetry.lock": '[[package]]\nname = "shared"\nversion = "1"\n'
            'groups = ["main"]\nfiles = []\n'
            '[package.source]\ntype = "directory"\nurl = "../shared"\n\n'
            '[metadata]\nlock-version = "2.1"\npython-versions = ">=3.11"\ncontent-hash = "x"\n',
        }
    )
    done = place.run("apps/probe/poetry.lock", app="apps/probe")
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1, done.stderr
    assert "shared comes from a path, apps/shared" in done.stderr
    assert "API_SOURCE=apps in the stack's file" in done.stderr


class TestPipenv:
    PIPFILE = '[packages]\nweb = "*"\n[dev-packages]\ntool = "*"\n'

    def lock(self, place: Place, python: str = "3.11", **more: object) -> None:
        meta = {"hash": {"sha256": "x"}, "requires": {"python_version": python}, "sources": []}
        sections = {
            "default": {
                name: {"hashes": [digest(place.shelf, name)], "version": "==1.2"}
                for name in ("web", "base")
            },
            "develop": {"tool": {"hashes": [digest(place.shelf, "tool")], "version": "==1.2"}},
        }
        text = json.dumps({"_meta": meta, **sections, **more})
        place.write({"Pipfile.lock": text})

    def test_the_default_section_alone_is_installed(self, place: Place) -> None:
        self.lock(place)
        assert place.installed("Pipfile.lock") == {"web", "base"}

    def test_development_s_by_the_names_that_it_goes_by(self, place: Place) -> None:
        self.lock(place)
        assert place.installed("--groups", "dev", "Pipfile.lock") == {"web", "base", "tool"}

    def test_a_category_of_their_own_by_its_name(self, place: Place) -> None:
        entry = {"hashes": [digest(place.shelf, "other")], "version": "==1.2"}
        self.lock(place, docs={"other": entry, "ours": {"path": ".", "editable": True}})
        assert place.installed("--extras", "docs", "Pipfile.lock") == {"web", "base", "other"}

    def test_an_older_python_than_it_was_locked_for_is_refused(self, place: Place) -> None:
        self.lock(place, python="3.99")
        assert place.refused("Pipfile.lock").startswith(
            "the app needs Python >=3.99 (Pipfile.lock)"
        )

    def test_a_pipfile_that_was_changed_after_its_lock_is_warned_of(self, place: Place) -> None:
        """The hash is the one that Pipenv computes."""
        self.lock(place)
        place.write({"Pipfile": self.PIPFILE})
        assert "Pipfile was changed after the lock was made" in place.run("Pipfile.lock").stderr
        made = {
            "_meta": {"sources": [], "requires": {}},
            "default": {"web": "*"}, "develop": {"tool": "*"},
        }  # fmt: skip
        text = json.dumps(made, sort_keys=True, separators=(",", ":"))
        sha = hashlib.sha256(text.encode()).hexdigest()
        lock = place.root / "Pipfile.lock"
        lock.write_text(lock.read_text().replace('"sha256": "x"', f'"sha256": "{sha}"'))
        assert place.run("Pipfile.lock").stderr == ""

    def test_what_is_no_lock_is_one_message(self, place: Place) -> None:
        place.write({"Pipfile.lock": "[]"})
        assert place.refused("Pipfile.lock") == "Pipfile.lock: not a lock of Pipenv's"


@pytest.mark.parametrize(
    "files",
    [
        {"requirements.txt": "-e .\n", "pyproject.toml": "[project]\ndependencies = ['base']\n{}"},
        {"poetry.lock": "[metadata]\nlock-version = '2.1'\n", "pyproject.toml": "[project]\n{}"},
    ],
    ids=["requirements", "poetry"],
)
def test_python_knows_the_app_by_its_name_version_and_programs(
    place: Place, files: dict[str, str]
) -> None:
    own = """name = 'the.shop'
version = '2.5'
[project.scripts]
shop = 'shop.cli:main'
[project.entry-points.plugins]
ours = 'shop.plugin'
"""
    place.write({name: text.replace("{}", own) for name, text in files.items()})
    place.write({"shop/__init__.py": "", "shop/cli.py": "def main() -> int:\n    return 7\n"})
    place.installed(next(iter(files)))
    code = (
        "from importlib import metadata as m; print(m.version('the-shop'),"
        " [each.value for each in m.entry_points(group='plugins')])"
    )
    asked = [str(place.venv / "bin" / "python"), "-c", code]
    assert subprocess.check_output(asked, text=True).strip() == "2.5 ['shop.plugin']"
    program = subprocess.run(
        [place.venv / "bin" / "shop"], env={"PYTHONPATH": str(place.root)}, check=False
    )
    assert program.returncode == 7


def test_all_packages_without_a_wheel_are_named_at_once(place: Place) -> None:
    place.write({"requirements.txt": "old==1.2\nbase\nolder==1.2\n"})
    said = place.refused("requirements.txt")
    assert said.startswith(f"old has no wheel for Python {HERE} here: API_FROM_SOURCE=")


def test_a_folder_s_lock_is_the_first_that_it_has(place: Place) -> None:
    place.write({"app/requirements.txt": "base\n", "app/uv.lock": "not read"})
    assert place.installed("app") == {"base"}


@pytest.mark.parametrize("name", ["app", "app/nothing.txt"])
def test_no_lock_is_told_with_the_variable(place: Place, name: str) -> None:
    (place.root / "app").mkdir()
    said = place.refused(name)
    assert name in said and "API_LOCK" in said


def test_several_locks_are_installed_side_by_side(place: Place) -> None:
    place.write({"a/requirements.txt": place.hashed("base"), "b.txt": "tool\n"})
    assert place.installed("a", "b.txt") == {"base", "tool"}


def test_what_it_reads_is_what_an_installation_needs(place: Place) -> None:
    """The image's step for installing sees these files and no others."""
    place.write(
        {
            "requirements/prod.txt": "-r base.txt\n-c limits.txt\n",
            "requirements/base.txt": "-e .\n",
            "requirements/limits.txt": "",
            "requirements/dev.txt": "tool\n",
            "pyproject.toml": "[project]\nname = 'shop'\ndependencies = ['base']\n",
            "shop.py": "",
        }
    )
    words = ("--groups", "requirements/dev.txt", "requirements/prod.txt")
    read = place.run("--files", *words).stdout.split()
    assert sorted(read) == [
        "pyproject.toml", "requirements/base.txt", "requirements/dev.txt",
        "requirements/limits.txt", "requirements/prod.txt",
    ]  # fmt: skip
    assert place.installed(*words) == {"base", "tool"}


@pytest.mark.parametrize(
    ("version", "wanted", "held"),
    [
        ((3, 13, 5), ">=3.11", True), ((3, 13, 5), ">=3.11,<3.13", False),
        ((3, 11, 2), ">=3.11.4", False), ((3, 13, 5), "^3.11", True), ((3, 10, 1), "^3.11", False),
        ((3, 12, 1), "~3.11", False), ((3, 12, 1), "~=3.11", True), ((3, 12, 1), "~=3.11.2", False),
        ((3, 12, 1), "==3.12.*", True), ((3, 12, 1), "3.11 || 3.12", True), ((3, 12, 1), "*", True),
        ((3, 12, 1), ">=3.11 <4.0", True), ((3, 12, 1), "!=3.12.*", False),
        ((3, 12, 1), "<=3.12", True), ((3, 12, 1), "", True),
    ],
)  # fmt: skip
def test_a_version_of_python_is_read_as_its_tools_do(
    monkeypatch: pytest.MonkeyPatch, version: tuple[int, ...], wanted: str, held: bool
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "docker"))
    from locks.python_version import satisfies

    assert satisfies(version, wanted) is held
