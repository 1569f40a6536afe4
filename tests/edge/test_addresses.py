"""Whose address a request came from."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whimbrel.edge.core.addresses import MAX_ADDRESS_CHARS, address_of, network_of


@pytest.mark.parametrize(
    ("headers", "trusted", "address"),
    [
        ([], 0, "10.0.0.1"),
        (["203.0.113.7"], 0, "10.0.0.1"),
        (["203.0.113.7"], 1, "203.0.113.7"),
        (["6.6.6.6, 203.0.113.7"], 1, "203.0.113.7"),
        (["6.6.6.6", "203.0.113.7"], 1, "203.0.113.7"),
        (["6.6.6.6, 203.0.113.7, 192.0.2.1"], 2, "203.0.113.7"),
        (["203.0.113.7"], 2, "10.0.0.1"),
        ([], 1, "10.0.0.1"),
        (["203.0.113.7:50123"], 1, "203.0.113.7"),
        (["2001:db8:1:2:3::4"], 1, "2001:db8:1:2::/64"),
        (["[2001:db8:1:2:3::4]:443"], 1, "2001:db8:1:2::/64"),
        (["for=192.0.2.60;proto=http;by=203.0.113.43"], 1, "192.0.2.60"),
        (["proto=https; For=192.0.2.60"], 1, "192.0.2.60"),
        (['for=6.6.6.6, for="[2001:db8:cafe::17]:4711";proto=https'], 1, "2001:db8:cafe:0::/64"),
        (["for=_hidden"], 1, "_hidden"),
    ],
)
def test_only_what_trusted_proxies_added_counts(headers: list[str], trusted: int, address: str) -> None:
    assert address_of("10.0.0.1", headers, trusted=trusted) == address


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:DB8:0:12:3:4:5:6", "2001:db8:0:12::/64"),
        ("2001:db8::1", "2001:db8:0:0::/64"),
        ("::1", "0:0:0:0::/64"),
        ("::", "0:0:0:0::/64"),
        ("fe80::1%eth0", "fe80:0:0:0::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
    ],
)
def test_one_network_of_ipv6_is_one_party(address: str, network: str) -> None:
    assert network_of(address) == network


@given(st.lists(st.text(max_size=200), max_size=4), st.integers(0, 4))
def test_no_header_breaks_it_or_makes_a_long_key(headers: list[str], trusted: int) -> None:
    assert len(address_of("10.0.0.1", headers, trusted=trusted)) <= 4 * MAX_ADDRESS_CHARS
