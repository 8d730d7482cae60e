"""Running programs, and what Ctrl-C does meanwhile."""

from __future__ import annotations

import os
import signal

import pytest

from gangway.process import interrupts_later


def test_a_ctrl_c_waits_for_the_end_of_what_must_not_be_broken_off() -> None:
    done = []

    def work() -> None:
        with interrupts_later():
            os.kill(os.getpid(), signal.SIGINT)
            done.append("the rest of the block")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == ["the rest of the block"]


def test_ctrl_c_works_as_before_after_it() -> None:
    before = signal.getsignal(signal.SIGINT)
    with interrupts_later():
        pass
    assert signal.getsignal(signal.SIGINT) is before
