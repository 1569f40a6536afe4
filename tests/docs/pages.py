"""The code on the pages of the documentation.

A block's info string has its language, and then the file that it is, as in ```` ```html first/index.html ````, or a
word for what a test does with it, as in ```` ```sh stays ````.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
_BLOCK: Final = re.compile(r"^```(\w+)(?: +(\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """``name`` is empty where the info string has but the language."""

    language: str
    name: str
    text: str

    @property
    def is_file(self) -> bool:
        """Whether it is to be written as it stands."""
        return "." in self.name


def blocks(page: str) -> list[Block]:
    """Return the blocks of a page below docs/, in order."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return [Block(language, name, code) for language, name, code in _BLOCK.findall(text)]
