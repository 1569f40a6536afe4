"""Who was told to reload: read back from what the edges wrote."""

import pytest

from tests.support.bus import Connect, Serving
from whimbrel.protocol import subjects
from whimbrel.protocol.gaps import Cause, Gap, GapBatch
from whimbrel.router.shell import newest
from whimbrel.runtime import jetstream
from whimbrel.runtime.nats import Connection

NOON = 1_000_000.0


def a_gap(at: float, user: str, channel: str = "orders:42", cause: Cause = "trimmed") -> Gap:
    return Gap(at=NOON + at, pod="edge-1", cause=cause, during="return", channel=channel, user=user)


async def write(edge: Connection, *gaps: Gap) -> None:
    payload = GapBatch(gaps=gaps).model_dump_json(exclude_defaults=True).encode()
    await jetstream.publish(edge, subjects.gaps_subject("edge-1"), payload)


async def users(router: Serving, **sought: str | float) -> list[str]:
    reply = await router.http.get("/v1/gaps", params={"since": NOON, **sought})
    return [each["user"] for each in reply.json()["gaps"]]


async def test_gaps_come_latest_first_and_only_those_that_were_asked_for(router: Serving, connect: Connect) -> None:
    edge = await connect("edge")
    await write(edge, a_gap(1, "alice"), a_gap(3, "bob", cause="epoch"))
    await write(edge, a_gap(2, "carol", "user:carol"), a_gap(4, "alice", "orders:7"))
    assert await users(router) == ["alice", "bob", "carol", "alice"]
    assert await users(router, user="carol") == ["carol"]
    assert await users(router, channel="orders:7") == ["alice"]
    assert await users(router, cause="epoch") == ["bob"]
    assert await users(router, since=NOON + 3) == ["alice", "bob"]


async def test_it_is_said_that_there_are_more(router: Serving, connect: Connect) -> None:
    await write(await connect("edge"), *(a_gap(at, f"user-{at}") for at in range(3)))
    told = (await router.http.get("/v1/gaps", params={"limit": 2})).json()
    assert ([each["user"] for each in told["gaps"]], told["complete"]) == (["user-2", "user-1"], False)
    assert (await router.http.get("/v1/gaps", params={"limit": 3})).json()["complete"]


async def test_reading_ends_at_what_is_too_old(
    router: Serving, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(newest, "WINDOW", 2)
    edge = await connect("edge")
    await write(edge, a_gap(5, "too-far-back-in-the-stream"))
    await write(edge, a_gap(-100, "old"))
    await write(edge, a_gap(1, "alice"))
    assert await users(router) == ["alice"]


async def test_without_gaps_there_is_nothing_to_tell(router: Serving) -> None:
    assert (await router.http.get("/v1/gaps")).json() == {"gaps": [], "complete": True}
    assert (await router.http.get("/v1/gaps?cause=bad-luck")).status_code == 400
