"""``python -m tests.fuzz --inputs 1000000 --seed 1``: spoilt inputs for every parser.

None may raise what is not its refusal, none may break what must hold of it, and memory, apart from caches with a bound,
may not grow by more than 10 % from when each has seen a tenth of its inputs. What fails can be had again by the seed.
"""

import argparse
import contextlib
import ctypes
import functools
import gc
import json
import sys
import time
import traceback
from typing import Final

import pydantic_core

from tests.fuzz.fuzzing import Campaign
from whimbrel.runtime.metrics import resident_bytes

MAX_GROWTH: Final = 0.10


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--inputs", type=int, default=1_000_000, help="for all parsers together")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", help="the parser to fuzz")
    options = parser.parse_args()
    _fill_string_cache()
    campaign = Campaign(options.seed, only=options.only)
    began = time.monotonic()
    settled = 0
    for _tenth in range(1, 11):
        for failure in campaign.run(options.inputs // 10):
            print(f"\n{failure.parser} broke on {failure.data!r}", file=sys.stderr)
            traceback.print_exception(failure.error)
            return 1
        _forget()
        settled = settled or resident_bytes()
        done = sum(each.inputs for each in campaign.tallies.values())
        seconds = time.monotonic() - began
        print(f"{done:>9,} inputs in {seconds:4.0f} s, {resident_bytes() // 2**20} MiB", flush=True)
    print(f"\n{'parser':<24}{'inputs':>10}{'taken':>10}{'refused':>10}{'µs each':>10}")
    for name, tally in campaign.tallies.items():
        refused = tally.inputs - tally.taken
        print(
            f"{name:<24}{tally.inputs:>10,}{tally.taken:>10,}{refused:>10,}{tally.seconds / tally.inputs * 1e6:>10.1f}"
        )
    growth = resident_bytes() / settled - 1
    print(f"\nNothing broke. Memory grew by {growth:.1%} since the first tenth (seed {options.seed}).")
    return 0 if growth <= MAX_GROWTH else 1


def _fill_string_cache() -> None:
    """Fill pydantic's cache of short strings, which has 16,384 places and cannot be emptied."""
    pydantic_core.from_json(json.dumps([f"{number:060}" for number in range(200_000)]))


def _forget() -> None:
    """Empty the caches, each of which has its bound: what is left is what would grow without end."""
    for each in gc.get_objects():
        if isinstance(each, functools._lru_cache_wrapper):
            each.cache_clear()
    gc.collect()
    with contextlib.suppress(AttributeError):  # glibc's: give back what lies free between what is held
        ctypes.CDLL(None).malloc_trim(0)


if __name__ == "__main__":
    raise SystemExit(main())
