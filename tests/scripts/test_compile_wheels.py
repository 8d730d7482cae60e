"""Bytecode is made once for each text, and never taken for another."""

import subprocess
import sys
from pathlib import Path

import pytest

COMPILE = Path(__file__).parents[2] / "docker" / "compile-wheels"


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """A folder with a package that says which version it is."""
    package = tmp_path / "library" / "package"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("VERSION = 1\n")
    return package.parent


def provide(library: Path) -> None:
    cache = library.with_name("cache")
    subprocess.run([sys.executable, COMPILE, library, cache], check=True, timeout=60)


def bytecode(library: Path) -> Path:
    (found,) = (library / "package" / "__pycache__").iterdir()
    return found


def version(library: Path) -> str:
    """Return what a program that imports the package sees."""
    show = "import package; print(package.VERSION)"
    argv = [sys.executable, "-B", "-c", show]
    done = subprocess.run(argv, cwd=library, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.strip()


def test_a_text_that_was_compiled_before_is_not_compiled_again(library: Path) -> None:
    provide(library)
    first = bytecode(library)
    (kept,) = library.with_name("cache").iterdir()
    kept.write_bytes(first.read_bytes().replace(b"VERSION", b"REVISED"))
    first.unlink()
    provide(library)
    assert b"REVISED" in bytecode(library).read_bytes()


def test_a_changed_text_of_the_same_length_is_seen(library: Path) -> None:
    provide(library)
    (library / "package" / "__init__.py").write_text("VERSION = 2\n")
    provide(library)
    assert version(library) == "2"


def test_the_bytecode_is_what_python_uses(library: Path) -> None:
    provide(library)
    (library / "package" / "__init__.py").write_text("VERSION = 2\n")
    assert version(library) == "1"


def test_what_is_not_python_after_all_is_left_alone(library: Path) -> None:
    (library / "package" / "template.py").write_text("{{ name }} = {% if %}\n")
    provide(library)
    assert bytecode(library).name.startswith("__init__")
