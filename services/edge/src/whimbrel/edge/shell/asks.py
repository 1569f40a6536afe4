"""What a poll asks, read from its request."""

from functools import lru_cache
from http import HTTPStatus
from typing import Final

from pydantic import ValidationError

from whimbrel.edge.core.polling import Ask
from whimbrel.edge.shell.httpwire import Refusal, Request
from whimbrel.edge.shell.refusals import bad_request
from whimbrel.protocol.bodies import PollRequest
from whimbrel.protocol.codes import ErrorCode
from whimbrel.protocol.limits import POLL_LIMIT
from whimbrel.protocol.positions import Cursor, decode_cursor

REPEATED_BYTES: Final = 1024  # bodies up to that are read once for all who send the same: a dozen channels
REPEATED: Final = 1024  # such bodies remembered; with what they say, 4 KiB each


def read_post(body: bytes) -> Ask:
    """Return what a POST asks for. Raises Refusal (400)."""
    return _read_post(body) if len(body) > REPEATED_BYTES else _read_repeated(body)


def _read_post(body: bytes) -> Ask:
    try:
        return _ask(PollRequest.model_validate_json(body))
    except ValidationError as error:
        raise bad_request(error) from None


_read_repeated = lru_cache(maxsize=REPEATED)(_read_post)


def _ask(request: PollRequest) -> Ask:
    return Ask(request.channels, request.wait, request.limit)


def read_get(request: Request) -> tuple[Ask, Cursor]:
    """Return what a GET asks for: `channel` (repeatable), `cursor` or If-None-Match, `wait`, `limit`; and the cursor.

    Raises Refusal (400).
    """
    parameters = request.parameters()
    given = {name: value for name, value in parameters if name != "channel"}
    cursor = given.get("cursor") or request.header("if-none-match")
    try:
        start = decode_cursor(cursor) if cursor and cursor != "*" else Cursor("", {})
        fields = {
            "channels": {value: None for name, value in parameters if name == "channel"},
            "wait": float(given.get("wait", 0)),
            "limit": int(given.get("limit", POLL_LIMIT)),
        }
        return _ask(PollRequest.model_validate(fields)), start
    except ValidationError as error:
        raise bad_request(error) from None
    except ValueError as error:  # a cursor or a number that cannot be read
        raise Refusal(HTTPStatus.BAD_REQUEST, ErrorCode.BAD_REQUEST, str(error)) from None
