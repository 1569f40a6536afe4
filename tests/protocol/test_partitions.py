"""The partition of a channel is computed in two places, here and in nats-server: they must never differ."""

import random
import string
from collections.abc import AsyncIterator
from pathlib import Path

import nats
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from tests.protocol.vectors import Vector, every, vectors
from tests.support.nats import PARTITIONS, ROOT, NatsServer
from tests.support.waiting import Collected, within
from whimbrel.protocol import subjects
from whimbrel.protocol.channels import Channel, inbox_of

MAPPING = (ROOT / "deploy/nats/partitions.conf").read_text()
CONFIG = """
host: 127.0.0.1
port: -1
http: 127.0.0.1:-1
accounts {{ APP {{ users: [ {{ user: app, password: secret }} ], mappings {{ {mapping} }} }} }}
"""
SEED = 20261123
DRAWN = 600
NAME_CHARS = string.ascii_letters + string.digits + "_-:=@~"


@every("partitions.json")
def test_a_channel_has_its_partition_for_ever(vector: Vector) -> None:
    channel = Channel.parse(vector["channel"])
    for partitions, partition in vector["partition_of"].items():
        assert subjects.partition_of(channel, int(partitions)) == partition


def drawn_channels() -> list[Channel]:
    """Return channels of every length and letter, those of the vectors, and inboxes of users outside the grammar."""
    draw = random.Random(SEED)
    namespaces = ["a", "orders", "typing", "n" * 32, "a-1"]
    named = {
        Channel(draw.choice(namespaces), "".join(draw.choices(NAME_CHARS, k=draw.randint(1, 128))))
        for _ in range(DRAWN)
    }
    inboxes = {inbox_of(f"{draw.random()}@exämple.com") for _ in range(50)}
    return sorted(named | inboxes | {Channel.parse(vector["channel"]) for vector in vectors("partitions.json")})


@pytest.fixture(params=[PARTITIONS, 1, 3, 64])
async def mapping(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[Client, int]]:
    """Connect to a server that has the mapping of the deployment, for so many partitions."""
    partitions: int = request.param
    config = tmp_path / "nats.conf"
    config.write_text(CONFIG.format(mapping=MAPPING.replace(f"partition({PARTITIONS},", f"partition({partitions},")))
    server = NatsServer(tmp_path / "server", config)
    try:
        server.start()
        connection = await nats.connect(f"nats://app:secret@127.0.0.1:{server.port}")
        yield connection, partitions
        await connection.close()
    finally:
        server.kill()


async def test_the_server_maps_a_channel_to_the_subject_that_we_compute(mapping: tuple[Client, int]) -> None:
    connection, partitions = mapping
    channels = drawn_channels()
    assert len(channels) >= 400
    mapped: Collected[str] = Collected()

    async def take(message: Msg) -> None:
        mapped.append(message.subject)

    await connection.subscribe(subjects.history_filter(0).replace("0", "*"), cb=take)
    for channel in channels:
        await connection.publish(subjects.publish_subject(channel))
    assert await within(mapped.until(len(channels))) == [
        subjects.stored_subject(channel, partitions) for channel in channels
    ]
