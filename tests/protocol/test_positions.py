"""Positions and cursors: what was written comes back, and nothing else is taken."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.protocol.strategies import channel_texts, positions
from tests.protocol.vectors import Vector, every
from whimbrel.protocol.errors import MalformedPosition
from whimbrel.protocol.limits import MAX_CURSOR_BYTES
from whimbrel.protocol.positions import Position, decode_cursor, encode_cursor

many = st.dictionaries(channel_texts, st.none() | positions, max_size=8)


@every("positions.json", "positions")
def test_a_position_is_an_epoch_and_an_offset(vector: Vector) -> None:
    if vector["valid"]:
        epoch, offset = vector["position"]["epoch"], vector["position"]["offset"]
        assert Position.model_validate(vector["position"]) == Position(epoch=epoch, offset=offset)
    else:
        with pytest.raises(ValidationError):
            Position.model_validate(vector["position"])


@every("positions.json", "cursors")
def test_a_cursor_is_the_same_in_every_version_1(vector: Vector) -> None:
    expected = {channel: each and Position.model_validate(each) for channel, each in vector["positions"].items()}
    assert encode_cursor(expected) == vector["cursor"]
    assert decode_cursor(vector["cursor"]) == expected


@every("positions.json", "same")
def test_a_cursor_is_read_as_an_etag_too(vector: Vector) -> None:
    assert decode_cursor(vector["text"]) == decode_cursor(vector["same_as"])


@every("positions.json", "bad_cursors")
def test_what_is_no_cursor_is_told_so(vector: Vector) -> None:
    with pytest.raises(MalformedPosition):
        decode_cursor(vector["cursor"])


@given(positions=many)
def test_any_positions_come_back_from_their_cursor(positions: dict[str, Position | None]) -> None:
    cursor = encode_cursor(positions)
    assert decode_cursor(cursor) == positions
    assert decode_cursor(f'W/"{cursor}"') == positions
    assert cursor.isascii()
    assert not set(cursor) & set('"\\ ,;&?#=%')  # fit for a header and for a query


@given(text=st.text(max_size=80))
def test_any_text_is_a_cursor_or_told_to_be_none(text: str) -> None:
    try:
        positions = decode_cursor(text)
    except MalformedPosition:
        return
    assert decode_cursor(encode_cursor(positions)) == positions


def test_a_cursor_never_grows_over_its_limit() -> None:
    fits = {f"orders:{n:0100}": Position(epoch="e" * 16, offset=n) for n in range(20)}
    assert len(encode_cursor(fits)) <= MAX_CURSOR_BYTES
    too_many = {f"orders:{n:0120}": Position(epoch="e" * 16, offset=n) for n in range(40)}
    with pytest.raises(MalformedPosition, match="cursor over 40 channels"):
        encode_cursor(too_many)
