"""`whimbrel why`: how a session ended, or how it is."""

import time
from datetime import datetime
from typing import Final
from urllib.parse import quote

import click

from whimbrel.cli.exits import BadSetting
from whimbrel.cli.output import Output
from whimbrel.cli.services import ask
from whimbrel.cli.target import Target, talks_to
from whimbrel.protocol.bodies import SessionReply, SessionsReply

_FATES: Final = {"open": "is open", "ended": "ended", "vanished": "vanished with its pod", "unknown": "is not known of"}


@click.command("why")
@click.argument("session", required=False)
@click.option("--user", help="The latest sessions of this user instead, those that live first.")
@click.option("--limit", default=5, show_default=True, type=click.IntRange(1, 100), help="Sessions of --user.")
@talks_to("router", "service_key")
def command(session: str | None, user: str | None, limit: int, target: Target, output: Output) -> None:
    """Tell how a session ended, or how it is.

    When, on which pod, with which code, and what it had seen.
    SESSION is what `connected` told the client, and what the line `session.closed` of an edge begins with. Ends are
    known for a day, those of a killed pod too.

    \b
    whimbrel why p3Vw0mJr2xQe9aKd
    whimbrel why --user alice
    whimbrel why --user alice --json | jq .slug
    """
    if (session is None) == (user is None):
        raise BadSetting("say what: a session, or --user alice")
    if session is not None:
        replies: tuple[SessionReply, ...] = (
            ask(target, "router", "GET", f"/sessions/{quote(session, safe='')}", SessionReply),
        )
    else:
        path = f"/sessions?user={quote(user or '', safe='')}&limit={limit}"
        replies = ask(target, "router", "GET", path, SessionsReply).sessions
        if not replies:
            output.say(f"nothing is known of sessions of {user} in the last day")
    for number, reply in enumerate(replies):
        if number:
            output.say("")
        output.say(_told(reply, output), reply.model_dump())


def _told(reply: SessionReply, output: Output) -> str:
    record = reply.record
    code = "" if record.code is None else f"{record.code} "
    lines = [output.loud(f"{record.session} of {record.user} {_FATES[reply.fate]}: {code}{reply.slug}"), reply.advice]
    if record.reason:
        lines.append(f"The client was told: {record.reason}.")
    end = record.closed_at or (time.time() if reply.fate == "open" else None)
    lasted = "" if end is None else f", {_span(end - record.opened_at)}"
    facts = [
        ("opened", f"{_clock(record.opened_at)} by {record.transport} on {record.pod}{lasted}"),
        ("closed", _clock(record.closed_at) if record.closed_at else ""),
        ("pod heard", _clock(reply.pod_heard_at) if reply.pod_heard_at and reply.fate != "open" else ""),
        ("frames", "" if reply.fate in ("vanished", "unknown") else f"{record.received} received, {record.sent} sent"),
        ("channels", _channels(reply)),
        ("trouble", ", ".join(trouble(reply))),
    ]
    return "\n".join((*lines, *(f"  {output.dim(f'{name:<9}')} {text}" for name, text in facts if text)))


def _channels(reply: SessionReply) -> str:
    record = reply.record
    words = [f"{record.channels} subscribed"] if record.channels else []
    if record.recovered:
        words.append(f"{record.recovered} recovered")
    if record.reloads:
        words.append(f"{record.reloads} to reload")
    return ", ".join(words)


def trouble(reply: SessionReply) -> list[str]:
    """Return what went before the end, a few words each."""
    record = reply.record
    words = []
    if "opening" in record.doing:
        words.append("was never told `connected`")
    if record.fell_behind:
        now = ", and was behind at the end" if "behind" in record.doing and record.closed_at else ""
        often = "once" if record.fell_behind == 1 else f"{record.fell_behind} times"
        words.append(f"fell behind {often}{now}")
    if record.rate_limited:
        words.append(f"{record.rate_limited} requests over a rate limit")
    return words


def _clock(unix: float) -> str:
    return datetime.fromtimestamp(unix).astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")


def _span(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    minutes = int(seconds) // 60
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"
