"""The connection comes back by itself, whatever happens to the server or the client."""

import asyncio
import logging
from collections.abc import Callable

import pytest

from tests.runtime.conftest import Connect
from tests.support.nats import NatsServer
from tests.support.waiting import Collected, within
from whimbrel.runtime import nats
from whimbrel.runtime.errors import (
    BusUnavailable,
    MalformedMessage,
    RequestTimeout,
)
from whimbrel.runtime.logs import Logger
from whimbrel.runtime.nats import Connection, Delivery


class Ups:
    """Each time the connection comes up or goes down."""

    def __init__(self, connection: Connection) -> None:
        self.up: Collected[None] = Collected()
        self.down: Collected[None] = Collected()
        connection.on_connected.append(lambda: self.up.append(None))
        connection.on_disconnected.append(lambda: self.down.append(None))


class Told(Logger):
    """A log whose warnings can be awaited."""

    __slots__ = ("warnings",)

    def __init__(self) -> None:
        super().__init__(logging.getLogger("whimbrel.test"))
        self.warnings: Collected[str] = Collected()

    def bind(self, **fields: object) -> Logger:
        return self

    def warning(self, event: str, **fields: object) -> None:
        self.warnings.append(event)


async def test_a_killed_server_is_reconnected_to_and_every_subscription_is_there_again(
    connect: Connect, server: NatsServer
) -> None:
    connection = await connect()
    ups = Ups(connection)
    heard: list[str] = []
    for number in range(2000):
        connection.attach(f"ctl.many.{number}", lambda delivery: heard.append(delivery.subject))
    await connection.flush()
    server.kill()
    await ups.down.until(1)
    assert not connection.connected
    server.start()
    await ups.up.until(1)
    for number in (0, 999, 1999):
        connection.send(f"ctl.many.{number}", b"")
    await connection.flush()
    assert heard == ["ctl.many.0", "ctl.many.999", "ctl.many.1999"]
    assert (connection.connects, connection.rebuilds) == (2, 0)


async def test_it_reconnects_again_and_again(connect: Connect, server: NatsServer) -> None:
    connection = await connect()
    ups = Ups(connection)
    for number in range(1, 4):
        server.restart()
        await ups.up.until(number)
        await within(connection.flush())


async def test_an_error_that_closes_nats_py_for_good_only_costs_a_new_client(connect: Connect) -> None:
    connection = await connect()
    ups = Ups(connection)
    heard: Collected[Delivery] = Collected()
    connection.attach("ctl.a", heard.append)
    await connection.flush()
    first = connection.client
    connection.client.write(b"NONSENSE\r\n")  # -ERR 'Unknown Protocol Operation', which nats-py answers by closing
    await ups.up.until(1)
    assert connection.client is not first
    await connection.publish("ctl.a", b"again")
    await heard.until(1)
    assert (connection.connects, connection.rebuilds) == (2, 1)


async def test_subscriptions_made_and_ended_during_an_outage_hold_afterwards(
    connect: Connect, server: NatsServer
) -> None:
    connection = await connect()
    ups = Ups(connection)
    ended = connection.attach("ctl.ended", lambda delivery: pytest.fail("delivered to an ended subscription"))
    heard: Collected[Delivery] = Collected()
    server.kill()
    await ups.down.until(1)
    connection.attach("ctl.made", heard.append)
    await ended.unsubscribe()
    server.start()
    await ups.up.until(1)
    connection.send("ctl.ended", b"")
    connection.send("ctl.made", b"")
    await heard.until(1)


async def test_during_an_outage_everything_that_sends_is_refused_at_once(connect: Connect, server: NatsServer) -> None:
    connection = await connect()
    ups = Ups(connection)
    server.kill()
    await ups.down.until(1)
    with pytest.raises(BusUnavailable):
        await connection.publish("ctl.a", b"")
    with pytest.raises(BusUnavailable):
        await connection.request("ctl.a", b"", timeout=5)
    with pytest.raises(BusUnavailable):
        await connection.flush()
    with pytest.raises(BusUnavailable):
        _ = connection.jetstream


async def test_a_request_on_a_connection_that_is_lost_fails_without_its_whole_timeout(
    connect: Connect, server: NatsServer
) -> None:
    connection = await connect()
    connection.attach("ctl.silent", lambda delivery: None)
    asked = asyncio.create_task(connection.request("ctl.silent", b"", timeout=60))
    await connection.flush()
    server.kill()
    with pytest.raises(RequestTimeout):
        await within(asked)


async def test_the_first_connect_waits_for_a_server_however_long_it_takes(
    nats_server: Callable[[], NatsServer],
) -> None:
    server = nats_server()
    server.kill()
    log = Told()
    connection = Connection(server.url("router"), name="early", log=log, inbox_prefix="_INBOX.router")
    heard: Collected[Delivery] = Collected()
    connection.attach("ctl.a", heard.append)
    opening = asyncio.create_task(connection.open())
    assert await log.warnings.until(1) == ["bus.error"]
    assert not opening.done()
    server.start()
    await within(opening)
    connection.send("ctl.a", b"")
    await heard.until(1)
    await connection.close()


async def test_a_half_open_connection_is_noticed_even_with_data_that_nobody_takes(
    connect: Connect, server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nats, "PING_INTERVAL_S", 0.05)
    monkeypatch.setattr(nats, "CONNECT_TIMEOUT_S", 0.2)
    connection = await connect()
    ups = Ups(connection)
    server.pause()
    for _ in range(100):  # more than the kernel's buffers hold
        connection.send("ctl.a", bytes(64 * 1024))
    await ups.down.until(1)
    server.resume()
    await ups.up.until(1)


async def test_a_client_that_does_not_reconnect_in_time_is_replaced(
    connect: Connect, server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nats, "STUCK_S", 0.05)
    connection = await connect()
    ups = Ups(connection)
    stuck = asyncio.Event()

    async def attempt_for_ever() -> None:
        await connection._on_down()
        await stuck.wait()

    connection.client._attempt_reconnect = attempt_for_ever  # type: ignore[method-assign]
    server.restart()
    await ups.up.until(1)
    assert connection.rebuilds == 1


async def test_a_refused_password_is_tried_again_until_somebody_gives_up(server: NatsServer) -> None:
    log = Told()
    wrong = server.url("router").replace("of-router", "not-of-router")
    connection = Connection(wrong, name="wrong", log=log)
    opening = asyncio.create_task(connection.open())
    assert await log.warnings.until(1) == ["bus.error"]
    assert not opening.done()
    opening.cancel()
    await connection.close(timeout=0.1)
    assert not connection.connected


async def test_a_permission_violation_is_counted_and_closes_nothing(connect: Connect) -> None:
    connection = await connect("auth")
    connection.send("live.orders.42", b"")
    await connection.flush()
    await connection.flush()
    assert (connection.faults, connection.connects) == (1, 1)


@pytest.mark.parametrize("subject", ["", "a b", "a\r\nPUB b 0", "a\tb", " a", "x" * 2000])
async def test_a_subject_that_could_break_out_of_its_line_is_never_sent(connect: Connect, subject: str) -> None:
    connection = await connect()
    with pytest.raises(MalformedMessage):
        connection.send(subject, b"")


@pytest.mark.parametrize("headers", [{"a:b": "c"}, {"a\r\nb": "c"}, {"a": "b\r\nc: d"}, {"": "a"}])
async def test_a_header_that_could_break_out_of_its_line_is_never_sent(
    connect: Connect, headers: dict[str, str]
) -> None:
    connection = await connect()
    with pytest.raises(MalformedMessage):
        connection.send("ctl.a", b"", headers=headers)


async def test_a_message_over_the_servers_limit_is_refused_here_for_the_server_would_close(connect: Connect) -> None:
    connection = await connect()
    limit = connection.client.max_payload
    with pytest.raises(MalformedMessage):
        connection.send("ctl.a", bytes(limit + 1))
    connection.send("ctl.a", bytes(limit))
    await within(connection.flush())
    assert connection.connects == 1


async def test_an_unsubscribed_callback_hears_nothing_more_and_ending_twice_is_harmless(connect: Connect) -> None:
    connection = await connect()
    heard: list[Delivery] = []
    subscription = await connection.subscribe("ctl.a", heard.append)
    await connection.publish("ctl.a", b"")
    await connection.flush()
    await subscription.unsubscribe()
    await subscription.unsubscribe()
    await connection.publish("ctl.a", b"")
    await connection.flush()
    assert len(heard) == 1
    assert connection.subscriptions == 0


async def test_one_of_a_queue_group_hears_each_message(connect: Connect) -> None:
    first, second = await connect(), await connect()
    heard: list[bytes] = []
    for connection in (first, second):
        await connection.subscribe("ctl.a", lambda delivery: heard.append(delivery.payload), queue="group")
        await connection.flush()
    for number in range(20):
        await first.publish("ctl.a", b"%d" % number)
    await first.flush()
    await second.flush()
    assert sorted(heard, key=int) == [b"%d" % number for number in range(20)]
