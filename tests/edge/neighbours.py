"""Auth, router and notifier as an edge sees them: what they answer and what they tell, on a real bus."""

import asyncio
import itertools
import json
import logging
import math
import time
from base64 import urlsafe_b64encode
from typing import Any, Literal

from tests.support.nats import PARTITIONS, NatsServer
from tests.support.waiting import within
from whimbrel.protocol import subjects
from whimbrel.protocol.channels import Channel
from whimbrel.protocol.namespaces import Grant, Namespace
from whimbrel.protocol.publications import MSG_ID, TRACEPARENT, encode_body
from whimbrel.protocol.rpc import (
    Claims,
    GroupsChanged,
    RedeemRequest,
    ResolveReply,
    ResolveRequest,
    ResumeKey,
    Rights,
    RightsChange,
    TokenVerdict,
    VerifyReply,
    VerifyRequest,
)
from whimbrel.runtime import jetstream
from whimbrel.runtime.directget import DirectGet
from whimbrel.runtime.kv import Bucket
from whimbrel.runtime.logs import Logger
from whimbrel.runtime.nats import Connection

LOG = Logger(logging.getLogger("whimbrel.test"))
NAMESPACES = {
    "orders": Namespace(durable=True, subscribe="authenticated"),
    "chat": Namespace(durable=True, subscribe="authenticated", publish="subscribers"),
    "typing": Namespace(durable=False, subscribe="authenticated", publish="subscribers"),
}
_NUMBERS = itertools.count(1)


def a_name(stem: str) -> str:
    """Return a name that no other test uses: they share one bus."""
    return f"{stem}-{next(_NUMBERS)}"


def connection(server: NatsServer, user: str) -> Connection:
    return Connection(server.url(user), name=user, log=LOG, inbox_prefix=f"_INBOX.{user}")


async def declare(server: NatsServer) -> None:
    """Declare streams, buckets and namespaces as a router does."""
    router = connection(server, "router")
    await within(router.open())
    await jetstream.declare(router, partitions=PARTITIONS, replicas=1)
    bucket = Bucket(router, DirectGet(router), subjects.NAMESPACES)
    for name, rules in NAMESPACES.items():
        await bucket.put(name, rules.model_dump_json().encode())
    await router.close(timeout=0.2)


class Neighbours:
    """The other services, and a domain team's events already turned into publications."""

    def __init__(self, server: NatsServer) -> None:
        self.server = server
        self.auth = connection(server, "auth")
        self.router = connection(server, "router")
        self.notifier = connection(server, "notifier")
        self.groups: dict[str, set[str]] = {}
        self.verified: list[str] = []
        self.resolved: list[str] = []
        self.before_resolve: asyncio.Event | None = None  # the router answers once it is set
        self._tokens: dict[str, TokenVerdict] = {}
        self._tickets: dict[str, TokenVerdict] = {}

    async def open(self) -> None:
        await within(asyncio.gather(*(each.open() for each in self._connections)))
        await self.auth.respond(subjects.AUTH_VERIFY, self._verify, queue=subjects.AUTH_QUEUE)
        await self.auth.respond(subjects.AUTH_REDEEM, self._redeem, queue=subjects.AUTH_QUEUE)
        await self.router.respond(subjects.ROUTER_RESOLVE, self._resolve, queue=subjects.ROUTER_QUEUE)
        await within(asyncio.gather(self.auth.flush(), self.router.flush()))

    async def close(self) -> None:
        await asyncio.gather(*(each.close(timeout=0.2) for each in self._connections))

    @property
    def _connections(self) -> tuple[Connection, ...]:
        return self.auth, self.router, self.notifier

    # Auth

    def token(
        self, user: str, *, groups: tuple[str, ...] = (), grants: tuple[Grant, ...] = (), ttl: float = 3600
    ) -> str:
        """Return a token that auth knows for ``ttl`` at least, in the form of a JWT: clients read in it whose it is."""
        now = time.time()
        claims = Claims(
            sub=user,
            exp=math.ceil(now + ttl),
            iat=int(now),
            iss="whimbrel",
            jti=a_name("t"),
            groups=groups,
            channels=grants,
        )
        parts = (b'{"alg":"none"}', claims.model_dump_json().encode(), b"unsigned")
        token = ".".join(urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)
        self._tokens[token] = TokenVerdict(code="ok", claims=claims)
        return token

    async def _verify(self, payload: bytes) -> bytes:
        tokens = VerifyRequest.model_validate_json(payload).tokens
        self.verified += tokens
        return VerifyReply(verdicts=tuple(map(self._verdict, tokens))).model_dump_json().encode()

    def _verdict(self, token: str) -> TokenVerdict:
        unknown = TokenVerdict(code="unauthorized", reason="the token is not one of ours")
        verdict = self._tokens.get(token, unknown)
        if verdict.claims is not None and verdict.claims.exp <= time.time():
            return TokenVerdict(code="token_expired", reason="the token has expired")
        return verdict

    def refused_token(self, code: Literal["token_expired", "revoked", "forbidden"]) -> str:
        """Return a token that auth refuses with ``code``."""
        token = f"{code}-{a_name('t')}"
        self._tokens[token] = TokenVerdict(code=code, reason="as the test wants it")
        return token

    def ticket(self, user: str, *, groups: tuple[str, ...] = ()) -> str:
        """Return a ticket that auth redeems once."""
        ticket = f"ticket-of-{user}"
        self._tickets[ticket] = self._tokens[self.token(user, groups=groups)]
        return ticket

    async def _redeem(self, payload: bytes) -> bytes:
        tickets = RedeemRequest.model_validate_json(payload).tickets
        spent = TokenVerdict(code="unauthorized", reason="this ticket was used before")
        verdicts = tuple(self._tickets.pop(each, spent) for each in tickets)
        return VerifyReply(verdicts=verdicts).model_dump_json().encode()

    # Router

    async def _resolve(self, payload: bytes) -> bytes:
        users = ResolveRequest.model_validate_json(payload).users
        self.resolved += [each.user for each in users]
        rights = tuple(Rights(groups=tuple(sorted(self.groups.get(each.user, ())))) for each in users)
        if self.before_resolve is not None:
            await self.before_resolve.wait()
        return ResolveReply(rights=rights).model_dump_json().encode()

    async def join(self, user: str, group: str) -> None:
        self.groups.setdefault(user, set()).add(group)
        await self.tell(user, GroupsChanged(joined=(group,)))

    async def leave(self, user: str, group: str) -> None:
        self.groups[user].discard(group)
        await self.tell(user, GroupsChanged(left=(group,)))

    async def tell(self, user: str, change: GroupsChanged) -> None:
        self.router.send(subjects.user_subject(user), change.model_dump_json().encode())
        await within(self.router.flush())

    async def rule(self, namespace: str, rules: Namespace | None) -> None:
        """Write a namespace, or delete it."""
        bucket = self._bucket(subjects.NAMESPACES)
        if rules is None:
            await bucket.delete(namespace)
        else:
            await bucket.put(namespace, rules.model_dump_json().encode())

    async def resume_keys(self, *keys: ResumeKey) -> None:
        stored = [key.model_dump() for key in keys]
        await self._bucket(subjects.KEYS).put(subjects.RESUME_KEYS, json.dumps(stored).encode())

    async def void_grants(self, user: str, *, at: int) -> None:
        change = RightsChange(user=user, at=at)
        await self._bucket(subjects.REVOKED).put(subjects.rights_key(user), change.model_dump_json().encode())

    def _bucket(self, name: str) -> Bucket:
        return Bucket(self.router, DirectGet(self.router), name)

    # Notifier

    async def publish(self, channel: str, *data: Any, trace: str = "") -> list[int]:
        """Publish to a durable channel in order; return the offsets."""
        acks = [await within(self._publish(Channel.parse(channel), each, trace)) for each in data]
        return [ack.seq for ack in acks]

    async def _publish(self, channel: Channel, data: Any, trace: str) -> jetstream.PubAck:
        event_id = a_name("event")
        body = encode_body("changed", event_id, "2026-01-01T00:00:00Z", json.dumps(data).encode())
        headers = {MSG_ID: event_id} | ({TRACEPARENT: trace} if trace else {})
        return await jetstream.publish(self.notifier, subjects.publish_subject(channel), body, headers)

    async def say_live(self, channel: str, data: Any) -> None:
        """Publish to an ephemeral channel."""
        body = encode_body("typed", a_name("event"), "2026-01-01T00:00:00Z", json.dumps(data).encode())
        self.notifier.send(subjects.live_subject(Channel.parse(channel)), body)
        await within(self.notifier.flush())
