"""Where a publication stands, read from the raw headers of its message."""

import pytest

from whimbrel.edge.shell.hearing import position

SERVERS = b"Nats-Sequence: 17\r\nNats-Time-Stamp: 2026-01-01T00:00:00.000000001Z\r\nNats-Last-Sequence: 12\r\n\r\n"
HEAD = b"NATS/1.0\r\nNats-Msg-Id: 1\r\nNats-Stream: HISTORY_3\r\nNats-Subject: c.3.orders.42\r\n"


def test_the_server_says_where_a_publication_stands_and_what_was_before_it() -> None:
    assert position(HEAD + SERVERS) == (17, 12)


def test_what_a_publisher_wrote_into_its_own_headers_does_not_count() -> None:
    forged = b"NATS/1.0\r\nNats-Sequence: 900\r\nNats-Time-Stamp: x\r\nNats-Last-Sequence: 899\r\nx: y\r\n"
    assert position(forged + SERVERS) == (17, 12)


def test_a_server_may_order_its_headers_in_another_way() -> None:
    assert position(HEAD + b"Nats-Last-Sequence: 12\r\nNats-Sequence: 17\r\n\r\n") == (17, 12)
    assert position(HEAD + b"Nats-Sequence:17\r\nNats-Last-Sequence:12\r\n\r\n") == (17, 12)


@pytest.mark.parametrize(
    "raw",
    [
        None,
        b"",
        b"NATS/1.0\r\n\r\n",
        HEAD + b"\r\n",
        SERVERS.replace(b"17", b"x").replace(b"12", b""),
        SERVERS.replace(b"17", b"9" * 5000).replace(b"12", b"9" * 5000),
    ],
)
def test_what_no_stream_stored_has_no_position(raw: bytes | None) -> None:
    assert position(raw) == (0, 0)
