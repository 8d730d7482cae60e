"""scripts/bootstrap, run for real on a small checkout with a lock file of one package."""

from __future__ import annotations

import base64
import hashlib
import http.server
import os
import shutil
import signal
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

BOOTSTRAP = Path(__file__).parents[2] / "scripts" / "bootstrap"
NEEDED = ("bash", "cat", "dirname", "mkdir", "mv", "readlink", "rm", "sed")
WHEEL = "tinytool-{}-py3-none-any.whl"


def make_wheel(folder: Path, version: str) -> tuple[Path, str]:
    """Write a package whose command `tinytool` prints its version, its place and its arguments."""
    info = f"tinytool-{version}.dist-info"
    files = {
        "tinytool.py": "import os, sys\n"
        f"def main():\n    print('{version}', sys.prefix, os.getcwd(), *sys.argv[1:], sep='|')\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: tinytool\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": "[console_scripts]\ntinytool = tinytool:main\n",
    }
    record = [f"{info}/RECORD,,"]
    for name, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=")
        record.append(f"{name},sha256={digest.decode()},{len(text)}")
    path = folder / WHEEL.format(version)
    with zipfile.ZipFile(path, "w") as wheel:
        for name, text in files.items():
            wheel.writestr(name, text)
        wheel.writestr(f"{info}/RECORD", "\n".join(record) + "\n")
    return path, hashlib.sha256(path.read_bytes()).hexdigest()


@dataclass(frozen=True)
class Checkout:
    """A checkout that holds nothing but the script and a lock file."""

    root: Path
    wheels: Path
    environ: dict[str, str]

    @property
    def script(self) -> Path:
        return self.root / "scripts" / "bootstrap"

    @property
    def stamp(self) -> Path:
        return self.root / ".venv" / "gangway.stamp"

    def lock(self, version: str, *, links: str = "", digest: str = "") -> None:
        """Lock one version of the package, found at `links`; a wrong `digest` spoils it."""
        _, right = make_wheel(self.wheels, version)
        (self.root / "requirements").mkdir(exist_ok=True)
        (self.root / "requirements/dev.txt").write_text(
            f"--no-index\n--find-links {links or self.wheels.as_uri()}\n"
            f"tinytool=={version} --hash=sha256:{digest or right}\n"
        )

    def start(
        self, *arguments: str, script: Path | None = None, cwd: Path | None = None
    ) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [str(script or self.script), *arguments],
            cwd=cwd or self.root,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(
        self, *arguments: str, script: Path | None = None, cwd: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        process = self.start(*arguments, script=script, cwd=cwd)
        out, err = process.communicate(timeout=100)
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def said(self, version: str, *arguments: str) -> str:
        """What the command prints when it runs in this checkout's own environment."""
        return "|".join([version, str(self.root / ".venv"), str(self.root), *arguments]) + "\n"


def programs(folder: Path, *extra: Path) -> str:
    """Make a PATH of what the script needs and the programs named, and nothing else."""
    folder.mkdir()
    for name in NEEDED:
        (folder / name).symlink_to(shutil.which(name) or pytest.fail(f"no {name} here"))
    for path in extra:
        (folder / path.name).symlink_to(path)
    return str(folder)


def real_python() -> Path:
    """The interpreter behind the environment that the tests run in."""
    return Path(os.path.realpath(sys.executable))


def make_checkout(folder: Path, installer: str) -> Checkout:
    """Lay a checkout out in a folder; `installer` is uv, pip, or empty for the quicker one here."""
    root = folder / "my checkout"
    (root / "scripts").mkdir(parents=True)
    (folder / "wheels").mkdir()
    shutil.copy2(BOOTSTRAP, root / "scripts")
    path = programs(folder / "bin")
    (folder / "bin" / "python3").symlink_to(real_python())
    has_uv = shutil.which("uv") is not None
    if installer == "uv" and not has_uv:
        pytest.skip("uv is not installed")
    if has_uv and installer != "pip":
        path += os.pathsep + os.environ["PATH"]
    environ = {name: os.environ[name] for name in ("HOME", "TMPDIR") if name in os.environ}
    environ |= {"PATH": path, "NO_PROXY": "127.0.0.1", "PIP_CONFIG_FILE": os.devnull}
    checkout = Checkout(root, folder / "wheels", environ)
    checkout.lock("1.0")
    return checkout


@pytest.fixture
def checkout(request: pytest.FixtureRequest, tmp_path: Path) -> Checkout:
    return make_checkout(tmp_path, getattr(request, "param", ""))


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout that has its environment, for tests that leave it as it is."""
    checkout = make_checkout(tmp_path_factory.mktemp("prepared"), "")
    assert checkout.run().returncode == 0
    return checkout


@pytest.mark.parametrize("checkout", ["uv", "pip"], indirect=True)
def test_the_first_run_makes_the_environment_and_runs_the_command_in_it(
    checkout: Checkout,
) -> None:
    run = checkout.run("tinytool", "two words", "--flag='x'")
    assert run.returncode == 0, run.stderr
    assert run.stdout == checkout.said("1.0", "two words", "--flag='x'")
    assert "making .venv" in run.stderr


def test_a_second_run_adds_no_word_and_touches_nothing(prepared: Checkout) -> None:
    before = prepared.stamp.stat()
    run = prepared.run("tinytool")
    after = prepared.stamp.stat()
    assert (run.stdout, run.stderr) == (prepared.said("1.0"), "")
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_changed_lock_file_makes_the_environment_again(checkout: Checkout) -> None:
    checkout.run()
    checkout.lock("2.0")
    assert checkout.run("tinytool").stdout == checkout.said("2.0")


def test_a_wrong_hash_is_refused_and_the_next_run_after_the_mend_succeeds(
    checkout: Checkout,
) -> None:
    checkout.lock("1.0", digest="0" * 64)
    run = checkout.run("tinytool")
    assert run.returncode == 2
    assert run.stdout == ""
    assert "could not install requirements/dev.txt" in run.stderr
    assert not checkout.stamp.exists()
    checkout.lock("1.0")
    assert checkout.run("tinytool").stdout == checkout.said("1.0")


@dataclass(frozen=True)
class Index:
    """A page of links that gives no answer until `open` is set; `asked` tells of a caller."""

    address: str
    asked: threading.Event
    open: threading.Event


@pytest.fixture
def index(checkout: Checkout) -> Iterator[Index]:
    asked, gate = threading.Event(), threading.Event()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: object) -> None:
            super().__init__(*args, directory=str(checkout.wheels))  # type: ignore[arg-type]

        def do_GET(self) -> None:
            asked.set()
            gate.wait(60)
            try:
                super().do_GET()
            except ConnectionError:
                self.close_connection = True

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Index(f"http://127.0.0.1:{server.server_port}/", asked, gate)
        gate.set()
        server.shutdown()


@pytest.mark.parametrize(
    ("checkout", "blow"),
    [("", signal.SIGINT), ("pip", signal.SIGKILL)],
    indirect=["checkout"],
)
def test_a_first_run_that_was_interrupted_is_mended_by_the_next(
    checkout: Checkout, index: Index, blow: signal.Signals
) -> None:
    checkout.lock("1.0", links=index.address)
    process = checkout.start("tinytool")
    assert index.asked.wait(60)
    assert (checkout.root / ".venv").exists()
    os.killpg(process.pid, blow)
    out, _ = process.communicate(timeout=30)
    assert process.returncode != 0
    assert out == ""
    assert not checkout.stamp.exists()
    index.open.set()
    run = checkout.run("tinytool")
    assert run.stdout == checkout.said("1.0"), run.stderr


def test_two_first_runs_at_once_make_one_environment_and_both_succeed(
    checkout: Checkout, index: Index
) -> None:
    checkout.lock("1.0", links=index.address)
    first = checkout.start("tinytool", "a")
    assert index.asked.wait(60)
    second = checkout.start("tinytool", "b")
    assert second.stderr
    waiting = second.stderr.readline()
    assert waiting == "bootstrap: waiting for another run that makes .venv\n"
    index.open.set()
    results = [process.communicate(timeout=60) for process in (first, second)]
    assert [out for out, _ in results] == [checkout.said("1.0", "a"), checkout.said("1.0", "b")]
    assert "".join(err for _, err in results).count("making .venv") == 1


def test_it_works_from_a_subfolder_and_through_a_link_elsewhere(prepared: Checkout) -> None:
    subfolder = prepared.root / "apps" / "api"
    subfolder.mkdir(parents=True)
    elsewhere = prepared.wheels.parent / "home bin"
    elsewhere.mkdir()
    (elsewhere / "first").symlink_to(prepared.script)
    (elsewhere / "second").symlink_to("first")
    relative = Path("../../scripts/bootstrap")
    assert prepared.run("tinytool", script=relative, cwd=subfolder).stdout == prepared.said("1.0")
    linked = prepared.run("tinytool", script=elsewhere / "second", cwd=elsewhere)
    assert linked.stdout == prepared.said("1.0")


def test_a_moved_checkout_gets_an_environment_of_its_own(checkout: Checkout) -> None:
    checkout.run()
    moved = replace(checkout, root=checkout.root.rename(checkout.root.with_name("moved")))
    assert moved.run("tinytool").stdout == moved.said("1.0")


def test_an_environment_whose_python_is_gone_is_made_again(checkout: Checkout) -> None:
    checkout.run()
    python = checkout.root / ".venv" / "bin" / "python"
    python.unlink()
    python.symlink_to("/nowhere/python3")
    assert checkout.run("tinytool").stdout == checkout.said("1.0")


def test_the_commands_exit_status_and_an_unknown_command_are_passed_on(prepared: Checkout) -> None:
    assert prepared.run("bash", "-c", "exit 7").returncode == 7
    run = prepared.run("no-such-command")
    assert run.returncode == 127
    assert "no-such-command" in run.stderr


def test_without_a_command_it_says_how_to_activate_and_that_line_works(prepared: Checkout) -> None:
    run = prepared.run()
    assert run.returncode == 0
    line = run.stderr.splitlines()[-1].partition("in this shell: ")[2]
    activated = subprocess.run(
        ["bash", "-c", f"{line} && tinytool"],
        cwd=prepared.root,
        env=prepared.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert activated.stdout == prepared.said("1.0")


def test_an_unknown_option_and_a_missing_lock_file_are_one_clear_line(checkout: Checkout) -> None:
    option = checkout.run("--verbose")
    assert option.returncode == 2
    assert "unknown option --verbose" in option.stderr
    (checkout.root / "requirements/dev.txt").unlink()
    lock = checkout.run("tinytool")
    assert lock.returncode == 2
    assert lock.stderr == f"bootstrap: no lock file at {checkout.root}/requirements/dev.txt\n"


def test_the_python_that_is_named_makes_it_and_stays(checkout: Checkout, tmp_path: Path) -> None:
    named = tmp_path / "a python"
    named.write_text(f'#!/bin/sh\necho "$0" >>"{tmp_path}/used"\nexec "{sys.executable}" "$@"\n')
    named.chmod(0o755)
    checkout.environ["GANGWAY_PYTHON"] = str(named)
    assert "ready" in checkout.run("tinytool").stderr
    assert (tmp_path / "used").exists()
    del checkout.environ["GANGWAY_PYTHON"]
    assert checkout.run("tinytool").stderr == ""


def test_a_named_python_that_is_none_is_one_clear_line(checkout: Checkout) -> None:
    checkout.environ["GANGWAY_PYTHON"] = "python2"
    done = checkout.run("tinytool")
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "GANGWAY_PYTHON=python2 is no Python 3.11 or later" in done.stderr


@pytest.mark.parametrize("checkout", ["pip"], indirect=True)
@pytest.mark.parametrize("old", ["", "Python 3.9.2"])
def test_without_a_new_enough_python_it_says_what_it_found_and_needs(
    checkout: Checkout, old: str
) -> None:
    python = Path(checkout.environ["PATH"]) / "python3"
    python.unlink()
    if old:
        # Nothing but an old Python's answers: its version, and a failing check of it.
        python.write_text(f'#!/bin/sh\n[ "$1" = -V ] && echo "{old}" && exit\nexit 1\n')
        python.chmod(0o755)
    run = checkout.run("tinytool")
    assert run.returncode == 2
    assert run.stdout == ""
    assert run.stderr.startswith("bootstrap: Python 3.11 or later is needed")
    assert len(run.stderr.splitlines()) == 1
    assert old in run.stderr


def test_a_colon_in_the_path_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    made = make_checkout(tmp_path, "")
    root = made.root.rename(tmp_path / "build:42")
    done = replace(made, root=root).run("tinytool")
    assert done.returncode == 2
    assert done.stderr == (
        f"bootstrap: the checkout's path has a colon: {root}; move it, or rename that folder\n"
    )
    assert not (root / ".venv").exists()
