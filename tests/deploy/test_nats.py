"""The bus as every installation runs it: who may do what, seen from each user of deploy/nats/nats.conf."""

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import nats
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from tests.support.nats import CONFIG, PARTITIONS, NatsServer
from whimbrel.protocol import subjects
from whimbrel.protocol.channels import Channel
from whimbrel.protocol.limits import MAX_EVENT_BYTES
from whimbrel.runtime import jetstream
from whimbrel.runtime.logs import Logger
from whimbrel.runtime.nats import Connection

ORDER = Channel("orders", "42")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    server = NatsServer(tmp_path_factory.mktemp("nats")).start()
    yield server
    server.kill()


async def refusals(server: NatsServer, user: str, command: str, password: str | None = None) -> list[str]:
    """Return what the server holds against ``user`` for one command of its protocol, in its own words."""
    password = server.password(user) if password is None else password
    options = {"verbose": False, "pedantic": False, "protocol": 1, "headers": True, "user": user, "pass": password}
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    refused = []
    # One write each: what comes in one piece with CONNECT is not mapped, for the server does not know the account yet.
    for line in (f"CONNECT {json.dumps(options)}", command):
        writer.write(f"{line}\r\nPING\r\n".encode())
        async for answer in reader:
            if answer.startswith(b"-ERR"):
                refused.append(answer.decode().strip())
            if answer.startswith(b"PONG"):
                break
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
    return refused


def publishing(subject: str) -> str:
    return f"PUB {subject} 0\r\n"


def subscribing(subject: str) -> str:
    return f"SUB {subject} 1"


@contextlib.asynccontextmanager
async def connected(server: NatsServer, name: str) -> AsyncIterator[Client]:
    client = await nats.connect(server.url(name), allow_reconnect=False, inbox_prefix=f"_INBOX.{name}".encode())
    try:
        yield client
    finally:
        await client.close()


PROBE = b"is anybody there?"


async def found(publisher: Client, subscription: Subscription) -> None:
    """Publish until ``subscription`` hears it: nats-server 2.15.1 may, for a moment after it confirmed a subscription
    while another connection closed, not find it, and drops what is published to it.
    """
    while True:
        await publisher.publish(subscription.subject, PROBE)
        with contextlib.suppress(nats.errors.TimeoutError):
            await subscription.next_msg(timeout=0.5)
            return


async def heard_by(subscription: Subscription) -> Msg:
    """Return the next message that is no probe."""
    while (message := await subscription.next_msg(timeout=5)).data == PROBE:
        pass
    return message


@pytest.fixture
async def declared(server: NatsServer) -> NatsServer:
    """The server with the streams and buckets that the router declares, declared by the router's user."""
    router = Connection(
        server.url("router"), name="router", log=Logger(logging.getLogger("test")), inbox_prefix="_INBOX.router"
    )
    await router.open()
    await jetstream.declare(router, partitions=PARTITIONS, replicas=1)
    await router.close()
    return server


# What works


async def test_a_domain_teams_event_is_stored_and_acknowledged(declared: NatsServer) -> None:
    async with connected(declared, "domain") as domain:
        headers = {"Nats-Msg-Id": "shop/1"}
        first = await domain.request("events.shop.order.42", b"{}", headers=headers, timeout=5)
        again = await domain.request("events.shop.order.42", b"{}", headers=headers, timeout=5)
    assert json.loads(first.data)["stream"] == "EVENTS"
    assert json.loads(again.data)["duplicate"] is True
    async with connected(declared, "router") as router:
        stored = await router.jetstream().get_last_msg("EVENTS", "e.*.shop.order.42")
    assert stored.data == b"{}"


async def test_the_largest_event_with_a_long_audience_passes(declared: NatsServer) -> None:
    audience = {"whimbrel-users": ",".join(f"user-{number:08}" for number in range(2_500))}
    async with connected(declared, "domain") as domain:
        ack = await domain.request("events.shop.order.43", b"x" * MAX_EVENT_BYTES, headers=audience, timeout=5)
    assert json.loads(ack.data)["stream"] == "EVENTS"


@pytest.mark.parametrize("publisher", ["notifier", "edge"])
async def test_a_publication_is_stored_where_the_code_expects_it_and_heard_live(
    declared: NatsServer, publisher: str
) -> None:
    async with connected(declared, publisher) as user, connected(declared, "edge") as edge:
        heard = await edge.subscribe(subjects.live_subject(ORDER))
        await found(edge, heard)
        ack = await user.request(subjects.publish_subject(ORDER), b"{}", timeout=5)
        live = await heard_by(heard)
    partition = subjects.partition_of(ORDER, PARTITIONS)
    assert json.loads(ack.data)["stream"] == subjects.history_stream(partition)
    assert live.headers is not None
    assert live.headers["Nats-Subject"] == subjects.stored_subject(ORDER, PARTITIONS)
    assert live.headers["Nats-Sequence"] == str(json.loads(ack.data)["seq"])


async def test_a_service_answers_a_request_once(server: NatsServer) -> None:
    async with connected(server, "auth") as auth, connected(server, "edge") as edge:
        requests = await auth.subscribe(subjects.AUTH_VERIFY, queue=subjects.AUTH_QUEUE)
        await auth.flush()
        await found(edge, requests)
        answers = await edge.subscribe("_INBOX.edge.test")
        await edge.publish(subjects.AUTH_VERIFY, b"{}", reply="_INBOX.edge.test")
        request = await heard_by(requests)
        await request.respond(b"yes")
        await request.respond(b"and again")
        await auth.flush()
        await edge.flush()
        assert (await answers.next_msg(timeout=5)).data == b"yes"
        assert answers.pending_msgs == 0


ALLOWED_TO_PUBLISH = [
    ("edge", "rpc.auth.v1.verify"),
    ("edge", "rpc.router.v1.resolve"),
    ("edge", "ctl.user.alice"),
    ("edge", "live.typing.42"),
    ("edge", "pub.orders.42"),
    ("edge", "$KV.READMARKS.alice.orders.42"),
    ("edge", "$JS.API.DIRECT.GET.HISTORY_7"),
    ("edge", "$JS.API.STREAM.INFO.HISTORY_7"),
    ("auth", "$KV.REFRESH.family"),
    ("auth", "$KV.TICKETS.ticket"),
    ("auth", "$JS.API.DIRECT.GET.KV_TICKETS"),
    ("auth", "$KV.REVOKED.alice"),
    ("auth", "$JS.API.DIRECT.GET.KV_REFRESH"),
    ("router", "$JS.API.STREAM.CREATE.EVENTS"),
    ("router", "$KV.NAMESPACES.orders"),
    ("router", "ctl.user.alice"),
    ("router", "rpc.status.v1"),
    ("router", "events.shop.order.42"),  # to replay a dead letter
    ("notifier", "pub.user.alice"),
    ("notifier", "live.typing.42"),
    ("notifier", "dlq.notifier"),
    ("notifier", "$JS.API.CONSUMER.CREATE.EVENTS.notifier_3.e.3.>"),
    ("notifier", "$JS.API.CONSUMER.INFO.EVENTS.notifier_3"),
    ("notifier", "$JS.API.CONSUMER.RESET.EVENTS.notifier_3"),
    ("notifier", "$JS.API.CONSUMER.UNPIN.EVENTS.notifier_3"),
    ("notifier", "$JS.API.CONSUMER.MSG.NEXT.EVENTS.notifier_3"),
    ("notifier", "$JS.API.DIRECT.GET.DLQ"),
    ("notifier", "$JS.ACK.EVENTS.notifier_3.1.1.1.1.0"),
    ("domain", "events.shop.order.42"),
]


@pytest.mark.parametrize(("user", "subject"), ALLOWED_TO_PUBLISH)
async def test_a_user_may_publish_what_its_service_needs(server: NatsServer, user: str, subject: str) -> None:
    assert await refusals(server, user, publishing(subject)) == []


ALLOWED_TO_SUBSCRIBE = [
    ("edge", "live.orders.42"),
    ("edge", "ctl.user.alice"),
    ("edge", "ctl.keys.>"),
    ("edge", "$JS.EVENT.ADVISORY.STREAM.LEADER_ELECTED.>"),
    ("auth", "rpc.auth.v1.verify"),
    ("auth", "ctl.revoked.>"),
    ("router", "rpc.router.v1.resolve"),
    ("router", "ctl.groups.>"),
    ("notifier", "_INBOX.notifier.>"),
    *((service, "rpc.status.v1") for service in ("edge", "auth", "router", "notifier")),
    ("domain", "_INBOX.domain.>"),
]


@pytest.mark.parametrize(("user", "subject"), ALLOWED_TO_SUBSCRIBE)
async def test_a_user_may_hear_what_its_service_needs(server: NatsServer, user: str, subject: str) -> None:
    assert await refusals(server, user, subscribing(subject)) == []


# What is refused

REFUSED_TO_PUBLISH = [
    # A domain team has events, and nothing else exists for it.
    *(
        ("domain", subject)
        for subject in (
            "pub.orders.42",
            "live.orders.42",
            "c.3.orders.42",
            "e.3.shop.order.42",
            "dlq.notifier",
            "ctl.user.alice",
            "rpc.auth.v1.verify",
            "$KV.GROUPS.alice.vip",
            "$JS.API.INFO",
            "$JS.API.STREAM.NAMES",
            "$JS.API.STREAM.DELETE.EVENTS",
            "$SYS.REQ.SERVER.PING",
        )
    ),
    # A broken-into edge can neither forge an inbox nor an event, change rights, read secrets, or destroy anything.
    *(
        ("edge", subject)
        for subject in (
            "pub.user.alice",
            "pub.group.vip",
            "live.user.alice",
            "events.shop.order.42",
            "ctl.keys.resume",
            "$KV.GROUPS.alice.vip",
            "$KV.NAMESPACES.orders",
            "$KV.KEYS.resume",
            "$JS.API.DIRECT.GET.KV_REFRESH",
            "$JS.API.DIRECT.GET.KV_TICKETS",
            "$KV.TICKETS.ticket",
            "$JS.API.DIRECT.GET.EVENTS",
            "$JS.API.STREAM.CREATE.X",
            "$JS.API.STREAM.UPDATE.HISTORY_0",
            "$JS.API.STREAM.PURGE.HISTORY_0",
            "$JS.API.STREAM.DELETE.HISTORY_0",
            "$JS.API.STREAM.MSG.DELETE.HISTORY_0",
            "$JS.API.CONSUMER.CREATE.HISTORY_0",
            "_INBOX.auth.x",
        )
    ),
    # Auth has tokens, and sees and writes no publication.
    *(
        ("auth", subject)
        for subject in (
            "pub.orders.42",
            "live.orders.42",
            "$KV.GROUPS.alice.vip",
            "$JS.API.DIRECT.GET.HISTORY_0",
            "$JS.API.STREAM.DELETE.KV_REFRESH",
        )
    ),
    # The router decides who may publish; it does not publish.
    *(("router", subject) for subject in ("pub.orders.42", "live.orders.42")),
    # The notifier owns its consumers and the dead letters.
    *(
        ("notifier", subject)
        for subject in (
            "events.shop.order.42",
            "$KV.GROUPS.alice.vip",
            "rpc.auth.v1.verify",
            "$JS.API.CONSUMER.CREATE.HISTORY_0.x",
            "$JS.API.STREAM.DELETE.EVENTS",
            "$JS.API.STREAM.PURGE.DLQ",
            "$JS.API.DIRECT.GET.KV_KEYS",
        )
    ),
]


@pytest.mark.parametrize(("user", "subject"), REFUSED_TO_PUBLISH)
async def test_a_user_may_publish_nothing_else(server: NatsServer, user: str, subject: str) -> None:
    refused = await refusals(server, user, publishing(subject))
    assert len(refused) == 1
    assert "Permissions Violation for Publish" in refused[0]


REFUSED_TO_SUBSCRIBE = [
    *(("domain", subject) for subject in (">", "events.>", "live.>", "pub.>", "$SYS.>")),
    *(("edge", subject) for subject in (">", "e.>", "c.>", "$KV.>", "rpc.auth.>", "_INBOX.>", "_INBOX.auth.>")),
    *(("auth", subject) for subject in (">", "live.>", "c.>", "_INBOX.edge.>")),
    *(("router", subject) for subject in (">", "live.>", "c.>", "_INBOX.auth.>")),
    *(("notifier", subject) for subject in (">", "live.>", "ctl.keys.>", "rpc.auth.>", "_INBOX.edge.>")),
]


@pytest.mark.parametrize(("user", "subject"), REFUSED_TO_SUBSCRIBE)
async def test_a_user_may_hear_nothing_else(server: NatsServer, user: str, subject: str) -> None:
    refused = await refusals(server, user, subscribing(subject))
    assert len(refused) == 1
    assert "Permissions Violation for Subscription" in refused[0]


@pytest.mark.parametrize("password", ["", "wrong"])
async def test_nobody_enters_without_the_password(server: NatsServer, password: str) -> None:
    assert await refusals(server, "edge", subscribing("live.>"), password) == ["-ERR 'Authorization Violation'"]


def test_partitions_are_one_line_that_an_installation_may_replace(tmp_path: Path) -> None:
    for name in ("nats.conf", "partitions.conf"):
        (tmp_path / name).write_text(
            CONFIG.with_name(name).read_text().replace("partition(8,1,2)", "partition(64,1,2)")
        )
    server = NatsServer(tmp_path / "run", tmp_path / "nats.conf").start()
    server.stop()
