"""What must hold of a run, whatever was done to it.

For each client and channel: everything acknowledged arrives, once and in order; what was given up without an
acknowledgement arrives once or never, and in all channels of its event or in none; `recovered: false` comes only where
history was taken away or more was missed than one recovery gives, and whoever is told it goes on from what its reload
told. The ledger of gaps knows the cause of each.
"""

from collections.abc import Iterator
from typing import Final

from tests.faults.records import History, Published, Received, Reset, Seen

RECOVERY_LIMIT: Final = 1000  # docs/reference/limits.md


def violations(history: History) -> list[str]:
    """Return what went wrong, one sentence each; empty for a run in which all promises were kept."""
    return [
        *history.broken,
        *(
            f"{client} in {channel}: {what}"
            for (client, channel), seen in sorted(history.seen.items())
            for what in _of(history.published[channel], seen, may_reset=channel in history.trimmed)
        ),
        *_torn(history),
        *_unexplained(history),
    ]


def _of(published: Published, seen: list[Seen], *, may_reset: bool) -> Iterator[str]:
    last, offset = -1, -1  # of what came since the last reload
    needed = 0  # from this number on everything must come
    had: set[int] = set()
    for each in seen:
        match each:
            case Reset(at, known):
                if not may_reset and known - last <= RECOVERY_LIMIT:
                    yield f"told to reload at offset {at}, though only {known - last} were missed"
                last, offset, needed = -1, at, max(needed, known + 1)
            case Received(number, at):
                if number in had:
                    yield f"{number} came twice"
                if at <= offset:
                    yield f"offset {at} came behind {offset}"
                had.add(number)
                offset = at
                if number in published.unknown:
                    continue  # its publisher gave up: it may come late, or never
                if number not in published.acked:
                    yield f"{number} came, and nobody published it"
                if number < last:
                    yield f"{number} came behind {last}"
                if lost := _between(published, max(needed, last + 1), number):
                    yield f"{lost} did not come before {number}"
                last = max(last, number)
    if lost := _between(published, max(needed, last + 1), published.last + 1):
        yield f"{lost} never came"


def _between(published: Published, first: int, behind: int) -> str:
    """Return what was acknowledged from ``first`` up to below ``behind``, in words; empty for none."""
    numbers = [number for number in range(first, behind) if number in published.acked]
    shown = ", ".join(map(str, numbers[:5]))
    return f"{shown} and {len(numbers) - 5} more" if len(numbers) > 5 else shown


def _torn(history: History) -> Iterator[str]:
    """Look at events that were given up. One that came before the last acknowledged one was stored before it, and must
    then have come to everybody: only who was told to reload cannot tell.
    """
    for (client, channel), seen in sorted(history.seen.items()):
        published = history.published[channel]
        if not published.unknown or any(isinstance(each, Reset) for each in seen):
            continue
        came = {each.number for each in seen if isinstance(each, Received)}
        for number in sorted(_stored_early(history, published) - came):
            yield f"{client} in {channel}: {number} was given up and came to others, not here"


def _stored_early(history: History, published: Published) -> set[int]:
    early: set[int] = set()
    for (_, channel), seen in history.seen.items():
        if history.published[channel] is published:
            numbers = [each.number for each in seen if isinstance(each, Received)]
            behind = numbers.index(published.last) if published.last in numbers else 0
            early |= published.unknown.intersection(numbers[:behind])
    return early


def _unexplained(history: History) -> Iterator[str]:
    if history.ledger is None:
        return
    for channel, count in sorted(history.told.items()):
        if history.ledger.get(channel, 0) < count:
            yield f"{channel}: told to reload {count} times, of which the ledger knows {history.ledger.get(channel, 0)}"
