"""Frames in as few messages as the edge takes."""

from collections.abc import Sequence

from whimbrel.protocol.limits import MAX_FRAME_BYTES, MAX_FRAMES_PER_MESSAGE


def batches(frames: Sequence[bytes]) -> list[list[bytes]]:
    """Return ``frames`` in order, in batches of which none is too large or too long for one message."""
    found: list[list[bytes]] = []
    size = 0
    for frame in frames:
        size += len(frame) + 1
        if not found or size + 2 > MAX_FRAME_BYTES or len(found[-1]) == MAX_FRAMES_PER_MESSAGE:
            found.append([])
            size = len(frame) + 1
        found[-1].append(frame)
    return found
