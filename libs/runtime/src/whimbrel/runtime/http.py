"""HTTP for every service: its errors as problems, the service key; ``bind`` and ``serve`` stand in ``serving``."""

import hashlib
import hmac
import math
from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Annotated, Any, Final

from fastapi import FastAPI, Header
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from whimbrel.protocol.bodies import Problem
from whimbrel.protocol.codes import CloseCode, ErrorCode
from whimbrel.protocol.errors import ContractError, Refused
from whimbrel.protocol.limits import MAX_BODY_BYTES
from whimbrel.runtime.errors import BusFault, JetStreamRefused, StartRefused
from whimbrel.runtime.logs import Logger
from whimbrel.runtime.serving import Tls, bind, serve

__all__ = [
    "HTTP_STATUS",
    "PROBLEM_TYPE",
    "Tls",
    "answer_problems",
    "bind",
    "problem",
    "problem_response",
    "serve",
    "service_key",
]

MIN_SERVICE_KEY_CHARS: Final = 16  # shorter ones can be guessed
RETRY_MS: Final = 1000  # what a caller is told to wait where nothing better is known
PROBLEM_TYPE: Final = "application/problem+json"

HTTP_STATUS: Final[dict[ErrorCode | CloseCode, HTTPStatus]] = {
    ErrorCode.INTERNAL: HTTPStatus.INTERNAL_SERVER_ERROR,
    ErrorCode.UNAUTHORIZED: HTTPStatus.UNAUTHORIZED,
    ErrorCode.UNKNOWN_CHANNEL: HTTPStatus.NOT_FOUND,
    ErrorCode.PERMISSION_DENIED: HTTPStatus.FORBIDDEN,
    ErrorCode.ALREADY_SUBSCRIBED: HTTPStatus.CONFLICT,
    ErrorCode.NOT_SUBSCRIBED: HTTPStatus.CONFLICT,
    ErrorCode.LIMIT_EXCEEDED: HTTPStatus.BAD_REQUEST,
    ErrorCode.BAD_REQUEST: HTTPStatus.BAD_REQUEST,
    ErrorCode.UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
    ErrorCode.RATE_LIMITED: HTTPStatus.TOO_MANY_REQUESTS,
    ErrorCode.TOKEN_EXPIRED: HTTPStatus.UNAUTHORIZED,
    ErrorCode.UNRECOVERABLE: HTTPStatus.GONE,
    ErrorCode.TOO_LARGE: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    ErrorCode.DUPLICATE: HTTPStatus.CONFLICT,
}

# Problems


def problem(code: ErrorCode | CloseCode, detail: str, *, status: int, retry_ms: int | None = None) -> Problem:
    """Return the body of an HTTP error."""
    return Problem(
        title=HTTPStatus(status).phrase,
        status=status,
        code=int(code),
        slug=code.slug,
        detail=detail,
        retry_after_ms=retry_ms,
    )


def problem_response(
    code: ErrorCode | CloseCode, detail: str, *, status: int | None = None, retry_ms: int | None = None
) -> Response:
    """Return an HTTP error; ``status`` follows from an error code, for a close code it must be given."""
    if status is None:
        status = HTTP_STATUS[code]
    if retry_ms is None and status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
        retry_ms = RETRY_MS
    headers = {}
    if retry_ms is not None:
        headers["Retry-After"] = str(math.ceil(retry_ms / 1000))
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    body = problem(code, detail, status=status, retry_ms=retry_ms).model_dump(exclude_none=True)
    return JSONResponse(body, status, headers, PROBLEM_TYPE)


def answer_problems(app: FastAPI, log: Logger) -> None:
    """Make every error of ``app`` a problem: refusals, malformed input, an outage of the bus, our own faults."""

    async def refused(_: Request, refusal: Exception) -> Response:
        assert isinstance(refusal, Refused)
        return problem_response(refusal.code, refusal.message, retry_ms=refusal.retry_ms)

    async def contract(_: Request, error: Exception) -> Response:
        return problem_response(ErrorCode.BAD_REQUEST, str(error))

    async def invalid(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        # Where and what, never the input: it may hold a token.
        faults = (f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        return problem_response(ErrorCode.BAD_REQUEST, "; ".join(faults))

    async def unavailable(request: Request, error: Exception) -> Response:
        log.warning("http.unavailable", path=request.url.path, error=str(error))
        return problem_response(ErrorCode.UNAVAILABLE, "the bus does not answer; try again")

    async def http(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        too_large = error.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        refusal = ErrorCode.TOO_LARGE if too_large else ErrorCode.BAD_REQUEST
        code = ErrorCode.INTERNAL if error.status_code >= 500 else refusal
        response = problem_response(code, error.detail, status=error.status_code)
        response.headers.update(error.headers or {})
        return response

    app.add_exception_handler(Refused, refused)
    app.add_exception_handler(ContractError, contract)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(BusFault, unavailable)
    app.add_exception_handler(JetStreamRefused, unavailable)
    app.add_exception_handler(HTTPException, http)
    app.add_middleware(_BodyLimit)
    app.add_middleware(_OwnFaults, log=log)


class _BodyLimit:
    """Refuses a body over MAX_BODY_BYTES as soon as that much was read: FastAPI would read all of it first."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        taken = 0

        async def receiving() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > MAX_BODY_BYTES:
                raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a body has at most {MAX_BODY_BYTES} bytes")
            return message

        await self._app(scope, receiving, send)


class _OwnFaults:
    """Answers 500 for what nobody caught, and logs it once."""

    def __init__(self, app: ASGIApp, log: Logger) -> None:
        self._app = app
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def sending(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, sending)
        except Exception as error:
            self._log.exception("http.failed", error, path=scope.get("path", ""))
            if not started:
                response = problem_response(ErrorCode.INTERNAL, "a fault in the service; it was logged")
                await response(scope, receive, send)


# Who may call


def service_key(expected: str) -> Callable[..., Coroutine[Any, Any, None]]:
    """Return a FastAPI dependency that lets only ``Authorization: Bearer <expected>`` pass, compared in constant time.

    Raises StartRefused for a key shorter than MIN_SERVICE_KEY_CHARS, and for one that nobody could send.
    """
    if len(expected) < MIN_SERVICE_KEY_CHARS:
        raise StartRefused(f"the service key has fewer than {MIN_SERVICE_KEY_CHARS} characters")
    if not (expected.isascii() and expected.isprintable() and expected == expected.strip()):
        raise StartRefused(
            "the service key cannot stand in a header: use ASCII without blanks at its ends (a Secret made of a file "
            "may end with a line break)"
        )
    digest = hashlib.sha256(expected.encode()).digest()

    async def check(authorization: Annotated[str | None, Header()] = None) -> None:
        scheme, _, given = (authorization or "").partition(" ")
        matches = hmac.compare_digest(hashlib.sha256(given.strip().encode()).digest(), digest)
        if scheme.lower() != "bearer" or not matches:
            raise Refused(ErrorCode.UNAUTHORIZED, "this endpoint needs the service key as a bearer token")

    return check
