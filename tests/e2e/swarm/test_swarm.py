"""Production on three machines: moved there, killed, cut off, and deployed to meanwhile."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from benchmarks import changes
from benchmarks.steady import driver
from tests.e2e.conftest import copies
from tests.e2e.deploy.stack import losses
from tests.e2e.support import Checkout, eventually, habits, myself, one_message, web
from tests.e2e.swarm import lab, running
from tests.e2e.swarm.shipped import Shipped, shipped

#: A stack is built, moved and brought to three machines, by turns on two CPUs.
pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="module")
def moved() -> Iterator[Shipped]:
    """The production that all tests share."""
    with lab.swarm(joined=False) as swarm, copies(Checkout, {"GANGWAY_ENGINE": "docker"}) as make:
        # The nodes' sockets are root's.
        yield shipped(make(user=myself()), swarm)


@pytest.fixture
def production(moved: Shipped) -> Shipped:
    """The production with all its nodes and replicas, whatever a test before has left."""
    moved.settled()
    return moved


class TestMoved:
    def test_every_node_answers_with_the_data_of_before(self, production: Shipped) -> None:
        for node in production.swarm.nodes:
            with web(production.url(node.name)) as client:
                assert habits(client, "/api/habits") == production.before

    def test_it_says_how_long_nobody_was_served_and_what_was_compared(
        self, production: Shipped
    ) -> None:
        said = production.moved.stderr

        assert "nobody was served for" in said
        assert "each as on" in said

    def test_no_second_one_starts_where_it_was(self, production: Shipped) -> None:
        message = one_message(production.checkout.invoke("prod.up"))

        assert "has moved to swarm" in message
        assert not production.checkout.ids("prod")

    def test_containers_are_as_restricted_as_the_model_says(self, production: Shipped) -> None:
        config = production.succeed("prod.config", "--", "--format", "json").stdout
        model, project = json.loads(config), production.checkout.project("prod")

        seen, faults = set(), list[str]()
        for node in production.swarm.nodes:
            for name, record in running.records(node):
                service = name.removeprefix(f"{project}_")
                seen.add(service)
                faults += running.faults(model, service, record, node)

        assert seen == {"api", "app", "nginx", "postgres", "redis", "scheduler"}
        assert not faults, "\n".join(faults)

    def test_who_had_a_wrong_token_did_not_join(self, production: Shipped) -> None:
        assert "token" in one_message(production.refused)

    def test_tasks_of_one_machine_work(self, production: Shipped) -> None:
        assert production.succeed("prod.exec", "api", "--", "id", "-u").stdout.strip() == "10001"
        assert "Application startup complete" in production.succeed("prod.logs", "api").stdout
        listed = production.succeed("prod.ps").stdout
        assert listed.count("running (healthy)") == 10, listed


class TestDeploys:
    def test_nobody_notices_a_good_one(self, production: Shipped) -> None:
        number, file = production.good()

        with production.loaded() as load:
            production.succeed("prod.deploy", "--bundle", file)
            load.phase("after")
            time.sleep(3)

        assert not (lost := losses(load.stop())), "\n".join(lost)
        assert production.serves() == {number}

    @pytest.mark.parametrize("kind", ["exits", "wrong"])
    def test_a_bad_one_leaves_all_as_it_was(self, production: Shipped, kind: str) -> None:
        before, serves = production.specs(), production.serves()
        file = production.bad(kind)

        with production.loaded() as load:
            done = production.invoke("prod.deploy", "--bundle", file)

        assert "api" in one_message(done)
        assert changes.symptom(kind) in done.stderr, done.text
        assert not (lost := losses(load.stop())), "\n".join(lost)
        # The migrations' job is the release's that was tried: it has nothing to go back to.
        assert _without_jobs(production.specs()) == _without_jobs(before)
        assert production.serves() == serves


class TestNodes:
    def test_a_drained_node_is_left_by_all_that_may_go(self, production: Shipped) -> None:
        name = _with_an_api(production)

        with production.loaded() as load:
            production.succeed("prod.drain", name, "--yes")
            left = production.swarm.node(name).ask("ps", "--quiet")
            production.succeed("prod.drain", name, "--undo")
            production.settled()

        assert left == ""
        assert failures(load) == []

    def test_a_killed_nodes_services_come_up_elsewhere(self, production: Shipped) -> None:
        lost = _with_an_api(production)
        node = production.swarm.node(lost)

        with production.loaded(streams=0) as load:
            load.phase("killed")
            node.kill()
            eventually(lambda: production.swarm.states()[lost] == "down", what="it is missed")
            eventually(
                lambda: all(
                    _all_elsewhere(production, service, lost)
                    for service in ("api", "app", "scheduler", "redis")
                ),
                what="its services run elsewhere",
            )
            time.sleep(8)
            load.phase("elsewhere")
            time.sleep(5)
            load.phase("back")
            node.start()
            node.wait()
            production.back()

        assert failures(load, "before", "elsewhere", "back") == []

    def test_a_deploy_while_a_node_is_away_ends_well_or_not_at_all(
        self, production: Shipped
    ) -> None:
        lost = _with_an_api(production)
        node = production.swarm.node(lost)
        others = [each.name for each in production.swarm.nodes if each.name != lost]
        before = production.serves()
        number, file = production.good()

        production.swarm.cut(node)
        try:
            done = production.invoke("prod.deploy", "--bundle", file)
            serves = production.serves(*others)
        finally:
            production.swarm.mend(node)

        assert serves == ({number} if done.status == 0 else before), done.text
        production.back()
        assert production.serves() == serves

    def test_a_node_cut_off_and_back_does_no_harm(self, production: Shipped) -> None:
        lost = _with_an_api(production)
        node = production.swarm.node(lost)
        before = production.serves()

        with production.loaded(streams=0) as load:
            load.phase("cut")
            production.swarm.cut(node)
            eventually(lambda: _all_elsewhere(production, "api", lost), what="api elsewhere")
            time.sleep(8)
            load.phase("elsewhere")
            time.sleep(3)
            load.phase("back")
            production.swarm.mend(node)
            production.back()
            load.phase("settled")
            time.sleep(5)

        assert failures(load, "elsewhere", "settled") == []
        # What ran there is ended now; until then it may be asked, and finds its database no more.
        kinds = {each["kind"] for each in failures(load, "back")}
        assert kinds <= {"503", "504", "timeout"}
        assert production.serves() == before


def failures(load: driver.Load, *phases: str) -> list[dict[str, Any]]:
    """Return what failed in these phases, or in all."""
    return [
        {"phase": phase["name"], **example}
        for phase in load.stop()["phases"]
        if not phases or phase["name"] in phases
        for example in phase["examples"]
    ]


def _with_an_api(production: Shipped) -> str:
    """Return a node that runs an api and isn't the manager."""
    if not (found := _workers_with_an_api(production)):
        # A drain can leave them there; Swarm puts new ones where the old ones aren't.
        production.succeed("prod.restart", "api")
        production.back()
        found = _workers_with_an_api(production)
    assert found, "the manager alone runs the api"
    return min(found)


def _workers_with_an_api(production: Shipped) -> set[str]:
    names = production.names()
    return {names[task["NodeID"]] for task in production.running("api")} - {"one"}


def _all_elsewhere(production: Shipped, service: str, node: str) -> bool:
    names, tasks = production.names(), production.running(service)
    wanted = {"api": 2, "app": 2}.get(service, 1)
    return [names[task["NodeID"]] != node for task in tasks] == [True] * wanted


def _without_jobs(specs: dict[str, object]) -> dict[str, object]:
    return {name: spec for name, spec in specs.items() if not name.endswith("_migrate")}
