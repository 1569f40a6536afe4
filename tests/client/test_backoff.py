"""Full jitter: base 0.5 s, doubled to 20 s, forgiven after 10 s of life."""

from hypothesis import given
from hypothesis import strategies as st

from whimbrel.client import Timing
from whimbrel.client.core.backoff import Backoff


def after(*lives: float) -> Backoff:
    backoff = Backoff(Timing())
    for lived_s in lives:
        backoff = backoff.lost(lived_s=lived_s)
    return backoff


def test_the_ceiling_doubles_from_half_a_second_to_twenty() -> None:
    assert [after(*[0.0] * losses).delay(1.0) for losses in (1, 2, 3, 6, 7, 1000)] == [0.5, 1, 2, 16, 20, 20]


def test_a_connection_that_lived_ten_seconds_forgives_what_was_before() -> None:
    assert after(0, 0, 0, 0, 9.9).delay(1.0) == 8
    assert after(0, 0, 0, 0, 10).delay(1.0) == 0.5


@given(st.floats(0, 1, exclude_max=True), st.integers(1, 50))
def test_every_delay_within_the_ceiling_can_come(jitter: float, losses: int) -> None:
    backoff = after(*[0.0] * losses)
    assert backoff.delay(jitter) == jitter * backoff.delay(1.0)
