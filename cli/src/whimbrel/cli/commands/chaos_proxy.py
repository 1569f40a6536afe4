"""`whimbrel chaos-proxy`: a bad network between clients and an edge."""

import asyncio
import contextlib
import dataclasses
from typing import Any, get_args

import click
from pydantic import ValidationError

from whimbrel.cli.chaos import ChaosProxy, Network
from whimbrel.cli.chaos.link import Passage
from whimbrel.cli.exits import BadSetting, Failure
from whimbrel.cli.output import Output
from whimbrel.cli.target import Target, talks_to

_UPGRADES = get_args(Network.model_fields["upgrade"].annotation)


def _told(field: str) -> str:
    return Network.model_fields[field].description or ""


@click.command("chaos-proxy")
@click.option("--port", type=click.IntRange(0, 65535), default=8070, show_default=True, help="Where to listen; 0: any.")
@click.option("--refusing", is_flag=True, help=_told("refusing"))
@click.option("--silent", is_flag=True, help=_told("silent"))
@click.option("--delay-ms", type=int, default=0, show_default=True, help=_told("delay_ms"))
@click.option("--lifetime-ms", type=int, default=0, help=_told("lifetime_ms"))
@click.option("--idle-ms", type=int, default=0, help=_told("idle_ms"))
@click.option("--upgrade", type=click.Choice(_UPGRADES), default="pass", show_default=True, help=_told("upgrade"))
@click.option("--buffering", is_flag=True, help=_told("buffering"))
@click.option("--share", type=float, default=1.0, show_default=True, help=_told("share"))
@click.option("--seed", type=int, help="Makes --share hit the same connections again.")
@talks_to("edge")
def command(port: int, seed: int | None, target: Target, output: Output, **conditions: Any) -> None:
    """Stand between clients and an edge as a bad network.

    Until Ctrl-C. Clients connect to this proxy's address in place of the edge's. What it is told at the start can be
    changed while it runs: GET /-/chaos shows the conditions, PUT sets all of them, POST /-/chaos/cut resets every
    connection.

    \b
    whimbrel chaos-proxy --upgrade refuse           # a company's proxy that knows no WebSocket
    whimbrel chaos-proxy --upgrade mute             # … or one that says yes, and lets nothing through
    whimbrel chaos-proxy --idle-ms 30000 --buffering
    curl -X PUT localhost:8070/-/chaos -d '{"silent":true}'
    curl -X POST localhost:8070/-/chaos/cut
    """
    try:
        network = Network(**conditions)
    except ValidationError as error:
        first = error.errors()[0]
        option = f"--{str(first['loc'][0]).replace('_', '-')}"
        raise BadSetting(f"{option} {first['input']}: {first['msg'].lower()}") from None
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_run(target.need("edge"), port, network, seed, output))


async def _run(edge: str, port: int, network: Network, seed: int | None, output: Output) -> None:
    def ended(passage: Passage) -> None:
        status = f" {passage.status}" if passage.status else ""
        line = f"{passage.request}{status} {passage.verdict} after {passage.age_ms / 1000:.1f} s"
        output.say(f"{line}, {passage.up_bytes} bytes up, {passage.down_bytes} down", dataclasses.asdict(passage))

    try:
        async with ChaosProxy(edge, port=port, network=network, seed=seed, on_end=ended) as proxy:
            record = {"url": proxy.url, "edge": edge, "network": network.model_dump()}
            output.say(f"{output.loud(proxy.url)} leads to {edge}; conditions at {proxy.url}/-/chaos", record)
            await asyncio.Event().wait()
    except OSError as error:
        raise Failure(f"port {port} cannot be had: {error.strerror}", "choose another by --port") from None
