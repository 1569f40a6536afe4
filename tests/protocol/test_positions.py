"""Positions and cursors: what was written comes back, and nothing else is taken."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.protocol.strategies import channel_texts, positions
from tests.protocol.vectors import Vector, every
from whimbrel.protocol.errors import MalformedPosition
from whimbrel.protocol.limits import MAX_CHANNELS, MAX_CURSOR_BYTES
from whimbrel.protocol.positions import Position, cursor_head, cursor_part, decode_cursor, encode_cursor

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
def test_a_cursor_is_the_same_in_every_server_of_this_version(vector: Vector) -> None:
    expected = {channel: each and Position.model_validate(each) for channel, each in vector["positions"].items()}
    assert encode_cursor("alice", expected) == vector["cursor"]
    assert decode_cursor(vector["cursor"]).of("alice") == expected


@every("positions.json", "same")
def test_a_cursor_is_read_as_an_etag_too(vector: Vector) -> None:
    assert decode_cursor(vector["text"]) == decode_cursor(vector["same_as"])


@every("positions.json", "bad_cursors")
def test_what_is_no_cursor_is_told_so(vector: Vector) -> None:
    with pytest.raises(MalformedPosition):
        decode_cursor(vector["cursor"])


@given(positions=many)
def test_any_positions_come_back_from_their_cursor(positions: dict[str, Position | None]) -> None:
    cursor = encode_cursor("alice", positions)
    assert decode_cursor(cursor).of("alice") == positions
    assert decode_cursor(f'W/"{cursor}"').of("alice") == positions
    assert cursor.isascii()
    assert not set(cursor) & set('"\\ ,;&?#=%')  # fit for a header and for a query


@given(text=st.text(max_size=80))
def test_any_text_is_a_cursor_or_told_to_be_none(text: str) -> None:
    try:
        positions = decode_cursor(text).positions
    except MalformedPosition:
        return
    assert decode_cursor(encode_cursor("alice", positions)).positions == positions


@given(positions=many)
def test_the_cursor_of_another_user_names_channels_and_no_positions(positions: dict[str, Position | None]) -> None:
    assert decode_cursor(encode_cursor("alice", positions)).of("bob") == dict.fromkeys(positions)


def test_as_many_channels_as_a_session_may_hold_fit_into_a_cursor() -> None:
    epochs = ["d41d8cd98f00b204", "e9800998ecf8427e"]
    positions = {f"orders:{n}": Position(epoch=epochs[n % 2], offset=90_000 + n) for n in range(MAX_CHANNELS)}
    assert decode_cursor(encode_cursor("alice", positions)).of("alice") == positions


@given(positions=many, user=st.text())
def test_a_cursor_is_its_head_and_its_parts_joined_by_dots(positions: dict[str, Position | None], user: str) -> None:
    parts = [cursor_part(name, position) for name, position in positions.items()]
    assert encode_cursor(user, positions).encode() == b".".join((cursor_head(user), *parts))


def test_a_cursor_never_grows_over_its_limit() -> None:
    fits = {f"orders:{n:0100}": Position(epoch="e" * 16, offset=n) for n in range(20)}
    assert len(encode_cursor("alice", fits)) <= MAX_CURSOR_BYTES
    too_many = {f"orders:{n:0120}": Position(epoch="e" * 16, offset=n) for n in range(40)}
    with pytest.raises(MalformedPosition, match="cursor over 40 channels"):
        encode_cursor("alice", too_many)
