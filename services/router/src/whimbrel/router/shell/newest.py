"""Reading a stream from its end backwards: what is asked about has mostly just happened."""

from collections.abc import AsyncIterator
from typing import Final

from whimbrel.runtime.directget import DirectGet, Stored

WINDOW: Final = 500  # messages read at once: 10 ms of the router's loop, most of them are small


async def newest_first(reads: DirectGet, stream: str, every: str) -> AsyncIterator[Stored]:
    """Yield the messages of ``stream``, the latest first; ``every`` is the wildcard of its subjects.

    Raises BusFault, JetStreamRefused.
    """
    last = await reads.last(stream, every)
    end = 0 if last is None else last.seq
    while end > 0:
        start = max(1, end - WINDOW + 1)
        messages = await _window(reads, stream, start, end)
        if not messages:  # the rest was too old, or too much
            return
        for message in reversed(messages):
            yield message
        end = start - 1


async def _window(reads: DirectGet, stream: str, start: int, end: int) -> list[Stored]:
    messages: list[Stored] = []
    while start <= end:
        page = await reads.batch(stream, None, start, end - start + 1)
        messages += [each for each in page.messages if each.seq <= end]
        if not page.messages or page.messages[-1].seq >= end:
            break
        start = page.messages[-1].seq + 1  # the answer was full
    return messages
