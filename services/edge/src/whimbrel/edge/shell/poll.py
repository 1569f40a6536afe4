"""Polling: ``POST /v1/poll`` (long-poll) and ``GET /v1/poll`` (interval polling with ETag and 304).

A poll carries its credentials and positions, so any pod answers it. Where the token is remembered and the rings reach
back far enough, the answer is written in the same turn of the loop; otherwise a task asks for what is missing. A poll
that waits costs one entry per channel.
"""

from collections.abc import Callable, Mapping, Sequence, Set
from http import HTTPStatus
from typing import Final

from pydantic import ValidationError

from whimbrel.edge.core.effects import Rejected, Wanted
from whimbrel.edge.core.hub import LiveChannel
from whimbrel.edge.core.identity import Identity
from whimbrel.edge.core.opening import Opening
from whimbrel.edge.core.polling import PollAnswer, answer_poll
from whimbrel.edge.core.rights import permit
from whimbrel.edge.core.subscription import NotOpened, Opened
from whimbrel.edge.shell.httpwire import Refusal, Request
from whimbrel.edge.shell.pod import Pod
from whimbrel.protocol.bodies import PollRequest
from whimbrel.protocol.channels import INBOX, Channel
from whimbrel.protocol.codes import CloseCode, ErrorCode
from whimbrel.protocol.errors import MalformedPosition, Refused
from whimbrel.protocol.frames import AckedFrame, encode
from whimbrel.protocol.limits import POLL_LIMIT
from whimbrel.protocol.positions import Cursor, Position, decode_cursor, encode_cursor

JSON: Final = "application/json"
Reply = Callable[[HTTPStatus, bytes, Mapping[str, str]], None]

HTTP_OF_CLOSE: Final[Mapping[CloseCode, HTTPStatus]] = {
    CloseCode.UNAUTHORIZED: HTTPStatus.UNAUTHORIZED,
    CloseCode.TOKEN_EXPIRED: HTTPStatus.UNAUTHORIZED,
    CloseCode.REVOKED: HTTPStatus.UNAUTHORIZED,
    CloseCode.FORBIDDEN: HTTPStatus.FORBIDDEN,
    CloseCode.BUS_UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
}


OUR_FAULT: Final = Refusal(HTTPStatus.INTERNAL_SERVER_ERROR, ErrorCode.INTERNAL, "a fault in the edge; try again")


def refuse(rejected: Rejected) -> Refusal:
    """Return the HTTP error of a client who may not come in."""
    status = HTTP_OF_CLOSE.get(rejected.close, HTTPStatus.UNAUTHORIZED)
    return Refusal(status, rejected.error, rejected.reason, retry_ms=rejected.after_ms or None)


def read_post(request: Request) -> PollRequest:
    """Return what a POST asks for. Raises Refusal (400)."""
    try:
        return PollRequest.model_validate_json(request.body)
    except ValidationError as error:
        raise _bad_body(error) from None


def read_get(request: Request) -> tuple[PollRequest, Cursor]:
    """Return what a GET asks for: `channel` (repeatable), `cursor` or If-None-Match, `wait`, `limit`; and the cursor.

    Raises Refusal (400).
    """
    parameters = request.parameters()
    given = {name: value for name, value in parameters if name != "channel"}
    cursor = given.get("cursor") or request.header("if-none-match")
    try:
        start = decode_cursor(cursor) if cursor and cursor != "*" else Cursor("", {})
        names = [value for name, value in parameters if name == "channel"] or list(start.positions)
        asked = {
            "channels": {name: start.positions.get(name) for name in names},
            "wait": float(given.get("wait", 0)),
            "limit": int(given.get("limit", POLL_LIMIT)),
        }
        return PollRequest.model_validate(asked), start
    except ValidationError as error:
        raise _bad_body(error) from None
    except ValueError as error:  # a cursor or a number that cannot be read
        raise Refusal(HTTPStatus.BAD_REQUEST, ErrorCode.BAD_REQUEST, str(error)) from None


def _bad_body(error: ValidationError) -> Refusal:
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return Refusal(HTTPStatus.BAD_REQUEST, ErrorCode.BAD_REQUEST, f"{where}: {first['msg']}"[:300])


class Poll:
    """One poll under way. ``reply`` takes the HTTP answer once, ``fail`` the refusal instead."""

    __slots__ = (
        "_asked",
        "_cursor",
        "_extra",
        "_fail",
        "_identity",
        "_lives",
        "_positions",
        "_reply",
        "_revalidates",
        "_until",
        "_woken",
        "done",
        "pod",
    )

    def __init__(self, pod: Pod, request: Request, reply: Reply, fail: Callable[[Refusal], None]) -> None:
        """Raises Refusal where the request is malformed."""
        self.pod = pod
        self.done = False
        self._reply = reply
        self._fail = fail
        self._revalidates = request.method == "GET"
        self._cursor: Cursor | None = None
        if self._revalidates:
            self._asked, self._cursor = read_get(request)
        else:
            self._asked = read_post(request)
        self._positions: dict[str, Position | None] = dict(self._asked.channels)
        self._identity: Identity | None = None
        self._lives: list[LiveChannel] = []  # waited for
        self._extra: list[bytes] = []  # frames without a position that came while waiting
        self._woken = False
        self._until = 0.0

    def begin(self, token: str | None) -> None:
        """Answer at once where memory allows; otherwise ask, read or wait. Raises Refusal (401)."""
        if token is None:
            why = "send the access token in `Authorization: Bearer`"
            raise Refusal(HTTPStatus.UNAUTHORIZED, ErrorCode.UNAUTHORIZED, why)
        self.pod.connections.add(self)
        self.pod.counters.open["poll"] += 1
        now = self.pod.now()
        self._until = now + (0.0 if self.pod.draining else self._asked.wait)
        identity = self.pod.gatekeeper.recall(token, now=now)
        if identity is None:
            self.pod.spawn(self._identify(token), self._failed)
        else:
            self._open(identity)

    async def _identify(self, token: str) -> None:
        outcome = await self.pod.gatekeeper.identify(token, None, now=self.pod.now())
        if self.done:
            return
        if isinstance(outcome, Rejected):
            self._end()
            self._fail(refuse(outcome))
        else:
            self._open(outcome.identity)

    def _open(self, identity: Identity) -> None:
        try:
            self.pod.quotas.request(identity.user, now=self.pod.now())
        except Refused as refused:
            self._end()
            too_many = HTTPStatus.TOO_MANY_REQUESTS
            self._fail(Refusal(too_many, refused.code, refused.message, retry_ms=refused.retry_ms))
            return
        self._identity = identity
        if self._cursor is not None:
            mine = self._cursor.of(identity.user)
            self._positions = {name: mine.get(name) for name in self._positions}
        self.pod.users.attach(identity, self, now=self.pod.now())
        self._look()

    # Look, and wait

    def _look(self) -> None:
        """Answer if there is something to tell; otherwise wait on."""
        refused: list[tuple[Wanted, Opened | NotOpened]] = []
        openings: list[Opening] = []
        for name, position in self._positions.items():
            try:
                wanted = self._wanted(name, position)
                openings.append(self.pod.openings.start(wanted, now=self.pod.now()))
            except Refused as refusal:
                nobody = Wanted(name, Channel("", ""))
                refused.append((nobody, NotOpened(refusal.code, refusal.message)))
        if not self._answered(refused, openings):
            self.pod.spawn(self._look_slowly(refused, openings), self._failed)

    def _wanted(self, name: str, position: Position | None) -> Wanted:
        assert self._identity is not None
        channel = permit(self._identity, "subscribe", name, self.pod.rules)
        return Wanted(name, channel, position, from_mark=name == INBOX and position is None)

    async def _look_slowly(
        self, refused: Sequence[tuple[Wanted, Opened | NotOpened]], openings: Sequence[Opening]
    ) -> None:
        assert self._identity is not None
        await self.pod.openings.prepare(openings, self._identity.user)
        while not self._answered(refused, openings):
            await self.pod.openings.prepare(openings, self._identity.user)

    def _answered(self, refused: Sequence[tuple[Wanted, Opened | NotOpened]], openings: Sequence[Opening]) -> bool:
        """Answer or begin to wait, in one turn; False where something must be read first."""
        if self.done:
            return True
        results = list(refused)
        for opening in openings:
            result = opening.complete()
            if result is None:
                return False
            results.append((opening.wanted, result))
        answer = answer_poll(results, limit=self._asked.limit)
        answer.frames += self._extra
        self._positions = answer.positions
        if answer.frames or self.pod.now() >= self._until:
            self._finish(answer)
        else:
            self._wait([opening.live for opening in openings])
        return True

    def _wait(self, lives: list[LiveChannel]) -> None:
        self._woken = False
        if not self._lives:
            self._lives = lives
            for live in lives:
                self.pod.hub.wait(live, self, self._wake)
            self.pod.wheel.schedule(self, self._until)

    def _wake(self, live: LiveChannel, frames: list[bytes]) -> None:
        if not live.durable:
            self._extra += frames[: self._asked.limit - len(self._extra)]
        if not self._woken:
            self._woken = True
            self.pod.loop.call_soon(self._look_again)  # once for all channels of this read of the bus

    def _look_again(self) -> None:
        if not self.done:
            self._look()

    def _failed(self) -> None:
        if not self.done:
            self._end()
            self._fail(OUR_FAULT)

    def tick(self, *, now: float) -> None:
        """The time to wait is over."""
        self._finish(PollAnswer(list(self._extra), self._positions))

    def tell_drain(self, *, after_ms: int) -> None:
        """Wait on: nothing can be told before the answer."""

    def drain(self) -> None:
        """Answer with what there is: the next poll goes to another pod."""
        self._until = self.pod.now()  # where it is not yet known who asks
        self._finish(PollAnswer(list(self._extra), self._positions))

    def groups_changed(self, *, joined: tuple[str, ...], left: tuple[str, ...]) -> None:
        """Answer with what there is: the next poll comes with the new rights. A repeat changes nothing."""
        if self._identity is not None and self._identity.changed(joined=joined, left=left) != self._identity:
            self._finish(PollAnswer(list(self._extra), self._positions))

    def rules_changed(self, renewed: Set[Channel]) -> None:
        """Answer with what there is: the next poll comes under the new rules."""
        self._finish(PollAnswer(list(self._extra), self._positions))

    def acked(self, channel: Channel, offset: int, origin: str) -> None:
        """Pass on that another device acknowledged."""
        for live in self._lives:
            if live.channel == channel:
                self._extra.append(encode(AckedFrame(channel=live.name.decode(), offset=offset)))
                self._finish(PollAnswer(list(self._extra), self._positions))

    # End

    def _finish(self, found: PollAnswer) -> None:
        if self.done or self._identity is None:
            return
        self._end()
        self.pod.counters.accepted["poll"] += 1
        if not self._revalidates:
            self._reply(HTTPStatus.OK, found.encode(), {"content-type": JSON, "cache-control": "no-store"})
            return
        try:
            headers = {
                "etag": f'"{encode_cursor(self._identity.user, found.positions)}"',
                "cache-control": "private, no-cache",
            }
        except MalformedPosition as error:
            self._fail(Refusal(HTTPStatus.BAD_REQUEST, ErrorCode.LIMIT_EXCEEDED, f"{error}: use POST /v1/poll"))
            return
        if found.frames:
            self._reply(HTTPStatus.OK, found.encode(), {"content-type": JSON, **headers})
        else:
            self._reply(HTTPStatus.NOT_MODIFIED, b"", headers)

    def cancel(self) -> None:
        """The client is gone."""
        if not self.done:
            self._end()

    def _end(self) -> None:
        self.done = True
        pod, now = self.pod, self.pod.now()
        for live in self._lives:
            pod.hub.unwait(live, self, now=now)
        if self._identity is not None:
            pod.users.detach(self._identity.user, self, now=now)
        pod.wheel.discard(self)
        pod.forget(self)
        pod.counters.open["poll"] -= 1
