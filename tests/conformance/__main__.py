"""``make conformance``: the WebSocket of the edge against the Autobahn test suite.

No case may fail, and the cases that pass less than strictly are those of expected.json. ``--freeze`` writes that file
anew. The report of the suite is .cache/autobahn/out/index.html.
"""

import argparse
import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Final

from tests.conformance import autobahn
from whimbrel.protocol.versions import SUBPROTOCOL

EXPECTED: Final = Path(__file__).with_name("expected.json")
PLAIN: Final = ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "9.*", "10.*"]
# Every kind of data and of offer, messages of up to 1 KiB, whole and in fragments: the suite itself needs 25 minutes to
# compress all 216 cases, a thousand messages each.
COMPRESSED: Final = [f"{kind}.{which}.{size}" for kind, kinds in ((12, 5), (13, 7)) for which in range(1, kinds + 1)
                     for size in (1, 2, 5, 11)]  # fmt: skip
SHOWN: Final = 20  # cases; the report has them all
PASSED: Final = ("OK", "INFORMATIONAL", "NON-STRICT", "UNIMPLEMENTED")  # the last: a compression that was not agreed


def main() -> int:
    parser = argparse.ArgumentParser(prog="make conformance")
    parser.add_argument("--cases", nargs="+", default=PLAIN + COMPRESSED, help="cases of Autobahn, with * at the end")
    parser.add_argument("--freeze", action="store_true", help="write expected.json from this run")
    options = parser.parse_args()
    try:
        autobahn.install()
    except autobahn.Unable as why:
        print(f"Autobahn cannot run here: {why}.", file=sys.stderr)
        return 2
    except subprocess.CalledProcessError as error:
        print(f"{error}\n{error.stdout}", file=sys.stderr)
        return 2
    began = time.monotonic()
    _run(options.cases)
    verdicts = {case: f"{each['behavior']}/{each['behaviorClose']}" for case, each in autobahn.results().items()}
    unlike = {case: verdicts[case] for case in sorted(verdicts, key=_numbers) if verdicts[case] != "OK/OK"}
    counts = Counter(each["behavior"] for each in autobahn.results().values())
    told = ", ".join(f"{number} {verdict.lower()}" for verdict, number in counts.most_common())
    start = "\r" if sys.stdout.isatty() else ""
    print(f"{start}{len(verdicts)} cases in {time.monotonic() - began:.0f} s: {told}.")
    if options.freeze:
        EXPECTED.write_text(json.dumps(unlike, indent=2) + "\n")
    return _judge(verdicts, unlike)


def _run(cases: list[str]) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "tests.conformance.echo"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as echo:
        assert echo.stdin is not None
        assert echo.stdout is not None
        url = f"ws://127.0.0.1:{echo.stdout.readline().strip()}"
        try:
            for number, case in enumerate(autobahn.run(url, SUBPROTOCOL, cases), start=1):
                if sys.stdout.isatty():
                    print(f"\rcase {number}: {case}      ", end="", flush=True)
                elif number % 50 == 0:
                    print(f"{number} cases done", flush=True)
        finally:
            echo.stdin.close()


def _judge(verdicts: dict[str, str], unlike: dict[str, str]) -> int:
    expected: dict[str, str] = json.loads(EXPECTED.read_text())
    expected = {case: verdict for case, verdict in expected.items() if case in verdicts}
    failed = {case for case, verdict in unlike.items() if not all(each in PASSED for each in verdict.split("/"))}
    changed = sorted(failed | {case for case, _ in unlike.items() ^ expected.items()}, key=_numbers)
    for case in changed[:SHOWN]:
        print(f"{case}: {verdicts[case]}, expected {expected.get(case, 'OK/OK')}", file=sys.stderr)
    if len(changed) > SHOWN:
        print(f"... and {len(changed) - SHOWN} more", file=sys.stderr)
    if failed or unlike != expected:
        print("The report: .cache/autobahn/out/index.html", file=sys.stderr)
        return 1
    print(f"None failed; {len(expected)} pass less than strictly, as expected.json says.")
    return 0


def _numbers(case: str) -> list[int]:
    return [int(part) for part in case.split(".")]


if __name__ == "__main__":
    raise SystemExit(main())
