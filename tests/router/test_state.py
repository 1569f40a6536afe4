"""Permission, status and dead letters on a real bus."""

import json

from tests.router.conftest import Connect, Router
from tests.support.nats import PARTITIONS
from whimbrel.protocol import publications, subjects
from whimbrel.runtime import jetstream


async def test_permission_over_http_and_the_bus_follows_memberships(router: Router, connect: Connect) -> None:
    question = {"user": "alice", "channel": "staff:all", "action": "subscribe"}
    bus = await connect("edge")

    async def over_the_bus() -> object:
        reply = await bus.request(subjects.ROUTER_AUTHORIZE, json.dumps(question).encode(), timeout=5)
        return json.loads(reply.payload)["code"]

    reply = await router.http.post("/v1/authorize", json=question)
    assert (reply.json()["allowed"], reply.json()["code"]) == (False, "permission_denied")
    assert await over_the_bus() == "permission_denied"
    await router.http.put("/v1/groups/staff/members/alice")
    assert (await router.http.post("/v1/authorize", json=question)).json() == {
        "allowed": True, "code": "ok", "reason": "",
    }  # fmt: skip
    assert await over_the_bus() == "ok"


async def test_status_tells_processes_streams_and_lag(router: Router) -> None:
    body = (await router.http.get("/v1/status")).json()
    (service,) = (each for each in body["services"] if each["service"] == "router")
    assert service["ready"]
    assert service["detail"]["namespaces"] == ["group", "orders", "staff", "typing", "user"]
    names = {stream["name"] for stream in body["streams"]}
    assert names >= {"EVENTS", "DLQ", *(f"HISTORY_{partition}" for partition in range(PARTITIONS))}
    assert body["lag"] == []
    assert body["dead_letters"] == 0


async def test_status_names_the_services_that_do_not_answer(router: Router) -> None:
    services = (await router.http.get("/v1/status")).json()["services"]
    assert [each["service"] for each in services] == ["auth", "edge", "notifier", "router"]
    silent = [each for each in services if each["service"] != "router"]
    assert all((each["ready"], each["reasons"]) == (False, ["does not answer"]) for each in silent)


async def test_dead_letters_are_listed_oldest_first_and_in_pages(router: Router, connect: Connect) -> None:
    bus = await connect("notifier")
    for number in range(5):
        headers = {
            "ce-id": f"e{number}",
            "ce-type": "order.shipped",
            publications.REASON_CODE: "unroutable",
            publications.REASON: "no route names a target",
            publications.ORIGINAL_SUBJECT: f"events.shop.order.{number}",
            publications.ORIGINAL_SEQUENCE: str(40 + number),
        }
        await jetstream.publish(bus, subjects.DLQ_NOTIFIER, b'{"n":%d}' % number, headers)
    await jetstream.publish(bus, subjects.DLQ_NOTIFIER, b"\xff not text")
    first = (await router.http.get("/v1/dlq", params={"limit": 2})).json()["letters"]
    assert [letter["sequence"] for letter in first] == [1, 2]
    assert first[0].pop("time").endswith("Z")
    assert first[0] == {
        "sequence": 1,
        "subject": "events.shop.order.0",
        "event_sequence": 40,
        "code": "unroutable",
        "reason": "no route names a target",
        "headers": {"ce-id": "e0", "ce-type": "order.shipped"},
        "data": '{"n":0}',
    }
    rest = (await router.http.get("/v1/dlq", params={"after": 2})).json()["letters"]
    assert [letter["sequence"] for letter in rest] == [3, 4, 5, 6]
    assert rest[-1]["data"] == "� not text"
    assert (await router.http.get("/v1/dlq", params={"after": 6})).json()["letters"] == []
    assert (await router.http.get("/v1/status")).json()["dead_letters"] == 6
