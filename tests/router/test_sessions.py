"""What became of a session: asked of edges, read from the stream."""

import time

import pytest

from tests.router.asking import assert_problem, bucket
from tests.support.bus import Connect, Serving
from whimbrel.protocol import subjects
from whimbrel.protocol.sessions import PodBeat, SessionBatch, SessionBegun, SessionRecord, SessionsAnswer
from whimbrel.router.shell import newest
from whimbrel.runtime import jetstream
from whimbrel.runtime.nats import Connection, Delivery


def begun(session: str, user: str, at: float = 1000.0) -> SessionBegun:
    return SessionBegun(session, user, "websocket", at)


def ended(session: str, user: str, at: float) -> SessionRecord:
    told = {"code": 4002, "ended_by": "edge", "closed_at": at, "opened_at": at - 10}
    return SessionRecord.model_validate({"session": session, "pod": "e", "user": user, "transport": "sse", **told})


async def write(edge: Connection, **batch: object) -> None:
    payload = SessionBatch.model_validate({"pod": "edge-1", **batch}).model_dump_json().encode()
    await jetstream.publish(edge, subjects.sessions_subject("edge-1"), payload)


async def living(edge: Connection, *records: SessionRecord) -> None:
    """Answer as an edge on which ``records`` live."""

    def answer(request: Delivery) -> None:
        edge.send(request.reply, SessionsAnswer(pod="edge-1", sessions=records).model_dump_json().encode())

    await edge.subscribe(subjects.EDGE_SESSIONS, answer)
    await edge.flush()


async def test_a_session_that_lives_is_told_by_its_pod(router: Serving, connect: Connect) -> None:
    record = SessionRecord(session="s1", pod="edge-1", user="alice", transport="poll", opened_at=1000.0, sent=7)
    await living(await connect("edge"), record)
    reply = (await router.http.get("/v1/sessions/s1")).json()
    assert (reply["fate"], reply["record"]["sent"]) == ("open", 7)


async def test_an_end_is_found_however_many_batches_were_written_since(
    router: Serving, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(newest, "WINDOW", 3)
    edge = await connect("edge")
    await write(edge, begun=[begun("s1", "alice")])
    await write(edge, ended=[ended("s1", "alice", 1010.0)])
    for number in range(10):
        await write(edge, begun=[begun(f"other-{number}", "bob")])
    reply = (await router.http.get("/v1/sessions/s1")).json()
    assert (reply["fate"], reply["slug"], reply["record"]["closed_at"]) == ("ended", "slow_consumer", 1010.0)


async def test_a_session_of_a_killed_pod_vanished_and_it_is_known_when(router: Serving, connect: Connect) -> None:
    edge = await connect("edge")
    await write(edge, begun=[begun("s1", "alice")])
    heard = time.time() - 60
    beat = PodBeat(pod="edge-1", at=heard, started_at=900.0, sessions=1)
    await bucket(edge, subjects.PODS).put("edge-1", beat.model_dump_json().encode())
    reply = (await router.http.get("/v1/sessions/s1")).json()
    assert (reply["fate"], reply["pod_heard_at"]) == ("vanished", heard)


async def test_the_latest_sessions_of_a_user_come_first_and_nobody_elses(router: Serving, connect: Connect) -> None:
    edge = await connect("edge")
    user = 'al"ice Ω'
    await write(edge, begun=[begun("s1", user), begun("s2", "bob")])
    await write(edge, ended=[ended("s1", user, 1010.0), ended("s2", "bob", 1011.0)])
    await write(edge, ended=[ended("s3", user, 1020.0), ended("s4", user, 1015.0)])
    now = SessionRecord(session="s5", pod="edge-1", user=user, transport="websocket", opened_at=900.0)
    await living(edge, now)
    replies = (await router.http.get("/v1/sessions", params={"user": user, "limit": 3})).json()["sessions"]
    assert [(each["record"]["session"], each["fate"]) for each in replies] == [
        ("s5", "open"),
        ("s3", "ended"),
        ("s4", "ended"),
    ]


async def test_a_session_that_nobody_knows_is_not_found(router: Serving, connect: Connect) -> None:
    assert_problem(await router.http.get("/v1/sessions/nobody"), 404, 107, "bad_request")
    assert (await router.http.get("/v1/sessions?user=nobody")).json() == {"sessions": []}
