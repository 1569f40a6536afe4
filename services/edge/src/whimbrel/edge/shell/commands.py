"""The edge's HTTP endpoints that are not hot, by FastAPI on the front door's port: commands, inbox and transports."""

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Annotated, Any, Final, assert_never

from fastapi import FastAPI, Header, Query, Response
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse

from whimbrel.edge.core.effects import Rejected
from whimbrel.edge.core.effects import Request as FrameRequest
from whimbrel.edge.core.identity import Identity
from whimbrel.edge.core.replies import error_frame
from whimbrel.edge.core.rights import action_of, permit
from whimbrel.edge.shell.handshake import foreign
from whimbrel.edge.shell.httpwire import Refusal
from whimbrel.edge.shell.pod import Pod
from whimbrel.edge.shell.refusals import HTTP_OF_CLOSE
from whimbrel.protocol.bodies import CommandsRequest
from whimbrel.protocol.channels import inbox_of
from whimbrel.protocol.codes import ErrorCode
from whimbrel.protocol.errors import Refused
from whimbrel.protocol.frames import (
    Ack,
    ClientFrame,
    Connect,
    History,
    Inbox,
    Ping,
    Pong,
    Presence,
    Publish,
    Refresh,
    Subscribe,
    Unsubscribe,
    decode_object,
)
from whimbrel.protocol.limits import HISTORY_LIMIT, MAX_OFFSET
from whimbrel.runtime import http

PREFLIGHT_S: Final = 600
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"})
FRONT_DOORS: Final[Mapping[str, tuple[str, ...]]] = {
    "/v1/ws": ("GET",),
    "/v1/sse": ("GET", "POST"),
    "/v1/poll": ("GET", "HEAD", "POST"),
}


def application(pod: Pod) -> FastAPI:
    """Return the app: `POST /v1/commands`, `GET /v1/inbox`, `GET /v1/transports`, for pages of the allowed origins."""
    app = FastAPI(title="Whimbrel edge", openapi_url=None, docs_url=None, redoc_url=None)
    http.answer_problems(app, pod.log)
    _mind_origins(app, pod)

    async def identify(request: Request, authorization: str | None) -> Identity | Response:
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            return http.problem_response(ErrorCode.UNAUTHORIZED, "send the access token in `Authorization: Bearer`")
        identity = pod.gatekeeper.recall(token.strip(), now=pod.now())
        if identity is None:
            try:
                forwarded = request.headers.getlist(pod.admission.forwarded_header)
                pod.admission.connect(request.client, forwarded, now=pod.now())
            except Refusal as no:
                return http.problem_response(no.code, no.detail, status=no.status, retry_ms=no.retry_ms)
            outcome = await pod.gatekeeper.identify(token.strip(), None, now=pod.now())
            if isinstance(outcome, Rejected):
                status = HTTP_OF_CLOSE.get(outcome.close)
                return http.problem_response(
                    outcome.error, outcome.reason, status=status, retry_ms=outcome.after_ms or None
                )
            identity = outcome.identity
        pod.quotas.request(identity.user, now=pod.now())  # what it raises is answered 429
        return identity

    @app.post("/v1/commands")
    async def commands(
        request: Request, body: CommandsRequest, authorization: Annotated[str | None, Header()] = None
    ) -> Response:
        """Carry out frames in their order; those that want no reply leave none."""
        identity = await identify(request, authorization)
        if isinstance(identity, Response):
            return identity
        replies = [await _command(pod, identity, fields) for fields in body.frames]
        return Response(
            b'{"frames":[%b]}' % b",".join(reply for reply in replies if reply is not None),
            media_type="application/json",
            headers={"cache-control": "no-store"},
        )

    @app.get("/v1/transports")
    async def transports(request: Request, authorization: Annotated[str | None, Header()] = None) -> Response:
        """Say which transports the user should use now, best first."""
        identity = await identify(request, authorization)
        if isinstance(identity, Response):
            return identity
        return JSONResponse(pod.advice().model_dump(), headers={"cache-control": "no-store"})

    @app.get("/v1/inbox")
    async def inbox(
        request: Request,
        unread: bool = False,
        before: Annotated[int | None, Query(ge=0, le=MAX_OFFSET)] = None,
        limit: Annotated[int, Query(ge=0, le=HISTORY_LIMIT)] = HISTORY_LIMIT,
        authorization: Annotated[str | None, Header()] = None,
    ) -> Response:
        """Say what is in the user's inbox, and how much of it is unread."""
        identity = await identify(request, authorization)
        if isinstance(identity, Response):
            return identity
        frame = Inbox(id=1, unread=unread, before=before, limit=limit)
        found = await pod.requests.inbox(frame, inbox_of(identity.user), identity.user)
        return Response(b"{%b}" % found, media_type="application/json", headers={"cache-control": "no-store"})

    for path, allowed in FRONT_DOORS.items():
        app.add_api_route(path, _not_with_this_method(allowed), methods=sorted(METHODS - set(allowed)))
    return app


def _not_with_this_method(allowed: tuple[str, ...]) -> Callable[[], Awaitable[Response]]:
    """Return the answer to a method that the front door does not serve at one of its paths."""

    async def refuse() -> Response:
        why = f"here are {', '.join(allowed)}"
        response = http.problem_response(ErrorCode.BAD_REQUEST, why, status=HTTPStatus.METHOD_NOT_ALLOWED)
        response.headers["allow"] = ", ".join((*allowed, "OPTIONS"))
        return response

    return refuse


async def _command(pod: Pod, identity: Identity, fields: dict[str, Any]) -> bytes | None:
    frame = decode_object(fields)
    try:
        request = _executable(frame)
        # A polling client holds no subscription here: who may subscribe counts as subscribed.
        pod.quotas.request(identity.user, now=pod.now())
        if isinstance(request, Publish):
            pod.quotas.publish(identity.user, now=pod.now())
        subscribed = _may_subscribe(pod, identity, request.channel)
        channel = permit(identity, action_of(request), request.channel, pod.rules, subscribed)
    except Refused as refusal:
        return error_frame(refusal, getattr(frame, "id", None))
    durable = pod.durable(channel.namespace)
    return await pod.requests.answer(request, channel, user=identity.user, session="", durable=durable)


def _executable(frame: ClientFrame | Refused) -> FrameRequest:
    match frame:
        case Publish() | Ack() | History() | Inbox() | Presence():
            return frame
        case Refused():
            raise frame
        case Subscribe() | Unsubscribe():
            why = "ask for the channels with the next poll, or in a new stream opened at the cursor of the one before"
            raise Refused(ErrorCode.BAD_REQUEST, f"`{frame.type}` needs a WebSocket: {why}")
        case Connect() | Refresh():
            why = "each request bears its token; a stream is opened anew with the new one, at its cursor"
            raise Refused(ErrorCode.BAD_REQUEST, f"`{frame.type}` needs a WebSocket: {why}")
        case Ping() | Pong():
            raise Refused(ErrorCode.BAD_REQUEST, f"`{frame.type}` needs a WebSocket")
        case _:
            assert_never(frame)


def _may_subscribe(pod: Pod, identity: Identity, name: str) -> bool:
    try:
        permit(identity, "subscribe", name, pod.rules)
    except Refused:
        return False
    return True


def _mind_origins(app: FastAPI, pod: Pod) -> None:
    allowed = pod.settings.allowed_origins
    app.add_middleware(
        CORSMiddleware,
        allow_origins=sorted(allowed),
        allow_methods=["GET", "HEAD", "POST", "PUT"],
        allow_headers=["authorization", "content-type", "if-none-match", "last-event-id"],
        expose_headers=["ETag", "Retry-After"],
        max_age=PREFLIGHT_S,
    )

    @app.middleware("http")
    async def refuse_foreign(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        if why := foreign(request.headers.getlist("origin"), allowed):
            return http.problem_response(ErrorCode.PERMISSION_DENIED, why)
        return await call_next(request)
