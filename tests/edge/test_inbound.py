"""WebSocket messages from a client's bytes: ours, and the library's for whatever is not plain."""

import os
from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

from tests.edge.peers import BINARY, CLOSE, PING, PONG, TEXT, masked
from whimbrel.edge.shell.inbound import Alive, Binary, Inbound, Inlet, PeerClosed, Text, TooLarge, Violation, only_text

LIMIT = 1000
CONTINUED = 0x0
FUZZ = int(os.environ.get("WHIMBREL_FUZZ_EXAMPLES", "150"))  # of each fuzz test; more find more


def taken(*parts: bytes, limit: int = LIMIT) -> list[Inbound]:
    """Return what an inlet makes of ``parts``, each one read of the socket."""
    inlet = Inlet(limit)
    return [event for part in parts for event in inlet.feed(part)]


def in_bytes(data: bytes) -> Iterable[bytes]:
    return (data[at : at + 1] for at in range(len(data)))


# Plain frames


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 999, 1000])
def test_a_text_message_of_any_length_is_read_in_one_piece_or_byte_by_byte(size: int) -> None:
    payload = bytes(range(256)) * 4
    frame = masked(payload[:size])
    assert taken(frame) == [Text(payload[:size])]
    assert taken(*in_bytes(frame)) == [Text(payload[:size])]


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 999, 1000])
def test_a_read_that_is_one_whole_text_needs_no_inlet(size: int) -> None:
    payload = (bytes(range(256)) * 4)[:size]
    assert only_text(masked(payload), LIMIT) == payload


@given(st.binary(max_size=140), st.sampled_from([TEXT, BINARY, PING, PONG, CLOSE]), st.binary(max_size=12))
def test_what_needs_no_inlet_is_what_an_inlet_makes_of_it(payload: bytes, opcode: int, behind: bytes) -> None:
    for data in (masked(payload, opcode) + behind, behind + masked(payload, opcode), behind):
        alone = only_text(data, LIMIT)
        assert alone is None or taken(data) == [Text(alone)]
    assert only_text(masked(b"x" * (LIMIT + 1)), LIMIT) is None


def test_several_frames_of_one_read_come_in_order() -> None:
    data = masked(b"one") + masked(b"", PING) + masked(b"two") + masked(b"", PONG) + masked(b"three")[:4]
    assert taken(data) == [Text(b"one"), Alive(b"\x8a\x00"), Text(b"two"), Alive(b"")]


def test_every_mask_is_undone() -> None:
    for mask in (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x01\x02\x03\x04"):
        assert taken(masked(b"hello", mask=mask)) == [Text(b"hello")]


def test_a_ping_is_answered_with_its_payload() -> None:
    assert taken(masked(b"are you there?", PING)) == [Alive(b"\x8a\x0eare you there?")]
    assert taken(masked(b"x" * 125, PING)) == [Alive(b"\x8a\x7d" + b"x" * 125)]


def test_a_pong_counts_as_life_and_earns_no_answer() -> None:
    assert taken(masked(b"whatever", PONG)) == [Alive(b"")]


@pytest.mark.parametrize("payload", [b"", b"\x03\xe8", b"\x03\xe9"])
def test_a_close_is_echoed_and_nothing_after_it_is_read(payload: bytes) -> None:
    answer = bytes((0x88, len(payload))) + payload
    assert taken(masked(payload, CLOSE) + masked(b"late"), masked(b"later")) == [PeerClosed(answer)]


def test_a_close_with_a_code_and_a_reason_is_echoed_as_it_is() -> None:
    payload = (4000).to_bytes(2, "big") + "bis später".encode()
    assert taken(masked(payload, CLOSE)) == [PeerClosed(bytes((0x88, len(payload))) + payload)]


@pytest.mark.parametrize("payload", [b"\x03", b"\x03\xed", b"\x03\xee", b"\x00\x00", b"\x03\xe8\xff\xfe"])
def test_a_close_that_no_endpoint_may_send_is_a_violation(payload: bytes) -> None:
    [event] = taken(masked(payload, CLOSE))
    assert isinstance(event, Violation)


def test_a_message_over_the_limit_is_refused_before_it_is_buffered() -> None:
    assert taken(masked(b"x" * 1001)[:8]) == [TooLarge()]
    assert taken(masked(b"x" * 70_000)[:14]) == [TooLarge()]


def test_nothing_is_read_after_a_message_over_the_limit() -> None:
    for size in (1001, 70_000):
        assert taken(masked(b"x" * size), masked(b"", CLOSE), masked(b"x")) == [TooLarge()]


# What the library takes over


def test_fragments_make_one_message_with_control_frames_between_them() -> None:
    data = (
        masked(b"one ", TEXT, fin=False)
        + masked(b"still here", PING)
        + masked(b"", CONTINUED, fin=False)
        + masked(b"message", CONTINUED)
        + masked(b"another")
    )
    for parts in ([data], in_bytes(data)):  # the ping is answered in its turn: Autobahn 5.6, 5.8, 5.19 and 5.20
        fragment = Alive(b"")
        expected = [fragment, Alive(b"\x8a\x0astill here"), fragment, Text(b"one message"), Text(b"another")]
        assert taken(*parts) == expected


def test_a_flood_in_one_read_can_be_left_in_the_middle() -> None:
    inlet = Inlet(LIMIT)
    flood = inlet.feed(masked(b"", TEXT, fin=False) + masked(b"", CONTINUED, fin=False) * 100_000)
    assert next(flood) == Alive(b"")
    assert inlet._library is not None
    assert len(inlet._library.events) < 1000, "the library has not seen the rest"


def test_fragments_count_against_the_limit_together() -> None:
    fragments = [masked(b"x" * 300, TEXT, fin=False), *[masked(b"x" * 300, CONTINUED, fin=False)] * 3]
    assert taken(*fragments) == [Alive(b"")] * 3 + [TooLarge()]


def test_empty_fragments_without_end_cost_no_memory() -> None:
    inlet = Inlet(LIMIT)
    empty = masked(b"", CONTINUED, fin=False) * 100
    assert list(inlet.feed(masked(b"x", TEXT, fin=False))) == [Alive(b"")]
    for _ in range(50):
        assert list(inlet.feed(empty)) == [Alive(b"")] * 100
    assert inlet._fragments == bytearray(b"x")
    assert list(inlet.feed(masked(b"y", CONTINUED))) == [Text(b"xy")]


def test_a_binary_message_is_told_from_a_text_whole_or_in_fragments() -> None:
    assert taken(masked(b"{}", BINARY), masked(b"{}")) == [Binary(b"{}"), Text(b"{}")]
    fragments = masked(b"a", BINARY, fin=False) + masked(b"b", CONTINUED) + masked(b"c", TEXT, fin=False)
    assert taken(fragments + masked(b"d", CONTINUED)) == [Alive(b""), Binary(b"ab"), Alive(b""), Text(b"cd")]


def test_a_close_in_the_middle_of_a_message_is_a_close_like_any_other() -> None:
    """Autobahn 7.1.5; the library alone calls it a violation."""
    data = masked(b"unfinished", TEXT, fin=False) + masked(b"\x03\xe8", CLOSE) + masked(b"too late", CONTINUED)
    assert taken(data) == [Alive(b""), PeerClosed(b"\x88\x02\x03\xe8")]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\x81\x05hello", id="unmasked"),
        pytest.param(b"\xc1" + masked(b"x")[1:], id="reserved bit 1, no extension agreed"),
        pytest.param(b"\xa1" + masked(b"x")[1:], id="reserved bit 2"),
        pytest.param(b"\x91" + masked(b"x")[1:], id="reserved bit 3"),
        pytest.param(masked(b"x", 0x3), id="unknown data opcode"),
        pytest.param(masked(b"x", 0xB), id="unknown control opcode"),
        pytest.param(masked(b"x", PING, fin=False), id="fragmented ping"),
        pytest.param(masked(b"x" * 126, PING), id="ping over 125 bytes"),
        pytest.param(masked(b"x", CONTINUED), id="continuation of nothing"),
        pytest.param(masked(b"x", TEXT, fin=False) + masked(b"y"), id="a message inside a message"),
    ],
)
def test_what_the_rfc_or_the_contract_forbids_is_a_violation_and_the_end(data: bytes) -> None:
    *fragments, event = taken(data, masked(b"more"), masked(b"", CLOSE))
    assert all(fragment == Alive(b"") for fragment in fragments)
    assert isinstance(event, Violation)
    assert event.what


# Whatever the segmentation, and whatever the bytes: what the library would have made of them


def frames_of(opcodes: st.SearchStrategy[int]) -> st.SearchStrategy[bytes]:
    return st.builds(
        masked,
        st.binary(max_size=200),
        opcodes,
        fin=st.booleans(),
        mask=st.binary(min_size=4, max_size=4),
    )


def by_the_library(data: bytes) -> list[tuple[str, bytes]]:
    """Return messages and the end as a plain ``websockets`` server sees them."""
    protocol = ServerProtocol(state=OPEN, max_size=LIMIT)
    protocol.receive_data(data)
    seen: list[tuple[str, bytes]] = []
    kind, whole = "", b""
    for frame in protocol.events_received():
        assert isinstance(frame, Frame)
        match frame.opcode:
            case Opcode.TEXT | Opcode.CONT | Opcode.BINARY:
                whole += bytes(frame.data)
                if frame.opcode is not Opcode.CONT:
                    kind = "binary" if frame.opcode is Opcode.BINARY else "text"
                if frame.fin:
                    seen.append((kind, whole))
                    whole = b""
            case Opcode.CLOSE:
                return [*seen, ("end", b"")]
    return [*seen, ("end", b"")] if protocol.parser_exc is not None else seen


def by_us(parts: Iterable[bytes]) -> list[tuple[str, bytes]]:
    return [
        ("text", event.payload)
        if isinstance(event, Text)
        else ("binary", event.payload)
        if isinstance(event, Binary)
        else ("end", b"")
        for event in taken(*parts)
        if not isinstance(event, Alive)
    ]


def cut(data: bytes, at: list[int]) -> list[bytes]:
    marks = [0, *sorted(mark % (len(data) + 1) for mark in at), len(data)]
    return [data[start:end] for start, end in pairwise(marks)]


SENSIBLE = st.sampled_from([TEXT, TEXT, TEXT, PING, PONG, CONTINUED])
ANY = st.integers(0, 15)


@settings(max_examples=FUZZ)
@given(st.lists(frames_of(SENSIBLE), max_size=8), st.lists(st.integers(0, 5000), max_size=5))
def test_sensible_frames_are_read_as_the_library_reads_them_however_they_are_cut(
    frames: list[bytes], at: list[int]
) -> None:
    data = b"".join(frames)
    assert by_us(cut(data, at)) == by_the_library(data)


@settings(max_examples=FUZZ)
@given(st.lists(frames_of(ANY) | st.binary(max_size=20), max_size=6), st.lists(st.integers(0, 2000), max_size=5))
def test_any_bytes_are_read_as_the_library_reads_them_and_never_raise(frames: list[bytes], at: list[int]) -> None:
    data = b"".join(frames)
    assert by_us(cut(data, at)) == by_the_library(data)
