"""Whatever a client sends, decoding ends in one of three ways.

To look longer: ``WHIMBREL_FUZZ=20000 pytest -o faulthandler_timeout=0 tests/protocol/test_fuzz.py``.
"""

import contextlib
import os
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.protocol.strategies import client_frames, edge_frames, json_values
from tests.protocol.vectors import message_of, vectors
from whimbrel.protocol.bodies import CommandsRequest, PollRequest
from whimbrel.protocol.errors import FrameTooLarge, MalformedFrame, Refused
from whimbrel.protocol.frames import Frame, decode, decode_edge, decode_object, encode

RUNS = int(os.environ.get("WHIMBREL_FUZZ", "200"))
longer = settings(max_examples=RUNS)
PIECES = [
    b"{",
    b"}",
    b"[",
    b"]",
    b'"',
    b",",
    b":",
    b"\\",
    b"\\u",
    b"d800",
    b"null",
    b"1e999",
    b"-",
    b"0",
    b"\xff",
    b'"id":',
]


@st.composite
def mutated(draw: st.DrawFn, frames: st.SearchStrategy[Frame]) -> bytes:
    """Return the bytes of a valid frame after a few cuts, repetitions and insertions."""
    message = encode(draw(frames))
    for _ in range(draw(st.integers(1, 4))):
        start, end = sorted((draw(st.integers(0, len(message))), draw(st.integers(0, len(message)))))
        match draw(st.sampled_from(["cut", "insert", "repeat", "swap"])):
            case "cut":
                message = message[:start] + message[end:]
            case "insert":
                message = message[:start] + draw(st.sampled_from(PIECES) | st.binary(max_size=4)) + message[start:]
            case "repeat":
                message = message[:end] + message[start:end] + message[end:]
            case "swap":
                message = message[end:] + message[start:end] + message[:start]
    return message


def judge(message: bytes) -> None:
    try:
        frames = decode(message)
    except (FrameTooLarge, MalformedFrame):
        return
    for frame in frames:
        if isinstance(frame, Refused):
            assert frame.message
        else:
            # What was taken can be passed on, and means the same to the next reader.
            assert decode(encode(frame), limit=10 * len(message) + 1000) == [frame]


@longer
@given(message=st.binary(max_size=200))
def test_any_bytes_are_frames_refusals_or_a_close(message: bytes) -> None:
    judge(message)


@longer
@given(message=mutated(client_frames))
def test_a_damaged_frame_is_frames_refusals_or_a_close(message: bytes) -> None:
    judge(message)


@longer
@given(fields=st.dictionaries(st.sampled_from(["type", "id", "channel", "position", "data", "x"]), json_values))
@example(fields={"type": "subscribe", "id": 1, "channel": "a:b", "position": {"epoch": "e", "offset": float(2**60)}})
def test_any_object_is_a_frame_or_a_refusal(fields: dict[str, Any]) -> None:
    frame = decode_object(fields)
    assert isinstance(frame, Frame | Refused)


@longer
@given(message=mutated(edge_frames))
def test_a_damaged_frame_of_the_edge_is_read_or_told_as_a_fault(message: bytes) -> None:
    with contextlib.suppress(MalformedFrame):
        assert all(isinstance(frame, Frame) for frame in decode_edge(message))


@longer
@given(body=st.binary(max_size=200) | json_values.map(str).map(str.encode))
def test_any_body_is_read_or_refused(body: bytes) -> None:
    for model in (PollRequest, CommandsRequest):
        with contextlib.suppress(ValidationError):
            model.model_validate_json(body)


def test_the_vectors_themselves_survive_every_cut() -> None:
    for vector in vectors("client-frames.json"):
        message = message_of(vector)
        for end in range(0, len(message), max(1, len(message) // 50)):
            judge(message[:end])
