"""The garbage collector of a process that holds thousands of clients.

CPython frees by counting references; its collector finds what is left, cycles, by walking over all objects that may be
part of one. A full collection walks over every object of every client: 0.2 to 0.5 s for which nobody is served, with
5,000 clients (190,000 objects), and it comes whenever a quarter more objects were made: in every connect storm, and as
histories grow. In a run of 5,000 unicasts a second it was a third of the edge's CPU time.

Here what has lived through the collections of its youth (about 7,000 objects, 2 ms) is frozen: it is freed as before
when the last reference goes, but never walked over again. A cycle that dies old is found by a full collection, and
there is one only when the process holds twice as much as after the one before: that bounds what such cycles may cost.
"""

import gc
import sys
from typing import Any, Final

YOUNG: Final = 1  # the generation of which the survivors are old
FEWEST_BLOCKS: Final = 1_000_000  # of allocated memory, some 100 MB: below as many more, no full collection is worth it


class Collector:
    """Keeps the collector to the young. ``look`` is to be called from time to time."""

    def __init__(self) -> None:
        self.full = 0  # collections over everything
        self._limit = 0  # blocks of memory
        self._frozen_since = False  # whether anything grew old since the last look

    def start(self) -> None:
        """Freeze what there is: modules, classes, settings."""
        self._collect_all()
        gc.callbacks.append(self._collected)

    def stop(self) -> None:
        """End it. What is frozen stays so: the interpreter collects at its exit, and that took half a second."""
        gc.callbacks.remove(self._collected)

    def look(self) -> None:
        """Collect everything if there is twice as much as when that was done last."""
        if self._frozen_since:
            self._frozen_since = False
            if sys.getallocatedblocks() > self._limit:
                self._collect_all()

    def _collect_all(self) -> None:
        gc.unfreeze()
        gc.collect()
        gc.freeze()
        self.full += 1
        blocks = sys.getallocatedblocks()
        self._limit = blocks + max(blocks, FEWEST_BLOCKS)

    def _collected(self, phase: str, info: dict[str, Any]) -> None:
        if phase == "stop" and info["generation"] == YOUNG:
            gc.freeze()
            self._frozen_since = True
