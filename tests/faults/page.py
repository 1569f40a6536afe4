"""`python -m tests.faults.page`: put what came out of `make faults` into docs/explanation/reliability.md.

The outcome is ``tests/faults/outcome.json``, written by ``make faults ARGS="--summary tests/faults/outcome.json"``.
With ``--check`` nothing is written: the exit code is 1 where the page does not say what came out.
"""

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

OUTCOME: Final = Path(__file__).with_name("outcome.json")
PAGE: Final = Path(__file__).parents[2] / "docs/explanation/reliability.md"
MARKED: Final = re.compile(r"(<!-- outcome: by python -m tests\.faults\.page -->\n).*?(<!-- end -->)", re.DOTALL)
WHOM: Final = {
    "auth": "auth",
    "client": "a client",
    "clients": "between clients and an edge",
    "clock": "a service's clock",
    "disk": "a server of NATS",
    "edge": "an edge",
    "history": "a stream",
    "leader": "the leader of a stream",
    "nats": "a server of NATS",
    "notifier": "a notifier",
    "router": "the router",
    "routes": "between servers of NATS",
    "team": "between the team and NATS",
    "wire": "between a service and NATS",
}


def main(arguments: Sequence[str]) -> int:
    """Write, or check, what is derived."""
    before = PAGE.read_text()
    after = page(before, json.loads(OUTCOME.read_text()))
    if "--check" in arguments:
        return int(before != after)
    PAGE.write_text(after)
    return 0


def page(text: str, outcome: Mapping[str, Any]) -> str:
    """Return the page with what stands between its marks made anew."""
    return MARKED.sub(lambda mark: "\n".join([mark[1], *_lines(outcome), "", mark[2]]), text)


def _lines(outcome: Mapping[str, Any]) -> Iterator[str]:
    seeds, waits, verdicts = outcome["seeds"], outcome["longest_wait_s"], outcome["verdicts"]
    yield (
        f"**{outcome['runs']} runs** (seeds {seeds[0]}–{seeds[1]}) in {outcome['seconds'] / 60:.0f} minutes on "
        f"{outcome['cores']} cores (load average {outcome['load']:g} at the end), {outcome['nats_servers']} servers of "
        f"NATS: {_thousands(sum(fault['times'] for fault in outcome['faults']))} faults, "
        f"**{_thousands(outcome['publications'])} acknowledged publications**, {_thousands(outcome['receipts'])} "
        f"receipts, {_thousands(outcome['connects'])} connects, {_thousands(outcome['reloads'])} reloads. "
        f"**{verdicts.get('good', 0)} runs were good, {verdicts.get('BAD', 0)} broke a promise, "
        f"{verdicts.get('NOT SETTLED', 0)} had not settled within 90 s**"
        + (f" (seeds {', '.join(map(str, outcome['not_good']))})" if outcome["not_good"] else "")
        + f". An acknowledged publication took at most {waits['most']:.0f} s to the first client that has it "
        f"(the median of the runs: {waits['median']:.1f} s)."
    )
    yield from ("", "| fault | what was hit | times | in runs | with publications | not good |", "|---" * 6 + "|")
    for fault in outcome["faults"]:
        yield (
            f"| {fault['fault']} | {WHOM[fault['hits']]} | {fault['times']} | {fault['runs']} | "
            f"{_thousands(fault['publications'])} | {fault['not_good']} |"
        )
    if outcome["bugs"]:
        yield from ("", "| planted bug | found in run | publications until then | the checker's first sentence |")
        yield "|---" * 4 + "|"
        for bug in outcome["bugs"]:
            found = bug["run"] or "never"
            yield f"| {bug['bug']} | {found} | {_thousands(bug['publications'])} | `{_anonymous(bug['sentence'])}` |"


def _thousands(number: int) -> str:
    return f"{number:,}"


def _anonymous(sentence: str) -> str:
    """Leave out of a channel what only tells one run from another."""
    return re.sub(r"orders:b\d+-\d+-", "orders:…-", sentence)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
