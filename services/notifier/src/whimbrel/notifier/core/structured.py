"""CloudEvents in structured mode: the whole event is one JSON object, and `data` one of its members.

The text of `data` is cut out as it stands: serialising it again would round numbers that a publisher wrote exactly.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from whimbrel.notifier.core.errors import Reason, Undeliverable

MODE: Final = "application/cloudevents+json"
REQUIRED: Final = ("id", "source", "specversion", "type")
_BLANKS: Final = " \t\r\n"
_DECODER: Final = json.JSONDecoder(parse_int=str, parse_float=str)  # only the ends of values matter here


def unfold(content_type: str, payload: bytes, value: Any) -> tuple[Mapping[str, str], bytes, Any]:
    """Return the attributes, the JSON text of `data` (`null` where there is none) and the same parsed.

    ``payload`` is JSON, known to be valid, and ``value`` the same parsed. A null attribute counts as none, as
    CloudEvents wants it. Raises Undeliverable.
    """
    if content_type.partition(";")[0].strip() != MODE:
        raise _refusal(f"content-type {content_type[:80]!r} is not supported: send {MODE}, one event per message")
    if not isinstance(value, dict):
        raise _refusal("a structured event is a JSON object with specversion, id, source, type and data")
    for name in REQUIRED:
        if not isinstance(value.get(name), str):
            raise _refusal(f"attribute {name!r} of the structured event is missing or not a string")
    if value.get("data_base64") is not None:
        raise _refusal("data_base64 is not supported: clients receive JSON, put it in data")
    attributes = {name: text for name, text in value.items() if isinstance(text, str) and name != "data"}
    if not isinstance(value.get("time"), str | None):
        raise _refusal("attribute 'time' of the structured event is not a string")
    return attributes, member(payload.decode(), "data"), value.get("data")


def member(text: str, wanted: str) -> bytes:
    """Return the JSON text of member ``wanted`` in the object ``text`` (valid JSON), `null` where there is none.

    Where a name repeats the last one counts, as for the parsers of Python and JavaScript.
    """
    found = "null"
    at = _skip(text, 0) + 1
    while text[at := _skip(text, at)] != "}":
        name, at = _DECODER.raw_decode(text, at)
        at = _skip(text, _skip(text, at) + 1)  # past the colon
        _, end = _DECODER.raw_decode(text, at)
        if name == wanted:
            found = text[at:end]
        at = _skip(text, end)
        if text[at] == ",":
            at += 1
    return found.encode()


def _skip(text: str, at: int) -> int:
    while text[at] in _BLANKS:
        at += 1
    return at


def _refusal(message: str) -> Undeliverable:
    return Undeliverable(Reason.BAD_EVENT, message)
