"""Publications are spliced, never parsed: what comes out must be the frame that a model would have written."""

import json
from typing import Any

import pytest
from hypothesis import given

from tests.protocol.strategies import channels, json_values, offsets, texts
from tests.protocol.vectors import Vector, every
from whimbrel.protocol.channels import Channel
from whimbrel.protocol.errors import MalformedBody
from whimbrel.protocol.frames import Publication, decode_edge
from whimbrel.protocol.publications import (
    PublicationBody,
    decode_body,
    encode_body,
    ephemeral_frame,
    is_body,
    is_time,
    nested_publication,
    publication_frame,
)


@every("publications.json", "bodies")
def test_a_body_is_stored_in_one_form(vector: Vector) -> None:
    body = encode_body(vector["event"], vector["event_id"], vector["time"], vector["data"].encode())
    assert body.decode() == vector["body"]
    data = json.loads(vector["data"])
    assert decode_body(body) == PublicationBody(vector["event"], vector["event_id"], vector["time"], data)


@every("publications.json", "frames")
def test_a_frame_is_spliced_around_a_body(vector: Vector) -> None:
    channel, body, trace = vector["channel"].encode(), vector["body"].encode(), vector["trace"].encode()
    if "offset" in vector:
        frame = publication_frame(channel, body, vector["offset"], vector["prev"], trace)
    else:
        frame = ephemeral_frame(channel, body, trace)
    assert frame.decode() == vector["frame"]


@every("publications.json", "nested")
def test_a_publication_inside_a_subscription_bears_no_channel(vector: Vector) -> None:
    nested = nested_publication(vector["body"].encode(), vector["offset"], vector["prev"])
    assert nested.decode() == vector["nested"]


@every("publications.json", "strays")
def test_a_stray_message_is_told_by_its_ends_and_by_its_fields(vector: Vector) -> None:
    text = vector["text"].encode()
    assert is_body(text) == vector["spliceable"]
    if vector["readable"]:
        assert decode_body(text).event == "order.shipped" or decode_body(text).event == "e"
    else:
        with pytest.raises(MalformedBody):
            decode_body(text)


@given(event=texts, event_id=texts, time=texts, data=json_values, channel=channels, offset=offsets, prev=offsets)
def test_a_spliced_frame_is_what_the_model_reads(
    event: str, event_id: str, time: str, data: Any, channel: Channel, offset: int, prev: int
) -> None:
    body = encode_body(event, event_id, time, json.dumps(data).encode())
    assert is_body(body)
    shown = {"event": event, "event_id": event_id, "time": time, "data": data, "channel": str(channel)}
    durable = publication_frame(str(channel).encode(), body, offset, prev, b"00-1-2-01")
    assert decode_edge(durable) == [Publication(**shown, offset=offset, prev=prev, trace="00-1-2-01")]
    assert decode_edge(ephemeral_frame(str(channel).encode(), body)) == [Publication(**shown)]


@pytest.mark.parametrize(
    "text", ["2026-11-23T06:00:00Z", "2026-11-23t06:00:00z", "2026-11-23T07:00:00.5+01:00", "2016-12-31T23:59:60Z"]
)
def test_a_time_has_a_date_seconds_and_an_offset(text: str) -> None:
    assert is_time(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-11-23",
        "2026-11-23T06:00:00",
        "2026-11-23 06:00:00Z",
        "2026-11-23T06:00Z",
        "20261123T060000Z",
        "2026-11-23T07:00:00+0100",
        "2026-13-23T06:00:00Z",
        "2026-11-23T06:00:00Z\n",
    ],
)
def test_what_only_looks_like_a_time_is_none(text: str) -> None:
    assert not is_time(text)
