"""Write the generated documents, or with ``--check`` name each that is not current."""

import argparse
import sys
from pathlib import Path

from whimbrel.protocol.contract.documents import documents

MARK = Path("libs/protocol/pyproject.toml")  # tells the root of the repository


def main() -> int:
    """Return 0 when all is written or current, 1 when ``--check`` found something stale, 2 outside the repository."""
    parser = argparse.ArgumentParser(prog="python -m whimbrel.protocol.contract", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a document is not current")
    check: bool = parser.parse_args().check
    if not MARK.is_file():
        print("Run this in the root of the repository: it writes into docs/ and clients/js/.", file=sys.stderr)
        return 2
    stale = {path: text for path, text in documents().items() if not is_current(path, text)}
    if check:
        for path in stale:
            print(f"{path} is not what the contract says now: run `make generate`", file=sys.stderr)
        return 1 if stale else 0
    for path, text in stale.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        print(f"wrote {path}")
    return 0


def is_current(path: Path, text: str) -> bool:
    """Tell whether ``path`` holds exactly ``text``."""
    return path.is_file() and path.read_text(encoding="utf-8") == text


if __name__ == "__main__":
    sys.exit(main())
