"""`whimbrel inbox`: what is in a user's inbox."""

import json
from datetime import UTC, datetime

import click
import httpx

from whimbrel.cli.commands.token import stated, token_request
from whimbrel.cli.output import Output
from whimbrel.cli.services import ask_edge, mint
from whimbrel.cli.target import Target, talks_to
from whimbrel.protocol.bodies import InboxReply
from whimbrel.protocol.limits import HISTORY_LIMIT

WIDTH = 60  # of data in a table


@click.command("inbox")
@click.option("--user", help="Whose, with a token minted by the service key.")
@click.option("--token", envvar="WHIMBREL_TOKEN", help="Of the user whose inbox it is, instead. [env WHIMBREL_TOKEN]")
@click.option("--unread", is_flag=True, help="Only what is behind the read mark.")
@click.option(
    "--limit", type=click.IntRange(0, HISTORY_LIMIT), default=20, show_default=True, help="The newest; 0 counts."
)
@click.option("--before", type=click.IntRange(0), help="Only messages with a smaller offset: the page before.")
@talks_to("edge", "auth", "service_key")
def command(
    user: str | None,
    token: str | None,
    unread: bool,
    limit: int,
    before: int | None,
    target: Target,
    output: Output,
) -> None:
    """Show what is in a user's inbox now.

    Oldest first; * marks what is unread.
    With --json one object: as the edge answers GET /v1/inbox.

    \b
    whimbrel inbox --user alice
    whimbrel inbox --user alice --unread --json
    """
    user, token = stated(user, token)
    bearer = mint(target, token_request(user, ())).access_token if user is not None else token or ""
    asked = {"unread": str(unread).lower(), "limit": str(limit)} | ({} if before is None else {"before": str(before)})
    found = ask_edge(target, f"/inbox?{httpx.QueryParams(asked)}", bearer, InboxReply)
    if output.as_json:
        output.say("", found.model_dump())
        return
    rows = [
        (
            "*" if each["offset"] > found.read else "",
            each["offset"],
            in_seconds(each["time"]),
            each["event"],
            each.get("topic", ""),
            _short(json.dumps(each["data"], ensure_ascii=False)),
        )
        for each in found.publications
    ]
    if rows:
        output.table(("", "offset", "time", "event", "topic", "data"), rows)
    dropped = "" if found.complete else "; the inbox is full, older ones may have been dropped unread"
    output.say(f"{found.unread} unread{dropped}")


def in_seconds(time: str) -> str:
    """Return a time (RFC 3339, as its domain team wrote it) so that those of a column can be compared: in UTC."""
    try:
        return datetime.fromisoformat(time).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError):  # a leap second
        return time


def _short(text: str) -> str:
    return text if len(text) <= WIDTH else text[: WIDTH - 1] + "…"
