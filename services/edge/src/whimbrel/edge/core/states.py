"""States of a session, and the one table of its changes.

A cause that is not listed for a state changes nothing and raises ``IllegalStep``: a fault of ours, for what a client
sends is judged before. The diagram in docs/explanation/edge.md is drawn from ``TRANSITIONS``.
"""

from collections.abc import Mapping
from enum import Enum, auto
from typing import Final


class State(Enum):
    """Where a session is."""

    __hash__ = object.__hash__  # Enum's own is Python code, and each step of each connect looks up two

    AWAITING_CONNECT = auto()  # the transport is open, nobody has said who they are
    AUTHENTICATING = auto()  # a token or grant is being checked
    OPENING = auto()  # the channels of `connect` are being opened and recovered
    OPEN = auto()  # `connected` was sent
    CLOSED = auto()


class Cause(Enum):
    """What moves a session on."""

    __hash__ = object.__hash__  # as above

    CONNECT = auto()  # a `connect` frame
    IDENTIFIED = auto()  # auth and router have answered
    OPENED = auto()  # every channel of `connect` has its answer
    CLOSE = auto()  # the edge closes
    LOST = auto()  # the transport is gone


TRANSITIONS: Final[Mapping[State, Mapping[Cause, State]]] = {
    State.AWAITING_CONNECT: {
        Cause.CONNECT: State.AUTHENTICATING,
        Cause.CLOSE: State.CLOSED,
        Cause.LOST: State.CLOSED,
    },
    State.AUTHENTICATING: {
        Cause.IDENTIFIED: State.OPENING,
        Cause.CLOSE: State.CLOSED,
        Cause.LOST: State.CLOSED,
    },
    State.OPENING: {
        Cause.OPENED: State.OPEN,
        Cause.CLOSE: State.CLOSED,
        Cause.LOST: State.CLOSED,
    },
    State.OPEN: {
        Cause.CLOSE: State.CLOSED,
        Cause.LOST: State.CLOSED,
    },
    State.CLOSED: {},
}


class IllegalStep(Exception):
    """A cause that the table does not list for the state."""


def step(state: State, cause: Cause) -> State:
    """Return the state after ``cause``.

    Raises IllegalStep.
    """
    try:
        return TRANSITIONS[state][cause]
    except KeyError:
        raise IllegalStep(f"{cause.name.lower()} in state {state.name.lower()}") from None
