"""`whimbrel backup`: all streams and buckets as files."""

from pathlib import Path

import click

from whimbrel.cli.dev.store import CLUSTERS, Store
from whimbrel.cli.dev.upkeep import work_on
from whimbrel.cli.exits import Failure
from whimbrel.cli.output import Output
from whimbrel.cli.target import STORE


@click.command("backup")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--store", type=click.Path(path_type=Path), default=STORE, show_default=True, help="The store.")
@click.option(
    "--nats-servers",
    type=click.Choice([str(each) for each in CLUSTERS]),
    help="Whose, where the store has been run with several numbers of them.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
def command(folder: Path, store: Path, nats_servers: str | None, as_json: bool) -> None:
    """Write all streams of a store into a new FOLDER.

    For a store of `whimbrel dev`, which must not run. Elsewhere, while everything runs: `python -m whimbrel.router
    backup FOLDER`, with the router's settings.

    \b
    whimbrel backup /tmp/whimbrel-monday
    """
    with Store(store).claimed() as kept:
        kept.check_layout()
        servers = int(nats_servers) if nats_servers else _only(kept)
        work_on(kept, servers, ("backup", str(folder.absolute())), Output(as_json=as_json))


def _only(store: Store) -> int:
    """Return of how many servers the streams are that ``store`` has. Raises Failure where that is not one number."""
    match store.clusters:
        case []:
            raise Failure(f"{store.root} has no streams yet: there is nothing to back up")
        case [servers]:
            return servers
        case several:
            numbers = ", ".join(map(str, several))
            raise Failure(f"{store.root} has streams of so many servers: {numbers}", "say whose by --nats-servers")
