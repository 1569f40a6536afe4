"""Who may not come in, as HTTP says it: the transports over HTTP refuse alike."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from pydantic import ValidationError

from whimbrel.edge.core.effects import Rejected
from whimbrel.edge.shell.httpwire import Refusal
from whimbrel.protocol.codes import CloseCode, ErrorCode

RETRY_MS: Final = 2000

HTTP_OF_CLOSE: Final[Mapping[CloseCode, HTTPStatus]] = {
    CloseCode.UNAUTHORIZED: HTTPStatus.UNAUTHORIZED,
    CloseCode.TOKEN_EXPIRED: HTTPStatus.UNAUTHORIZED,
    CloseCode.REVOKED: HTTPStatus.UNAUTHORIZED,
    CloseCode.FORBIDDEN: HTTPStatus.FORBIDDEN,
    CloseCode.NOT_A_SUBSCRIBER: HTTPStatus.FORBIDDEN,
    CloseCode.TRANSPORT_DISABLED: HTTPStatus.FORBIDDEN,
    CloseCode.TOO_MANY_CONNECTIONS: HTTPStatus.TOO_MANY_REQUESTS,
    CloseCode.RATE_LIMITED: HTTPStatus.TOO_MANY_REQUESTS,
    CloseCode.BUS_UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
    CloseCode.DRAINING: HTTPStatus.SERVICE_UNAVAILABLE,
    CloseCode.OVERLOADED: HTTPStatus.SERVICE_UNAVAILABLE,
    CloseCode.STATE_LOST: HTTPStatus.SERVICE_UNAVAILABLE,
    CloseCode.INTERNAL: HTTPStatus.INTERNAL_SERVER_ERROR,
}
_WITH_RETRY: Final = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)

OUR_FAULT: Final = Refusal(HTTPStatus.INTERNAL_SERVER_ERROR, ErrorCode.INTERNAL, "a fault in the edge; try again")


def refuse(rejected: Rejected) -> Refusal:
    """Return the HTTP error of a client who may not come in."""
    status = HTTP_OF_CLOSE.get(rejected.close, HTTPStatus.UNAUTHORIZED)
    return Refusal(status, rejected.error, rejected.reason, retry_ms=rejected.after_ms or None)


def refusal_of_close(code: CloseCode) -> Refusal:
    """Return the HTTP error of a session that ended before its answer began."""
    status = HTTP_OF_CLOSE.get(code, HTTPStatus.INTERNAL_SERVER_ERROR)
    return Refusal(status, code, code.advice, retry_ms=RETRY_MS if status in _WITH_RETRY else None)


def bad_request(error: ValidationError) -> Refusal:
    """Return the HTTP error of a request that does not follow the contract."""
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "the body"
    return Refusal(HTTPStatus.BAD_REQUEST, ErrorCode.BAD_REQUEST, f"{where}: {first['msg']}"[:300])
