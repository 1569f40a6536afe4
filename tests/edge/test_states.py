"""The session's state table, and the page that explains the edge by it."""

import re
from collections import defaultdict
from pathlib import Path

import pytest

import whimbrel.edge.app
from whimbrel.edge.core.states import TRANSITIONS, Cause, IllegalStep, State, step

PAGE = Path(__file__).parents[2] / "docs/explanation/edge.md"
EDGE = Path(whimbrel.edge.app.__file__).parent


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


def drawn() -> str:
    """Return the table as a Mermaid diagram; one arrow for all causes that lead to the same state."""
    lines = ["stateDiagram-v2", f"    [*] --> {next(iter(State)).name.lower()}"]
    for state, causes in TRANSITIONS.items():
        arrows: dict[State, list[str]] = defaultdict(list)
        for cause, after in causes.items():
            arrows[after].append(cause.name.lower())
        lines += [f"    {state.name} --> {after.name}: ".lower() + ", ".join(names) for after, names in arrows.items()]
        if not causes:
            lines.append(f"    {state.name.lower()} --> [*]")
    return "\n".join(lines)


def test_the_diagram_of_the_page_is_the_table() -> None:
    found = re.search(r"```mermaid\n(.*?)\n```", PAGE.read_text(), re.DOTALL)
    assert found is not None
    assert found[1] == drawn(), f"put this into {PAGE}:\n{drawn()}"


def test_every_file_that_the_page_names_is_there() -> None:
    named = re.findall(r"`((?:core/|shell/)?[a-z]+\.py)`", PAGE.read_text())
    assert len(named) > 20
    assert [name for name in named if not (EDGE / name).is_file()] == []
