"""Permission and status on a real bus."""

import json

from tests.support.bus import Connect, Serving
from tests.support.nats import PARTITIONS
from whimbrel.protocol import subjects


async def test_permission_over_http_and_the_bus_follows_memberships(router: Serving, connect: Connect) -> None:
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


async def test_status_tells_processes_streams_and_lag(router: Serving) -> None:
    body = (await router.http.get("/v1/status")).json()
    (service,) = (each for each in body["services"] if each["service"] == "router")
    assert service["ready"]
    assert service["detail"]["namespaces"] == ["group", "orders", "staff", "typing", "user"]
    names = {stream["name"] for stream in body["streams"]}
    assert names >= {"EVENTS", "DLQ", *(f"HISTORY_{partition}" for partition in range(PARTITIONS))}
    assert body["lag"] == []
    assert body["dead_letters"] == 0


async def test_status_names_the_services_that_do_not_answer(router: Serving) -> None:
    services = (await router.http.get("/v1/status")).json()["services"]
    assert [each["service"] for each in services] == ["auth", "edge", "notifier", "router"]
    silent = [each for each in services if each["service"] != "router"]
    assert all((each["ready"], each["reasons"]) == (False, ["does not answer"]) for each in silent)
