"""What one session has seen, for whoever asks later why it ended. Plain numbers: nothing is counted per delivery."""


class Tally:
    """Counts since the session began; ``reason`` and ``channels`` are noted at its end."""

    __slots__ = ("channels", "fell_behind", "rate_limited", "reason", "received", "recovered", "reloads", "sent")

    def __init__(self) -> None:
        self.received = 0  # frames from the client
        self.sent = 0  # frames to the client; of an attached channel, what it has brought since is still missing
        self.recovered = 0  # channels in which everything missed was sent after
        self.reloads = 0  # channels that the client was told to reload
        self.fell_behind = 0
        self.rate_limited = 0  # requests refused
        self.channels = 0
        self.reason = ""  # what the client was told, in a sentence
