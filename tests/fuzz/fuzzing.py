"""One run over the parsers: which inputs, and what came of them."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

from tests.fuzz.mutations import Mutations
from tests.fuzz.parsers import PARSERS


@dataclass
class Tally:
    """Of one parser."""

    inputs: int = 0
    taken: int = 0
    seconds: float = 0.0  # of CPU, making the inputs included


@dataclass(frozen=True)
class Failure:
    parser: str
    data: bytes
    error: Exception


class Campaign:
    """All parsers, or ``only`` one; the same seed gives each the same inputs."""

    def __init__(self, seed: int, *, only: str | None = None) -> None:
        self._parsers = {name: parser for name, parser in PARSERS.items() if only in (None, name)}
        self._mutations = {
            name: Mutations(parser.examples, parser.words, f"{seed} {name}") for name, parser in self._parsers.items()
        }
        self.tallies = {name: Tally() for name in self._parsers}

    def run(self, inputs: int) -> Iterator[Failure]:
        """Give the parsers ``inputs`` more, to each as many; yield what breaks one."""
        for name, parser in self._parsers.items():
            mutations, tally = self._mutations[name], self.tallies[name]
            began = time.process_time()
            for _ in range(inputs // len(self._parsers) + 1):
                data = mutations.next()
                try:
                    tally.taken += parser.read(data)
                except Exception as error:
                    yield Failure(name, data, error)
                tally.inputs += 1
            tally.seconds += time.process_time() - began
