"""Frames as Server-Sent Events, each with the cursor of its stream."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.edge.people import EPOCH, a_publication
from whimbrel.edge.core.events import Batch, StreamCursor, event, events
from whimbrel.edge.core.replies import disconnect_frame, subscribed_frames
from whimbrel.edge.core.subscription import Opened
from whimbrel.protocol.codes import CloseCode
from whimbrel.protocol.contract.examples import EDGE_FRAMES
from whimbrel.protocol.limits import MAX_CURSOR_BYTES
from whimbrel.protocol.positions import Position, cursor_part, decode_cursor
from whimbrel.protocol.publications import ephemeral_frame, publication_frame

CHANNEL = b"orders:1"


def frame(offset: int, prev: int = 0, data: object = None, channel: bytes = CHANNEL) -> bytes:
    stored = a_publication(offset, prev, data)
    return publication_frame(channel, stored.body, stored.offset, stored.prev)


def parsed(data: bytes) -> list[dict[str, str]]:
    """Return the fields of each event, as the standard reads them."""
    found = []
    for block in data.decode().split("\n\n"):
        if block:
            found.append(dict(line.split(": ", 1) for line in block.split("\n")))
    return found


def part(offset: int, channel: bytes = CHANNEL, epoch: str = EPOCH) -> bytes:
    return cursor_part(channel.decode(), Position(epoch=epoch, offset=offset))


def a_cursor(**offsets: int) -> StreamCursor:
    cursor = StreamCursor("alice")
    for name, offset in offsets.items():
        channel = name.replace("_", ":").encode()
        cursor.move(channel, part(offset, channel))
    return cursor


def where(text: bytes | str | None) -> dict[str, int]:
    """Return the offsets that a cursor says."""
    assert text is not None
    found = decode_cursor(text if isinstance(text, str) else text.decode()).of("alice")
    return {name: at.offset for name, at in found.items() if at is not None}


@pytest.mark.parametrize("example", EDGE_FRAMES.values(), ids=EDGE_FRAMES)
def test_any_frame_of_the_edge_is_an_event_of_its_type(example: dict[str, object]) -> None:
    [fields] = parsed(event(json.dumps(example, separators=(",", ":")).encode()))
    assert fields["event"] == example["type"]
    assert json.loads(fields["data"]) == example
    assert "id" not in fields


def test_a_line_break_in_what_a_publisher_sent_breaks_no_event() -> None:
    body = b'{"event":"changed","event_id":"e","time":"t","data":{\r\n  "a": "b\\n",\n  "c": [1,\r2]}}'
    [fields] = parsed(event(publication_frame(CHANNEL, body, 1, 0)))
    assert json.loads(fields["data"])["data"] == {"a": "b\n", "c": [1, 2]}


def test_the_last_of_several_events_bears_the_cursor() -> None:
    first, second = parsed(events([frame(1), frame(2, 1)], b"2.x"))
    assert "id" not in first
    assert second["id"] == "2.x"


def test_an_event_source_is_told_when_to_come_back_in_its_own_words() -> None:
    [fields] = parsed(event(disconnect_frame(CloseCode.DRAINING, "the pod is leaving", 1840)))
    assert fields["retry"] == "1840"
    [fields] = parsed(event(disconnect_frame(CloseCode.DRAINING, "the pod is leaving")))
    assert "retry" not in fields


def test_each_publication_of_a_batch_bears_the_cursor_behind_it() -> None:
    batch = Batch(CHANNEL, EPOCH, [frame(5, 3), frame(9, 5)])
    cursor = a_cursor(inbox=70, orders_1=3)
    found = parsed(cursor.deliver(batch))
    assert [where(each["id"]) for each in found] == [{"inbox": 70, "orders:1": 5}, {"inbox": 70, "orders:1": 9}]
    assert [json.loads(each["data"])["offset"] for each in found] == [5, 9]
    assert where(cursor.text()) == {"inbox": 70, "orders:1": 9}


def test_streams_share_a_batch_and_each_has_its_own_cursor() -> None:
    batch = Batch(CHANNEL, EPOCH, [frame(5, 3)])
    for inbox in (1, 2):
        [fields] = parsed(a_cursor(inbox=inbox, orders_1=3).deliver(batch))
        assert where(fields["id"]) == {"inbox": inbox, "orders:1": 5}


def test_a_publication_without_a_position_leaves_the_cursor_where_it_is() -> None:
    stored = a_publication(1, 0, "typing")
    frames = [ephemeral_frame(b"typing:1", stored.body)] * 2
    found = parsed(a_cursor(inbox=7).deliver(Batch(b"typing:1", "", frames)))
    assert [where(each["id"]) for each in found] == [{"inbox": 7}, {"inbox": 7}]


def test_what_came_before_a_history_was_lost_bears_no_cursor_of_the_new_one() -> None:
    told = subscribed_frames(CHANNEL.decode(), Opened("e2", 40, recovered=False), None)
    batch = Batch(CHANNEL, "e2", [frame(5, 3), *told, frame(41, 40)])
    found = parsed(a_cursor(orders_1=3).deliver(batch))
    assert [each["event"] for each in found] == ["publication", "subscribed", "publication"]
    assert [where(each["id"]) if "id" in each else None for each in found] == [
        None,
        {"orders:1": 40},
        {"orders:1": 41},
    ]
    assert decode_cursor(found[-1]["id"]).positions["orders:1"] == Position(epoch="e2", offset=41)


def test_a_stream_whose_cursor_would_be_too_long_gets_its_events_without() -> None:
    cursor = StreamCursor("alice")
    for number in range(60):
        name = f"orders:{number:0100}".encode()
        cursor.move(name, part(1, name))
    assert cursor.text() is None
    [fields] = parsed(cursor.deliver(Batch(CHANNEL, EPOCH, [frame(5, 3, "all the same")])))
    assert "id" not in fields
    assert json.loads(fields["data"])["data"] == "all the same"


NAMES = [b"inbox", b"orders:1", b"orders:2", b"group:vip"]


@given(steps=st.lists(st.tuples(st.sampled_from(NAMES), st.integers(0, 3)), max_size=30))
def test_whatever_moves_the_cursor_says_where_each_channel_stands(steps: list[tuple[bytes, int]]) -> None:
    cursor = StreamCursor("alice")
    standing: dict[str, int] = {}
    for offset, (name, what) in enumerate(steps, 1):
        text = name.decode()
        if what == 0:
            cursor.forget(name)
            standing.pop(text, None)
        elif what == 1:
            cursor.move(name, part(offset, name))
            standing[text] = offset
        elif text in standing:
            [fields] = parsed(cursor.deliver(Batch(name, EPOCH, [frame(offset, channel=name)])))
            standing[text] = offset
            assert where(fields["id"]) == standing
            assert len(fields["id"]) <= MAX_CURSOR_BYTES
    assert (where(cursor.text()) if standing else cursor.text()) == (standing or None)
