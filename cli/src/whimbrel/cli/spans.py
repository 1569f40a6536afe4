"""Spans of time as people write them: 90s, 30m, 6h, 7d."""

import re
from typing import Final

from whimbrel.cli.exits import BadSetting

_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def seconds_of(text: str) -> int:
    """Return a span like 30m in seconds. Raises BadSetting."""
    match = re.fullmatch(r"([0-9]{1,6})([smhd])", text)
    if match is None:
        raise BadSetting(f"{text!r} is no span of time: 90s, 30m, 6h or 7d")
    return int(match[1]) * _SECONDS[match[2]]
