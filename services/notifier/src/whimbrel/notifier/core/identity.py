"""Names that make a repeat harmless: the same event gives the same ids, whoever handles it and how often."""

from whimbrel.protocol.channels import Channel


def default_event_id(epoch: str, sequence: int) -> str:
    """Return the id of an event whose publisher gave it none; ``epoch`` and ``sequence`` are those of stream EVENTS."""
    return f"{epoch}-{sequence}"


def publication_id(epoch: str, sequence: int, channel: Channel) -> str:
    """Return the ``Nats-Msg-Id`` of the event's publication in ``channel``: the stream keeps one of a kind."""
    return f"{epoch}-{sequence}-{channel}"


def event_sequence(stored_id: str, epoch: str) -> int:
    """Return the event's sequence that ``publication_id`` wrote, 0 where the id was made otherwise or elsewhere."""
    made, _, rest = stored_id.partition("-")
    number = rest.partition("-")[0]
    return int(number) if made == epoch and number.isdecimal() else 0


def dead_letter_id(epoch: str, sequence: int) -> str:
    """Return the ``Nats-Msg-Id`` of the event's dead letter."""
    return f"{epoch}-{sequence}-dlq"
