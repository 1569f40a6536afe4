"""Which events may be repeats that EVENTS took for new ones, because it had forgotten the id of the first copy.

A publisher that was cut off, or that died with a full outbox, publishes again what it does not know to be stored, with
the same ``Nats-Msg-Id`` and the same ``ce-time``. So an event that says that it happened before the stream's memory
began may have a first copy, and only such a one is looked up.
"""

from datetime import datetime
from enum import Enum
from typing import Final

import pydantic_core

from whimbrel.notifier.core.events import STRUCTURED_MODE, Message
from whimbrel.notifier.core.retry import DUPLICATE_WINDOW_S
from whimbrel.protocol.publications import MSG_ID, TIME

CLOCK_SKEW_S: Final = 30.0  # by which a publisher's clock may be ahead of the servers'


class Copy(Enum):
    """What an event is known to be."""

    FIRST = "first"
    REPEAT = "repeat"
    UNKNOWN = "unknown"  # looked up, or to be looked up again


def may_repeat_since(message: Message) -> int | None:
    """Return since when a first copy of ``message`` may be stored, Unix ns; None where its stream would have known."""
    if MSG_ID not in message.headers:
        return None
    happened_at = _time_of(message)
    if happened_at is None or message.stored_at_ns - happened_at.timestamp() * 1e9 < DUPLICATE_WINDOW_S * 1e9:
        return None
    return max(0, int((happened_at.timestamp() - CLOCK_SKEW_S) * 1e9))


def _time_of(message: Message) -> datetime | None:
    """Return the time that a publisher gave; a malformed one is another's to refuse."""
    text = message.headers.get(TIME) or _time_in(message)  # as most spell it
    try:
        found = datetime.fromisoformat(text.upper())
    except ValueError:
        return None
    return found if found.tzinfo else None


def _time_in(message: Message) -> str:
    named = {name.lower(): value for name, value in message.headers.items()}
    if not named.get("content-type", "").lower().startswith(STRUCTURED_MODE):
        return named.get(TIME, "")
    try:
        return str(dict(pydantic_core.from_json(message.payload)).get("time", ""))
    except (ValueError, TypeError):
        return ""
