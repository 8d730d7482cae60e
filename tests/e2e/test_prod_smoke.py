"""Production: refuses weak secrets, ships hardened containers, scales, and stops without a cut."""

from __future__ import annotations

import json
import re
import socket
import stat
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx
import pytest

from tests.e2e import production
from tests.e2e.conftest import MakeCheckout
from tests.e2e.support import (
    Checkout,
    add_by_page,
    docker,
    eventually,
    get,
    habits,
    inspect,
    one_message,
    web,
)

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]

SECRETS = ("postgres_password", "redis_password", "secret_key")
#: What an app container is allowed to take for its end (stop_grace_period).
GRACE = 10.0


@dataclass(frozen=True)
class Stack:
    """The running stack that the tests of this file share."""

    checkout: Checkout
    url: str
    secrets: dict[str, str]


@pytest.fixture(scope="module")
def bare(make_checkout: MakeCheckout) -> Checkout:
    """A checkout in which nothing has been done yet."""
    return make_checkout()


@pytest.fixture(scope="module")
def stack(bare: Checkout) -> Stack:
    bare.succeed("prod.init")
    bare.succeed("prod.build")
    bare.succeed("prod.up", "--ports", "auto")
    urls = bare.urls("prod")
    assert set(urls) == {"nginx"}
    return Stack(bare, urls["nginx"], production.read_secrets(bare, "prod"))


@pytest.fixture
def checkout(stack: Stack) -> Checkout:
    return stack.checkout


@pytest.fixture
def client(stack: Stack) -> Iterator[httpx.Client]:
    """A client of the proxy: pages at /, the api at /api/."""
    with web(stack.url) as client:
        yield client


class TestSecrets:
    """First: before there is a stack."""

    def test_without_secrets_it_does_not_start(self, bare: Checkout) -> None:
        message = one_message(bare.invoke("prod.up"))
        for secret in SECRETS:
            assert f"secrets/prod/{secret}" in message
        assert "invoke prod.init" in message
        assert not docker("ps", "-aq", "--filter", f"name={bare.prefix}").stdout

    def test_bad_secrets_are_all_named_at_once(self, bare: Checkout) -> None:
        bare.succeed("prod.init")
        folder = bare.root / "secrets/prod"
        before = {name: (folder / name).read_text(encoding="utf-8") for name in SECRETS}
        (folder / "postgres_password").write_text("gangway\n", encoding="utf-8")
        (folder / "redis_password").write_text("short\n", encoding="utf-8")
        (folder / "secret_key").write_text("", encoding="utf-8")
        (folder / "secret_key").chmod(0o644)
        try:
            message = one_message(bare.invoke("prod.up"))
            weak = one_message(bare.invoke("prod.up", "-e", "SECRET_KEY=only-for-development"))
        finally:
            for name, text in before.items():
                (folder / name).write_text(text, encoding="utf-8")
            (folder / "secret_key").chmod(0o600)
        for expected in (
            r"postgres_password: .* default value that everybody knows",
            r"redis_password: .* 5 characters",
            r"secret_key: it is empty",
            r"secret_key: others can read it \(mode 0644\)",
        ):
            assert re.search(expected, message), message
        assert message.startswith("error: 4 things to fix")
        assert "SECRET_KEY is a secret, and read from a file" in weak and "command line" in weak
        assert not docker("ps", "-aq", "--filter", f"name={bare.prefix}").stdout

    def test_init_makes_strong_files_for_one_reader_and_keeps_them(self, bare: Checkout) -> None:
        first = bare.succeed("prod.init")
        folder = bare.root / "secrets/prod"
        values = production.read_secrets(bare, "prod")
        assert set(values) == set(SECRETS)
        assert len(set(values.values())) == 3 and min(map(len, values.values())) >= 32
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
        second = bare.succeed("prod.init")
        assert production.read_secrets(bare, "prod") == values
        assert second.stdout.count("kept") == 3
        assert not [value for value in values.values() if value in first.stdout + first.stderr]


class TestThroughTheProxy:
    def test_what_is_written_outlives_restart_and_down(
        self, stack: Stack, checkout: Checkout, client: httpx.Client
    ) -> None:
        page = add_by_page(client, "Outlive a restart")
        assert page.status_code == 200 and "Outlive a restart" in page.text
        assert "Outlive a restart" in habits(client, "/api/habits")
        before = checkout.ids("prod")
        checkout.succeed("prod.restart")
        stayed = {key.split()[0] for key in before.keys() & checkout.ids("prod").keys()}
        assert stayed == {"nginx", "postgres", "redis"}
        eventually(lambda: listed(stack.url, "Outlive a restart"), within=30)
        # The session's cookie was signed before the restart, and still counts.
        assert add_by_page(client, "Outlive a down").status_code == 200
        checkout.succeed("prod.down")
        checkout.succeed("prod.up")
        assert {"Outlive a restart", "Outlive a down"} <= habits(client, "/api/habits")
        assert "Outlive a down" in client.get("/").text

    def test_pages_and_api_know_their_public_address(
        self, stack: Stack, client: httpx.Client
    ) -> None:
        assert client.get("/static/style.css").headers["Content-Type"].startswith("text/css")
        # Only where API_DOCS asks for them.
        for path in ("/api/docs", "/api/redoc", "/api/openapi.json"):
            assert client.get(path).status_code == 404
        moved = client.post("/habits", data={"name": "no token"})
        assert moved.status_code == 400
        assert "gunicorn" not in client.get("/").headers.get("Server", "")

    def test_aids_for_tests_are_not_shipped(self, client: httpx.Client) -> None:
        assert client.get("/api/slow").status_code == 404

    def test_a_body_that_is_too_large_is_refused_by_the_proxy(self, client: httpx.Client) -> None:
        answer = client.post("/api/habits", content=b"x" * (11 * 1024 * 1024))
        assert answer.status_code == 413


def listed(url: str, name: str) -> bool:
    """Say whether page and api both show a habit; they come back one after the other."""
    answers = [get(f"{url}/"), get(f"{url}/api/habits")]
    return all(each and each.status_code == 200 and name in each.text for each in answers)


class TestShipped:
    def test_every_container_is_hardened(self, checkout: Checkout) -> None:
        found = production.by_service(checkout, "prod")
        assert set(found) == production.SERVICES
        wrong = [fault for name in found for fault in production.faults(name, found[name])]
        assert wrong == []

    def test_no_process_is_root_s(self, checkout: Checkout) -> None:
        for record in checkout.containers("prod"):
            if record["State"]["Running"]:
                # Numbers, because a name is the host's for that number.
                lines = docker("top", record["Id"], "-eo", "uid,pid,args").stdout.splitlines()[1:]
                assert lines, record["Name"]
                assert not [line for line in lines if line.split()[0] == "0"], record["Name"]

    def test_nothing_can_be_written_but_where_it_must(self, checkout: Checkout) -> None:
        for service in ("api", "app", "scheduler", "nginx", "postgres", "redis"):
            script = "touch /srv/app/x /usr/x /etc/x /opt/x; touch /tmp/x"
            done = checkout.invoke("prod.exec", service, "--", "sh", "-c", script)
            assert done.status == 0, f"/tmp is not writable in {service}: {done.text}"
            refused = [line for line in done.stderr.splitlines() if line.startswith("touch:")]
            assert len(refused) == 4, done.text

    def test_no_secret_can_be_read_outside_its_file(self, stack: Stack) -> None:
        assert production.exposures(stack.checkout, "prod", stack.secrets) == []

    def test_each_service_gets_only_the_secrets_that_its_app_may_read(
        self, checkout: Checkout
    ) -> None:
        # What is in one that nobody has given is nothing.
        look = ["sh", "-c", "find /run/secrets -type f -size +0 2>/dev/null || true"]
        found = {
            name: {
                path.rpartition("/")[2]
                for path in docker("exec", record["Id"], *look).stdout.splitlines()
            }
            for name, record in production.by_service(checkout, "prod").items()
            if record["State"]["Running"]
        }
        assert found == {
            "postgres": {"postgres_password"},
            "redis": {"redis_password"},
            "api": {"postgres_password", "redis_password", "secret_key"},
            "app": {"secret_key"},
            "scheduler": {"postgres_password"},
            "nginx": set(),
        }

    def test_the_data_stores_have_no_way_out(self, checkout: Checkout) -> None:
        project = checkout.project("prod")
        (network,) = inspect([f"{project}_data"])
        assert network["Internal"] is True
        for service in ("postgres", "redis"):
            (record,) = checkout.containers("prod", service)
            assert set(record["NetworkSettings"]["Networks"]) == {f"{project}_data"}
            routes = docker("exec", record["Id"], "cat", "/proc/net/route").stdout.splitlines()[1:]
            assert routes
            assert not [line for line in routes if line.split()[1] == "00000000"], routes

    def test_the_data_is_durable(self, checkout: Checkout) -> None:
        settings = "select string_agg(name || '=' || setting, ' ' order by name) from pg_settings"
        names = "name in ('fsync', 'full_page_writes', 'synchronous_commit')"
        found = checkout.sql("prod", f"{settings} where {names}")
        assert found == "fsync=on full_page_writes=on synchronous_commit=on"

    @pytest.mark.parametrize("service", ["api", "app", "scheduler"])
    def test_the_image_has_no_compiler_cache_or_tests(
        self, checkout: Checkout, service: str
    ) -> None:
        (record,) = checkout.containers("prod", service)
        script = (
            "for tool in gcc cc g++ make uv git curl; do command -v $tool; done;"
            "ls -d /root/.cache/* /var/lib/apt/lists/*_* /var/cache/apt/*.bin /tmp/* 2>/dev/null;"
            "find / -xdev \\( -path '*/tests/*' -o -name 'test_*.py' -o -name conftest.py"
            " -o -name .git -o -name '*.env' \\)"
            " -not -path '/usr/lib/*' -not -path '/proc/*' -not -path '/opt/venv/*' 2>/dev/null;"
            " true"
        )
        done = docker(
            *("run", "--rm", "--user", "0", "--network", "none", "--entrypoint", "sh"),
            *(record["Image"], "-c", script),
        )
        assert done.status == 0, done.text
        assert done.stdout.split() == []


@dataclass
class Load:
    """Readers that send requests through the proxy one after the other, and count the answers."""

    url: str
    path: str
    answers: Counter[str] = field(default_factory=Counter)
    refused: list[str] = field(default_factory=list)
    """The marks of those that got a 502."""

    @contextmanager
    def running(self, readers: int = 4) -> Iterator[Load]:
        """Send requests while the block lasts."""
        stop = threading.Event()
        with ThreadPoolExecutor(readers) as pool:
            work = [pool.submit(self._read, stop) for _ in range(readers)]
            try:
                eventually(lambda: self.answers.total() > 20, within=20, what="requests")
                yield self
                seen = self.answers.total()
                eventually(lambda: self.answers.total() > seen + 20, within=20, what="requests")
            finally:
                stop.set()
            for each in work:
                each.result()

    def _read(self, stop: threading.Event) -> None:
        with web(self.url) as client:
            while not stop.is_set():
                try:
                    mark, answer = production.ask(client, self.path)
                    if answer.status_code == 502:
                        self.refused.append(mark)
                    if answer.status_code == 200:
                        # A body that was cut is no JSON, or shorter than was said.
                        answer.json()
                    self.answers[str(answer.status_code)] += 1
                except (httpx.TransportError, ValueError) as error:
                    self.answers[repr(error)] += 1
                time.sleep(0.02)

    def check(self, checkout: Checkout) -> None:
        """Expect a 200 for every request, or else a 502 that Docker's name server has caused."""
        complaints = "\n".join(production.proxy_errors(checkout, "prod"))
        assert self.answers["200"] and set(self.answers) <= {"200", "502"}, (
            f"{self.answers}\n{complaints}"
        )
        production.blame(checkout, "prod", "api", self.refused)


def test_a_source_that_changed_since_the_build_is_named(checkout: Checkout) -> None:
    path = "apps/api/api/main.py"
    before = checkout.ids("prod")
    with checkout.edited(path, "app = FastAPI(", "app  = FastAPI("):
        said = checkout.succeed("prod.up").stderr
    assert f"{path} changed after" in said and "invoke prod.deploy" in said
    assert "changed after" not in checkout.succeed("prod.up").stderr
    # It runs what it ran.
    assert checkout.ids("prod") == before


def scaled(stack: Stack, replicas: int) -> None:
    """Have so many apis, and a proxy that knows them."""
    stack.checkout.succeed("prod.scale", f"api={replicas}")
    assert len(stack.checkout.containers("prod", "api")) == replicas
    settled(stack)


def settled(stack: Stack) -> None:
    production.settled(stack.checkout, "prod", stack.url, "api", "/api/health")


class TestScale:
    def test_three_apis_share_the_requests_and_stay_three(
        self, stack: Stack, checkout: Checkout, client: httpx.Client
    ) -> None:
        scaled(stack, 3)
        three = {record["Id"][:12] for record in checkout.containers("prod", "api")}
        asked = [production.ask(client, "/api/health") for _ in range(90)]
        assert {answer.status_code for _, answer in asked} == {200}
        shares = production.answerers(checkout, "prod", "api", [mark for mark, _ in asked])
        assert set(shares) == three and min(shares.values()) >= 10, shares
        before = checkout.ids("prod")
        checkout.succeed("prod.up")
        assert checkout.ids("prod") == before

    def test_a_container_that_stops_under_load_costs_no_reader_an_answer(
        self, stack: Stack, checkout: Checkout
    ) -> None:
        """Every GET gets a whole 200 from the proxy, while each of three apis stops and starts."""
        scaled(stack, 3)
        with Load(stack.url, "/api/habits").running() as load:
            for record in checkout.containers("prod", "api"):
                stopped = docker("stop", record["Id"])
                assert stopped.seconds < GRACE, f"{stopped.seconds:.1f} s"
                (state,) = [each["State"] for each in inspect([record["Id"]])]
                assert state["ExitCode"] == 0, state
                docker("start", record["Id"])
                eventually(lambda: healthy(record["Id"]), within=30)  # noqa: B023
        load.check(checkout)
        production.own_up(len(load.refused), "api")

    def test_scaling_down_under_load_costs_no_reader_an_answer(
        self, stack: Stack, checkout: Checkout
    ) -> None:
        scaled(stack, 3)
        began = time.time()
        with Load(stack.url, "/api/habits").running() as load:
            checkout.succeed("prod.scale", "api=1")
            eventually(lambda: len(checkout.containers("prod", "api")) == 1, within=20)
        load.check(checkout)
        assert exit_codes(checkout, "api", since=began) == {"0": 3}
        settled(stack)
        production.own_up(len(load.refused), "api")

    def test_the_last_replica_serves_though_the_proxy_has_only_just_seen_it_fail(
        self, stack: Stack, checkout: Checkout, client: httpx.Client
    ) -> None:
        """A replica refuses while it starts; it counts again from its first healthy instant."""
        scaled(stack, 3)
        last, *others = (record["Id"] for record in checkout.containers("prod", "api"))
        with Load(stack.url, "/api/habits").running() as load:
            docker("restart", last)
            # By then the proxy has asked for the replicas again, and was told of this one.
            told = time.monotonic() + 1.5
            address = f"//{address_of(last)}:8000/"
            refused = complaints(checkout, address)

            def known() -> bool:
                mark, _ = production.ask(client, "/api/health")
                tried = complaints(checkout, address) > refused and time.monotonic() > told
                return tried or last[:12] in production.answerers(checkout, "prod", "api", [mark])

            eventually(known, within=20, what="a try of the replica that comes back")
            eventually(lambda: healthy(last), within=30)
            docker("stop", *others)
        load.check(checkout)
        # So that whichever one stays when there are fewer is known to the proxy all the time.
        docker("start", *others)
        eventually(lambda: all(healthy(each) for each in others), within=30)
        settled(stack)
        scaled(stack, 1)
        production.own_up(len(load.refused), "api")


def address_of(container: str) -> str:
    """Return the address that the proxy reaches a container by."""
    (record,) = inspect([container])
    networks = record["NetworkSettings"]["Networks"].items()
    (address,) = (each["IPAddress"] for name, each in networks if name.endswith("_web-none"))
    return str(address)


def complaints(checkout: Checkout, of: str) -> int:
    """Return how often the proxy complained of something."""
    return sum(of in line for line in production.proxy_errors(checkout, "prod"))


def healthy(container: str) -> bool:
    (record,) = inspect([container])
    return bool(record["State"]["Health"]["Status"] == "healthy")


def exit_codes(checkout: Checkout, service: str = "", *, since: float) -> Counter[str]:
    """Return how many containers ended with each status since then, by the engine's events."""
    label = f"label=com.docker.compose.project={checkout.project('prod')}"
    filters = ["--filter", label, "--filter", "event=die"]
    if service:
        filters += ["--filter", f"label=com.docker.compose.service={service}"]
    times = ("--since", f"{since:.3f}", "--until", f"{time.time():.3f}")
    lines = docker("events", *times, *filters, "--format", "{{json .}}").stdout.splitlines()
    return Counter(json.loads(line)["Actor"]["Attributes"]["exitCode"] for line in lines)


class TestTasks:
    def test_a_binary_dump_through_the_task_is_whole(self, checkout: Checkout) -> None:
        dump = checkout.home / "stack.dump"
        task = '"$@" -m invoke prod.exec postgres --'
        made = f"{task} pg_dump -Fc -U gangway gangway > {dump}"
        read = f"{task} pg_restore --list < {dump}"
        for command in (made, read):
            done = checkout.run("sh", "-c", command, "sh", *checkout.user.python)
            assert done.status == 0, done.text
        assert dump.read_bytes().startswith(b"PGDMP")
        assert "TABLE DATA public habits" in done.stdout

    def test_nothing_that_has_ended_stays_as_a_zombie(self, checkout: Checkout) -> None:
        """The init takes in what a program leaves behind."""
        leave = "(sleep 0.1 &) ; exec sleep 0.3"
        for _ in range(3):
            checkout.succeed("prod.exec", "api", "--", "sh", "-c", leave)
        count = "cat /proc/[0-9]*/stat | cut -d' ' -f3 | grep -c Z || true"
        assert checkout.succeed("prod.exec", "api", "--", "sh", "-c", count).stdout == "0\n"


class TestEgress:
    """What a container reaches: its neighbours, and by default nothing else."""

    def test_an_app_reaches_its_neighbours_alone(self, checkout: Checkout) -> None:
        with listening() as port:
            places = outside(checkout, port)
            answers = reached(checkout, "api", *places, "postgres:5432", "redis:6379")
            assert [place for place in places if answers[place]] == []
            assert answers["postgres:5432"] and answers["redis:6379"]
            assert not any(reached(checkout, "scheduler", *places).values())

    def test_with_egress_open_it_reaches_this_machine(self, checkout: Checkout) -> None:
        checkout.succeed("prod.up", "-e", "EGRESS=open")
        try:
            with listening() as port:
                assert any(reached(checkout, "api", *outside(checkout, port)).values())
        finally:
            checkout.succeed("prod.up")


@contextmanager
def listening() -> Iterator[int]:
    """Answer on a port of every address of this machine."""
    with socket.create_server(("0.0.0.0", 0), backlog=64) as server:
        yield int(server.getsockname()[1])


def outside(checkout: Checkout, port: int) -> list[str]:
    """Return what is outside: a cloud's metadata, the internet, a port at the host's addresses."""
    networks = docker("network", "ls", "--format", "{{.Name}}").stdout.split()
    own = [
        name for name in networks if name.startswith(checkout.project("prod")) or name == "bridge"
    ]
    gateway = "{{range .IPAM.Config}}{{.Gateway}}{{end}}"
    hosts = docker("network", "inspect", "--format", gateway, *own).stdout.split()
    assert len(hosts) == len(own) > 3
    return ["169.254.169.254:80", "192.0.2.1:80", *(f"{host}:{port}" for host in hosts)]


def reached(checkout: Checkout, service: str, *places: str) -> dict[str, bool]:
    """Return for each HOST:PORT whether the service's container gets a connection."""
    program = """
import json, socket, sys
found = {}
for place in sys.argv[1:]:
    host, port = place.split(":")
    try:
        socket.create_connection((host, int(port)), 2).close()
        found[place] = True
    except OSError:
        found[place] = False
print(json.dumps(found))
"""
    done = checkout.succeed("prod.exec", service, "--", "python", "-c", program, *places)
    found: dict[str, bool] = json.loads(done.stdout)
    return found


class TestStop:
    """Last: these take the stack down."""

    def test_requests_that_were_accepted_are_answered_before_the_api_ends(
        self, stack: Stack, checkout: Checkout, client: httpx.Client
    ) -> None:
        """Five requests hang in the database while SIGTERM comes: each gets its whole 200."""
        scaled(stack, 1)
        made = client.post("/api/habits", json={"name": "Hang on"}).raise_for_status()
        habit = made.json()["id"]
        lock = "begin; lock table habits in access exclusive mode; select pg_sleep(4); commit"
        with (
            checkout.started("prod.psql", "--", "-c", lock),
            ThreadPoolExecutor(6) as pool,
        ):
            eventually(lambda: locks(checkout, "granted") > 0, within=20)
            asked = [pool.submit(ask, stack.url, habit) for _ in range(5)]
            eventually(lambda: locks(checkout, "not granted") == 5, within=20)
            (record,) = checkout.containers("prod", "api")
            stopping: Future[float] = pool.submit(stop, record["Id"])
            assert [each.result() for each in asked] == [200] * 5
            assert stopping.result() < GRACE
        (after,) = inspect([record["Id"]])
        assert after["State"]["ExitCode"] == 0
        checkout.succeed("prod.up")
        # While no api ran, the name server was right to know none.
        settled(stack)
        assert client.get(f"/api/habits/{habit}").status_code == 200

    def test_the_whole_stack_stops_inside_its_grace_period(self, checkout: Checkout) -> None:
        began = time.time()
        done = checkout.succeed("prod.down")
        assert done.seconds < 3 * GRACE
        codes = exit_codes(checkout, since=began)
        assert "137" not in codes and codes.total() == 6, codes
        assert checkout.leftovers("prod") == checkout.volumes("prod", *production.VOLUMES)


def ask(url: str, habit: int) -> int:
    with web(url) as client:
        answer = client.get(f"/api/habits/{habit}")
        answer.json()
        return answer.status_code


def stop(container: str) -> float:
    return docker("stop", container).seconds


def locks(checkout: Checkout, state: str) -> int:
    """Return how many hold, or wait for, a lock on the table of habits."""
    found = checkout.sql(
        "prod",
        "select count(*) from pg_locks where relation = (select oid from pg_class"
        f" where relname = 'habits') and {state} and pid <> pg_backend_pid()",
    )
    return int(found)
