"""Names of sessions."""

import re
from itertools import islice

from whimbrel.edge.shell.pod import session_ids


def test_names_of_sessions_are_long_and_never_repeat() -> None:
    drawn = list(islice(session_ids(), 1000))
    assert len(set(drawn)) == 1000
    assert all(re.fullmatch(r"[A-Za-z0-9_]{16}", name) for name in drawn), "in frames and behind commands"
