"""Events and messages as the tests want them."""

from collections.abc import Mapping
from typing import Any

import pydantic_core

from whimbrel.notifier.core.events import Event, Message, parse

EPOCH = "5eed"
STORED_AT_NS = 1_795_413_697_972_181_970  # 2026-11-23T06:01:37.972181970Z


def a_message(
    payload: bytes = b'{"status":"shipped"}',
    headers: Mapping[str, str] | None = None,
    *,
    subject: str = "events.shop.order.42",
    sequence: int = 7,
) -> Message:
    return Message(subject, sequence, STORED_AT_NS, headers or {}, payload)


def an_event(
    data: Any = None, headers: Mapping[str, str] | None = None, subject: str = "events.shop.order.42"
) -> Event:
    return parse(a_message(pydantic_core.to_json(data), headers, subject=subject), epoch=EPOCH)
