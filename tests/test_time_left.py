"""How long a study has yet to go: the line after each run."""
import pytest

from common.running.time_left import TimeLeft

COSTS = {"long": 30.0, "a": 10.0, "b": 10.0, "c": 10.0}


@pytest.fixture
def now(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("common.running.time_left.time.monotonic", lambda: now[0])
    return now


def test_nothing_is_known_before_a_run_has_ended(now):
    left = TimeLeft(COSTS, lambda: 1)
    left.begin("long")
    now[0] = 50.0
    assert left.seconds() is None


def test_the_first_run_may_be_the_longest(now):
    """Its 60 seconds say 20 for each of the others."""
    left = TimeLeft(COSTS, lambda: 1)
    left.begin("long")
    left.end("long", 60.0)
    assert left.seconds() == 60.0


def test_what_others_have_done_already_counts(now):
    left = TimeLeft(COSTS, lambda: 2)
    left.begin("long")
    left.begin("a")
    now[0] = 20.0
    left.end("a", 20.0)
    left.begin("b")
    assert left.seconds() == 40.0  # 40 of the long one, 20 of b and 20 of c, two at a time
    now[0] = 30.0
    assert left.seconds() == 30.0


def test_the_last_run_is_not_shared_by_two_places(now):
    left = TimeLeft({"a": 10.0, "long": 30.0}, lambda: 2)
    left.begin("long")
    left.begin("a")
    now[0] = 20.0
    left.end("a", 20.0)
    assert left.seconds() == 40.0
    now[0] = 100.0  # later than was expected
    assert left.seconds() == 0.0


def test_a_run_that_another_process_takes_over_is_to_be_waited_for_and_one_that_fails_is_not(now):
    left = TimeLeft(COSTS, lambda: 1)
    left.begin("a")
    left.end("a", 10.0)
    left.begin("b")
    now[0] = 5.0
    assert left.seconds() == 45.0
    left.give_back("b")
    assert left.seconds() == 50.0
    left.end("long")  # it has failed, or another process has trained it: that says nothing about the pace
    assert left.seconds() == 20.0
