"""Whose address a request came from, through proxies that are trusted and those that are not."""

import re
from collections.abc import Sequence
from typing import Final

MAX_ADDRESS_CHARS: Final = 45  # the longest IPv6 address; what is longer is none, and must not become a long key
NETWORK_GROUPS: Final = 4  # of an IPv6 address: one household or machine has a /64, and every address in it

_FOR: Final = re.compile(r'(?:^|[;\s])for=("[^"]*"|[^;\s]*)', re.IGNORECASE)


def address_of(peer: str, headers: Sequence[str], *, trusted: int) -> str:
    """Return the address that counts for a request which ``peer`` sent.

    ``headers`` are the values of X-Forwarded-For, or of Forwarded (RFC 7239), in order; each of the ``trusted`` proxies
    has added to their end whom the request came from. What stands before was sent by the client and proves nothing;
    where fewer entries came than proxies are trusted, the request went round a proxy and ``peer`` counts.
    """
    if trusted:
        hops = [hop for value in headers for hop in value.split(",")]
        if len(hops) >= trusted:
            return network_of(_named(hops[-trusted]))
    return network_of(peer)


def is_local(address: str) -> bool:
    """Tell whether ``address``, as ``address_of`` returns it, is this machine."""
    return address.startswith("127.") or address in ("0:0:0:0::/64", "")


def network_of(address: str) -> str:
    """Return an IPv4 address as it is, and the /64 of an IPv6 address."""
    if ":" not in address:
        return address
    if address.lower().startswith("::ffff:") and "." in address:
        return address[7:]
    head, gap, tail = address.partition("::")
    groups = head.split(":") if head else []
    if gap:
        rest = tail.split(":") if tail else []
        groups += ["0"] * (8 - len(groups) - len(rest)) + rest
    return ":".join(group.lstrip("0").lower() or "0" for group in groups[:NETWORK_GROUPS]) + "::/64"


def _named(hop: str) -> str:
    """Return the address in one entry: bare, quoted, with brackets or with a port."""
    found = _FOR.search(hop)
    text = (found[1] if found else hop).strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    return text[:MAX_ADDRESS_CHARS]
