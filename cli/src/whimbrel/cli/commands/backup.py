"""`whimbrel backup`: all streams and buckets as files."""

from pathlib import Path

import click

from whimbrel.cli.dev.store import CLUSTERS, Store
from whimbrel.cli.dev.upkeep import work_on
from whimbrel.cli.output import Output
from whimbrel.cli.target import STORE


@click.command("backup")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--store", type=click.Path(path_type=Path), default=STORE, show_default=True, help="The store.")
@click.option(
    "--nats-servers", type=click.Choice([str(each) for each in CLUSTERS]), default="1", show_default=True, help="Whose."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
def command(folder: Path, store: Path, nats_servers: str, as_json: bool) -> None:
    """Write all streams and buckets of a store into a new FOLDER.

    For a store of `whimbrel dev`, which must not run. Elsewhere, while everything runs: `python -m whimbrel.router
    backup FOLDER`, with the router's settings.

    \b
    whimbrel backup /tmp/whimbrel-monday
    """
    with Store(store).claimed() as kept:
        kept.check_layout()
        work_on(kept, int(nats_servers), ("backup", str(folder.absolute())), Output(as_json=as_json))
