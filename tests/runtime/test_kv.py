"""Buckets and their live copies."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from tests.runtime.conftest import Connect
from tests.support.nats import PARTITIONS, NatsServer
from tests.support.waiting import Collected, within
from whimbrel.protocol import subjects
from whimbrel.runtime import jetstream, kv
from whimbrel.runtime.directget import DirectGet
from whimbrel.runtime.kv import Bucket, KvView, RevisionConflict
from whimbrel.runtime.logs import Logger
from whimbrel.runtime.nats import Connection


@pytest.fixture
async def router(connect: Connect) -> Connection:
    router = await connect()
    await jetstream.declare(router, partitions=PARTITIONS, replicas=1)
    return router


@pytest.fixture
def groups(router: Connection) -> Bucket:
    return Bucket(router, DirectGet(router), subjects.GROUPS)


Open = Callable[[], Awaitable[KvView]]


@pytest.fixture
async def view(router: Connection, connect: Connect, log: Logger) -> AsyncIterator[Open]:
    """Return a function that opens a copy of GROUPS on a connection of its own."""
    views: list[KvView] = []

    async def opened() -> KvView:
        edge = await connect("edge")
        views.append(KvView(edge, DirectGet(edge), subjects.GROUPS, log))
        await within(views[-1].open())
        return views[-1]

    yield opened
    for each in views:
        await each.close()


def changes_of(view: KvView) -> Collected[tuple[str, bytes | None]]:
    changes: Collected[tuple[str, bytes | None]] = Collected()
    view.on_change.append(lambda key, value: changes.append((key, value)))
    return changes


async def test_what_is_put_is_got_with_its_revision(groups: Bucket) -> None:
    assert await groups.get("alice.vip") is None
    first = await groups.put("alice.vip", b"1")
    second = await groups.put("alice.vip", b"2")
    assert second > first
    assert await groups.get("alice.vip") == (b"2", second)


async def test_a_key_is_created_once(groups: Bucket) -> None:
    await groups.create("alice.vip", b"1")
    with pytest.raises(RevisionConflict):
        await groups.create("alice.vip", b"2")


async def test_a_deleted_key_is_gone_and_can_be_created_again(groups: Bucket) -> None:
    await groups.put("alice.vip", b"1")
    await groups.delete("alice.vip")
    assert await groups.get("alice.vip") is None
    assert await groups.find("alice.*") == {}
    revision = await groups.create("alice.vip", b"2")
    assert await groups.get("alice.vip") == (b"2", revision)


async def test_of_two_updates_of_one_revision_only_the_first_is_taken(groups: Bucket) -> None:
    revision = await groups.put("alice.vip", b"1")
    await groups.update("alice.vip", b"2", revision)
    with pytest.raises(RevisionConflict):
        await groups.update("alice.vip", b"3", revision)


async def test_who_was_deleted_stays_deleted_when_the_server_is_killed(groups: Bucket, server: NatsServer) -> None:
    await groups.put("alice.vip", b"1")
    await groups.delete("alice.vip")
    await groups.put("bob.vip", b"1")
    again = asyncio.Event()
    groups._connection.on_connected.append(again.set)
    server.restart()
    await within(again.wait())
    assert set(await within(groups.find(">"))) == {"bob.vip"}


async def test_more_keys_are_found_than_one_answer_holds(groups: Bucket, router: Connection) -> None:
    replies = [router.ask(subjects.key_subject(subjects.GROUPS, f"user{n}.vip"), b"") for n in range(1100)]
    await within(asyncio.gather(*replies))
    assert len(await groups.find("*.vip")) == 1100


async def test_keys_are_found_by_pattern(groups: Bucket) -> None:
    for key in ("alice.vip", "alice.staff", "bob.vip"):
        await groups.put(key, b"")
    assert set(await groups.find("alice.*")) == {"alice.vip", "alice.staff"}
    assert set(await groups.find("*.vip")) == {"alice.vip", "bob.vip"}


async def test_a_copy_has_what_was_there_before_and_what_comes_after(groups: Bucket, view: Open) -> None:
    await groups.put("alice.vip", b"1")
    await groups.put("bob.vip", b"1")
    await groups.delete("bob.vip")
    copy = await view()
    assert dict(copy) == {"alice.vip": b"1"}
    changes = changes_of(copy)
    await groups.put("bob.staff", b"2")
    await groups.put("alice.vip", b"3")
    await groups.delete("alice.vip")
    assert await changes.until(3) == [("bob.staff", b"2"), ("alice.vip", b"3"), ("alice.vip", None)]
    assert dict(copy) == {"bob.staff": b"2"}


async def test_a_copy_tells_no_change_where_the_value_stays(groups: Bucket, view: Open) -> None:
    copy = await view()
    changes = changes_of(copy)
    for value in (b"1", b"1", b"2"):
        await groups.put("alice.vip", value)
    assert await changes.until(2) == [("alice.vip", b"1"), ("alice.vip", b"2")]


async def test_a_copy_is_opened_before_the_layout_is_declared(connect: Connect, log: Logger) -> None:
    edge, router = await connect("edge"), await connect()
    copy = KvView(edge, DirectGet(edge), subjects.KEYS, log)
    opening = asyncio.create_task(copy.open())
    await jetstream.declare(router, partitions=PARTITIONS, replicas=1)
    await within(opening)
    assert dict(copy) == {}
    await copy.close()


async def test_a_copy_reads_what_it_missed_while_the_bus_was_away(
    groups: Bucket, view: Open, router: Connection, server: NatsServer
) -> None:
    await groups.put("alice.vip", b"1")
    await groups.put("bob.vip", b"1")
    copy = await view()
    changes = changes_of(copy)
    copy._subscription.detach()  # type: ignore[union-attr]  # deaf
    await groups.put("alice.vip", b"2")
    await groups.delete("bob.vip")
    await jetstream.request(router, "STREAM.PURGE.KV_GROUPS", {"filter": "$KV.GROUPS.bob.vip"})  # as if it had expired
    server.stop()
    server.start()
    await changes.until(2)
    assert sorted(changes.items, key=str) == [("alice.vip", b"2"), ("bob.vip", None)]


async def test_a_copy_reads_by_and_by_what_it_did_not_hear(
    groups: Bucket, view: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kv, "SWEEP_S", 0.02)
    copy = await view()
    changes = changes_of(copy)
    copy._subscription.detach()  # type: ignore[union-attr]  # deaf
    await groups.put("alice.vip", b"1")
    await groups.put("bob.vip", b"1")
    await groups.delete("alice.vip")
    await changes.until(1)
    assert await groups.put("carol.vip", b"1")
    while "carol.vip" not in copy:
        await changes.until(len(changes.items) + 1)
    assert dict(copy) == {"bob.vip": b"1", "carol.vip": b"1"}


async def test_a_bucket_that_was_lost_and_declared_anew_is_read_from_its_beginning(
    groups: Bucket, view: Open, router: Connection, server: NatsServer
) -> None:
    for number in range(5):
        await groups.put("alice.vip", b"%d" % number)
    await groups.put("bob.vip", b"1")
    copy = await view()
    changes = changes_of(copy)
    await jetstream.request(router, "STREAM.DELETE.KV_GROUPS")
    await jetstream.declare(router, partitions=PARTITIONS, replicas=1)
    await groups.put("alice.vip", b"new")
    server.restart()
    await changes.until(2)
    assert dict(copy) == {"alice.vip": b"new"}


async def test_an_expired_revocation_leaves_the_copy(router: Connection, connect: Connect, log: Logger) -> None:
    auth = await connect("auth")
    revoked = Bucket(auth, DirectGet(auth), subjects.REVOKED)
    copy = KvView(auth, DirectGet(auth), subjects.REVOKED, log)
    await within(copy.open())
    changes = changes_of(copy)
    await revoked.put("user.alice", b"1", ttl_s=1)
    assert await changes.until(2) == [("user.alice", b"1"), ("user.alice", None)]
    await copy.close()


async def test_a_callback_that_raises_does_not_stop_the_copy(groups: Bucket, view: Open) -> None:
    copy = await view()
    copy.on_change.append(lambda key, value: 1 // 0)  # type: ignore[arg-type]
    changes = changes_of(copy)
    await groups.put("alice.vip", b"1")
    assert await changes.until(1) == [("alice.vip", b"1")]


async def test_a_large_bucket_is_read_in_pages(groups: Bucket, view: Open, router: Connection) -> None:
    replies = [router.ask(subjects.key_subject(subjects.GROUPS, f"user{n}.vip"), b"") for n in range(2500)]
    await within(asyncio.gather(*replies))
    assert len(await view()) == 2500
