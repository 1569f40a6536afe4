"""What the shop says when it cannot start."""

import pytest

from orders.settings import Settings, SettingsMissing

COMPLETE = {
    "ORDERS_EDGE_URL": "http://127.0.0.1:8080",
    "ORDERS_AUTH_URL": "http://127.0.0.1:8081",
    "ORDERS_ROUTER_URL": "http://127.0.0.1:8082",
    "ORDERS_NATS_URL": "nats://domain:secret@127.0.0.1:4222",
    "ORDERS_SERVICE_KEY": "key",
}


def test_addresses_come_from_the_environment() -> None:
    settings = Settings.from_environment({**COMPLETE, "ORDERS_PORT": "8123", "ORDERS_HOST": "0.0.0.0"})
    assert (settings.edge, settings.host, settings.port) == ("http://127.0.0.1:8080", "0.0.0.0", 8123)


def test_what_is_missing_is_named() -> None:
    with pytest.raises(SettingsMissing, match="ORDERS_EDGE_URL, ORDERS_SERVICE_KEY"):
        Settings.from_environment({**COMPLETE, "ORDERS_EDGE_URL": "", "ORDERS_SERVICE_KEY": ""})


def test_a_port_that_is_none_is_named() -> None:
    with pytest.raises(SettingsMissing, match="'http', which is no port"):
        Settings.from_environment({**COMPLETE, "ORDERS_PORT": "http"})
