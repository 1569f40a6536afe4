"""Names that make a repeat harmless: the same event gives the same ids, whoever handles it and how often."""

from whimbrel.protocol.channels import Channel


def default_event_id(epoch: str, sequence: int) -> str:
    """Return the id of an event whose publisher gave it none; ``epoch`` and ``sequence`` are those of stream EVENTS."""
    return f"{epoch}-{sequence}"


def publication_id(epoch: str, sequence: int, channel: Channel) -> str:
    """Return the ``Nats-Msg-Id`` of the event's publication in ``channel``: the stream keeps one of a kind."""
    return f"{epoch}-{sequence}-{channel}"


def dead_letter_id(epoch: str, sequence: int) -> str:
    """Return the ``Nats-Msg-Id`` of the event's dead letter."""
    return f"{epoch}-{sequence}-dlq"
