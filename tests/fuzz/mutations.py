"""Inputs for a parser: examples, spoilt at random. The same seed gives the same inputs."""

import random
from collections.abc import Sequence
from typing import Final

MAX_BYTES: Final = 4096  # of most inputs; what lies beyond is a matter of limits, which have tests of their own
LARGE: Final = 0.001  # of the inputs are blown up beyond it
NUMBERS: Final = [
    *b"0|-1|1|255|65535|65536|4294967296|9007199254740991|9007199254740992|18446744073709551616|1e999|0.1|NaN".split(
        b"|"
    ),
    b"9" * 20,
    b"9" * 5000,  # more digits than Python's int() reads
    "²".encode(),  # isdigit() holds, int() raises
    "١".encode(),  # a digit to int()
]
BYTES: Final = [
    *(bytes((each,)) for each in b'\x00\xff\x80\r\n \t"\\{}[],:.=*>%'),
    *(b"\r\n", b"\\u0000", b"\\ud800", "é".encode(), "🦆".encode(), b"\xed\xa0\x80"),
]


class Mutations:
    """Endless inputs from ``examples`` and the ``words`` of their language."""

    def __init__(self, examples: Sequence[bytes], words: Sequence[bytes], seed: str) -> None:
        self._examples = list(examples)
        self._words = [*words, *NUMBERS, *BYTES]
        self._random = random.Random(seed)

    def next(self) -> bytes:
        """Return another input."""
        draw = self._random
        data = draw.choice(self._examples)
        for _ in range(draw.choice((0, 1, 1, 1, 2, 2, 3, 5, 8))):
            data = self._spoil(data)
        if draw.random() < LARGE:
            return data * draw.randrange(2, 200)
        return data[:MAX_BYTES]

    def _spoil(self, data: bytes) -> bytes:
        draw = self._random
        at, end = sorted((draw.randrange(len(data) + 1), draw.randrange(len(data) + 1)))
        match draw.randrange(9):
            case 0:  # flip a bit
                return data[:at] + bytes((data[at] ^ 1 << draw.randrange(8),)) + data[at + 1 :] if data[at:] else data
            case 1:  # any byte
                return data[:at] + draw.randbytes(1) + data[at + 1 :]
            case 2 | 3:  # a word of the language, put between or in the place of something
                return data[:at] + draw.choice(self._words) + data[at if draw.random() < 0.5 else end :]
            case 4:  # a part away
                return data[:at] + data[end:]
            case 5:  # a part again
                return data[:end] + data[at:end] * draw.choice((1, 1, 2, 20)) + data[end:]
            case 6:  # cut
                return data[:at]
            case 7:  # the end of another example
                other = draw.choice(self._examples)
                return data[:at] + other[draw.randrange(len(other) + 1) :]
            case _:  # noise
                return data[:at] + draw.randbytes(draw.randrange(1, 9)) + data[at:]
