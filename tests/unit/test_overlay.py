"""What a checkout adds to its stacks by itself: moved ports, and numbers of containers."""

from __future__ import annotations

import socket
import subprocess
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from gangway.base.errors import GangwayError
from gangway.model.model import PublishedPort, replicas
from gangway.operations import published
from gangway.operations.project import Project, opened, with_choices, with_overlay, with_settings
from gangway.operations.scale import keep
from gangway.operations.scale import replicas as wished
from gangway.settings import checkout as layer
from gangway.settings import overlay
from gangway.settings.environment import load

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.conftest import Checkout

CONTRACT = """\
groups:
  Ports:
    PUBLISHED_API_PORT: {type: port, published: true, service: api, meaning: m}
    API_REPLICAS: {type: int, meaning: m}
"""
BASE = """\
services:
  api:
    image: x
    ports: ["127.0.0.1:${PUBLISHED_API_PORT:-%(api)d}:8000"]
    deploy: {replicas: "${API_REPLICAS:-1}"}
"""
MINE = """\
services:
  mail: {image: y, ports: ["127.0.0.1:%(mail)d:8025", "127.0.0.1:%(smtp)d:1025"]}
  worker: {image: z}
  queue: {image: q, deploy: {replicas: 2}}
  store: {image: s, volumes: ["data:/data"]}
  once: {image: o}
  waits: {image: w, depends_on: {once: {condition: service_completed_successfully}}}
  named: {image: n, container_name: the-one}
  redis: {image: r}
volumes: {data: {}}
"""
OWN_PORT = 'services: {api: {ports: ["127.0.0.1:PORT:8025"]}, mail: {image: x}}'


def free_ports(number: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


class Place:
    """A checkout with the stack `mine`, whose mail service has two ports as numbers."""

    def __init__(self, checkout: Checkout, shell: dict[str, str]) -> None:
        self.checkout, self.shell = checkout, shell
        self.ports = dict(zip(("api", "mail", "smtp"), sorted(free_ports(3)), strict=True))
        self.root = checkout(
            {
                "env/contract.yml": CONTRACT,
                "env/dev.env": "ENVIRONMENT=development\nCOMPOSE_PATH_SEPARATOR=:\n"
                f"COMPOSE_FILE=base.yml\nPUBLISHED_API_PORT={self.ports['api']}\n",
                "base.yml": BASE % self.ports,
                "stacks/mine/stack.env": "GANGWAY_STACK=mine\n"
                "COMPOSE_FILE=${COMPOSE_FILE}:stacks/mine/c.yml\n",
            }
        )
        self.write(MINE % self.ports)

    def write(self, text: str) -> None:
        self.checkout({"stacks/mine/c.yml": text})

    def project(self, stack: str = "mine") -> Project:
        """Return the project as a task opens it."""
        project = opened(load(self.root, "dev", stack=stack, engine="docker", shell=self.shell))
        return with_settings(project, layer.facts(project.environment))

    def published(self, project: Project | None = None) -> dict[str, int]:
        model = (project or self.project()).model
        names = {8000: "api", 8025: "mail", 1025: "smtp"}
        return {names[port.target]: port.port for port in model.published()}

    def settled(self, *, auto: bool = True) -> Project:
        return published.settle(self.project(), (), (), auto=auto)


@pytest.fixture
def place(checkout: Checkout, shell: dict[str, str]) -> Place:
    return Place(checkout, shell)


def plain(place: Place, compose: list[str], stack: str = "mine") -> str:
    """Return what plain Compose makes of the environment's files."""
    env = load(place.root, "dev", stack=stack, engine="docker", shell=place.shell)
    done = subprocess.run(
        [*compose, *env.env_files, "config"],
        cwd=env.root, env=env.process_environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_ports_that_are_free_stay(place: Place) -> None:
    assert place.published(place.settled()) == place.ports
    assert not (place.root / overlay.FOLDER).exists()


def test_a_fixed_port_that_is_taken_moves_with_all_others_and_plain_compose_knows(
    place: Place, compose: list[str]
) -> None:
    with closing(socket.create_server(("127.0.0.1", place.ports["mail"]))):
        moved = place.published(place.settled())
    distances = {moved[name] - port for name, port in place.ports.items()}
    assert len(distances) == 1 and distances != {0}
    assert place.published() == moved
    assert all(f'published: "{port}"' in plain(place, compose) for port in moved.values())


def test_another_stack_knows_nothing_of_it(place: Place, compose: list[str]) -> None:
    with closing(socket.create_server(("127.0.0.1", place.ports["smtp"]))):
        place.settled()
    assert list(place.project("core").model.services) == ["api"]
    assert "mail" not in plain(place, compose, "core")
    # One that comes later, too, and without a task in between that writes anything.
    place.checkout({"stacks/new/stack.env": "GANGWAY_STACK=new\n"})
    assert list(place.project("new").model.services) == ["api"]


def test_moved_ports_move_on_and_still_know_what_they_were(place: Place) -> None:
    with closing(socket.create_server(("127.0.0.1", place.ports["mail"]))):
        first = place.published(place.settled())
    with closing(socket.create_server(("127.0.0.1", first["mail"]))):
        second = place.published(place.settled())
    assert not set(first.values()) & set(second.values())
    (before,) = overlay.ports_before(place.project().environment).values()
    assert {int(port["published"]) for port in before} == {place.ports["mail"], place.ports["smtp"]}


def test_moved_ports_stay_while_the_compose_file_has_the_same_ones(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(socket.create_server(("127.0.0.1", place.ports["mail"]))):
        moved = place.published(place.settled())
    place.write(MINE % place.ports + "\n# something else\n")
    assert place.published(place.settled(auto=False)) == moved
    (other,) = free_ports(1)
    place.write(MINE % {**place.ports, "mail": other})
    now = place.published(place.settled(auto=False))
    assert (now["mail"], now["smtp"]) == (other, place.ports["smtp"])
    assert "mail has other ports in its Compose file now" in capsys.readouterr().err


def test_what_is_kept_for_a_service_that_is_gone_goes(place: Place) -> None:
    with closing(socket.create_server(("127.0.0.1", place.ports["mail"]))):
        place.settled()
    place.write("services: {other: {image: x}}\n")
    assert list(place.project().model.services) == ["api", "other"]


def test_a_fixed_port_that_is_taken_says_what_to_write(place: Place) -> None:
    with (
        closing(socket.create_server(("127.0.0.1", place.ports["mail"]))),
        pytest.raises(GangwayError, match=f"port {place.ports['mail']} is taken by") as caught,
    ):
        place.settled(auto=False)
    assert "invoke dev.up --ports auto" in str(caught.value.fix)
    assert f"${{PUBLISHED_MAIL_PORT:-{place.ports['mail']}}} in mail's ports" in str(
        caught.value.fix
    )


def test_a_service_s_ports_by_variable_go_on_to_follow_it(place: Place) -> None:
    place.write(OWN_PORT.replace("PORT", str(place.ports["mail"])))
    with closing(socket.create_server(("127.0.0.1", place.ports["mail"]))):
        place.settled()
    moved = with_choices(place.project(), overrides={"PUBLISHED_API_PORT": "9123"})
    assert place.published(moved)["api"] == 9123


def test_udp_is_looked_at_as_udp(place: Place) -> None:
    place.write(OWN_PORT.replace("PORT:8025", f"{place.ports['mail']}:8025/udp"))
    assert PublishedPort("api", "127.0.0.1", place.ports["mail"], 8025, "udp") in (
        place.project().model.published()
    )
    with closing(socket.create_server(("127.0.0.1", place.ports["mail"]))):
        assert place.published(place.settled()) == {
            name: place.ports[name] for name in ("api", "mail")
        }
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as taken:
        taken.bind(("127.0.0.1", place.ports["mail"]))
        assert place.published(place.settled())["mail"] != place.ports["mail"]


def test_a_number_without_a_variable_is_kept_and_plain_compose_knows(
    place: Place, compose: list[str]
) -> None:
    keep(place.project(), {"worker": 3, "queue": 1})
    services = place.project().model.services
    assert (replicas(services["worker"]), replicas(services["queue"])) == (3, 1)
    # Compose counts another `deploy` as another service, and replaces its containers.
    assert services["worker"].get("deploy") is None
    assert "scale: 3" in plain(place, compose)
    keep(place.project(), {"worker": 0})
    assert replicas(place.project().model.services["worker"]) == 0


def test_a_number_and_moved_ports_stand_side_by_side(place: Place) -> None:
    keep(place.project(), {"mail": 1, "worker": 2})
    with closing(socket.create_server(("127.0.0.1", place.ports["mail"]))):
        moved = place.published(place.settled())
    keep(place.project(), {"worker": 4})
    assert place.published() == moved
    assert replicas(place.project().model.services["worker"]) == 4


def test_an_overlay_that_adds_nothing_is_removed(place: Place) -> None:
    with_overlay(place.project(), {"worker": {"scale": 2}}, {})
    assert "COMPOSE_FILE" in layer.Checkout(place.root).read("dev")
    with_overlay(place.project(), {}, {})
    assert not list((place.root / overlay.FOLDER).iterdir())
    assert "COMPOSE_FILE" not in layer.Checkout(place.root).read("dev")


def test_files_of_one_s_own_that_take_in_the_rest_keep_it(place: Place) -> None:
    own = "services: {own: {image: x}}"
    place.checkout({"env/local.env": "COMPOSE_FILE=${COMPOSE_FILE}:own.yml\n", "own.yml": own})
    keep(place.project(), {"worker": 2})
    services = place.project().model.services
    assert "own" in services and replicas(services["worker"]) == 2


def test_files_of_one_s_own_that_leave_the_rest_out_are_named(place: Place) -> None:
    place.checkout({"env/local.env": "COMPOSE_FILE=stacks/mine/c.yml\n"})
    with pytest.raises(GangwayError, match="COMPOSE_FILE leaves out") as caught:
        keep(place.project(), {"worker": 2})
    assert caught.value.where == "env/local.env:1"
    assert not (place.root / overlay.FOLDER).exists()


def test_files_on_the_command_line_are_joined_by_it(place: Place) -> None:
    env = place.project().environment
    files = f"{env.get('COMPOSE_FILE')}:.gangway/dev.debug.yml"
    place.checkout({".gangway/dev.debug.yml": "services: {mail: {ports: ['127.0.0.1::5678']}}"})
    debugging = with_choices(place.project(), overrides={"COMPOSE_FILE": files})
    kept = keep(debugging, {"worker": 2}).environment.get("COMPOSE_FILE").split(":")
    assert kept[-2:] == [".gangway/overlays/dev.mine.yml", ".gangway/dev.debug.yml"]


@pytest.mark.parametrize(
    ("wish", "what"),
    [
        ("store=2", "store keeps data of its own (the volume data)"),
        ("redis=2", "redis keeps data of its own (in memory)"),
        ("once=2", "once runs once and ends"),
        ("named=2", "named has the container_name the-one"),
        ("mail=2", "mail publishes port"),
        ("worker", "'worker' is not SERVICE=NUMBER"),
    ],
)
def test_what_can_not_be_several_says_why(place: Place, wish: str, what: str) -> None:
    with pytest.raises(GangwayError) as caught:
        wished(place.project(), [wish])
    assert what in caught.value.message


def test_whatever_else_there_is_can_be(place: Place) -> None:
    shared: dict[str, Any] = {"worker": 2, "queue": 5, "named": 1, "mail": 1}
    assert wished(place.project(), [f"{name}={n}" for name, n in shared.items()]) == shared


def test_a_volume_that_services_share_hinders_nobody(place: Place) -> None:
    one = "image: x, volumes: ['media:/m']"
    place.write(f"services: {{one: {{{one}}}, two: {{{one}}}}}\nvolumes: {{media: {{}}}}\n")
    assert wished(place.project(), ["one=3"]) == {"one": 3}


@pytest.mark.parametrize("text", ["", "{", "[]", "# What `scale`\n"])
def test_an_overlay_that_was_spoiled_counts_as_none(place: Place, text: str) -> None:
    keep(place.project(), {"worker": 2})
    path: Path = place.root / overlay.file(place.project().environment)
    path.write_text(text)
    assert overlay.read(place.project().environment) == {}
