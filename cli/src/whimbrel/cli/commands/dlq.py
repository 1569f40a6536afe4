"""`whimbrel dlq`: events that could not be delivered."""

import click

from whimbrel.cli.invocation import invocation
from whimbrel.cli.output import Output
from whimbrel.cli.services import ask
from whimbrel.cli.target import Target, talks_to
from whimbrel.protocol.bodies import DeadLettersReply


@click.group("dlq")
def command() -> None:
    """Show events that could not be delivered, and why.

    \b
    whimbrel dlq list
    whimbrel dlq list --after 17 --limit 10 --json
    """


@command.command("list")
@click.option("--after", type=click.IntRange(0), default=0, show_default=True, help="Only those behind this number.")
@click.option("--limit", type=click.IntRange(1, 100), default=20, show_default=True, help="At most so many.")
@talks_to("router", "service_key")
def list_(after: int, limit: int, target: Target, output: Output) -> None:
    """List dead letters, oldest first."""
    reply = ask(target, "router", "GET", "/dlq", DeadLettersReply, params={"after": after, "limit": limit})
    if output.as_json:
        for letter in reply.letters:
            output.say("", letter.model_dump())
        return
    if not reply.letters:
        output.say("no dead letters" + (f" behind {after}" if after else ""))
        return
    output.table(
        ("NUMBER", "TIME", "SUBJECT", "CODE", "REASON"),
        [(each.sequence, each.time[:19], each.subject, each.code, each.reason) for each in reply.letters],
    )
    if len(reply.letters) == limit:
        output.say(output.dim(f"more: {invocation(f'dlq list --after {reply.letters[-1].sequence}', target.store)}"))
