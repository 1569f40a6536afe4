"""The Dockerfile, as far as it can be judged without building it."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

INSTRUCTIONS: Final = frozenset(
    {"FROM", "ARG", "ENV", "LABEL", "WORKDIR", "COPY", "RUN", "USER", "STOPSIGNAL", "ENTRYPOINT"}
)
MIN_UID: Final = 10_000


def faults(path: Path) -> Iterator[str]:
    """Yield what would make an image unsafe, or not stop when told to."""
    for fault in _faults(list(_instructions(path.read_text()))):
        yield f"{path.name}: {fault}"


def _instructions(text: str) -> Iterator[tuple[str, str]]:
    lines = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    for line in re.sub(r"\\\n", " ", lines).splitlines():
        if line.strip():
            word, _, rest = line.strip().partition(" ")
            yield word, " ".join(rest.split())


def _faults(instructions: list[tuple[str, str]]) -> Iterator[str]:
    for word, _ in instructions:
        if word not in INSTRUCTIONS:
            yield f"{word} is not among the instructions we use"
    last_stage = instructions[max(number for number, (word, _) in enumerate(instructions) if word == "FROM") :]
    if any(word == "RUN" for word, _ in last_stage):
        yield "the image that is shipped runs something while it is built: do that in the stage before"
    users = [rest for word, rest in last_stage if word == "USER"]
    if not users or not re.fullmatch(r"\d+:\d+", users[-1]) or int(users[-1].split(":")[0]) < MIN_UID:
        yield f"runs as {users[-1] if users else 'root'}: name an unprivileged user by number, from {MIN_UID}"
    entries = [rest for word, rest in last_stage if word == "ENTRYPOINT"]
    if not entries or not _is_a_list(entries[-1]):
        yield "without an ENTRYPOINT written as a list, a shell stands between SIGTERM and the service"
    if ("ARG", "SERVICE") not in last_stage:
        yield "ARG SERVICE is unknown in the last stage"
    if not any(word == "RUN" and "--require-hashes" in rest for word, rest in instructions):
        yield "installs tools without their hashes"
    if not any(word == "RUN" and "--constraint requirements.lock" in rest for word, rest in instructions):
        yield "installs what requirements.lock does not pin"


def _is_a_list(text: str) -> bool:
    try:
        return isinstance(json.loads(text), list)
    except json.JSONDecodeError:
        return False
