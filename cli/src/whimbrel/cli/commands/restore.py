"""`whimbrel restore`: all streams and buckets from a backup."""

from pathlib import Path

import click

from whimbrel.cli.dev.store import CLUSTERS, Store
from whimbrel.cli.dev.upkeep import work_on
from whimbrel.cli.output import Output
from whimbrel.cli.target import STORE


@click.command("restore")
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--store", type=click.Path(path_type=Path), default=STORE, show_default=True, help="The store.")
@click.option(
    "--nats-servers", type=click.Choice([str(each) for each in CLUSTERS]), default="1", show_default=True, help="Whose."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
def command(folder: Path, store: Path, nats_servers: str, as_json: bool) -> None:
    """Make all streams anew from the backup in FOLDER.

    In a store that has none.
    Histories get new epochs: clients whose positions are of another one are told to reload. For a store of `whimbrel
    dev`, which must not run. Elsewhere, with every service stopped: `python -m whimbrel.router restore FOLDER`.

    \b
    whimbrel restore /tmp/whimbrel-monday
    """
    with Store(store).claimed() as kept:
        kept.check_layout()
        work_on(kept, int(nats_servers), ("restore", str(folder.absolute())), Output(as_json=as_json))
