"""What a script expects of a frame or an event: some of its fields, in the words of its author."""

from dataclasses import dataclass
from typing import Any, Final

ANYTHING: Final = "*"  # there, whatever it is
ABSENT: Final = "!"  # not there
NAME: Final = "$"  # begins a name: bound where it stands first, the same value wherever it stands again

Names = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Difference:
    """``path`` of the field that is not as expected."""

    path: str
    expected: object
    got: object

    def __str__(self) -> str:
        return f"at {self.path or 'the whole'}: expected {self.expected!r}, got {self.got!r}"


def difference(expected: Any, got: Any, names: Names, path: str = "") -> Difference | None:
    """Return where ``got`` differs from ``expected``; None where it does not. Binds ``names``.

    A mapping expects the fields that it names and allows others; a sequence and everything else must be equal.
    """
    if isinstance(expected, str) and expected.startswith(NAME):
        expected = names.setdefault(expected, got)
    if expected == ANYTHING:
        return None
    if isinstance(expected, dict) and isinstance(got, dict):
        for name, value in expected.items():
            where = f"{path}.{name}" if path else name
            if value == ABSENT:
                if name in got:
                    return Difference(where, "nothing", got[name])
            elif name not in got:
                return Difference(where, value, "nothing")
            elif (found := difference(value, got[name], names, where)) is not None:
                return found
        return None
    if isinstance(expected, list) and isinstance(got, list) and len(expected) == len(got):
        pairs = enumerate(zip(expected, got, strict=True))
        differences = (difference(one, other, names, f"{path}[{place}]") for place, (one, other) in pairs)
        return next((each for each in differences if each is not None), None)
    same = expected == got and isinstance(expected, bool) == isinstance(got, bool)
    return None if same else Difference(path, expected, got)
