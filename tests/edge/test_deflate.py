"""Compression for who asks for it: bounded, without memory per connection, once per message."""

import zlib

import pytest

from tests.edge.peers import CLOSE, PING, TEXT, masked, upgrade
from whimbrel.edge.shell.deflate import MIN_BYTES, Deflater, agree
from whimbrel.edge.shell.fanout import text_message
from whimbrel.edge.shell.handshake import read_upgrade
from whimbrel.edge.shell.httpwire import read_head
from whimbrel.edge.shell.inbound import Alive, Inbound, Inlet, PeerClosed, Text, TooLarge, Violation

LIMIT = 64 * 1024
AGREED = "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=12"
CONTINUED = 0x0
RSV1 = 0x40


def deflated(payload: bytes, *, bits: int = 15) -> bytes:
    """Return ``payload`` as a client compresses it (RFC 7692 §7.2.1)."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -bits)
    return (deflate.compress(payload) + deflate.flush(zlib.Z_SYNC_FLUSH))[:-4]


def inflated(message: bytes) -> bytes:
    """Return the payload of the edge's compressed text message, by a decompressor with a window of 12 bits."""
    assert message[0] == 0x80 | RSV1 | TEXT
    payload = message[{126: 4, 127: 10}.get(message[1], 2) :]
    return zlib.decompressobj(-12).decompress(payload + b"\x00\x00\xff\xff")


def taken(*parts: bytes) -> list[Inbound]:
    inlet = Inlet(LIMIT, deflated=True)
    return [event for part in parts for event in inlet.feed(part)]


def compressed(payload: bytes, opcode: int = TEXT, *, fin: bool = True) -> bytes:
    return masked(payload, opcode | RSV1, fin=fin)


# What is agreed


@pytest.mark.parametrize(
    ("offers", "answer"),
    [
        (["permessage-deflate"], AGREED),
        (["permessage-deflate; client_max_window_bits"], AGREED),  # as Chromium and Firefox offer it
        (["permessage-deflate; server_max_window_bits=15; client_no_context_takeover"], AGREED),
        (["x-webkit-deflate-frame", "foo, permessage-deflate"], AGREED),
        (["permessage-deflate; server_max_window_bits=10, permessage-deflate"], AGREED),
        (["permessage-deflate; server_max_window_bits=10"], None),
        (["permessage-deflate; server_max_window_bits=8"], None),
        (["permessage-deflate; unheard_of"], None),
        (["permessage-deflate; server_max_window_bits=99"], None),
        (["permessage-deflate;;;"], None),
        ([""], None),
        ([], None),
    ],
)
def test_compression_is_agreed_on_our_terms_or_not_at_all(offers: list[str], answer: str | None) -> None:
    assert agree(offers) == answer


def test_nothing_is_compressed_where_the_edge_was_not_told_to() -> None:
    offer = upgrade(sec_websocket_extensions="permessage-deflate")
    head = read_head(offer)[0]
    assert b"extensions" not in read_upgrade(head, deflate=False).accept().answer
    agreed = read_upgrade(head, deflate=True).accept()
    assert f"sec-websocket-extensions: {AGREED}\r\n\r\n".encode() in agreed.answer
    assert agreed.deflated
    assert not read_upgrade(read_head(upgrade())[0], deflate=True).accept().deflated


# Out


@pytest.mark.parametrize("size", [MIN_BYTES, 1000, 65_535, 200_000])
def test_a_message_is_compressed_once_for_all_and_inflates_to_itself(size: int) -> None:
    payload = (b'{"type":"publication"}' * 10_000)[:size]
    message = text_message(payload)
    deflater = Deflater()
    first = deflater.compress(message)
    assert inflated(first) == payload
    assert len(first) < len(message)
    assert deflater.compress(message) is first
    assert deflater.sizes == {("plain",): len(message), ("compressed",): len(first)}


def test_what_is_short_or_does_not_shrink_goes_as_it_is() -> None:
    noise = zlib.compress(bytes(range(256)) * 4, 9) * 3
    for payload in (b"x" * (MIN_BYTES - 1), noise[:200]):
        message = text_message(payload)
        assert Deflater().compress(message) is message


# In


def test_compressed_and_plain_messages_and_control_frames_are_read_in_any_mixture() -> None:
    text = b'{"type":"ping"}' * 20
    data = compressed(deflated(text)) + masked(b"plain") + masked(b"!", PING) + compressed(deflated(text, bits=9))
    expected = [Text(text), Text(b"plain"), Alive(b"\x8a\x01!"), Text(text)]
    assert taken(data) == expected
    assert taken(*(data[at : at + 1] for at in range(len(data)))) == expected


def test_a_compressed_message_comes_in_fragments_too() -> None:
    body = deflated(b"hello " * 100)
    fragments = compressed(body[:5], fin=False) + masked(b"", PING) + masked(body[5:], CONTINUED)
    assert taken(fragments) == [Alive(b""), Alive(b"\x8a\x00"), Text(b"hello " * 100)]


@pytest.mark.parametrize("megabytes", [1, 16])
def test_a_bomb_ends_at_the_limit_of_a_frame_whole_or_in_fragments(megabytes: int) -> None:
    bomb = deflated(b"\0" * megabytes * 1024 * 1024)
    assert len(bomb) < LIMIT
    assert taken(compressed(bomb)) == [TooLarge()]
    step = len(bomb) // 20
    parts = [bomb[at : at + step] for at in range(0, len(bomb), step)]
    fragments = [compressed(parts[0], fin=False), *(masked(part, CONTINUED, fin=False) for part in parts[1:])]
    *before, last = taken(*fragments, masked(b"late"))
    assert last == TooLarge()
    assert before == [Alive(b"")] * len(before)


def test_the_largest_message_is_taken_and_one_byte_more_is_not() -> None:
    assert taken(compressed(deflated(b"x" * LIMIT))) == [Text(b"x" * LIMIT)]
    assert taken(compressed(deflated(b"x" * (LIMIT + 1)))) == [TooLarge()]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(compressed(b"\xff\xff\xff"), id="no deflate at all"),
        pytest.param(masked(b"x", CONTINUED | RSV1), id="compressed continuation of nothing"),
        pytest.param(compressed(deflated(b"x"), fin=False) + masked(b"", CONTINUED | RSV1), id="marked continuation"),
        pytest.param(masked(b"", PING | RSV1), id="compressed ping"),
    ],
)
def test_what_the_rfc_forbids_is_a_violation(data: bytes) -> None:
    assert isinstance(taken(data, masked(b"more"))[-1], Violation)


def test_a_compressed_message_is_a_violation_where_nothing_was_agreed() -> None:
    [event] = list(Inlet(LIMIT).feed(compressed(deflated(b"{}"))))
    assert isinstance(event, Violation)


def test_a_close_is_never_compressed() -> None:
    assert taken(masked(b"\x03\xe8", CLOSE)) == [PeerClosed(b"\x88\x02\x03\xe8")]
