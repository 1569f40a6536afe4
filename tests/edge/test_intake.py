"""A bare pong that comes alone is taken by a shorter way, and nothing else is different."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.edge.people import NOON, a_new_session, an_open_session
from whimbrel.edge.core.effects import Effect
from whimbrel.edge.core.session import PONG, Session
from whimbrel.edge.core.states import State

SIZE = 24  # bytes that came: an eighth of a second by the terms below, and a frame a quarter, so that no sum is rounded
TERMS: dict[str, Any] = {"bytes_per_s": 192.0, "frames_per_s": 4.0, "ping": 25.0, "pong": 10.0}


def taken(session: Session, now: float) -> list[Effect]:
    """Have a pong taken by the long way, as any message."""
    return session.received(SIZE, now=now) + session.receive(PONG, now=now, wall=NOON)


@given(st.lists(st.sampled_from([0.0, 0.0, 0.0, 0.0, 0.25, 1.0, 25.0]), min_size=1, max_size=60))
def test_a_session_does_not_know_by_which_way_a_pong_came(gaps: list[float]) -> None:
    long, short, now = an_open_session(**TERMS), an_open_session(**TERMS), 0.0
    for gap in gaps:
        now += gap
        assert long.tick(now=now, wall=NOON) == short.tick(now=now, wall=NOON)
        effects = taken(long, now)
        assert effects == ([] if short.answered(SIZE, now=now) else taken(short, now))
        assert long.deadline(now=now, wall=NOON) == short.deadline(now=now, wall=NOON)
        assert (long.state, long.closed_with) == (short.state, short.closed_with)
        assert long.tally.received == short.tally.received


def test_who_floods_with_pongs_is_closed() -> None:
    session, taken_at_once = an_open_session(**TERMS), 0
    while session.answered(SIZE, now=0.0):
        taken_at_once += 1
    assert taken_at_once == 12, "5 s of the rates, of which `connect` used a quarter"
    while session.state is State.OPEN:
        taken(session, 0.0)
    assert not session.answered(SIZE, now=1000.0), "who is closed is not heard"


def test_a_pong_before_connect_does_not_put_off_the_end() -> None:
    session = a_new_session(connect_timeout=8, **TERMS)
    assert session.answered(SIZE, now=7.0)
    assert session.deadline(now=7.0, wall=NOON) == 8
