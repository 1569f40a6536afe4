"""The reference page of the settings tells of each what it is now."""

import resource
from pathlib import Path

import pytest

from tests.edge.edges import an_edge
from tests.edge.neighbours import Neighbours
from whimbrel.edge.settings import Settings

PAGE = Path(__file__).parents[2] / "docs/reference/edge.md"
UNITS = {"bytes_per_s": "bytes/s", "_per_s": "1/s", "_s": "s", "_bytes": "bytes"}
DRAWN = {"instance": "the host's name and the process id"}


def shown(name: str) -> str:
    default = Settings.model_fields[name].default
    if name in DRAWN:
        return DRAWN[name]
    if default is None:
        return "none"
    if isinstance(default, frozenset):
        return ",".join(sorted(default))
    return str(default) if isinstance(default, str) or name.endswith("port") else f"{default:,}"


def test_every_setting_is_on_the_page_with_its_default_and_a_reason() -> None:
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in PAGE.read_text().splitlines()]
    told = {row[0].strip("`").lower(): row[1:] for row in rows if row and row[0].startswith("`")}
    assert {name: default for name, (default, *_) in told.items()} == {
        name: shown(name) for name in Settings.model_fields
    }
    for name, (_, unit, why, _) in told.items():
        wanted = next((unit for end, unit in UNITS.items() if name.endswith(end)), "")
        assert unit in (wanted, "file"), name
        assert why.endswith("."), f"no reason for {name}"


@pytest.mark.asyncio(loop_scope="module")
async def test_an_edge_may_open_as_many_files_as_it_takes_sockets(neighbours: Neighbours) -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (2000, before[1]))
    try:
        async with an_edge(neighbours, max_sockets=2500):
            soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
            assert soft > 2500
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
