"""What a stream of events says, however its bytes are cut."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whimbrel.client.core.eventstream import MAX_EVENT_BYTES, EventStream
from whimbrel.protocol.errors import MalformedFrame


def test_the_data_of_each_event_is_read_and_all_else_is_passed_over() -> None:
    stream = EventStream()
    assert stream.feed(b"\xef\xbb\xbfretry: 10\n\n:\n\nid: 7\nevent: ok\n") == []
    assert stream.feed(b'data: {"a":1}\n\ndata:x\ndata: y\n\n') == [b'{"a":1}', b"x\ny"]


def test_what_other_parsers_take_for_the_end_of_a_line_is_none() -> None:
    assert EventStream().feed("data: \u2028\u0085\x0b\n\n".encode()) == ["\u2028\u0085\x0b".encode()]


lines = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]))


def test_an_end_of_line_that_is_cut_in_two_is_one_though_nothing_comes_between() -> None:
    stream = EventStream()
    assert [stream.feed(part) for part in (b"data: x\r", b"", b"\n\r", b"\n")] == [[], [], [b"x"], []]


@given(
    events=st.lists(st.lists(lines, min_size=1, max_size=3), max_size=5),
    ending=st.sampled_from(["\n", "\r", "\r\n"]),
    cuts=st.lists(st.integers(0, 200), max_size=8),
)
def test_it_does_not_matter_where_the_bytes_are_cut(events: list[list[str]], ending: str, cuts: list[int]) -> None:
    text = "".join("".join(f"data: {line}{ending}" for line in lines) + f"{ending}:{ending}" for lines in events)
    bounds = [0, *sorted(min(cut, len(text.encode())) for cut in cuts), len(text.encode())]
    stream = EventStream()
    got = [data for begin, end in itertools.pairwise(bounds) for data in stream.feed(text.encode()[begin:end])]
    assert got == ["\n".join(lines).encode() for lines in events]


def test_an_event_without_an_end_is_given_up() -> None:
    stream = EventStream()
    stream.feed(b"x" * MAX_EVENT_BYTES)
    with pytest.raises(MalformedFrame):
        stream.feed(b"x")
