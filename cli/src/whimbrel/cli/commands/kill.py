"""`whimbrel kill`: see what clients do when a process goes."""

import os
import signal
from pathlib import Path
from typing import Any, Final

import click

from whimbrel.cli.channels import channel_of
from whimbrel.cli.exits import BadSetting, Failure, Unreachable
from whimbrel.cli.output import Output
from whimbrel.cli.services import ask
from whimbrel.cli.target import Target, read_dev_file, talks_to
from whimbrel.protocol import subjects
from whimbrel.protocol.bodies import StatusReply

SIGNALS: Final = {"kill": signal.SIGKILL, "term": signal.SIGTERM, "stop": signal.SIGSTOP, "cont": signal.SIGCONT}
LEADER: Final = "leader"


@click.command("kill")
@click.argument("part")
@click.option("--channel", default="orders:board", show_default=True, help="Whose leader is meant.")
@click.option(
    "--signal",
    "name",
    type=click.Choice(list(SIGNALS)),
    default="kill",
    show_default=True,
    help="stop and cont: let it stand still, and go on.",
)
@talks_to("router", "service_key")
def command(part: str, channel: str, name: str, target: Target, output: Output) -> None:
    """Kill a process of `whimbrel dev`, which starts it again.

    PART is one of those that `whimbrel dev` has named (edge, edge-2, auth, router, notifier, nats, nats-2, …), or
    leader: the server that takes what is published to --channel.

    \b
    whimbrel kill edge
    whimbrel kill leader --channel orders:42        # of `whimbrel dev --nats-servers 3`
    whimbrel kill notifier --signal stop
    """
    pids = _pids(target.store)
    if part == LEADER:
        if "nats-2" not in pids:
            raise BadSetting(f"one NATS server has no {LEADER}: say nats, or run `whimbrel dev --nats-servers 3`")
        part = _leader(target, channel)
    if part not in pids:
        raise BadSetting(f"there is no {part}: say one of {', '.join(pids)}, or {LEADER}")
    try:
        os.kill(pids[part], SIGNALS[name])
    except ProcessLookupError:
        raise Failure(f"{part} is gone already (process {pids[part]}); it is being started again") from None
    record: dict[str, Any] = {"part": part, "pid": pids[part], "signal": SIGNALS[name].name}
    output.say(f"{record['signal']} sent to {part} (process {pids[part]})", record)


def _pids(store: Path | None) -> dict[str, int]:
    pids: dict[str, int] = read_dev_file(store).get("pids", {})
    if not pids:
        raise Unreachable("nothing runs here", "only processes of `whimbrel dev` can be killed: --store DIR")
    return pids


def _leader(target: Target, name: str) -> str:
    channel = channel_of(name)
    streams = {each.name: each for each in ask(target, "router", "GET", "/status", StatusReply).streams}
    partitions = sum(each in streams for each in subjects.all_history_streams(len(streams)))
    stream = streams[subjects.history_stream(subjects.partition_of(channel, partitions))]
    if not stream.leader:
        raise Failure(f"{stream.name}, which keeps {channel}, has no leader now; one is being elected")
    return stream.leader
