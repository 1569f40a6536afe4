"""Client frames and edge frames: bytes into values and back, and what each fault earns."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.protocol.strategies import client_frames, edge_frames
from tests.protocol.vectors import Vector, every, message_of
from whimbrel.protocol.codes import CloseCode, ErrorCode
from whimbrel.protocol.errors import FrameTooLarge, MalformedFrame, Refused
from whimbrel.protocol.frames import ClientFrame, EdgeFrame, Frame, Publish, decode, decode_edge, decode_object, encode
from whimbrel.protocol.limits import MAX_FRAMES_PER_MESSAGE


def value_of(frame: Frame) -> object:
    return json.loads(encode(frame))


def outcome_of(vector: Vector) -> dict[str, object]:
    """Decode as the edge does, and say what came out in the terms of the vectors."""
    try:
        frames = decode(message_of(vector))
    except FrameTooLarge:
        return {"close": CloseCode.FRAME_TOO_LARGE}
    except MalformedFrame:
        return {"close": CloseCode.PROTOCOL_ERROR}
    return {"frames": [refusal(each) if isinstance(each, Refused) else value_of(each) for each in frames]}


def refusal(refused: Refused) -> dict[str, int]:
    told = {"refused": int(refused.code)}
    return told if refused.frame_id is None else {**told, "id": refused.frame_id}


@every("client-frames.json")
def test_a_clients_frame_is_read_or_earns_its_code(vector: Vector) -> None:
    assert outcome_of(vector) == {"frames": vector["frames"]}


@every("json.json")
def test_what_is_not_strict_json_closes_and_all_else_does_not(vector: Vector) -> None:
    expected = {name: vector[name] for name in ("frames", "close") if name in vector}
    assert outcome_of(vector) == expected


@every("edge-frames.json")
def test_an_edges_frame_is_read_by_a_client(vector: Vector) -> None:
    read = [value_of(frame) for frame in decode_edge(message_of(vector))]
    assert [without_defaults(each) for each in read] == [without_defaults(each) for each in vector["frames"]]


@every("edge-frames.json", "not_json")
def test_a_client_says_that_the_edge_sent_no_json(vector: Vector) -> None:
    with pytest.raises(MalformedFrame, match="is not JSON"):
        decode_edge(message_of(vector))


@every("edge-frames.json", "broken")
def test_a_client_says_that_the_edge_broke_the_contract(vector: Vector) -> None:
    with pytest.raises(MalformedFrame, match="breaks the contract"):
        decode_edge(message_of(vector))


def without_defaults(value: object) -> object:
    """Leave out what a model adds by itself: the `type` of a nested publication, and lists that were not there."""
    if isinstance(value, list):
        return [without_defaults(each) for each in value]
    if not isinstance(value, dict):
        return value
    nested = "event_id" in value and "channel" not in value
    return {
        name: without_defaults(each)
        for name, each in value.items()
        if not (nested and name == "type") and not (name == "publications" and each == [])
    }


@given(frame=client_frames)
def test_a_clients_frame_survives_the_way_to_the_edge(frame: ClientFrame) -> None:
    assert decode(encode(frame)) == [frame]


@given(frame=edge_frames)
def test_an_edges_frame_survives_the_way_to_the_client(frame: EdgeFrame) -> None:
    assert decode_edge(encode(frame)) == [frame]


@given(frames=st.lists(client_frames, max_size=5))
def test_frames_joined_into_an_array_keep_their_order(frames: list[ClientFrame]) -> None:
    assert decode(b"[%b]" % b",".join(map(encode, frames))) == frames


def test_null_is_data_and_not_an_absent_field() -> None:
    frame = Publish(id=1, channel="orders:42", event="e", data=None)
    assert b'"data":null' in encode(frame)


@pytest.mark.parametrize("data", [float("inf"), [float("nan")], {"x": {"y": float("-inf")}}])
def test_data_that_json_cannot_write_is_refused_before_it_is_sent(data: object) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        Publish(id=1, channel="orders:42", event="e", data=data)


@pytest.mark.parametrize("data", ["\ud800", {"x": [0, "a\udc00"]}, float("nan"), {"x": float("inf")}])
def test_a_laxer_json_parser_in_front_lets_nothing_through_that_cannot_be_written(data: object) -> None:
    frame = decode_object({"type": "publish", "id": 1, "channel": "a:b", "event": "e", "data": data})
    assert isinstance(frame, Refused)
    assert refusal(frame) == {"refused": ErrorCode.BAD_REQUEST, "id": 1}


def test_a_refusal_says_where_and_never_grows_with_its_input() -> None:
    message = json.dumps([{"type": "x" * 1000, "id": 5}, {"type": "subscribe", "id": 6, "channel": "y" * 1000}])
    unknown, bad_channel = decode(message.encode())
    assert isinstance(unknown, Refused)
    assert isinstance(bad_channel, Refused)
    assert len(unknown.message) <= 300
    assert bad_channel.message.startswith("subscribe.channel: ")
    assert len(bad_channel.message) <= 300


def test_a_smaller_limit_is_honoured() -> None:
    assert len(decode(b'{"type":"ping"}', limit=15)) == 1
    with pytest.raises(FrameTooLarge, match="15 bytes, at most 14"):
        decode(b'{"type":"ping"}', limit=14)


def test_an_array_may_be_as_long_as_promised() -> None:
    pings = [{"type": "ping"}] * MAX_FRAMES_PER_MESSAGE
    assert len(decode(json.dumps(pings).encode())) == MAX_FRAMES_PER_MESSAGE
