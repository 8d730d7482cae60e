"""Deploys and rollbacks under load: nobody notices a good one, and a bad one never happened."""

from __future__ import annotations

import time

import pytest

from benchmarks import changes
from tests.e2e.deploy.stack import KEPT, REPLACED, Stack, images_gone
from tests.e2e.support import docker, one_message

pytestmark = [pytest.mark.engine, pytest.mark.timeout(360)]

#: What a deploy says once a step has come to its end, in turn; the first is that of its beginning.
STEPS = ("migrations", "new replicas healthy", "each asked", "switched", "one after the other")


class TestFirst:
    """Before there is anything to go back to."""

    def test_there_is_no_way_back_from_the_first_release(self, production: Stack) -> None:
        message = production.refused("prod.rollback")
        assert "no release before" in message

    def test_a_start_with_nothing_new_changes_nothing(self, production: Stack) -> None:
        with production.untouched():
            production.checkout.succeed("prod.up")
            production.checkout.succeed("prod.deploy")


class TestGood:
    def test_a_deploy_under_load_costs_nobody_anything(self, stack: Stack) -> None:
        kept = stack.running(*KEPT)
        number = stack.good()
        with stack.loaded():
            said = stack.checkout.succeed("prod.deploy").stderr
            time.sleep(1)
        stack.whole(number)
        assert stack.running(*KEPT) == kept
        assert [step for step in STEPS if step not in said] == []

    def test_what_a_release_does_not_change_is_not_replaced(self, stack: Stack) -> None:
        others = [name for name in (*REPLACED, *KEPT) if name != "api"]
        before, number = stack.running(*others), stack.good()
        stack.checkout.succeed("prod.deploy")
        stack.whole(number)
        assert stack.running(*others) == before

    def test_a_rollback_under_load_brings_back_the_release_as_it_was(self, stack: Stack) -> None:
        (before,), image = stack.serves(), image_of(stack)
        number = stack.good()
        stack.checkout.succeed("prod.deploy")
        assert stack.serves() == {number}
        with stack.loaded():
            stack.checkout.succeed("prod.rollback")
            time.sleep(1)
        stack.whole(before)
        assert image_of(stack) == image

    def test_a_rollback_leaves_a_database_that_is_ahead_as_it_is(self, stack: Stack) -> None:
        (before,) = stack.serves()
        number = stack.number()
        column = "select count(*) from information_schema.columns where column_name = 'note'"
        stack.write(changes.additive(number))
        stack.checkout.succeed("prod.deploy")
        assert stack.serves() == {number}
        with stack.loaded():
            stack.checkout.succeed("prod.rollback")
        stack.whole(before)
        assert stack.checkout.sql("prod", column) == "1"
        stack.checkout.succeed("prod.deploy")
        stack.whole(number)


class TestBad:
    @pytest.mark.parametrize("kind", changes.BAD)
    def test_a_bad_release_is_taken_back_before_it_serves(self, stack: Stack, kind: str) -> None:
        files = changes.bad(kind, stack.number(), after=applied(stack))
        with stack.edited(files), stack.loaded(), stack.untouched():
            done = stack.checkout.invoke("prod.deploy", "--timeout", "25")
        message = one_message(done)
        assert changes.symptom(kind) in done.stderr, done.text
        service = "migrate" if kind == "migration" else "api"
        assert service in message, message


class TestKilled:
    """The deploying process is killed, and nothing tidies up behind it."""

    @pytest.mark.parametrize("step", STEPS)
    def test_after_any_step_one_release_serves_and_the_next_deploy_goes_on(
        self, stack: Stack, step: str
    ) -> None:
        (before,), number = stack.serves(), stack.good()
        with stack.loaded():
            with stack.checkout.started("prod.deploy") as deploying:
                deploying.says(f"  {step}")
                deploying.process.kill()
                deploying.ended()
                time.sleep(1)
                assert len(stack.serves()) == 1
                assert stack.serves() <= {before, number}
            if step == "each asked":
                # A rollback has to come to terms with what it finds, too, and goes no further.
                stack.checkout.succeed("prod.rollback")
                assert stack.serves() == {before}
            stack.checkout.succeed("prod.deploy")
        stack.whole(number)


class TestMistakes:
    def test_a_second_deploy_has_to_wait_for_the_first(self, stack: Stack) -> None:
        number = stack.good()
        with stack.checkout.started("prod.deploy") as first:
            first.says("  migrations")
            message = one_message(stack.checkout.invoke("prod.deploy"))
            assert first.ended() == 0, first.text
        assert "deploy" in message, message
        stack.whole(number)

    def test_a_release_that_is_not_there(self, stack: Stack) -> None:
        for task in ("prod.deploy --release", "prod.rollback"):
            message = stack.refused(*task.split(), "20010101-000000-abcdef0")
            assert "there is no release '20010101-000000-abcdef0'" in message
            assert "\n  fix: " in message

    def test_a_release_whose_images_are_gone(self, stack: Stack) -> None:
        number = stack.good()
        stack.checkout.succeed("prod.deploy")
        before = stack.good()
        stack.checkout.succeed("prod.deploy")
        stack.checkout.succeed("prod.rollback")
        assert stack.serves() == {number}
        gone = images_gone(stack, "api")
        message = stack.refused("prod.rollback")
        assert gone in message
        stack.write(changes.good(before))
        stack.checkout.succeed("prod.deploy")
        stack.whole(before)

    def test_a_secret_that_the_release_needs_and_is_not_there(self, stack: Stack) -> None:
        stack.good()
        with stack.without_secret("secret_key") as path:
            assert path in stack.refused("prod.deploy")

    def test_a_number_of_replicas_that_cannot_be(self, stack: Stack) -> None:
        with stack.untouched():
            for wish in ("nginx=0", "nginx=2", "postgres=2", "migrate=2", "api=-1"):
                message = one_message(stack.checkout.invoke("prod.scale", wish))
                assert wish.partition("=")[0] in message, message


class TestWithoutADeploy:
    def test_a_start_says_what_is_newer_and_recreates_nothing(self, stack: Stack) -> None:
        (before,) = stack.serves()
        with stack.edited(changes.good(stack.number())), stack.untouched():
            said = stack.checkout.succeed("prod.up").stderr
        assert changes.LIVE in said
        assert "prod.deploy" in said
        assert stack.serves() == {before}

    def test_a_restart_and_scaling_under_load_cost_nobody_anything(self, stack: Stack) -> None:
        (number,) = stack.serves()
        with stack.loaded() as load:
            stack.checkout.succeed("prod.scale", "api=3")
            stack.whole(number, replicas=3)
            before = stack.running("api", "app", "scheduler")
            load.phase("restart")
            stack.checkout.succeed("prod.restart")
            stack.whole(number, replicas=3)
            assert not before.keys() & stack.running("api", "app", "scheduler").keys()
            load.phase("down to one")
            stack.checkout.succeed("prod.scale", "api=1")
            time.sleep(1)
        stack.whole(number)

    def test_a_changed_setting_goes_by_a_deploy_of_what_reads_it(self, stack: Stack) -> None:
        # With sources that are newer, a start leaves all as it is.
        stack.checkout.succeed("prod.deploy")
        (number,) = stack.serves()
        others = stack.running("app", "scheduler", *KEPT)
        with stack.checkout.edited("env/prod.env", "\nSEED=0", "\nSEED=0\nAPI_MEMORY=640m"):
            with stack.loaded():
                said = stack.checkout.succeed("prod.up").text
            stack.whole(number)
            (record,) = stack.checkout.containers("prod", "api")
            assert record["HostConfig"]["Memory"] == 640 << 20, said
        stack.checkout.succeed("prod.up")
        assert stack.running("app", "scheduler", *KEPT) == others

    def test_what_somebody_runs_by_hand_from_a_releases_image_is_none_of_it(
        self, stack: Stack
    ) -> None:
        before = stack.running("api")
        (api,) = stack.checkout.containers("prod", "api")
        run = ["run", "--detach", "--rm", "--entrypoint", "sleep", api["Config"]["Image"], "120"]
        by_hand = docker(*run).stdout.strip()
        try:
            stack.checkout.succeed("prod.up")
            assert docker("inspect", "--format", "{{.State.Running}}", by_hand).stdout == "true\n"
        finally:
            docker("rm", "--force", by_hand)
        assert stack.running("api") == before

    def test_requests_wait_while_it_is_paused(self, stack: Stack) -> None:
        with stack.untouched(), stack.loaded(seconds=20.0) as load:
            stack.checkout.succeed("prod.pause", "--seconds", "15")
            load.phase("paused")
            time.sleep(2)
            stack.checkout.succeed("prod.resume")
            load.phase("resumed")
            time.sleep(1)
        assert load.of("paused")["gap_s"] > 1.5


def image_of(stack: Stack) -> str:
    """Return the image of the api that runs."""
    (record,) = stack.checkout.containers("prod", "api")
    return str(record["Image"])


def applied(stack: Stack) -> str:
    """Return the migration that the database is at."""
    return stack.checkout.sql("prod", "select version_num from alembic_version")
