"""The process beside one service: starts it, probes it, starts it again, keeps its log small.

Run as a script with the service's folder as its argument; the standard library is all it needs.

There, ``spec.json`` says what to run; ``state.json`` is what is known of it; ``log`` (and
``log.1``) is what it wrote, each line with its time; a word in the pipe ``control`` (stop or kill)
ends it. The file ``lock`` is locked from before the first start until the last process of the
service has ended: it is inherited, and so it is the one true answer to "does it run?".
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time

# Seconds before a start that follows a failure: at first, and at most; a service that ran for
# CALM seconds begins at the first again.
FIRST_PAUSE, LONGEST_PAUSE, CALM = 0.1, 60.0, 10.0
# Seconds in which a lock that somebody only looks at is free again.
GLANCE = 1.0
# Seconds that a service gets to end by itself when it is to be killed: PostgreSQL takes 0.02, and
# what it shares memory by would stay behind for ever. A container's goes with the container.
LAST_MOMENT = 0.25
# Seconds between probes of a service that starts, at most.
STARTING = 0.1
HEALTH_LOG = 5
HEALTH_OUTPUT = 4096


def now() -> float:
    """Return the time of day in seconds since the epoch."""
    return time.time()


class Log:
    """A file of at most ``limit`` bytes, and one more with what came before."""

    def __init__(self, path: str, limit: int) -> None:
        self._path, self._limit = path, limit
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._size = os.fstat(self._file).st_size
        self._rest = b""

    def feed(self, data: bytes) -> None:
        """Write down what is complete of what a service wrote."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > 65536:
            lines.append(self._rest)
            self._rest = b""
        if not lines:
            return
        moment = now()
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment))
        prefix = f"{stamp}.{int(moment % 1 * 1000):03d}Z ".encode()
        self._write(b"".join(prefix + line + b"\n" for line in lines))

    def end(self) -> None:
        """Write down a last line that has no end."""
        if self._rest:
            self.feed(b"\n")

    def _write(self, data: bytes) -> None:
        while len(data) > self._limit:
            end = data.rfind(b"\n", 0, self._limit) + 1 or self._limit
            self._write(data[:end])
            data = data[end:]
        if self._size + len(data) > self._limit:
            self._begin_anew()
        try:
            os.write(self._file, data)
            self._size += len(data)
        except OSError:
            # A full disk must not end the service; what it says is lost, and the state says so.
            self._size += len(data)

    def _begin_anew(self) -> None:
        """Keep what is written as ``.1`` and go on in an empty file; a reader always finds both."""
        fresh, kept = self._path + ".new", self._path + ".kept"
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND
        file = os.open(fresh, flags, 0o600)
        os.link(self._path, kept)
        os.replace(kept, self._path + ".1")
        os.replace(fresh, self._path)
        os.close(self._file)
        self._file, self._size = file, 0


class Monitor:
    """One service, from its first start to its end."""

    def __init__(self, folder: str) -> None:
        os.chdir(folder)
        with open("spec.json", encoding="utf-8") as file:
            self.spec = json.load(file)
        self.state: dict[str, object] = {}
        self.log = Log("log", self.spec["log_bytes"])
        self.process: subprocess.Popen[bytes] | None = None
        self.stopping = False
        self.changed = threading.RLock()
        self.wake_read, self.wake_write = os.pipe()
        os.set_blocking(self.wake_read, False)
        os.set_blocking(self.wake_write, False)
        # Open for both, so that it neither blocks nor ends when the last writer has gone.
        self.control = os.open("control", os.O_RDWR | os.O_NONBLOCK)

    # -- what others see --------------------------------------------------------------------------

    def tell(self, **changes: object) -> None:
        """Write the state down, whole or not at all."""
        with self.changed:
            self.state |= changes
            try:
                with open("state.json.new", "w", encoding="utf-8") as file:
                    json.dump(self.state, file)
                os.replace("state.json.new", "state.json")
            except OSError:
                self.tell_in_place()

    def tell_in_place(self) -> None:
        """Write what fits into the room that the file has already: the disk is full."""
        try:
            with open("state.json", "r+", encoding="utf-8") as file:
                json.dump({**self.state, "health_log": []}, file)
                file.truncate()
        except OSError:
            return

    # -- one run ----------------------------------------------------------------------------------

    def start(self) -> subprocess.Popen[bytes] | None:
        """Start the service, whose output comes back through a pipe; None where that fails."""
        self.output, write = os.pipe()
        os.set_blocking(self.output, False)
        try:
            process = subprocess.Popen(
                self.spec["argv"],
                cwd=self.spec["cwd"],
                env=self.spec["environment"],
                stdin=subprocess.DEVNULL,
                stdout=write,
                stderr=write,
                process_group=0,
                pass_fds=[LOCK],
            )
        except OSError as error:
            name = error.filename or self.spec["argv"][0]
            self.log.feed(f"gangway: cannot start {name}: {error.strerror}\n".encode())
            return None
        finally:
            os.close(write)
        self.process = process
        self.tell(
            state="running",
            health="starting" if self.spec["healthcheck"] else "",
            pid=process.pid,
            started=now(),
            exit_code=0,
            health_log=[],
        )
        if self.spec["healthcheck"]:
            threading.Thread(target=self.probe, args=(process,), daemon=True).start()
        return process

    def run_once(self) -> int:
        """Run the service to its end; return its exit status."""
        process = self.start()
        if process is None:
            os.close(self.output)
            return 127
        deadline = 0.0
        if self.stopping:
            deadline = self.ask_to_end(process)
        descriptors = [self.output, self.control, self.wake_read]
        while not ended(process.pid):
            left = max(0.0, deadline - time.monotonic()) if deadline else None
            ready, _, _ = select.select(descriptors, [], [], left)
            if self.output in ready and not self.pump():
                descriptors.remove(self.output)
            if self.ordered_to_stop(ready) and not deadline:
                deadline = self.ask_to_end(process)
            if deadline and time.monotonic() >= deadline:
                kill_group(process)
                deadline = time.monotonic() + 3600
        # What the leader left behind goes with it; its number is ours until it is waited for.
        kill_group(process)
        self.process = None
        status = process.wait()
        while self.output in descriptors and self.pump():
            pass
        os.close(self.output)
        self.log.end()
        return 128 - status if status < 0 else status

    def pump(self) -> bool:
        """Take over what the service wrote; return False at the end of it."""
        try:
            data = os.read(self.output, 65536)
        except BlockingIOError:
            return self.process is not None
        self.log.feed(data)
        return bool(data)

    def ordered_to_stop(self, ready: list[int]) -> bool:
        """Read the control pipe; return whether an order to stop was there, now or before."""
        if self.wake_read in ready:
            os.read(self.wake_read, 512)
        if self.control in ready:
            words = os.read(self.control, 512)
            self.stopping = self.stopping or b"stop" in words or b"kill" in words
            if b"kill" in words:
                self.spec["stop_seconds"] = min(self.spec["stop_seconds"], LAST_MOMENT)
        return self.stopping

    def ask_to_end(self, process: subprocess.Popen[bytes]) -> float:
        """Send the leader the stop signal; return when it must have ended."""
        self.tell(state="stopping")
        # Our own child, not yet waited for: the number can't be another's.
        process.send_signal(self.spec["stop_signal"])
        return time.monotonic() + float(self.spec["stop_seconds"])

    # -- health -----------------------------------------------------------------------------------

    def probe(self, process: subprocess.Popen[bytes]) -> None:
        """Run the health check as Compose describes it for as long as ``process`` runs."""
        check = self.spec["healthcheck"]
        began, failures, health = time.monotonic(), 0, "starting"
        outputs: list[dict[str, object]] = []
        # The first one at once: a start that takes 100 ms shouldn't be seen after 200.
        pause = 0.02
        while self.process is process:
            time.sleep(pause)
            status, output = self.run_probe(check)
            outputs = [*outputs[-HEALTH_LOG + 1 :], {"exit_code": status, "output": output}]
            in_start = time.monotonic() - began < check["start_period"]
            if status == 0:
                failures, health = 0, "healthy"
            elif health != "starting" or not in_start:
                failures += 1
                if failures >= check["retries"]:
                    health = "unhealthy"
            with self.changed:
                # Of this run, or not at all: it may have ended meanwhile, and the next begun.
                if self.process is not process or self.state.get("state") != "running":
                    return
                self.tell(health=health, health_log=outputs)
            if health == "starting" and in_start:
                # It costs a few milliseconds here, not a container's start.
                pause = min(check["start_interval"], STARTING, 0.05 + pause)
            else:
                pause = check["interval"]

    def run_probe(self, check: dict[str, object]) -> tuple[int, str]:
        """Return the status and the last output of one run of the health check."""
        try:
            done = subprocess.run(
                check["argv"],  # type: ignore[call-overload]
                cwd=self.spec["cwd"],
                env=self.spec["environment"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=check["timeout"],
                check=False,
            )
        except subprocess.TimeoutExpired:
            return 124, f"no end within {check['timeout']} s"
        except OSError as error:
            return 126, f"cannot run it: {error.strerror}"
        return done.returncode, done.stdout[-HEALTH_OUTPUT:].decode(errors="replace").strip()

    # -- the whole life ---------------------------------------------------------------------------

    def life(self) -> None:
        """Run the service, again and again where its restart policy says so."""
        policy, _, limit = str(self.spec["restart"]).partition(":")
        restarts, pause = 0, FIRST_PAUSE
        while True:
            began = time.monotonic()
            status = self.run_once()
            if time.monotonic() - began > CALM:
                pause = FIRST_PAUSE
            again = policy in ("always", "unless-stopped") or (
                policy == "on-failure" and status != 0 and (not limit or restarts < int(limit))
            )
            if self.stopping or not again:
                self.tell(state="exited", health="", exit_code=status, pid=0, ended=now())
                return
            restarts += 1
            self.tell(state="restarting", exit_code=status, pid=0, restarts=restarts)
            if self.stopped_within(pause):
                self.tell(state="exited", health="", ended=now())
                return
            pause = min(pause * 2, LONGEST_PAUSE)

    def stopped_within(self, seconds: float) -> bool:
        """Wait; return early, and True, when the order to stop comes."""
        deadline = time.monotonic() + seconds
        while not self.stopping and (left := deadline - time.monotonic()) > 0:
            # Children that end, probes among them, wake it up, too.
            ready, _, _ = select.select([self.control, self.wake_read], [], [], left)
            self.ordered_to_stop(ready)
        return self.stopping

    def on_signal(self, *_: object) -> None:
        """Take a SIGTERM for an order to stop."""
        self.stopping = True


def kill_group(leader: subprocess.Popen[bytes]) -> None:
    """Kill every process of a group whose leader hasn't been waited for."""
    try:
        os.killpg(leader.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return


def ended(pid: int) -> bool:
    """Say whether a child has ended, without taking its number from it."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


LOCK = -1


def locked(file: int) -> bool:
    """Lock a file for good; return False where another monitor, or a service, has it."""
    deadline = time.monotonic() + GLANCE
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            # Whoever asks "does it run?" has it for a moment.
            if time.monotonic() > deadline:
                return False
            time.sleep(0.001)
        else:
            return True


def main(folder: str) -> int:
    """Supervise the service in a folder; return 3 where another does, 4 where it can't write."""
    global LOCK  # noqa: PLW0603 - inherited by the service, and so never closed
    os.umask(0o077)
    LOCK = os.open(os.path.join(folder, "lock"), os.O_RDWR | os.O_CREAT, 0o600)
    if not locked(LOCK):
        return 3
    monitor = Monitor(folder)
    signal.set_wakeup_fd(monitor.wake_write)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, monitor.on_signal)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    monitor.tell(state="created", monitor=os.getpid(), restarts=0)
    if not os.path.exists("state.json"):
        return 4
    monitor.life()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
