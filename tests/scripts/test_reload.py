"""A saved file is served at once, whatever was in it before, and never a stale one."""

import os
import py_compile
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.scripts.conftest import Environment, Script
from tests.scripts.serving import FIXTURES, fetch, serving, started
from tests.support.processes import Running, eventually, running


def save(file: Path, version: int) -> str:
    """Put ``version`` into the one line that tells it, size unchanged; return the new text."""
    lines = [
        f'VERSION = "v{version:03d}"' if line.startswith("VERSION") else line
        for line in file.read_text().splitlines()
    ]
    file.write_text("\n".join(lines) + "\n")
    return f"v{version:03d}"


def serves(port: int, text: str, path: str = "/") -> Callable[[], bool]:
    return lambda: text in fetch(port, path)[1]


def wait_for_libraries(server: Running) -> None:
    """Return once the reloader has nothing more to import: it hardly uses the CPU, as at rest."""
    second = os.sysconf("SC_CLK_TCK")

    def cpu() -> int:
        return sum(map(int, Path(f"/proc/{server.process.pid}/stat").read_text().split()[13:15]))

    begun, before = time.monotonic(), cpu()

    def quiet() -> bool:
        nonlocal before, begun
        now = time.monotonic()
        if now - begun < 1.5:
            return False
        # To watch, or to look at the files again and again, takes it one or two in a hundred.
        share = (cpu() - before) / second / (now - begun)
        begun, before = now, cpu()
        return share < 0.1

    eventually(quiet, "the reloader at rest", 40)


def test_every_edit_is_served_though_time_and_size_stay_the_same(
    env: Environment, app: Path
) -> None:
    file = app / "service.py"
    with serving(env, app, RELOAD="1") as (_, port):
        for number in range(1, 16):
            text = save(file, number)
            os.utime(file, (1_700_000_000, 1_700_000_000))
            eventually(serves(port, text), text)
            assert [fetch(port)[1] for _ in range(5)] == [text] * 5


def test_once_the_libraries_are_imported_edits_are_still_served(
    env: Environment, app: Path
) -> None:
    with serving(env, app, RELOAD="1") as (server, port):
        wait_for_libraries(server)
        for number in range(1, 16):
            eventually(serves(port, save(app / "service.py", number)), f"edit {number}")


def test_edits_in_quick_succession_end_in_the_last_one(env: Environment, app: Path) -> None:
    with serving(env, app, RELOAD="1") as (_, port):
        for number in range(1, 200):
            text = save(app / "service.py", number)
        eventually(serves(port, text), text)
        assert {fetch(port)[1] for _ in range(20)} == {text}


def test_an_editor_that_replaces_the_file_is_noticed(env: Environment, app: Path) -> None:
    with serving(env, app, RELOAD="1") as (_, port):
        shutil.copy(app / "service.py", app / ".service.py.swp")
        text = save(app / ".service.py.swp", 5)
        (app / ".service.py.swp").rename(app / "service.py")
        eventually(serves(port, text), text)


def test_requests_wait_out_a_restart_instead_of_failing(env: Environment, app: Path) -> None:
    over = threading.Event()
    statuses: list[int] = []

    def ask() -> None:
        while not over.is_set():
            statuses.append(fetch(port)[0])

    with serving(env, app, RELOAD="1") as (_, port):
        client = threading.Thread(target=ask)
        client.start()
        try:
            for number in range(1, 6):
                eventually(serves(port, save(app / "service.py", number)), f"edit {number}")
        finally:
            over.set()
            client.join()
    assert set(statuses) == {200}


def test_a_request_in_flight_is_answered_by_the_code_that_took_it(
    env: Environment, app: Path
) -> None:
    answers: list[tuple[int, str]] = []
    with serving(env, app, RELOAD="1") as (server, port):
        request = threading.Thread(target=lambda: answers.append(fetch(port, "/slow?seconds=0.5")))
        request.start()
        server.says("slow begun")
        text = save(app / "service.py", 1)
        request.join()
        eventually(serves(port, text), text)
    assert answers == [(200, "slow done")]


def test_a_request_that_hangs_does_not_keep_the_old_code_alive(env: Environment, app: Path) -> None:
    with serving(env, app, RELOAD="1") as (server, port):
        request = threading.Thread(target=fetch, args=(port, "/slow?seconds=60"))
        request.start()
        server.says("slow begun")
        text = save(app / "service.py", 1)
        eventually(serves(port, text), text)
        request.join(5)
        assert not request.is_alive()


@pytest.mark.parametrize("mistake", ["def (:\n", "import no_such_module\n", "1 / 0\n", "len()\n"])
def test_a_mistake_shows_its_traceback_and_the_next_save_recovers(
    env: Environment, app: Path, mistake: str
) -> None:
    file = app / "service.py"
    good = file.read_text()
    with serving(env, app, RELOAD="1") as (server, port):
        file.write_text(mistake)
        eventually(lambda: fetch(port)[0] == 503, "an answer that says so")
        assert "Traceback" in server.log
        assert "Error" in server.log
        assert "its log says why" in fetch(port)[1]
        file.write_text(good)
        text = save(file, 7)
        eventually(serves(port, text), text)


def test_bytecode_that_someone_else_left_is_never_used(env: Environment, app: Path) -> None:
    file = app / "service.py"
    os.utime(file, (1_700_000_000, 1_700_000_000))
    stale = py_compile.compile(str(file))
    assert stale
    with serving(env, app, RELOAD="1") as (_, port):
        text = save(file, 1)
        os.utime(file, (1_700_000_000, 1_700_000_000))
        eventually(serves(port, text), text)
    assert Path(stale).exists()


def test_no_bytecode_is_written_beside_the_sources(env: Environment, app: Path) -> None:
    without = {name: value for name, value in env.items() if name != "PYTHONDONTWRITEBYTECODE"}
    with serving(without, app, RELOAD="1") as (_, port):
        eventually(serves(port, save(app / "service.py", 1)), "the edit")
    assert not list(app.rglob("*.pyc"))


def test_a_module_in_a_new_folder_is_watched_too(env: Environment, app: Path) -> None:
    with serving(env, app, RELOAD="1") as (_, port):
        (app / "parts" / "deep").mkdir(parents=True)
        part = app / "parts" / "deep" / "part.py"
        part.write_text('VERSION = "v100"\n')
        code = (app / "service.py").read_text()
        (app / "service.py").write_text(
            code.replace('VERSION = "v000"', "from parts.deep.part import VERSION")
        )
        eventually(serves(port, "v100"), "the new module")
        for number in (101, 102):
            eventually(serves(port, save(part, number)), f"edit {number}")
        # A folder that is removed and comes back, as when branches are switched.
        shutil.rmtree(app / "parts")
        (app / "parts" / "deep").mkdir(parents=True)
        part.write_text('VERSION = "v103"\n')
        eventually(serves(port, "v103"), "the module that came back")


def with_a_part(app: Path, folder: Path) -> Path:
    """Have the application's version told by a module in ``folder``; return that module."""
    folder.mkdir(parents=True)
    (folder / "part.py").write_text('VERSION = "v100"\n')
    code = (app / "service.py").read_text()
    (app / "service.py").write_text(
        code.replace('VERSION = "v000"', "from parts.part import VERSION")
    )
    return folder / "part.py"


@pytest.mark.parametrize("poll", ["", "1"], ids=["watched", "polled"])
def test_a_package_that_is_moved_away_and_back_is_noticed(
    env: Environment, app: Path, tmp_path: Path, poll: str
) -> None:
    with_a_part(app, app / "parts")
    with serving(env, app, RELOAD="1", RELOAD_POLL=poll) as (server, port):
        (app / "parts").rename(tmp_path / "elsewhere")
        eventually(lambda: fetch(port)[0] == 503, "an answer that says so")
        assert "No module named 'parts" in server.log
        save(tmp_path / "elsewhere" / "part.py", 101)
        (tmp_path / "elsewhere").rename(app / "parts")
        eventually(serves(port, "v101"), "the package that came back")
        eventually(serves(port, save(app / "parts" / "part.py", 102)), "an edit in it")


@pytest.mark.parametrize("poll", ["", "1"], ids=["watched", "polled"])
def test_a_package_that_is_deleted_is_noticed(env: Environment, app: Path, poll: str) -> None:
    with_a_part(app, app / "parts")
    with serving(env, app, RELOAD="1", RELOAD_POLL=poll) as (server, port):
        shutil.rmtree(app / "parts")
        eventually(lambda: fetch(port)[0] == 503, "an answer that says so")
        assert "No module named 'parts" in server.log


@pytest.mark.parametrize("poll", ["", "1"], ids=["watched", "polled"])
def test_a_linked_folder_is_source_too(
    env: Environment, app: Path, tmp_path: Path, poll: str
) -> None:
    part = with_a_part(app, tmp_path / "shared")
    (app / "parts").symlink_to(tmp_path / "shared")
    with serving(env, app, RELOAD="1", RELOAD_POLL=poll) as (server, port):
        for number in (101, 102):
            eventually(serves(port, save(part, number)), f"edit {number}")
        wait_for_libraries(server)
        eventually(serves(port, save(part, 103)), "an edit after the libraries are imported")
        # A link to another version, as when releases are switched.
        shutil.copytree(tmp_path / "shared", tmp_path / "other")
        text = save(tmp_path / "other" / "part.py", 104)
        (app / "parts").unlink()
        (app / "parts").symlink_to(tmp_path / "other")
        eventually(serves(port, text), "the other folder")
        eventually(serves(port, save(tmp_path / "other" / "part.py", 105)), "an edit in it")


def test_a_link_that_leads_back_is_followed_once(env: Environment, app: Path) -> None:
    (app / "again").symlink_to(app)
    with serving(env, app, RELOAD="1") as (server, port):
        eventually(serves(port, save(app / "service.py", 1)), "the edit")
        assert server.log.count("starting again") == 1


def test_a_package_named_data_is_source(env: Environment, app: Path) -> None:
    part = with_a_part(app, app / "data" / "parts")
    (app / "data" / "__init__.py").touch()
    service = app / "service.py"
    service.write_text(service.read_text().replace("from parts.part", "from data.parts.part"))
    with serving(env, app, RELOAD="1") as (_, port):
        eventually(serves(port, save(part, 101)), "the edit")


def test_the_app_s_other_folders_for_imports_are_watched_too(
    env: Environment, app: Path, tmp_path: Path
) -> None:
    part = with_a_part(app, tmp_path / "shared" / "parts")
    with serving(env, app, RELOAD="1", APP_PYTHONPATH="nosuch:../shared") as (_, port):
        eventually(serves(port, save(part, 101)), "the edit")
        eventually(serves(port, save(part, 102)), "another")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_folder_that_cannot_be_read_stands_in_nobody_s_way(env: Environment, app: Path) -> None:
    (app / "postgres").mkdir(mode=0o000)
    with serving(env, app, RELOAD="1") as (server, port):
        eventually(serves(port, save(app / "service.py", 101)), "the edit")
        assert "looking at the files every" not in server.log


def test_a_port_is_healthy_once_the_program_serves(
    env: Environment, app: Path, tmp_path: Path
) -> None:
    """The reloader accepts connections all the time."""
    service = app / "service.py"
    service.write_text(f"import time; time.sleep(1)\n{service.read_text()}")
    with started(env, app, RELOAD="1", TMPDIR=str(tmp_path)) as (_, port):
        probe = {**env, "APP_PORT": str(port), "RELOAD": "1", "TMPDIR": str(tmp_path)}

        def healthy() -> bool:
            return not subprocess.run(
                ["healthcheck", "tcp"], env=probe, capture_output=True, check=False
            ).returncode

        eventually((tmp_path / "starting").exists, "the beginning")
        assert not healthy()
        eventually(healthy, "a program that serves")
        assert fetch(port)[0] == 200
        good = service.read_text()
        service.write_text("1 / 0\n")
        eventually(lambda: not healthy(), "a program that has ended")
        service.write_text(good)
        eventually(healthy, "a program that serves again")


@pytest.mark.parametrize("app", ["wsgi"], indirect=True)
def test_a_template_counts_as_source(env: Environment, app: Path) -> None:
    with serving(env, app, RELOAD="1") as (_, port):
        assert fetch(port, "/page")[1] == "template v000"
        (app / "templates" / "page.html").write_text("template v001\n")
        eventually(serves(port, "v001", "/page"), "the new template")


@pytest.mark.parametrize(
    "name",
    [
        "notes.bin", ".hidden.py", "__pycache__/x.py", ".venv/x.py", ".git/x.py", ".nox/deep/x.py",
        "node_modules/x/x.js", "some-env/lib/x.py", "media/a/x.html", "data/x.yml",
    ],
)  # fmt: skip
def test_other_files_start_nothing_again(env: Environment, app: Path, name: str) -> None:
    (app / name).parent.mkdir(parents=True, exist_ok=True)
    (app / "some-env").mkdir(exist_ok=True)
    (app / "some-env" / "pyvenv.cfg").touch()
    with serving(env, app, RELOAD="1") as (server, port):
        (app / name).write_text("x = 1\n")
        # The edit that does count is noticed after the one that does not.
        eventually(serves(port, save(app / "service.py", 1)), "the edit")
        assert server.log.count("starting again") == 1
        assert name not in server.log


def test_where_the_kernel_reports_nothing_the_files_are_looked_at(
    env: Environment, app: Path
) -> None:
    with serving(env, app, RELOAD="1", RELOAD_POLL="1") as (_, port):
        for number in range(1, 6):
            eventually(serves(port, save(app / "service.py", number)), f"edit {number}")


def test_where_watchfiles_is_missing_the_files_are_looked_at(
    env: Environment, app: Path, tools: Path, tmp_path: Path
) -> None:
    lacking = tmp_path / "tools"
    shutil.copytree(tools, lacking, ignore=shutil.ignore_patterns("watchfiles*"))
    with serving(env, app, RELOAD="1", DEBUG_PATH=str(lacking)) as (server, port):
        assert f"there is no watchfiles in {lacking}; looking at the files" in server.log
        eventually(serves(port, save(app / "service.py", 1)), "the edit")


def test_nothing_is_imported_ahead_where_that_is_not_wanted(env: Environment, app: Path) -> None:
    with serving(env, app, RELOAD="1", RELOAD_PRELOAD="0") as (_, port):
        eventually(serves(port, save(app / "service.py", 1)), "the edit")


def test_a_library_that_starts_threads_ends_importing_ahead(
    env: Environment, app: Path, tmp_path: Path
) -> None:
    library = tmp_path / "library"
    library.mkdir()
    (library / "eager.py").write_text(
        "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n"
    )
    code = (app / "service.py").read_text()
    (app / "service.py").write_text(f"import eager  # noqa: F401\n{code}")
    with serving(env, app, RELOAD="1", PYTHONPATH=str(library)) as (server, port):
        server.says("eager starts threads when it is imported", 40)
        eventually(serves(port, "v000"), "the app after the new beginning")
        eventually(serves(port, save(app / "service.py", 1)), "the edit")


def test_the_apps_own_code_is_never_imported_ahead_not_even_by_a_library(
    env: Environment, app: Path, tmp_path: Path
) -> None:
    (tmp_path / "library").mkdir()
    (tmp_path / "library" / "plugins.py").write_text("import own\n")
    (app / "own.py").write_text("import os\nprint('own imported by', os.getpid(), flush=True)\n")
    code = (app / "service.py").read_text()
    (app / "service.py").write_text(f"import plugins  # noqa: F401\n{code}")
    path = f"{app}{os.pathsep}{tmp_path / 'library'}"
    with serving(env, app, RELOAD="1", PYTHONPATH=path) as (server, _):
        wait_for_libraries(server)
        assert server.log.count("own imported by") == 1
        assert f"own imported by {server.process.pid}\n" not in server.log


def test_one_process_serves_whatever_number_production_has(env: Environment, app: Path) -> None:
    with serving(env, app, RELOAD="1", WEB_CONCURRENCY="3") as (server, _):
        (program,) = children(server.process.pid)
        assert children(program) == []


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_a_worker_starts_again_on_a_save_and_after_it_died(
    env: Environment, tmp_path: Path
) -> None:
    shutil.copytree(FIXTURES / "command", tmp_path / "worker")
    main = tmp_path / "worker" / "ticker" / "__main__.py"
    good = main.read_text()
    command = ["reload", "--", "python", "-m", "ticker"]
    with running(command, env=env, cwd=tmp_path / "worker") as worker:
        worker.says("ticking v000")
        save(main, 1)
        worker.says("ticking v001")
        assert worker.log.index("stopped v000") < worker.log.index("ticking v001")
        main.write_text("raise SystemExit(5)\n")
        worker.says("ended with status 5")
        main.write_text(good)
        save(main, 2)
        worker.says("ticking v002")
        worker.signal()
        assert worker.ends() == 0
        assert "stopped v002" in worker.log


def test_the_signal_comes_once(env: Environment, tmp_path: Path) -> None:
    (tmp_path / "counting.py").write_text(
        "import signal, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: print('asked to end', flush=True))\n"
        "print('up', flush=True)\n"
        "time.sleep(600)\n"
    )
    command = ["reload", "--", "python", "counting.py"]
    with running(command, env=env | {"GRACEFUL_SECONDS": "1"}, cwd=tmp_path) as worker:
        worker.says("up")
        worker.signal()
        worker.ends()
        assert worker.log.count("asked to end") == 1


def test_a_program_that_ignores_the_signal_is_killed_on_a_save(
    env: Environment, tmp_path: Path
) -> None:
    stubborn = (
        "import signal, time\n"
        'VERSION = "v000"\n'
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print('up', VERSION, flush=True)\n"
        "while True: time.sleep(1)\n"
    )
    (tmp_path / "stubborn.py").write_text(stubborn)
    with running(
        ["reload", "--", "python", "stubborn.py"], env=env | {"GRACEFUL_SECONDS": "1"}, cwd=tmp_path
    ) as worker:
        worker.says("up v000")
        save(tmp_path / "stubborn.py", 1)
        worker.says("up v001")
        worker.signal()
        assert worker.ends(6) == 0
        assert "killing it" in worker.log


def test_what_the_program_started_ends_with_it(env: Environment, tmp_path: Path) -> None:
    (tmp_path / "parent.py").write_text(
        "import signal, subprocess\n"
        "child = subprocess.Popen(['sleep', '600'])\n"
        "print('child', child.pid, '.', flush=True)\n"
        "signal.pause()\n"
    )
    with running(["reload", "--", "python", "parent.py"], env=env, cwd=tmp_path) as worker:
        worker.says(" .")
        child = int(worker.log.split("child ")[1].split()[0])
        worker.signal()
        worker.ends()
        eventually(lambda: not alive(child), "the end of the child")


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_killed_reloader_takes_the_program_with_it(env: Environment, app: Path) -> None:
    with serving(env, app, RELOAD="1") as (server, port):
        server.signal(signal.SIGKILL)
        server.ends()
        eventually(lambda: fetch(port) == (0, ""), "the end of the program")


def test_the_command_sees_what_it_would_see_on_its_own(env: Environment, tmp_path: Path) -> None:
    show = (
        "import multiprocessing as processes, sys\n"
        "print(__name__, sys.argv, sys.path[0], sys.stdin.name, flush=True)\n"
        "print(sorted({'watching', 'preload', 'anyio'} & set(sys.modules)), flush=True)\n"
        "print(processes.parent_process(), processes.current_process().name, flush=True)\n"
        "processes.set_start_method('spawn')\n"
        "print('all shown', flush=True)\n"
    )
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "__main__.py").write_text(show)
    (tmp_path / "pack" / "__init__.py").touch()
    (tmp_path / "show.py").write_text(show)
    for words in (["-m", "pack", "a b", "--x"], ["show.py", "a b", "--x"]):
        alone = tmp_path / "alone"
        with running(["python", *words], env=env, cwd=tmp_path) as plain:
            plain.ends()
            alone.write_text(plain.log)
        with running(["reload", "--", "python", *words], env=env, cwd=tmp_path) as reloaded:
            reloaded.says("ended with status 0")
            assert "all shown" in alone.read_text()
            assert reloaded.log.startswith(alone.read_text())


def test_a_program_that_is_not_python_is_restarted_as_well(
    env: Environment, tmp_path: Path
) -> None:
    (tmp_path / "word.txt").write_text("one\n")
    command = ["reload", "--", "bash", "-c", "cat word.txt; exec sleep 600"]
    with running(command, env=env, cwd=tmp_path) as worker:
        worker.says("one")
        (tmp_path / "word.txt").write_text("two\n")
        worker.says("two")


def test_a_newly_installed_library_is_the_one_that_is_used(
    env: Environment, tmp_path: Path
) -> None:
    packages = tmp_path / "lib" / "site-packages"
    packages.mkdir(parents=True)
    (packages / "library.py").write_text("version = 'old'\n")
    work = tmp_path / "work"
    work.mkdir()
    (work / "main.py").write_text(
        "import library, signal\nprint('library', library.version, flush=True)\nsignal.pause()\n"
    )
    env |= {"PYTHONPATH": str(packages)}
    with running(["reload", "--", "python", "main.py"], env=env, cwd=work) as worker:
        worker.says("library old")
        wait_for_libraries(worker)
        (packages / "library.py").unlink()
        (packages / "library.py").write_text("version = 'new and longer'\n")
        (work / "main.py").write_text((work / "main.py").read_text() + "\n")
        worker.says("library new")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--watch", "/no/such/folder", "--", "true"], "/no/such/folder"),
        ([], "command"),
        (["--port", "x", "--", "true"], "--port"),
    ],
)
def test_wrong_use_is_told(script: Script, words: list[str], told: str) -> None:
    done = script("reload", *words)
    assert done.status == 2
    assert told in done.err
