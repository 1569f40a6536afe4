"""Clients who come to stay: a WebSocket, or a stream of events, instead of an answer.

Who says with the HTTP request who it is, by header or ticket, is checked before the answer; a WebSocket that comes
without becomes one at once, and its first frame says so.
"""

import asyncio
from functools import partial
from http import HTTPStatus
from typing import Protocol

from whimbrel.edge.core.asking import from_cursor
from whimbrel.edge.core.effects import Identified, Rejected
from whimbrel.edge.shell.admission import spread_ms
from whimbrel.edge.shell.eventstream import EventStream, read_connect
from whimbrel.edge.shell.handshake import Accepted, Upgrade
from whimbrel.edge.shell.httpwire import Refusal, Request
from whimbrel.edge.shell.pod import Pod
from whimbrel.edge.shell.refusals import RETRY_MS, refuse
from whimbrel.edge.shell.websocket import WebSocket
from whimbrel.protocol.codes import CloseCode, ErrorCode
from whimbrel.protocol.frames import Connect
from whimbrel.protocol.positions import Cursor


class Door(Protocol):
    """The connection on which a request came."""

    pod: Pod
    transport: asyncio.Transport

    @property
    def gone(self) -> bool:
        """Whether the client left meanwhile, or was refused."""

    def admit(self) -> None:
        """Count the request as a connect. Raises Refusal (429, 503)."""

    def cors(self) -> dict[str, str]:
        """Return the headers that let the page of the request read the answer."""

    def refuse(self, refusal: Refusal) -> None:
        """Answer with an error."""

    def failed(self) -> None:
        """End the connection: a fault of ours was logged."""

    def hand_over(self) -> bytes:
        """Leave the connection to another protocol, and return what came behind the request."""


def overloaded(why: str) -> Refusal:
    """Return the refusal of a pod that serves all it can."""
    return Refusal(HTTPStatus.SERVICE_UNAVAILABLE, CloseCode.OVERLOADED, why, retry_ms=RETRY_MS)


def upgrade(door: Door, asked: Upgrade) -> None:
    """Make the connection a WebSocket. Raises Refusal."""
    pod = door.pod
    _check_room(pod)
    accepted = asked.accept()
    door.admit()
    if asked.says_who:
        pod.spawn(_upgrade_identified(door, asked.request, accepted), door.failed)
    else:
        pod.entrance.enter(partial(_come_in, door, accepted))


def open_stream(door: Door, request: Request) -> None:
    """Answer with a stream of events. Raises Refusal."""
    _check_room(door.pod)
    connect, cursor = read_connect(request)
    presented = (connect.token, connect.resume, request.bearer, request.ticket)
    if all(each is None for each in presented):
        why = "send the access token in `Authorization: Bearer`, in the body's `connect` frame, or as a ticket"
        raise Refusal(HTTPStatus.UNAUTHORIZED, ErrorCode.UNAUTHORIZED, why)
    door.admit()
    door.pod.spawn(_open_stream_identified(door, request, connect, cursor), door.failed)


def _check_room(pod: Pod) -> None:
    if pod.full:
        raise overloaded("the pod is leaving" if pod.draining else "the pod holds as many clients as it may")
    if pod.brownout.active:
        why = "the pod sheds load: polls are served, streams by other pods or later"
        after_ms = spread_ms(pod.settings.brownout_poll_s)
        raise Refusal(HTTPStatus.SERVICE_UNAVAILABLE, CloseCode.OVERLOADED, why, retry_ms=after_ms)


async def _upgrade_identified(door: Door, request: Request, accepted: Accepted) -> None:
    identified = _welcome(door, await _identify(door.pod, request))
    if identified is not None:
        _become_websocket(door, accepted, identified)


def _come_in(door: Door, accepted: Accepted) -> None:
    """Make the connection a WebSocket whose first frame says who it is."""
    if door.gone:
        return
    try:
        _become_websocket(door, accepted, None)
    except Exception as error:  # a fault of ours must cost one connection, not those beside it
        door.pod.log.exception("connection.failed", error)
        door.failed()


def _become_websocket(door: Door, accepted: Accepted, presented: Identified | None) -> None:
    rest, transport = door.hand_over(), door.transport
    transport.write(accepted.answer)
    socket = WebSocket(door.pod, transport, presented, deflated=accepted.deflated)
    transport.set_protocol(socket)
    transport.resume_reading()
    if rest:
        socket.data_received(rest)


async def _open_stream_identified(door: Door, request: Request, connect: Connect, cursor: Cursor) -> None:
    token = connect.token or request.bearer
    if token is not None or connect.resume is not None:
        outcome = await door.pod.gatekeeper.identify(token, connect.resume, now=door.pod.now())
    else:
        outcome = await _identify(door.pod, request)
    identified = _welcome(door, outcome)
    if identified is None:
        return
    asked = from_cursor(connect.channels, cursor.of(identified.identity.user))
    door.hand_over()  # what came behind the request is not heard
    stream = EventStream(door.pod, door.transport, identified, door.cors())
    door.transport.set_protocol(stream)
    door.transport.resume_reading()
    stream.begin(connect.model_copy(update={"channels": asked}))


async def _identify(pod: Pod, request: Request) -> Identified | Rejected:
    """Check the header of a request, or else its ticket: which of both is there counts, not which is good."""
    if "authorization" not in request.headers and request.ticket is not None:
        return await pod.gatekeeper.redeem(request.ticket, now=pod.now())
    if request.bearer is None:
        why = "the Authorization header must be `Bearer <token>`"
        return Rejected(CloseCode.UNAUTHORIZED, ErrorCode.UNAUTHORIZED, why)
    return await pod.gatekeeper.identify(request.bearer, None, now=pod.now())


def _welcome(door: Door, outcome: Identified | Rejected) -> Identified | None:
    """Return who may come in; None where nobody is left, or somebody was refused."""
    if door.gone:
        return None
    if isinstance(outcome, Identified):
        outcome = door.pod.admission.crowd(outcome.identity.user) or outcome
    if isinstance(outcome, Rejected):
        door.refuse(refuse(outcome))
        return None
    return outcome
