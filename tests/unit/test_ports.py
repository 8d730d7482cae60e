"""Ports, with real sockets: who has one, what is free, and a block that stays a block."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from gangway.base.errors import GangwayError
from gangway.settings import contract, ports
from gangway.settings.environment import load
from tests.unit.conftest import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.conftest import Checkout

LOCAL = "127.0.0.1"
EVERYWHERE = "0.0.0.0"
# What Gangway itself publishes in development, besides the services.
DEBUGGING = {5678}


@contextmanager
def listening(host: str = LOCAL, port: int = 0) -> Iterator[int]:
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((host, port))
        server.listen()
        yield server.getsockname()[1]


@pytest.mark.parametrize("there", [LOCAL, EVERYWHERE])
@pytest.mark.parametrize("wanted", [LOCAL, EVERYWHERE])
def test_a_port_is_taken_while_somebody_listens_and_free_afterwards(
    there: str, wanted: str
) -> None:
    with listening(there) as port:
        assert not ports.is_free(port, wanted)
    assert ports.is_free(port, wanted)


def test_connections_that_just_ended_do_not_take_a_port() -> None:
    with listening() as port:
        server = socket.create_connection((LOCAL, port))
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((LOCAL, port))
        listener.listen()
        client = socket.create_connection((LOCAL, port))
        accepted, _ = listener.accept()
        accepted.close()  # this side closes first and is left in TIME_WAIT
        assert client.recv(1) == b""
        client.close()
    server.close()
    with socket.socket() as careless, pytest.raises(OSError, match="in use"):
        careless.bind((LOCAL, port))
    assert ports.is_free(port)


def test_an_address_of_another_machine_is_one_clear_message() -> None:
    with pytest.raises(GangwayError, match=r"192\.0\.2\.1 is not an address of this machine"):
        ports.is_free(8000, "192.0.2.1")
    with pytest.raises(GangwayError, match="localhst is not an address"):
        ports.is_free(8000, "localhst")


def test_a_block_moves_all_ports_by_one_distance(tmp_path: Path) -> None:
    wanted = {"API": 8000, "APP": 5000, "DB": 5432}
    block = ports.free_block(tmp_path, wanted)
    distances = {block[name] - port for name, port in wanted.items()}
    assert len(distances) == 1
    (distance,) = distances
    assert distance > 0
    assert distance % 10 == 0
    assert all(ports.is_free(port) for port in block.values())


def test_a_block_is_the_checkouts_own_and_the_same_each_time(tmp_path: Path) -> None:
    def start(name: str) -> int:
        return ports.free_block(tmp_path / name, {"A": 8000}, reserved=(), free=lambda *_: True)[
            "A"
        ]

    names = [f"checkout{number}" for number in range(8)]
    assert [start(name) for name in names] == [start(name) for name in names]
    assert len({start(name) for name in names}) > 4


def test_a_block_with_a_port_that_is_taken_is_skipped(tmp_path: Path) -> None:
    wanted = {"A": 8000, "B": 5000}
    first = ports.free_block(tmp_path, wanted, reserved=())
    with listening(port=first["B"]):
        second = ports.free_block(tmp_path, wanted, reserved=())
    assert not set(first.values()) & set(second.values())
    third = ports.free_block(tmp_path, wanted, reserved={first["A"], second["B"]})
    assert not set(third.values()) & {*first.values(), *second.values()}


def test_ports_of_environments_that_do_not_run_are_left_alone(checkout: Checkout) -> None:
    root = checkout(
        {
            "env/contract.yml": "groups: {}",
            "env/dev.env": "ENVIRONMENT=development\nPUBLISHED_API_PORT=8000\n",
        }
    )
    free = ports.free_block(root, {"PUBLISHED_API_PORT": 8000})["PUBLISHED_API_PORT"]
    checkout({"env/prod.env": f"ENVIRONMENT=production\nPUBLISHED_HTTP_PORT={free}\n"})
    assert ports.reserved_ports(root) - DEBUGGING == {8000, free}
    assert ports.free_block(root, {"PUBLISHED_API_PORT": 8000})["PUBLISHED_API_PORT"] != free


def test_an_environment_that_cannot_be_read_reserves_nothing(checkout: Checkout) -> None:
    files = {
        "env/contract.yml": "groups: {}",
        "env/a.env": "broken",
        "env/b.env": "ENVIRONMENT=test\nPUBLISHED_X_PORT=81\n",
    }
    assert {81} == ports.reserved_ports(checkout(files)) - DEBUGGING


def test_a_stack_s_own_ports_count_though_no_env_file_says_them() -> None:
    hybrid = load(ROOT, "dev", stack="hybrid", shell={})
    found = ports.published(hybrid, contract.load(ROOT))
    assert found["PUBLISHED_DJANGO_PORT"] == 8000 and found["PUBLISHED_QDRANT_PORT"] == 6333
    assert "PUBLISHED_FRONTEND_PORT" not in found
    assert {6333, 3000} <= ports.reserved_ports(ROOT)


def test_no_free_block_is_one_clear_message(tmp_path: Path) -> None:
    with pytest.raises(GangwayError, match="no free block of 1 ports") as caught:
        ports.free_block(tmp_path, {"A": 65530})
    assert "set A" in (caught.value.fix or "")


def test_the_holder_of_a_port_is_named_with_its_process() -> None:
    program = (
        "import socket, sys\n"
        "server = socket.create_server(('127.0.0.1', 0))\n"
        "print(server.getsockname()[1], flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        named = ports.holder(port)
        process.communicate("")
    assert named is not None
    assert named.startswith("python")
    assert named.endswith(f"(process {process.pid})")
    assert ports.holder(port) is None


def test_a_listener_on_ipv6_is_found_too() -> None:
    try:
        server = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("no IPv6 on this machine")
    with server:
        assert f"(process {os.getpid()})" in (ports.holder(server.getsockname()[1]) or "")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can change user")
def test_a_process_of_another_user_is_named_by_its_user() -> None:
    with listening() as port:
        program = (
            "import os, pwd; from gangway.settings import ports; os.setuid(65534); "
            f"print(ports.holder({port}))"
        )
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
        )
    assert done.stdout == "a process of user root\n"
