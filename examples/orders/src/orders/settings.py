"""What the shop needs to know of its surroundings; ``whimbrel dev`` sets all of it."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

PREFIX = "ORDERS_"
CLIENT_JS = Path(__file__).parents[4] / "clients" / "js" / "src"  # as it stands in the repository: there is no build


class SettingsMissing(Exception):
    """A variable is not set, or is not what it should be; the message is for whoever started the process."""


@dataclass(frozen=True)
class Settings:
    """Addresses and credentials. ``nats`` holds those of a domain team, which may publish events and nothing else."""

    edge: str
    auth: str
    router: str
    nats: str
    service_key: str
    port: int = 8000
    host: str = "127.0.0.1"
    client_js: Path = CLIENT_JS
    kill_leader: str = ""  # the command that kills the server which keeps the board, where a cluster can stand it

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Read ``ORDERS_…``.

        Raises SettingsMissing.
        """
        needed = ("EDGE_URL", "AUTH_URL", "ROUTER_URL", "NATS_URL", "SERVICE_KEY")
        missing = [PREFIX + name for name in needed if not environment.get(PREFIX + name)]
        if missing:
            raise SettingsMissing(f"The shop cannot start without {', '.join(missing)}; `whimbrel dev` sets them.")
        host, port = environment.get(f"{PREFIX}HOST", cls.host), environment.get(f"{PREFIX}PORT", str(cls.port))
        if not port.isdecimal() or int(port) > 65_535:
            raise SettingsMissing(f"{PREFIX}PORT is {port!r}, which is no port.")
        edge, auth, router, nats, key = (environment[PREFIX + name] for name in needed)
        return cls(
            edge,
            auth,
            router,
            nats,
            key,
            host=host,
            port=int(port),
            kill_leader=environment.get(f"{PREFIX}KILL_LEADER", ""),
        )
