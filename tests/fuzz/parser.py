"""What a fuzzed parser is, and where its examples come from."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

VECTORS: Final = Path(__file__).parents[1] / "vectors"
JSON_WORDS: Final = [
    *rb'"type":|"id":|"channel":|"data":|"data_base64":|null|true|{}|[]|""|1e5|"position":|"offset":'.split(b"|"),
    *rb'"connect"|"publish"|"subscribe"|"ack"|"history"|"orders:1"|"inbox"|{"epoch":"e","offset":1}'.split(b"|"),
    b"[" * 300,
]


class Parser(NamedTuple):
    """``read`` returns whether the input was taken and raises nothing, whatever the input: the refusals that it may
    answer with are caught in it. ``words`` are those of its language.
    """

    examples: Sequence[bytes]
    words: Sequence[bytes]
    read: Callable[[bytes], bool]


def vectors(file: str, *keys: str) -> list[bytes]:
    """Return the texts under ``keys`` anywhere in a file of vectors."""

    def found(value: Any) -> Iterator[bytes]:
        if isinstance(value, Mapping):
            for key, inner in value.items():
                if key in keys and isinstance(inner, str):
                    yield inner.encode("utf-8", "surrogatepass")
                else:
                    yield from found(inner)
        elif isinstance(value, list):
            for inner in value:
                yield from found(inner)

    return [text for text in found(json.loads((VECTORS / file).read_text())) if text]
