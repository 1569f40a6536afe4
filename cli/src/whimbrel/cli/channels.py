"""Names of channels as people write them."""

from whimbrel.cli.exits import BadSetting
from whimbrel.protocol.channels import Channel
from whimbrel.protocol.errors import MalformedChannel


def channel_of(name: str) -> Channel:
    """Return the channel of this name. Raises BadSetting."""
    try:
        return Channel.parse(name)
    except MalformedChannel as error:
        raise BadSetting(str(error)) from None
