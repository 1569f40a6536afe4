"""Requests and responders on the bus: each request ends, with the reply or with the reason why there is none."""

import asyncio

import pytest

from tests.runtime.conftest import Connect
from tests.support.waiting import within
from whimbrel.runtime.errors import NoResponders, RequestRefused, RequestTimeout


async def test_a_request_gets_its_reply(connect: Connect) -> None:
    asking, answering = await connect(), await connect()

    async def reverse(payload: bytes) -> bytes:
        return payload[::-1]

    await answering.respond("rpc.router.test", reverse, queue="router")
    await answering.flush()
    assert (await asking.request("rpc.router.test", b"abc", timeout=5)).payload == b"cba"


async def test_a_request_that_nobody_hears_fails_at_once(connect: Connect) -> None:
    connection = await connect()
    with pytest.raises(NoResponders):
        await connection.request("rpc.router.nobody", b"", timeout=60)


async def test_a_request_that_nobody_answers_fails_at_its_deadline(connect: Connect) -> None:
    connection = await connect()
    connection.attach("rpc.router.silent", lambda delivery: None)
    with pytest.raises(RequestTimeout):
        await connection.request("rpc.router.silent", b"", timeout=0.01)
    assert connection.inbox._open == {}


async def test_a_fault_of_the_responder_is_told_without_its_text_and_a_refusal_with_it(connect: Connect) -> None:
    connection = await connect()

    async def answer(payload: bytes) -> bytes:
        if payload == b"refuse":
            raise RequestRefused(403, "not you")
        raise ValueError("secret")

    await connection.respond("rpc.router.test", answer)
    with pytest.raises(RequestRefused, match="not you") as refused:
        await connection.request("rpc.router.test", b"refuse", timeout=5)
    assert refused.value.code == 403
    with pytest.raises(RequestRefused) as failed:
        await connection.request("rpc.router.test", b"fail", timeout=5)
    assert (failed.value.code, failed.value.reason) == (500, "internal")
    assert connection.faults == 1


async def test_an_answer_that_no_message_can_hold_is_refused_as_too_large(connect: Connect) -> None:
    connection = await connect()

    async def answer(payload: bytes) -> bytes:
        return bytes(connection.client.max_payload + int(payload))

    await connection.respond("rpc.router.test", answer)
    with pytest.raises(RequestRefused, match="ask for less at once") as refused:
        await connection.request("rpc.router.test", b"1", timeout=5)
    assert (refused.value.code, connection.faults) == (413, 0)
    fits = await connection.request("rpc.router.test", b"0", timeout=5)
    assert len(fits.payload) == connection.client.max_payload


async def test_a_responder_takes_no_more_than_its_limit(connect: Connect) -> None:
    connection = await connect()
    release = asyncio.Event()

    async def answer(payload: bytes) -> bytes:
        await release.wait()
        return payload

    await connection.respond("rpc.router.test", answer, limit=2)
    taken = [connection.ask("rpc.router.test", b"%d" % number) for number in range(2)]
    with pytest.raises(RequestRefused) as refused:
        await connection.request("rpc.router.test", b"3", timeout=5)
    assert refused.value.code == 503
    release.set()
    assert [(await within(reply)).payload for reply in taken] == [b"0", b"1"]


async def test_closing_finishes_the_requests_in_work_and_takes_no_more(connect: Connect) -> None:
    asking, answering = await connect(), await connect()
    arrived, release = asyncio.Event(), asyncio.Event()

    async def answer(payload: bytes) -> bytes:
        arrived.set()
        await release.wait()
        return b"done"

    await answering.respond("rpc.router.test", answer)
    await answering.flush()
    in_work = asking.ask("rpc.router.test", b"")
    await within(arrived.wait())
    closing = asyncio.create_task(answering.close(timeout=20))
    await asyncio.sleep(0)
    release.set()
    await within(closing)
    assert (await within(in_work)).payload == b"done"
    with pytest.raises(NoResponders):
        await asking.request("rpc.router.test", b"", timeout=5)


async def test_closing_gives_up_on_a_request_that_does_not_end(connect: Connect) -> None:
    connection = await connect()
    arrived = asyncio.Event()

    async def answer(payload: bytes) -> bytes:
        arrived.set()
        await asyncio.Event().wait()
        return b""

    await connection.respond("rpc.router.test", answer)
    connection.ask("rpc.router.test", b"").add_done_callback(lambda reply: reply.exception())
    await within(arrived.wait())
    await within(connection.close(timeout=0.05), 2)
