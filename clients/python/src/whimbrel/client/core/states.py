"""States of a client, and the one table of its changes.

A cause that is not listed for a state changes nothing and raises ``IllegalStep``: that is a fault of ours.
The diagram in the docs is drawn from ``TRANSITIONS``.
"""

from collections.abc import Mapping
from enum import Enum, auto
from typing import Final

from whimbrel.client.events import State


class Cause(Enum):
    """What moves a client on."""

    DIAL = auto()  # the time to connect has come
    ESTABLISHED = auto()  # `connected` came, or the first poll was answered
    LOST = auto()  # the connection did not open, or broke, and a next try follows
    SWITCHED = auto()  # another transport has taken over; the one before was still up
    ENDED = auto()  # the application closed the client, or the edge forbade to come back


TRANSITIONS: Final[Mapping[State, Mapping[Cause, State]]] = {
    State.DISCONNECTED: {Cause.DIAL: State.CONNECTING, Cause.ENDED: State.CLOSED},
    State.CONNECTING: {
        Cause.ESTABLISHED: State.CONNECTED,
        Cause.LOST: State.DISCONNECTED,
        Cause.ENDED: State.CLOSED,
    },
    State.CONNECTED: {
        Cause.LOST: State.DISCONNECTED,
        Cause.SWITCHED: State.CONNECTED,
        Cause.ENDED: State.CLOSED,
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
        raise IllegalStep(f"{cause.name.lower()} in state {state.value}") from None
