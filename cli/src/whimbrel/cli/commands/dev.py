"""`whimbrel dev`: everything on this machine."""

import asyncio
from pathlib import Path
from typing import Final

import click

from whimbrel.cli.dev.parts import Setup, demo_part, find_deploy, nats_parts, service_parts
from whimbrel.cli.dev.ports import held
from whimbrel.cli.dev.store import CLUSTERS, Store
from whimbrel.cli.dev.supervisor import Supervisor
from whimbrel.cli.invocation import invocation
from whimbrel.cli.output import Output
from whimbrel.cli.target import STORE

MAX_EDGES: Final = 9  # each is a process of some 60 MB, and a laptop has a few cores


@click.command("dev")
@click.option("--ports", default="", metavar="PORTS", help="0 for free ones, or name=port,… [default: 8080 and others]")
@click.option("--store", type=click.Path(path_type=Path), default=STORE, show_default=True, help="What outlives a run.")
@click.option("--edges", type=click.IntRange(1, MAX_EDGES), default=1, show_default=True, help="How many edges run.")
@click.option(
    "--nats-servers",
    type=click.Choice([str(servers) for servers in CLUSTERS]),
    default="1",
    show_default=True,
    help="Servers of NATS: 3 are a cluster with the settings of production.",
)
@click.option("--origin", "origins", multiple=True, metavar="URL", help="Pages from there may connect too; repeatable.")
@click.option("--demo/--no-demo", default=True, help="Run the example with its page too.  [default: demo]")
@click.option(
    "--restart/--no-restart",
    default=True,
    help="Start again what dies; --no-restart: the run ends when a process dies.  [default: restart]",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
def command(
    ports: str,
    store: Path,
    edges: int,
    nats_servers: str,
    origins: tuple[str, ...],
    demo: bool,
    restart: bool,
    as_json: bool,
) -> None:
    """Run Whimbrel on this machine until Ctrl-C.

    Starts a NATS server, the four services and the example, each as a process of its own, and prints one URL. What they
    write stands in STORE/logs; STORE/dev.json tells the other commands where everything is.

    \b
    whimbrel dev
    whimbrel dev --ports 0 --store /tmp/second      # a second one beside it
    whimbrel dev --ports edge=9000 --no-demo
    whimbrel dev --origin http://localhost:5173     # the page that you are writing may connect
    whimbrel dev --edges 3                          # what clients do when an edge goes
    whimbrel dev --nats-servers 3                   # … and when the server that keeps a channel goes: `whimbrel kill`
    """
    servers = int(nats_servers)
    without = () if demo else ("demo",)
    with (
        Store(store).claimed(otherwise="stop it, or run this one beside it with --ports 0 --store DIR") as kept,
        held(ports, edges=edges, nats_servers=servers, without=without) as chosen,
    ):
        kept.check_layout()
        setup = Setup(kept, chosen, find_deploy(), edges, servers)
        kept.make_auth_keys()
        _run(setup, Output(as_json=as_json), origins=origins, demo=demo, restart=restart)


def _run(setup: Setup, output: Output, *, origins: tuple[str, ...], demo: bool, restart: bool) -> None:
    if demo:
        # A page is known to its browser by the name in the address bar: both names of this machine are ours.
        origins += tuple(f"http://{host}:{setup.ports['demo']}" for host in ("127.0.0.1", "localhost"))
    parts = [*nats_parts(setup), *service_parts(setup, origins=origins)]
    store = None if setup.store.root == Path(STORE) else setup.store.root
    headline, hint = f"Edge at {setup.edge_url}", invocation("listen --user alice orders:42", store)
    if demo:
        parts.append(demo_part(setup))
        headline, hint = setup.url("demo"), "Open it in two tabs, and sign in as alice and as bob. Ctrl-C ends it all."
    hint += f"\n  In another terminal: {invocation('status', store)}"
    asyncio.run(Supervisor(setup, parts, output, restart).run(headline, hint))
