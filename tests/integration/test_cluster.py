"""A cluster of three servers with the settings of production: a leader dies, and nobody misses anything."""

import asyncio
import gc
from collections.abc import Iterator

import httpx
import pytest

from tests.integration.outsiders import DomainTeam, Follower, Poller, a_session
from tests.integration.test_crashes import AWAY
from tests.support.dev import Development, running
from tests.support.exposition import read

EVENTS = 150
KILLED_AT = 50
PATIENCE_S = 90.0
PAUSE_S = 0.01  # between events: the publisher goes on all the while


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Development]:
    with running(tmp_path_factory.mktemp("cluster"), "--nats-servers", "3") as one:
        yield one


async def follow(cluster: Development, token: str, channel: str, follower: Follower) -> None:
    while len(follower.received.get(channel, ())) < EVENTS:
        try:
            async with a_session(cluster, token, channel, follower=follower) as socket:
                while len(follower.received.get(channel, ())) < EVENTS:
                    if (await socket.next())["type"] == "disconnect":
                        break
        except AWAY:
            await asyncio.sleep(0.05)


def swept(cluster: Development) -> float:
    """Return how often the edge has looked at streams because they had a new leader."""
    metrics = httpx.get(f"{cluster.running['ops']['edge']}/metrics", trust_env=False).text
    return read(metrics)["whimbrel_edge_bus_sweeps_total"].samples["", (("reason", "leader"),)]


# nats-py forgets to close its old socket when it goes to another server; that is collected within this test.
@pytest.mark.filterwarnings("ignore:unclosed", "ignore::pytest.PytestUnraisableExceptionWarning")
async def test_the_leader_of_a_channel_is_killed_and_nobody_misses_anything(cluster: Development) -> None:
    channel, token, follower = "orders:leader", cluster.token("alice"), Follower()
    poller = Poller(cluster, token, follower)
    await poller.poll(channel)
    await poller.close()
    shop = await DomainTeam.connect(cluster)
    async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as group:
        group.create_task(follow(cluster, token, channel, follower))
        for number in range(EVENTS):
            if number == KILLED_AT:
                said = await asyncio.to_thread(cluster.whimbrel, "kill", "leader", "--channel", channel)
                assert said.stdout.startswith("SIGKILL sent to nats"), said.stdout
            await shop.publish("leader", number)
            await asyncio.sleep(PAUSE_S)
    await shop.close()
    gc.collect()
    assert follower.received[channel] == list(range(EVENTS))
    assert (follower.gaps, follower.resets) == (0, [])
    cluster.until(lambda: swept(cluster) > 0, "the edge has looked at the streams that have a new leader", 20)


def test_every_stream_is_kept_by_three_servers_and_all_are_told_to_tools(cluster: Development) -> None:
    assert len(cluster.running["nats_servers"]) == 3
    assert {"nats", "nats-2", "nats-3"} < set(cluster.running["pids"])
    shown = cluster.whimbrel("status").stdout.splitlines()
    streams = [line for line in shown if line.startswith(("HISTORY_", "EVENTS", "DLQ", "KV_"))]
    assert streams
    assert all(" 3  nats" in line for line in streams)
