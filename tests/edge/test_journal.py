"""Whoever asks why a client went is told, while it lives, after its end, and after an outage of the bus."""

import asyncio
import json
import logging
from typing import Any

import pytest

from tests.edge.edges import Edge, an_edge, eventually
from tests.edge.neighbours import LOG, Neighbours, a_name
from tests.edge.peers import CLOSE, Peer, masked
from tests.support.waiting import within
from whimbrel.edge.core.hub import Hub
from whimbrel.edge.shell import journal
from whimbrel.edge.shell.journal import Journal
from whimbrel.protocol import subjects
from whimbrel.protocol.sessions import PodBeat, SessionBatch, SessionRecord, SessionsAnswer, SessionsQuestion
from whimbrel.runtime import jetstream
from whimbrel.runtime.directget import DirectGet
from whimbrel.runtime.kv import Bucket
from whimbrel.runtime.nats import Connection

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def told(neighbours: Neighbours, **question: str) -> list[SessionRecord]:
    """Ask the edge as the router does."""
    payload = SessionsQuestion.model_validate(question).model_dump_json().encode()
    answer = await neighbours.router.request(subjects.EDGE_SESSIONS, payload, timeout=5)
    return list(SessionsAnswer.model_validate_json(answer.payload).sessions)


async def written(neighbours: Neighbours, session: str) -> SessionRecord:
    """Return the end of ``session`` once it stands in the stream."""
    reads = DirectGet(neighbours.router)
    while True:
        batches = (await reads.batch(subjects.SESSIONS, None, 1)).messages
        for batch in batches:
            for ended in SessionBatch.model_validate_json(batch.payload).ended:
                if ended.session == session:
                    return ended
        await asyncio.sleep(0.05)  # between two looks


async def named(edge: Edge, user: str, *channels: str) -> tuple[Peer, str]:
    """Return a connected client and the name of its session."""
    peer = await edge.socket()
    connected = await peer.ask("connect", token=edge.neighbours.token(user), channels=dict.fromkeys(channels))
    return peer, connected["session"]


async def test_a_session_that_lives_is_told_with_what_it_has_seen(edge: Edge, neighbours: Neighbours) -> None:
    user, channel = a_name("alice"), f"orders:{a_name('seen')}"
    peer, session = await named(edge, user, channel)
    await neighbours.publish(channel, 1, 2, 3)
    await peer.data(3)
    for question in ({"session": session}, {"user": user}):
        [record] = await told(neighbours, **question)
        assert (record.session, record.user, record.transport) == (session, user, "websocket")
        assert (record.received, record.sent, record.channels) == (1, 1 + 3, 2)
        assert record.closed_at is None
    assert await told(neighbours, session="another") == []


async def test_a_close_by_the_edge_is_kept_with_its_code_and_reason(edge: Edge, neighbours: Neighbours) -> None:
    peer, session = await named(edge, a_name("alice"))
    peer.say("no object")
    record = await within(written(neighbours, session))
    assert (record.ended_by, record.code) == ("edge", 4500)
    assert record.reason
    assert record.closed_at is not None
    assert record.closed_at >= record.opened_at
    assert await told(neighbours, session=session) == []


async def test_a_goodbye_and_a_cut_are_told_apart(edge: Edge, neighbours: Neighbours) -> None:
    leaving, left = await named(edge, a_name("alice"))
    cut, broken = await named(edge, a_name("alice"))
    leaving.wire.send(masked(b"", CLOSE))
    cut.wire.reset()
    assert (await within(written(neighbours, left))).ended_by == "client"
    assert (await within(written(neighbours, broken))).ended_by == "network"


async def test_one_line_tells_the_end_and_nothing_secret(
    edge: Edge, neighbours: Neighbours, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    user = a_name("alice")
    token = neighbours.token(user)
    peer = await edge.socket()
    session = (await peer.ask("connect", token=token, channels={}))["session"]
    peer.wire.send(masked(b"", CLOSE))
    await eventually(lambda: not edge.pod.connections)
    lines: list[dict[str, Any]] = [
        record.__dict__["fields"] for record in caplog.records if record.getMessage() == "session.closed"
    ]
    [line] = [line for line in lines if line["session"] == session]
    assert (line["user"], line["slug"], line["transport"], line["received"]) == (user, "client", "websocket", 1)
    assert token not in json.dumps(lines, default=str)


async def test_the_pod_says_that_it_lives_and_that_it_left(neighbours: Neighbours) -> None:
    pods = Bucket(neighbours.router, DirectGet(neighbours.router), subjects.PODS)

    async def beat() -> PodBeat:
        while (entry := await pods.get("pod-that-leaves")) is None:  # noqa: ASYNC110  # nothing tells of it
            await asyncio.sleep(0.02)  # between two looks
        return PodBeat.model_validate_json(entry.value)

    async with an_edge(neighbours, instance="pod-that-leaves"):
        assert not (await within(beat())).stopped
    assert (await within(beat())).stopped


async def test_what_cannot_be_written_waits_and_beyond_the_bound_the_oldest_is_forgotten(
    edge: Edge, neighbours: Neighbours, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "MAX_UNWRITTEN", 2)
    away = Connection("nats://127.0.0.1:1", name="away", log=LOG)
    kept = Journal(away, Bucket(away, DirectGet(away), subjects.PODS), "pod-1", Hub(), LOG)
    sessions = []
    for _ in range(3):
        peer, session = await named(edge, a_name("alice"))
        sessions.append(session)
        [carried] = [each for name, each in edge.pod.journal._living.items() if name == session]
        kept.begun(carried)
        kept.ended(carried, goodbye=True)
        await peer.close()
    assert [each.session for each in kept._begun] == sessions[1:]
    assert kept.dropped == 2
    await kept.close()
    assert [each.session for each in kept._begun] == sessions[1:], "put back where it was"


async def test_those_who_come_while_a_batch_is_written_share_the_next_one(
    edge: Edge, neighbours: Neighbours, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer, session = await named(edge, a_name("alice"))
    [carried] = [each for name, each in edge.pod.journal._living.items() if name == session]
    pods = Bucket(neighbours.router, DirectGet(neighbours.router), subjects.PODS)
    kept = Journal(neighbours.router, pods, a_name("pod"), Hub(), LOG)
    batches: list[SessionBatch] = []

    async def publish(_connection: Connection, _subject: str, payload: bytes) -> None:
        batches.append(SessionBatch.model_validate_json(payload))
        kept.begun(carried)  # in a storm, always

    monkeypatch.setattr(jetstream, "publish", publish)
    for _ in range(3):
        kept.begun(carried)
    await within(kept._write())
    assert [len(batch.begun) for batch in batches] == [3]
    await peer.close()
