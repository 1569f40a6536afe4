"""`whimbrel gaps`: who was told to reload, and why."""

import time
from collections import Counter
from datetime import datetime
from typing import get_args

import click

from whimbrel.cli.channels import channel_of
from whimbrel.cli.exits import BadSetting
from whimbrel.cli.output import Output
from whimbrel.cli.services import ask
from whimbrel.cli.spans import seconds_of
from whimbrel.cli.target import Target, talks_to
from whimbrel.protocol.bodies import GapsReply
from whimbrel.protocol.channels import INBOX, inbox_of
from whimbrel.protocol.gaps import ADVICE, Cause, Gap


@click.command("gaps")
@click.option("--since", default="1h", show_default=True, metavar="SPAN", help="Not older than that: 90s, 30m, 6h, 7d.")
@click.option("--channel", help="In this channel; `inbox` together with --user.")
@click.option("--user", help="Of this user.")
@click.option("--cause", type=click.Choice(get_args(Cause)), help="Of this cause.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 1000), help="At most so many lines.")
@talks_to("router", "service_key")
def command(
    since: str,
    channel: str | None,
    user: str | None,
    cause: Cause | None,
    limit: int,
    target: Target,
    output: Output,
) -> None:
    """Tell which clients had to reload a channel, and why.

    The latest first. A client that cannot be shown to have everything is told `recovered: false`. Known for a week. Of
    a storm the first of each cause are told one by one; a line with CLIENTS over 1 counts others together.

    \b
    whimbrel gaps
    whimbrel gaps --since 7d --user alice
    whimbrel gaps --channel orders:42 --json | jq .cause
    """
    if channel == INBOX:
        if user is None:
            raise BadSetting("whose inbox? --channel inbox --user alice")
        channel = str(inbox_of(user))
    elif channel is not None:
        channel = str(channel_of(channel))
    sought = {"channel": channel, "user": user, "cause": cause}
    params = {name: value for name, value in sought.items() if value is not None}
    start = time.time() - seconds_of(since)
    reply = ask(target, "router", "GET", "/gaps", GapsReply, params={**params, "since": start, "limit": limit})
    if output.as_json:
        for gap in reply.gaps:
            output.say("", gap.model_dump())
        return
    if not reply.gaps:
        output.say(f"no client was told to reload in the last {since}" + (", of those asked for" if params else ""))
        return
    output.table(
        (
            "TIME",
            "CAUSE",
            "DURING",
            "CHANNEL",
            "USER",
            "SESSION",
            "ASKED",
            "FOUND",
            "MISSED",
            "CLIENTS",
            "TRACE",
            "POD",
        ),
        map(_row, reply.gaps),
    )
    if not reply.complete:
        output.say(output.dim(f"more: --limit over {limit}, or --user, --channel, --cause"))
    clients: Counter[Cause] = Counter()
    for gap in reply.gaps:
        clients[gap.cause] += gap.clients
    for found, number in clients.most_common():
        output.say(f"\n{output.loud(f'{found}: {number}')}  {ADVICE[found]}")


def _row(gap: Gap) -> tuple[object, ...]:
    same = gap.asked is not None and gap.found is not None and gap.asked.epoch == gap.found.epoch
    offsets = [
        "–" if at is None else f"{at.offset}" if same else f"{at.epoch}:{at.offset}" for at in (gap.asked, gap.found)
    ]
    return (
        datetime.fromtimestamp(gap.at).strftime("%m-%d %H:%M:%S"),
        gap.cause,
        gap.during,
        gap.channel or "(several)",
        gap.user or "–",
        gap.session or ("(poll)" if gap.transport == "poll" else "–"),
        *offsets,
        "–" if gap.missed is None else gap.missed,
        gap.clients,
        gap.trace or "–",
        gap.pod,
    )
