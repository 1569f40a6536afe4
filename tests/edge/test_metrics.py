"""What the edge counts is what happened."""

import pytest

from tests.edge.edges import Edge, eventually
from tests.edge.neighbours import Neighbours, a_name
from tests.edge.peers import request
from tests.support.exposition import read

pytestmark = pytest.mark.asyncio(loop_scope="module")


def values(edge: Edge) -> dict[str, float]:
    """Return the numbers of one scrape by name, ``name{label}`` where there is one."""
    found = {}
    for family in read(edge.service.metrics.exposition().decode()).values():
        for (suffix, labels), value in family.samples.items():
            words = ",".join(text for name, text in labels if name != "le")
            if suffix != "_bucket":
                found[family.name + suffix + (f"{{{words}}}" if words else "")] = value
    return found


async def test_a_conversation_is_counted_by_frames_bytes_and_batches(edge: Edge, neighbours: Neighbours) -> None:
    before = values(edge)
    channel = f"orders:{a_name('counted')}"
    peer = await edge.session(a_name("alice"), channel)
    await neighbours.publish(channel, *range(5))
    await peer.data(5)
    peer.say({"type": "ping"})
    await peer.until(lambda frame: frame["type"] == "pong")
    grown = {name: value - before.get(name, 0) for name, value in values(edge).items()}
    assert grown["whimbrel_edge_connections{websocket}"] == 1
    assert grown["whimbrel_edge_accepted_total{websocket}"] == 1
    assert grown["whimbrel_edge_frames_in_total"] == 2
    assert grown["whimbrel_edge_bytes_in_total"] > 100
    assert grown["whimbrel_edge_batch_publications_sum"] == grown["whimbrel_edge_publications_total"] == 5
    assert grown["whimbrel_edge_batch_publications_count"] == grown["whimbrel_edge_deliveries_total"]
    assert grown["whimbrel_edge_bytes_out_total"] > 5 * 100


async def test_the_lag_of_the_bus_is_timed_by_the_streams_own_clock(edge: Edge, neighbours: Neighbours) -> None:
    channel = f"orders:{a_name('timed')}"
    peer = await edge.session(a_name("alice"), channel)
    lag = "whimbrel_edge_bus_lag_seconds"
    before = values(edge)
    await eventually(lambda: edge.pod.openings._bus.hearing.timing)
    await neighbours.publish(channel, 1, 2, 3)
    await peer.data(3)
    after = values(edge)
    assert after[f"{lag}_count"] - before[f"{lag}_count"] in (1, 2), "one sample, or two where a look fell between"
    assert 0 < after[f"{lag}_sum"] - before[f"{lag}_sum"] < 5


async def test_a_refusal_is_counted_by_its_reason(edge: Edge) -> None:
    await edge.ask(request("GET", "/v1/ws", origin="https://evil.example"))
    assert values(edge)["whimbrel_edge_refused_total{permission_denied}"] == 1
