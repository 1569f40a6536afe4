"""The states of a client."""

from pathlib import Path

import pytest

from whimbrel.client import State
from whimbrel.client.core.states import TRANSITIONS, Cause, IllegalStep, step


def test_closed_is_the_end() -> None:
    assert TRANSITIONS[State.CLOSED] == {}


@pytest.mark.parametrize("state", [state for state in State if state is not State.CLOSED])
def test_every_other_state_can_end(state: State) -> None:
    assert step(state, Cause.ENDED) is State.CLOSED


@pytest.mark.parametrize(
    ("state", "cause"),
    [(state, cause) for state in State for cause in Cause if cause not in TRANSITIONS[state]],
)
def test_an_unlisted_step_is_an_error_of_ours(state: State, cause: Cause) -> None:
    with pytest.raises(IllegalStep, match=state.value):
        step(state, cause)


def test_the_guide_shows_the_table() -> None:
    guide = (Path(__file__).parents[2] / "docs/how-to/python-client.md").read_text()
    for state, causes in TRANSITIONS.items():
        row = ", ".join(f"{after.value} ({cause.name.lower()})" for cause, after in causes.items()) or "–"
        assert f"| {state.value} | {row} |" in guide
