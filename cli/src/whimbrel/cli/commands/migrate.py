"""`whimbrel migrate`: bring a store of an earlier version to this one's layout."""

from pathlib import Path

import click

from whimbrel.cli.dev.store import Store
from whimbrel.cli.dev.upkeep import work_on
from whimbrel.cli.exits import Failure
from whimbrel.cli.output import Output
from whimbrel.cli.target import STORE


@click.command("migrate")
@click.option("--store", type=click.Path(path_type=Path), default=STORE, show_default=True, help="The store.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
def command(store: Path, as_json: bool) -> None:
    """Bring a store's streams to the layout of this version.

    For a store of `whimbrel dev`, which must not run. It may be cut short, and is then run again. Elsewhere, with every
    service stopped: `python -m whimbrel.router migrate`, with the router's settings.

    \b
    whimbrel migrate
    whimbrel migrate --store /tmp/second
    """
    with Store(store).claimed() as kept:
        if not kept.clusters:
            raise Failure(f"the store {store} has no streams yet")
        for servers in kept.clusters:
            work_on(kept, servers, ("migrate",), Output(as_json=as_json))
        kept.stamp()
