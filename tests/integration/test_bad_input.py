"""Bad input gets the code of the contract, the connection lives or closes as it says, and nothing else suffers."""

import json
from typing import Any

import httpx
import pytest
import websockets

from tests.integration.outsiders import SUBPROTOCOL, DomainTeam, Poller, a_session, a_socket
from tests.support.dev import Development

PAGE = "http://127.0.0.1:8000"


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("nope", 4500),
        ("{", 4500),
        ("17", 4500),
        ("[17]", 4500),
        ("[" * 30_000, 4500),
        (json.dumps({"type": "ping", "pad": "x" * 65_536}), 4504),
        (json.dumps({"type": "ping", "pad": "x" * 2_000_000}), 4504),
    ],
)
async def test_what_is_no_frame_closes_one_connection_and_no_other(
    development: Development, shop: DomainTeam, message: str, code: int
) -> None:
    token = development.token("alice")
    async with a_session(development, token, "orders:bad") as bystander:
        async with a_session(development, token) as socket:
            await socket.send(message)
            assert await socket.close_code() == code
        await shop.publish("bad", "still here")
        await bystander.until_received("orders:bad", 1)


async def test_a_binary_message_closes_the_connection(development: Development) -> None:
    async with a_session(development, development.token("alice")) as socket:
        await socket.send(b'{"type":"ping"}')
        assert await socket.close_code() == 4500


async def test_a_fragmented_message_is_a_message(development: Development) -> None:
    async with a_session(development, development.token("alice")) as socket:
        await socket.socket.send(iter(['{"type":"subscribe",', '"id":77,', '"channel":"orders:1"}']))
        assert (await socket.until(lambda frame: frame.get("id") == 77))["type"] == "subscribed"
        assert (await socket.ask("history", channel="orders:1"))["type"] == "ok"


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ({"type": "dance"}, 107),
        ({"type": "subscribe"}, 107),
        ({"type": "subscribe", "channel": "orders:*"}, 107),
        ({"type": "subscribe", "channel": "orders:>"}, 107),
        ({"type": "subscribe", "channel": "orders:a.b"}, 107),
        ({"type": "subscribe", "channel": "nope:1"}, 102),
        ({"type": "subscribe", "channel": "user:bob"}, 103),
        ({"type": "subscribe", "channel": "group:vip"}, 103),
        ({"type": "subscribe", "channel": "inbox"}, 104),
        ({"type": "unsubscribe", "channel": "orders:404"}, 105),
        ({"type": "publish", "channel": "inbox", "event": "x", "data": 1}, 103),
        ({"type": "publish", "channel": "orders:1", "event": "x", "data": 1}, 103),
        ({"type": "publish", "channel": "typing:unopened", "event": "x", "data": 1}, 103),
        ({"type": "ack", "channel": "typing:1", "offset": 1}, 107),
        ({"type": "ack", "channel": "inbox", "offset": 999_999}, 107),
        ({"type": "history", "channel": "typing:1"}, 111),
        ({"type": "refresh", "token": "forged"}, 101),
    ],
)
async def test_a_request_that_fails_earns_its_code_and_the_connection_lives(
    development: Development, frame: dict[str, Any], code: int
) -> None:
    async with a_session(development, development.token("ivan")) as socket:
        fields = {name: value for name, value in frame.items() if name != "type"}
        error = await socket.ask(frame["type"], **fields)
        assert (error["type"], error["code"]) == ("error", code)
        assert error["slug"]
        assert error["message"]
        await socket.send({"type": "ping"})
        await socket.until(lambda answer: answer["type"] == "pong")


def _forged(token: str) -> str:
    head, claims, signature = token.split(".")
    return f"{head}.{claims}.{signature[:-6]}AAAAAA"


async def test_a_missing_a_forged_and_an_expired_token_each_get_their_code(development: Development) -> None:
    good = development.token("alice")
    short = development.token("alice", ttl=1)
    async with a_socket(development) as socket:
        await socket.send({"type": "connect", "id": 1})
        assert await socket.close_code() == 4501
    async with a_socket(development) as socket:
        await socket.send({"type": "connect", "id": 1, "token": _forged(good)})
        assert await socket.close_code() == 4501
    async with httpx.AsyncClient(trust_env=False) as http:
        url = f"{development.edge}/v1/poll"
        for headers, status, slug in (
            ({}, 401, "unauthorized"),
            ({"Authorization": f"Bearer {_forged(good)}"}, 401, "unauthorized"),
            ({"Authorization": "Basic YTpi"}, 401, "unauthorized"),
        ):
            answer = await http.post(url, json={"channels": {}, "wait": 0}, headers=headers)
            assert (answer.status_code, answer.json()["slug"]) == (status, slug)
            assert answer.headers["content-type"] == "application/problem+json"
        while True:  # until the short token has expired
            answer = await http.post(
                url, json={"channels": {"inbox": None}, "wait": 0}, headers={"Authorization": f"Bearer {short}"}
            )
            if answer.status_code != 200:
                break
        assert (answer.status_code, answer.json()["slug"]) == (401, "token_expired")
    async with a_socket(development) as socket:
        await socket.send({"type": "connect", "id": 1, "token": short})
        assert await socket.close_code() == 4010


async def test_a_bad_token_on_the_upgrade_is_refused_before_it(development: Development) -> None:
    with pytest.raises(websockets.InvalidStatus) as refused:
        async with a_socket(development, Authorization="Bearer forged"):
            pass
    assert refused.value.response.status_code == 401
    async with a_socket(development, Authorization=f"Bearer {development.token('alice')}") as socket:
        assert (await socket.ask("connect"))["user"] == "alice"


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "null",
        "http://127.0.0.1:8001",
        "https://127.0.0.1:8000",
        f"{PAGE}.evil.example",
        f"{PAGE}/",
    ],
)
async def test_a_foreign_origin_is_refused_everywhere(development: Development, origin: str) -> None:
    with pytest.raises(websockets.InvalidStatus) as refused:
        async with a_socket(development, Origin=origin):
            pass
    assert refused.value.response.status_code == 403
    token = development.token("alice")
    async with httpx.AsyncClient(
        trust_env=False, headers={"Origin": origin, "Authorization": f"Bearer {token}"}
    ) as http:
        for answer in (
            await http.post(f"{development.edge}/v1/poll", json={"channels": {}, "wait": 0}),
            await http.get(f"{development.edge}/v1/poll"),
            await http.post(f"{development.edge}/v1/commands", json={"frames": []}),
            await http.get(f"{development.edge}/v1/transports"),
        ):
            assert (answer.status_code, answer.json()["slug"]) == (403, "permission_denied")
            assert "access-control-allow-origin" not in answer.headers


async def test_a_page_without_a_common_subprotocol_is_refused(development: Development) -> None:
    url = development.edge.replace("http", "ws", 1) + "/v1/ws"
    for offered in (None, [websockets.Subprotocol("whimbrel.v9.json")]):
        with pytest.raises(websockets.InvalidStatus) as refused:
            async with websockets.connect(url, subprotocols=offered, proxy=None):
                pass
        assert refused.value.response.status_code == 400
    several = [websockets.Subprotocol("other"), websockets.Subprotocol(SUBPROTOCOL)]
    async with websockets.connect(url, subprotocols=several, proxy=None) as socket:
        assert socket.subprotocol == SUBPROTOCOL


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"nope", 400),
        (b"[]", 400),
        (b'{"channels":{"orders:1":{"epoch":"e"}}}', 400),
        (b'{"channels":{},"wait":600}', 400),
        (b"x" * 300_000, 413),
    ],
)
async def test_a_malformed_poll_is_refused_with_a_problem(development: Development, body: bytes, status: int) -> None:
    headers = {"Authorization": f"Bearer {development.token('alice')}"}
    async with httpx.AsyncClient(trust_env=False, headers=headers) as http:
        answer = await http.post(f"{development.edge}/v1/poll", content=body)
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["detail"]


async def test_a_refused_channel_of_a_poll_is_told_and_the_others_are_served(
    development: Development, shop: DomainTeam
) -> None:
    poller = Poller(development, development.token("alice"))
    body = {"channels": {"orders:served": None, "nope:1": None, "user:bob": None, "orders:*": None}, "wait": 0}
    frames = (await poller.http.post(f"{development.edge}/v1/poll", json=body)).json()["frames"]
    codes = {frame["channel"]: frame.get("error", {}).get("code") for frame in frames}
    assert codes == {"orders:served": None, "nope:1": 102, "user:bob": 103, "orders:*": 107}
    await poller.close()


async def test_an_event_that_is_not_json_goes_to_the_dead_letters_and_the_next_one_is_delivered(
    development: Development, shop: DomainTeam
) -> None:
    async with a_session(development, development.token("alice"), "orders:dead") as socket:
        await shop.publish("dead", None, raw=b"not json")
        await shop.publish("dead", "alive")
        await socket.until_received("orders:dead", 1)
        assert socket.follower.received["orders:dead"] == ["alive"]
    letters = development.whimbrel("dlq", "list", "--json").stdout
    assert "not_json" in letters
