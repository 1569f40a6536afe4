"""HTTP/1.1 as the front door speaks it."""

import json
from contextlib import suppress
from http import HTTPStatus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.edge.peers import request
from tests.edge.test_inbound import FUZZ
from whimbrel.edge.shell.httpwire import Refusal, answer, problem, read_head
from whimbrel.protocol.codes import CloseCode, ErrorCode
from whimbrel.protocol.limits import MAX_BODY_BYTES

# Heads


def test_a_head_is_read_with_its_path_query_headers_and_the_size_of_its_body() -> None:
    raw = request("POST", "/v1/poll?a=1&b=%C3%BC&a=2", b"hello", authorization="bearer  abc ", x_odd="ü")
    head, size = read_head(raw.removesuffix(b"hello"))
    assert (head.method, head.path, size) == ("POST", "/v1/poll", 5)
    assert head.parameters() == [("a", "1"), ("b", "ü"), ("a", "2")]
    assert head.bearer == "abc"
    assert head.keep_alive


def test_a_header_that_repeats_keeps_all_its_values() -> None:
    head, _ = read_head(b"GET /v1/poll HTTP/1.1\r\nX: 1\r\nx: 2\r\n\r\n")
    assert head.headers["x"] == ["1", "2"]
    assert head.header("x") == "1"
    assert head.header("y") is None


@pytest.mark.parametrize(
    ("value", "token"),
    [
        ("Bearer abc", "abc"),
        ("BEARER abc", "abc"),
        ("Basic abc", None),
        ("Bearer", None),
        ("Bearer   ", None),
        ("", None),
    ],
)
def test_a_bearer_token_is_found_however_its_scheme_is_spelt(value: str, token: str | None) -> None:
    head, _ = read_head(request("GET", "/v1/poll", authorization=value))
    assert head.bearer == token


@pytest.mark.parametrize(
    ("version", "connection", "kept"),
    [
        ("1.1", None, True),
        ("1.1", "keep-alive", True),
        ("1.1", "close", False),
        ("1.1", "Close, TE", False),
        ("1.0", None, False),
        ("1.0", "Keep-Alive", True),
    ],
)
@pytest.mark.parametrize("body", ["", "Content-Length: 2\r\n"])
def test_the_client_says_whether_the_connection_stays(
    version: str, connection: str | None, kept: bool, body: str
) -> None:
    header = "" if connection is None else f"Connection: {connection}\r\n"
    head, _ = read_head(f"GET /v1/poll HTTP/{version}\r\n{header}{body}\r\n".encode())
    assert head.keep_alive is kept


@pytest.mark.parametrize(
    ("head", "status", "code"),
    [
        (b"POST /v1/poll HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 411, 107),
        (b"POST /v1/poll HTTP/1.1\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n", 417, 107),
        (b"POST /v1/poll HTTP/1.1\r\nContent-Length: 262145\r\n\r\n", 413, 112),
        (b"POST /v1/poll HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n", 400, 107),
        (b"POST /v1/poll HTTP/1.1\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n", 400, 107),
        (b"POST /v1/poll HTTP/1.1\r\nContent-Length: -2\r\n\r\n", 400, 107),
        (b"POST /v1/poll HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n", 400, 107),
        (b"GET /v1/poll HTTP/1.1\r\nA: b\r\n folded\r\n\r\n", 400, 107),
        (b"GET /v1/poll HTTP/1.1\r\nA b: c\r\n\r\n", 400, 107),
        (b"GET /v1/poll HTTP/1.1\r\nA : c\r\n\r\n", 400, 107),
        (b"GET /v1/poll\r\n\r\n", 400, 107),
        (b"GET /v1/poll?a HTTP/0.9\r\n\r\n", 400, 107),
        (b"GET /v1/poll HTTP/3.7\r\n\r\n", 400, 107),
        (b"GET /v1/poll?\x01 HTTP/1.1\r\n\r\n", 400, 107),
        (b"GET /v1/poll?\x01 HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", 400, 107),
    ],
)
def test_what_could_be_read_in_two_ways_or_is_too_large_is_refused(head: bytes, status: int, code: int) -> None:
    with pytest.raises(Refusal) as refusal:
        read_head(head)
    assert (refusal.value.status, refusal.value.code) == (status, code)


def test_a_body_of_the_largest_size_is_taken() -> None:
    assert read_head(b"POST /v1/poll HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % MAX_BODY_BYTES)[1] == MAX_BODY_BYTES


PIECES = st.sampled_from(
    b"GET |POST |/v1/poll|/v1/ws|?channel=a&cursor=b| HTTP/1.1\r\n|\r\n|: |\x00|\xff|Content-Length|Transfer-Encoding|"
    b"chunked|Upgrade: websocket\r\n|Connection: Upgrade\r\n|Sec-WebSocket-Key|12|-1|%|#| |\t|Expect|Host: x\r\n".split(
        b"|"
    )
)


@settings(max_examples=FUZZ)
@given(st.lists(PIECES | st.binary(max_size=8), max_size=20).map(b"".join))
def test_no_head_does_anything_but_be_read_or_refused(noise: bytes) -> None:
    for raw in (noise, b"GET /v1/poll" + noise, b"GET /v1/poll HTTP/1.1\r\n" + noise):
        with suppress(Refusal):
            _, size = read_head(raw + b"\r\n\r\n")
            assert 0 <= size <= MAX_BODY_BYTES


# Answers


def test_an_answer_is_one_whole_message() -> None:
    assert answer(HTTPStatus.OK, b"{}", {"content-type": "application/json"}) == (
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-type: application/json\r\n\r\n{}"
    )


def test_not_modified_has_no_length_and_no_body() -> None:
    assert answer(HTTPStatus.NOT_MODIFIED, b"", {"etag": '"x"'}) == b'HTTP/1.1 304 Not Modified\r\netag: "x"\r\n\r\n'


def test_the_last_answer_says_so() -> None:
    assert b"\r\nconnection: close\r\n" in answer(HTTPStatus.OK, keep_alive=False)


def test_a_refusal_is_a_problem_with_code_slug_and_detail() -> None:
    refusal = Refusal(HTTPStatus.SERVICE_UNAVAILABLE, CloseCode.OVERLOADED, "später", retry_ms=1500)
    head, _, body = problem(refusal, {"vary": "Origin"}, keep_alive=False).partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0] == b"HTTP/1.1 503 Service Unavailable"
    assert {b"content-type: application/problem+json", b"retry-after: 2", b"vary: Origin", b"connection: close"} <= set(
        lines
    )
    fields = json.loads(body)
    assert (fields["code"], fields["slug"], fields["detail"], fields["retry_after_ms"]) == (
        4008,
        "overloaded",
        "später",
        1500,
    )
    assert fields["status"] == 503


def test_an_unauthorized_answer_names_the_scheme() -> None:
    refusal = Refusal(HTTPStatus.UNAUTHORIZED, ErrorCode.UNAUTHORIZED, "no token")
    assert b"\r\nwww-authenticate: Bearer\r\n" in problem(refusal, {}, keep_alive=True)
    assert b"retry-after" not in problem(refusal, {}, keep_alive=True)
