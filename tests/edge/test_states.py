"""The session's state table."""

import pytest

from whimbrel.edge.core.states import TRANSITIONS, Cause, IllegalStep, State, step


def test_every_state_has_a_row_and_only_closed_has_no_way_out() -> None:
    assert set(TRANSITIONS) == set(State)
    assert [state for state in State if not TRANSITIONS[state]] == [State.CLOSED]


@pytest.mark.parametrize("state", [state for state in State if state is not State.CLOSED])
def test_every_open_state_can_be_closed_and_lost(state: State) -> None:
    assert step(state, Cause.CLOSE) is State.CLOSED
    assert step(state, Cause.LOST) is State.CLOSED


def test_a_session_cannot_open_channels_before_it_is_identified() -> None:
    with pytest.raises(IllegalStep, match="opened in state authenticating"):
        step(State.AUTHENTICATING, Cause.OPENED)
