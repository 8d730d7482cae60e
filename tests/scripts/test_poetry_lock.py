"""docker/install-dependencies: what a Poetry lock becomes before an image is built from it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / "docker" / "install-dependencies"
HASH = "sha256:" + "0123456789abcdef" * 4
METADATA = '[metadata]\nlock-version = "2.1"\npython-versions = ">=3.11"\ncontent-hash = "{}"\n'


def converted(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-B", PROGRAM, "--print", *words, folder / "poetry.lock"],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip


def package(name: str, *lines: str, groups: str = '["main"]', files: bool = True) -> str:
    entry = [f'name = "{name}"', 'version = "1.2"', "optional = false", f"groups = {groups}"]
    entry += [line for line in lines if not line.startswith("[")]
    found = f'{{file = "{name}-1.2-py3-none-any.whl", hash = "{HASH}"}}' if files else ""
    entry += [f"files = [{found}]", *(line for line in lines if line.startswith("["))]
    return "[[package]]\n" + "\n".join(entry) + "\n\n"


def lock(folder: Path, *packages: str, metadata: str = METADATA.format("x")) -> Path:
    (folder / "poetry.lock").write_text("".join(packages) + metadata, encoding="utf-8")
    return folder


def names(done: subprocess.CompletedProcess[str]) -> list[str]:
    assert done.returncode == 0, done.stderr
    return re.findall(r"^([a-z0-9-]+)==", done.stdout, re.MULTILINE)


def refusal(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 2 and done.stdout == ""
    assert "Traceback" not in done.stderr and len(done.stderr.splitlines()) == 1, done.stderr
    return done.stderr


def test_the_main_group_alone_is_taken_with_every_hash(tmp_path: Path) -> None:
    done = converted(
        lock(
            tmp_path,
            package("wanted"),
            package("both", groups='["dev", "main"]'),
            package("tool", groups='["dev"]'),
        )
    )
    assert names(done) == ["wanted", "both"]
    assert done.stdout.count(f"--hash={HASH}") == 2


def test_conditions_stay_and_those_of_another_group_do_not(tmp_path: Path) -> None:
    done = converted(
        lock(
            tmp_path,
            package("old", 'markers = "python_version < \\"3.12\\""'),
            package(
                "each",
                'markers = {main = "sys_platform == \\"linux\\"", dev = "extra == \\"x\\""}',
                groups='["main", "dev"]',
            ),
            package(
                "free", 'markers = {dev = "python_version < \\"3\\""}', groups='["main", "dev"]'
            ),
        )
    )
    assert 'old==1.2 ; python_version < "3.12" --hash' in done.stdout
    assert 'each==1.2 ; sys_platform == "linux" --hash' in done.stdout
    assert "free==1.2 --hash" in done.stdout


def test_a_group_brings_its_packages_under_its_own_conditions(tmp_path: Path) -> None:
    folder = lock(
        tmp_path,
        package("wanted"),
        package("tool", groups='["dev"]'),
        package(
            "each", 'markers = {main = "sys_platform == \\"win32\\""}', groups='["main", "dev"]'
        ),
        package(
            "two",
            'markers = {main = "sys_platform == \\"win32\\"", dev = "os_name == \\"posix\\""}',
            groups='["main", "dev"]',
        ),
    )
    done = converted(folder, "--groups", "dev")
    assert names(done) == ["wanted", "tool", "each", "two"]
    assert "each==1.2 --hash" in done.stdout
    assert 'two==1.2 ; (sys_platform == "win32") or (os_name == "posix") --hash' in done.stdout


def test_a_group_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path) -> None:
    folder = lock(tmp_path, package("tool", groups='["dev"]'))
    said = refusal(converted(folder, "--groups", "develop"))
    assert "API_GROUPS names develop" in said and "(dev)" in said


@pytest.mark.parametrize(("extras", "installed"), [("", False), ("plots", True)])
def test_what_an_extra_brings_is_installed_for_it_alone(
    tmp_path: Path, extras: str, installed: bool
) -> None:
    """By uv itself, from a folder that would have both packages."""
    folder = lock(
        tmp_path,
        package("wanted"),
        package("extra", 'markers = "extra == \\"plots\\""'),
        package("either", 'markers = "extra == \\"plots\\" or python_version >= \\"3\\""'),
        metadata=f'[extras]\nplots = ["extra", "either"]\n\n{METADATA.format("x")}',
    )
    made = tmp_path / "requirements.txt"
    printed = converted(folder, "--extras", extras).stdout
    made.write_text(re.sub(r" --hash=\S+", "", printed), encoding="utf-8")
    shelf = tmp_path / "shelf"
    for name in ("wanted", "extra", "either"):
        wheel(shelf, name)
    uv = Path(sys.executable).with_name("uv")
    done = subprocess.run(
        [uv, "pip", "install", "--dry-run", "--offline", "--no-index", "--target", tmp_path / "t",
         "--find-links", shelf, "-r", made],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = set(re.findall(r"^ \+ (\w+)==", done.stderr, re.MULTILINE))
    assert found == {"wanted", "either", *(["extra"] if installed else [])}


def wheel(folder: Path, name: str) -> None:
    """Write a package with nothing in it."""
    import zipfile

    folder.mkdir(exist_ok=True)
    info = f"{name}-1.2.dist-info"
    with zipfile.ZipFile(folder / f"{name}-1.2-py3-none-any.whl", "w") as archive:
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")


@pytest.mark.parametrize("kind", ["git", "url", "file"])
def test_what_has_no_hashes_is_refused_by_name(tmp_path: Path, kind: str) -> None:
    source = f'[package.source]\ntype = "{kind}"\nurl = "somewhere"'
    folder = lock(tmp_path, package("fine"), package("theirs", source, files=False))
    said = refusal(converted(folder))
    assert f"theirs comes from a {kind} source" in said and "publish it" in said


def test_what_comes_from_git_is_taken_where_it_is_named(tmp_path: Path) -> None:
    source = '[package.source]\ntype = "git"\nurl = "https://x.invalid/y.git"'
    source += '\nresolved_reference = "abc"'
    folder = lock(tmp_path, package("theirs", source, files=False))
    done = converted(folder, "--from-source", "Theirs")
    assert done.stdout == "theirs @ git+https://x.invalid/y.git@abc\n"


def test_what_lies_in_the_checkout_is_left_out(tmp_path: Path) -> None:
    source = '[package.source]\ntype = "directory"\nurl = "libs/ours"'
    folder = lock(tmp_path, package("fine"), package("ours", source, files=False))
    assert names(converted(folder)) == ["fine"]


def test_another_index_is_as_good_as_the_usual_one(tmp_path: Path) -> None:
    source = '[package.source]\ntype = "legacy"\nurl = "somewhere"\nreference = "ours"'
    assert names(converted(lock(tmp_path, package("ours", source)))) == ["ours"]


def test_a_package_without_files_is_refused(tmp_path: Path) -> None:
    said = refusal(converted(lock(tmp_path, package("bare", files=False))))
    assert "bare 1.2 has no hashes" in said and "poetry lock" in said


@pytest.mark.parametrize("version", ["1.1", "2.0", "3.0", "none"])
def test_the_lock_of_another_format_is_refused(tmp_path: Path, version: str) -> None:
    metadata = METADATA.format("x").replace("2.1", version)
    said = refusal(converted(lock(tmp_path, package("wanted"), metadata=metadata)))
    assert f"its format is {version}" in said and "poetry lock" in said


def test_no_lock_and_no_toml_are_one_message(tmp_path: Path) -> None:
    assert "there is no" in refusal(converted(tmp_path))
    (tmp_path / "poetry.lock").write_text("[[package", encoding="utf-8")
    assert "not TOML" in refusal(converted(tmp_path))


def test_a_project_that_was_changed_after_its_lock_is_warned_of(tmp_path: Path) -> None:
    """With the sample app's own project, whose lock Poetry made."""
    app = ROOT / "apps" / "dashboard"
    for name in ("pyproject.toml", "poetry.lock"):
        (tmp_path / name).write_bytes((app / name).read_bytes())
    done = converted(tmp_path)
    assert done.returncode == 0 and done.stderr == ""
    project = tmp_path / "pyproject.toml"
    text = project.read_text(encoding="utf-8")
    project.write_text(text.replace('"plotly (', '"plotly (!=1,'), encoding="utf-8")
    changed = converted(tmp_path)
    assert "was changed after the lock was made" in changed.stderr
    assert changed.stdout == done.stdout


def test_the_sample_app_s_lock_has_what_its_image_needs_and_names_no_host() -> None:
    app = ROOT / "apps" / "dashboard"
    found = names(converted(app))
    assert {"dash", "plotly", "gunicorn", "psycopg-binary", "psycopg-pool"} <= set(found)
    assert "pytest" not in found
    assert "[package.source]" not in (app / "poetry.lock").read_text(encoding="utf-8")
