"""The store, the ports and the parts of a development set-up, without starting any."""

import importlib.util
import json
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from whimbrel.cli.dev import parts
from whimbrel.cli.dev.parts import Setup, demo_part, nats_parts, service_parts
from whimbrel.cli.dev.ports import DEFAULTS, HOST, held
from whimbrel.cli.dev.store import NATS_USERS, Store
from whimbrel.cli.exits import BadSetting, Failure

PORTS = {name: number for number, name in enumerate(DEFAULTS, 40_000)}


@pytest.fixture
def setup(tmp_path: Path) -> Iterator[Setup]:
    with Store(tmp_path / "store").claimed() as store:
        yield Setup(store, PORTS, parts.find_deploy())


def test_secrets_are_drawn_once_and_are_words_for_nats_server(setup: Setup) -> None:
    secrets = setup.store.secrets()
    assert set(secrets) == {"service_key", *(f"nats_{user}" for user in NATS_USERS)}
    assert len(set(secrets.values())) == len(secrets)
    assert all(secret[0].isalpha() and secret.isalnum() for secret in secrets.values())
    assert Store(setup.store.root).secrets() == secrets


def test_a_secret_that_a_later_version_needs_is_added(setup: Setup) -> None:
    kept = dict(setup.store.secrets())
    path = setup.store.root / "secrets.json"
    path.write_text(json.dumps({name: secret for name, secret in kept.items() if name != "nats_domain"}))
    again = setup.store.secrets()
    assert again["service_key"] == kept["service_key"]
    assert again["nats_domain"] != kept["nats_domain"]


@pytest.mark.parametrize("damage", ["{", "[]", '{"service_key": "short"}'])
def test_damaged_secrets_are_named(setup: Setup, damage: str) -> None:
    (setup.store.root / "secrets.json").write_text(damage)
    with pytest.raises(BadSetting, match="damaged"):
        setup.store.secrets()


def test_a_store_is_claimed_once(setup: Setup) -> None:
    with pytest.raises(Failure, match="another `whimbrel dev`"), Store(setup.store.root).claimed():
        pass


def test_a_stale_dev_file_is_withdrawn(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.dev_file.write_text('{"edge": "http://127.0.0.1:1"}')
    with store.claimed():
        assert not store.dev_file.exists()


def test_streams_of_an_unknown_version_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "nats").mkdir()
    with pytest.raises(Failure, match="made by layout unknown"):
        Store(tmp_path).check_layout()


def test_free_ports_differ() -> None:
    with held("0") as ports, held("0") as others:
        assert set(ports) == set(DEFAULTS)
        assert len({*ports.values(), *others.values()}) == 2 * len(DEFAULTS)


def test_a_held_port_can_be_listened_on_again_and_again_and_is_given_to_nobody_else() -> None:
    with held("0") as ports:
        for _ in range(2):
            with socket.create_server((HOST, ports["edge"])) as listener:
                assert listener.getsockname()[1] == ports["edge"]
        with socket.socket() as stranger, pytest.raises(OSError, match="in use"):
            stranger.bind((HOST, ports["edge"]))


def test_a_port_on_which_somebody_listens_is_refused() -> None:
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Failure, match=f"port {port} \\(edge\\) is taken"), held(f"edge={port}"):
            pass


def test_single_ports_can_be_named() -> None:
    with held("0") as free:
        named = ",".join(f"{name}={port}" for name, port in free.items())
        with held(named) as again:
            assert again == free


@pytest.mark.parametrize("text", ["8080", "edge", "edge=", "edge=http", "edge=70000", "fridge=1"])
def test_ports_that_cannot_be_meant_are_refused(text: str) -> None:
    with pytest.raises(BadSetting, match="write 0, or name=port"), held(text):
        pass


def test_each_service_gets_its_own_credentials_and_no_other(setup: Setup) -> None:
    for part in service_parts(setup, origins=("http://127.0.0.1:8000",)):
        own = {f"nats_{part.name}", "service_key"}
        others = [secret for name, secret in setup.store.secrets().items() if name not in own]
        assert not any(secret in value for value in part.env.values() for secret in others)
        assert all(name.startswith(f"WHIMBREL_{part.name.upper()}_") for name in part.env)


def test_the_example_is_a_domain_team(setup: Setup) -> None:
    env = demo_part(setup).env
    assert env["ORDERS_NATS_URL"].startswith("nats://domain:")
    assert setup.store.secrets()["nats_router"] not in "".join(env.values())


def test_a_missing_nats_server_is_named_with_the_way_out(
    setup: Setup, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BadSetting, match="nats-server is missing: `make setup`"):
        nats_parts(setup)


@pytest.mark.parametrize("missing", ["whimbrel.edge", "orders"])
def test_a_missing_part_is_named_with_the_way_out(setup: Setup, monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == missing else find(name))
    with pytest.raises(BadSetting, match="not installed: `make setup`"):
        [*service_parts(setup, origins=()), demo_part(setup)]
