"""HTTP for every service: listening, uvicorn inside our own life cycle, problems, the service key, ops endpoints."""

import asyncio
import contextlib
import errno
import hashlib
import hmac
import math
import socket
from collections.abc import Callable, Coroutine, Generator
from http import HTTPStatus
from typing import Annotated, Any, Final, cast

import uvicorn
from fastapi import FastAPI, Header
from fastapi.exceptions import RequestValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from whimbrel.protocol.bodies import Problem
from whimbrel.protocol.codes import CloseCode, ErrorCode
from whimbrel.protocol.errors import ContractError, Refused
from whimbrel.protocol.limits import MAX_BODY_BYTES
from whimbrel.runtime.errors import BusFault, JetStreamRefused, StartRefused
from whimbrel.runtime.health import Health
from whimbrel.runtime.logs import Logger
from whimbrel.runtime.metrics import CONTENT_TYPE, Metrics

BACKLOG: Final = 4096  # connects waiting for one turn of the loop in a reconnect storm; the kernel caps it (somaxconn)
KEEP_ALIVE_S: Final = 75  # longer than the interval of clients that poll, so that they keep their connection
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

# Sockets


def bind(host: str, port: int) -> socket.socket:
    """Return a listening socket on ``host``:``port``; port 0 takes a free one.

    Raises StartRefused where that is not possible.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise StartRefused(f"cannot listen on {host}:{port}: {error.strerror}") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)  # here already: only now is the port ours alone
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        why = "another program listens there; stop it or choose another port"
        raise StartRefused(
            f"cannot listen on {host}:{port}: {why if error.errno == errno.EADDRINUSE else error.strerror}"
        ) from error
    return listener


class _Server(uvicorn.Server):
    """uvicorn that leaves signals alone: the service decides when it stops."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Capture nothing."""
        yield


async def serve(
    app: ASGIApp,
    sock: socket.socket,
    *,
    http: Callable[..., asyncio.Protocol] | None = None,
    stop: asyncio.Event | None = None,
    grace_s: float = 5,
) -> None:
    """Serve ``app`` on ``sock`` until ``stop`` is set or this is cancelled, then give open requests ``grace_s``
    seconds.

    ``http`` makes the protocol of each connection in place of uvicorn's class (the edge's front door).
    """
    config = uvicorn.Config(
        app,
        http=cast("type[asyncio.Protocol]", http) if http else "httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,  # a URL may hold a ticket
        proxy_headers=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=math.ceil(grace_s),
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[sock]), name="uvicorn")
    waiting = {serving}
    if stop is not None:
        stopped = asyncio.create_task(_wait(stop), name="uvicorn stop")
        waiting.add(stopped)
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting - {serving}:
            task.cancel()
        server.should_exit = True
        await serving


async def _wait(event: asyncio.Event) -> None:
    await event.wait()


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

    Raises StartRefused for a key shorter than MIN_SERVICE_KEY_CHARS.
    """
    if len(expected) < MIN_SERVICE_KEY_CHARS:
        raise StartRefused(f"the service key has fewer than {MIN_SERVICE_KEY_CHARS} characters")
    digest = hashlib.sha256(expected.encode()).digest()

    async def check(authorization: Annotated[str | None, Header()] = None) -> None:
        scheme, _, given = (authorization or "").partition(" ")
        matches = hmac.compare_digest(hashlib.sha256(given.strip().encode()).digest(), digest)
        if scheme.lower() != "bearer" or not matches:
            raise Refused(ErrorCode.UNAUTHORIZED, "this endpoint needs the service key as a bearer token")

    return check


# Operations


def ops_app(health: Health, metrics: Metrics) -> Starlette:
    """Return the application of the operations port: /live, /ready, /metrics."""

    async def live(_: Request) -> Response:
        return JSONResponse({"live": True})

    async def ready(_: Request) -> Response:
        body = {"ready": health.is_ready, "reasons": list(health.reasons)}
        return JSONResponse(body, 200 if health.is_ready else 503)

    async def scrape(_: Request) -> Response:
        return Response(metrics.exposition(), headers={"content-type": CONTENT_TYPE})

    return Starlette(routes=[Route("/live", live), Route("/ready", ready), Route("/metrics", scrape)])
