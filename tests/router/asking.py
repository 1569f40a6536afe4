"""How others ask the router and hear from it."""

import httpx

from tests.support.waiting import Collected
from whimbrel.protocol import subjects
from whimbrel.protocol.rpc import (
    USER_CHANGE,
    Acked,
    GroupsChanged,
    ResolveReply,
    ResolveRequest,
    Resolving,
)
from whimbrel.runtime.directget import DirectGet
from whimbrel.runtime.kv import Bucket
from whimbrel.runtime.nats import Connection, Delivery


def assert_problem(reply: httpx.Response, status: int, code: int, slug: str) -> None:
    assert reply.headers["content-type"] == "application/problem+json"
    body = reply.json()
    assert (reply.status_code, body["code"], body["slug"]) == (status, code, slug), body
    assert body["detail"]


async def resolve(bus: Connection, *users: str, groups: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    request = ResolveRequest(users=tuple(Resolving(user=user, groups=groups) for user in users))
    reply = await bus.request(subjects.ROUTER_RESOLVE, request.model_dump_json().encode(), timeout=5)
    return [rights.groups for rights in ResolveReply.model_validate_json(reply.payload).rights]


async def heard(bus: Connection, user: str) -> Collected[GroupsChanged | Acked]:
    changes: Collected[GroupsChanged | Acked] = Collected()

    def receive(delivery: Delivery) -> None:
        changes.append(USER_CHANGE.validate_json(delivery.payload))

    await bus.subscribe(subjects.user_subject(user), receive)
    await bus.flush()
    return changes


def bucket(bus: Connection, name: str) -> Bucket:
    return Bucket(bus, DirectGet(bus), name)
