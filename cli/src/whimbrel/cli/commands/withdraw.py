"""`whimbrel withdraw`: take back from inboxes what is no longer true."""

import click

from whimbrel.cli.commands.publish import checked_topic, publish
from whimbrel.cli.exits import BadSetting
from whimbrel.cli.output import Output
from whimbrel.cli.target import Target, talks_to
from whimbrel.protocol.publications import (
    AUDIENCE_CHANNELS,
    AUDIENCE_GROUPS,
    AUDIENCE_USERS,
    WITHDRAW,
    WITHDRAW_TOPIC,
)


@click.command("withdraw")
@click.argument("subject")
@click.option("--event", "event_id", default="", metavar="ID", help="Of the event that is not true any more.")
@click.option("--topic", default="", help="Whatever came before of this topic of the same domain.")
@click.option(
    "--type", "event_type", default="withdrawn", show_default=True, help="What routes go by, and channels see."
)
@click.option("--users", default="", help="Whose inboxes, besides those whom the routes name, comma separated.")
@talks_to("nats")
def command(
    subject: str, event_id: str, topic: str, event_type: str, users: str, target: Target, output: Output
) -> None:
    """Take a message back from inboxes.

    Who has not seen it never will, who has is told.
    SUBJECT is that of the event which is taken back, so that this cannot overtake it; the inboxes are named as they
    were for it, by --users or by routes.

    \b
    whimbrel withdraw events.shop.order.42 --users alice --topic order-42
    whimbrel withdraw events.shop.order.42 --users alice --event 8d1fe0b2
    """
    if bool(event_id) == bool(topic):
        raise BadSetting("say what is taken back: --event ID, or --topic NAME")
    named = {
        AUDIENCE_USERS: users,
        AUDIENCE_GROUPS: "",
        AUDIENCE_CHANNELS: "",
        WITHDRAW: event_id,
        WITHDRAW_TOPIC: checked_topic(topic),
    }
    publish(subject, event_type, b"null", named, "", target, output)
