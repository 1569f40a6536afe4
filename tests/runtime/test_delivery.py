"""Headers are looked up in raw bytes."""

from whimbrel.runtime.delivery import Delivery, description, fields, header, number, stamped, status
from whimbrel.runtime.wire import encode_headers

RAW = b"NATS/1.0\r\nNats-Sequence: 1\r\ntraceparent:  00-a \r\nNats-Sequence: 42\r\nempty:\r\n\r\n"


def test_a_publishers_header_is_the_first_and_the_servers_the_last_of_a_name() -> None:
    assert header(RAW, "Nats-Sequence") == "1"
    assert stamped(RAW, "Nats-Sequence") == "42"
    assert number(RAW, "Nats-Sequence") == 42


def test_a_value_is_stripped_and_may_be_empty() -> None:
    assert header(RAW, "traceparent") == "00-a"
    assert header(RAW, "empty") == ""


def test_what_is_missing_is_none_and_zero() -> None:
    for raw in (RAW, None, b"NATS/1.0\r\n\r\n"):
        assert header(raw, "Sequence") is None
        assert stamped(raw, "parent") is None
        assert number(raw, "traceparent") == 0


def test_a_number_that_no_server_writes_is_none() -> None:
    for text in ("²", "9" * 5000, "-1", "1.5", "1_0", ""):
        assert number(f"NATS/1.0\r\nNats-Sequence: {text}\r\n\r\n".encode(), "Nats-Sequence") == 0


def test_a_status_is_read_from_the_header_line() -> None:
    assert status(b"NATS/1.0 404 Message Not Found\r\n\r\n") == 404
    assert description(b"NATS/1.0 404 Message Not Found\r\n\r\n") == "Message Not Found"
    assert (status(b"NATS/1.0 503\r\n\r\n"), description(b"NATS/1.0 503\r\n\r\n")) == (503, "")
    assert (status(RAW), status(None), description(None)) == (0, 0, "")


def test_all_headers_of_a_publisher_survive_a_round_trip() -> None:
    headers = {"ce-id": "1", "whimbrel-users": "alice,bob", "ce-subject": "ü"}
    assert fields(encode_headers(headers)) == headers
    assert fields(RAW)["Nats-Sequence"] == "1"
    assert fields(None) == {}


def test_a_repr_tells_neither_payload_nor_headers() -> None:
    delivery = Delivery("live.orders.42", "", b"secret", b"NATS/1.0\r\ntoken: secret\r\n\r\n")
    assert repr(delivery) == "<Delivery live.orders.42 6 bytes>"
