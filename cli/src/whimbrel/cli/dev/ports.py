"""Which ports the parts listen on."""

import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Final

from whimbrel.cli.exits import BadSetting, Failure

HOST: Final = "127.0.0.1"  # a development set-up is nobody else's business
DEFAULTS: Final = {
    "edge": 8080,
    "auth": 8081,
    "router": 8082,
    "demo": 8000,
    "nats": 4222,
    "nats-monitor": 8222,
    "edge-ops": 9080,
    "auth-ops": 9081,
    "router-ops": 9082,
    "notifier-ops": 9083,
}
BALANCER_PORT: Final = 8070  # in front of several edges; one alone has none
ROUTES_PORT: Final = 6222  # on which servers of a cluster hear each other; a server alone has none
STEP: Final = 10  # edge-2 listens on 8090 and 9090, edge-3 on 8100 and 9100, nats-2 on 4232, 8232 and 6232


def numbered(name: str, count: int) -> tuple[str, ...]:
    """Return the names of so many: edge, edge-2, edge-3, …"""
    return (name, *(f"{name}-{number}" for number in range(2, count + 1)))


def _wanted(edges: int, nats_servers: int) -> dict[str, int]:
    of_each = {"edge": ("", "-ops"), "nats": ("", "-monitor", "-routes")}
    wanted = dict(DEFAULTS)
    if edges > 1:
        wanted["balancer"] = BALANCER_PORT
    if nats_servers > 1:
        wanted["nats-routes"] = ROUTES_PORT
    for name, count in (("edge", edges), ("nats", nats_servers)):
        for number, one in enumerate(numbered(name, count)):
            for suffix in of_each[name]:
                if f"{name}{suffix}" in wanted:
                    wanted[f"{one}{suffix}"] = wanted[f"{name}{suffix}"] + number * STEP
    return wanted


@contextmanager
def held(
    text: str, *, edges: int = 1, nats_servers: int = 1, without: tuple[str, ...] = ()
) -> Iterator[Mapping[str, int]]:
    """Keep a port per name until the end of the block. ``text``: empty for the defaults, ``0`` for free ones, or
    ``edge=8180,nats=0``.

    A held port can be listened on by whoever asks for it by number, but is given to nobody who asks for a free one: a
    part that is started again finds its own. Raises Failure where a port is taken, or where ``text`` cannot be read.
    """
    wanted = {name: port for name, port in _wanted(edges, nats_servers).items() if name not in without}
    if text == "0":
        wanted = dict.fromkeys(wanted, 0)
    elif text:
        wanted |= {name: port for name, port in _named(text, wanted).items() if name not in without}
    with ExitStack() as holding:
        yield {name: holding.enter_context(_bound(name, port)).getsockname()[1] for name, port in wanted.items()}


def _named(text: str, known: Mapping[str, int]) -> dict[str, int]:
    ports: dict[str, int] = {}
    for part in text.split(","):
        name, _, number = part.strip().partition("=")
        if name not in {**DEFAULTS, **known} or not number.isdigit() or int(number) > 65535:
            names = ", ".join({**DEFAULTS, **known})
            raise BadSetting(f"--ports {text}: write 0, or name=port with a name of {names}")
        ports[name] = int(number)
    return ports


def _bound(name: str, port: int) -> socket.socket:
    try:
        if port:
            with _reusable(port) as listener:
                listener.listen(1)  # many sockets may be bound to one port, but only one can listen
        return _reusable(port)
    except OSError as error:
        raise Failure(
            f"port {port} ({name}) is taken",
            f'stop what listens there, or run with --ports 0 or --ports {name}=PORT (make run ARGS="--ports 0")',
        ) from error


def _reusable(port: int) -> socket.socket:
    bound = socket.socket()
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((HOST, port))
    except OSError:
        bound.close()
        raise
    return bound
