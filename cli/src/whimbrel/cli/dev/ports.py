"""Which ports the parts listen on."""

import socket
from collections.abc import Mapping
from contextlib import ExitStack
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


def choose(text: str, *, without: tuple[str, ...] = ()) -> Mapping[str, int]:
    """Return a port per name. ``text``: empty for the defaults, ``0`` for free ones, or ``edge=8180,nats=0``.

    Raises Failure where a port is taken, or where ``text`` cannot be read.
    """
    wanted = {name: port for name, port in DEFAULTS.items() if name not in without}
    if text == "0":
        wanted = dict.fromkeys(wanted, 0)
    elif text:
        wanted |= {name: port for name, port in _named(text).items() if name in wanted}
    # All are held until each has its port, so that two free ones are never the same.
    with ExitStack() as held:
        return {name: held.enter_context(_held(name, port)).getsockname()[1] for name, port in wanted.items()}


def _named(text: str) -> dict[str, int]:
    ports: dict[str, int] = {}
    for part in text.split(","):
        name, _, number = part.strip().partition("=")
        if name not in DEFAULTS or not number.isdigit() or int(number) > 65535:
            raise BadSetting(f"--ports {text}: write 0, or name=port with a name of {', '.join(DEFAULTS)}")
        ports[name] = int(number)
    return ports


def _held(name: str, port: int) -> socket.socket:
    listener = socket.socket()
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen(1)  # two sockets may be bound to one port, but only one can listen
    except OSError as error:
        listener.close()
        raise Failure(
            f"port {port} ({name}) is taken",
            f'stop what listens there, or run with --ports 0 or --ports {name}=PORT (make run ARGS="--ports 0")',
        ) from error
    return listener
