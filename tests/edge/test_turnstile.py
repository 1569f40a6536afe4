"""Connects at the rate that a pod can take."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from whimbrel.edge.core.turnstile import MOST_WAIT_S, Turnstile


def test_a_burst_comes_in_and_the_rest_get_turns_at_the_rate() -> None:
    turnstile = Turnstile(100.0, 50.0)
    waits = [turnstile.enter(now=10.0, jitter=0.0) for _ in range(550)]
    assert waits[:50] == [0.0] * 50
    turns = waits[50:]
    assert min(turns) >= 0.5
    assert all(0.009 < later - before < 0.011 for before, later in pairwise(turns))


def test_no_turn_is_later_than_a_clients_own_backoff_would_be() -> None:
    turnstile = Turnstile(1.0, 1.0)
    waits = [turnstile.enter(now=10.0, jitter=number % 10 / 10) for number in range(1000)]
    assert max(waits) <= MOST_WAIT_S + 1
    assert len(set(waits[500:])) == 10, "and they do not all come at once"


@given(st.lists(st.floats(0, 0.1), min_size=1, max_size=200), st.integers(1, 50), st.integers(1, 50))
def test_a_storm_whose_clients_come_when_told_is_over_in_the_time_that_the_rate_needs(
    arrivals: list[float], rate: int, burst: int
) -> None:
    turnstile = Turnstile(rate, burst)
    due = sorted(10.0 + arrival for arrival in arrivals)
    entered: list[float] = []
    while due:
        now = due.pop(0)
        wait = turnstile.enter(now=now, jitter=0.5)
        if wait:
            due = sorted([*due, now + wait])
        else:
            entered.append(now)
    for first in range(len(entered)):
        for last in range(first, len(entered)):
            assert last - first + 1 <= burst + rate * (entered[last] - entered[first]) + 1e-6
    assert entered[-1] - 10.0 <= 2 * len(arrivals) / rate + 5
