"""What a newcomer reads leads somewhere."""

import json
import re
import subprocess
import sys

from tests.architecture.tree import ROOT, tracked

MOST_TARGETS = 15  # what one screen and one memory hold


def test_make_help_lists_every_target_and_stays_short() -> None:
    listed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    targets = re.findall(r"(?m)^\.PHONY: (\S+)$", (ROOT / "Makefile").read_text())
    assert [line.split()[1] for line in listed] == targets
    assert len(targets) <= MOST_TARGETS


def test_the_reference_of_the_python_client_says_what_its_docstrings_say_now() -> None:
    command = [sys.executable, str(ROOT / "clients/python/reference.py"), "--check"]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr


def test_the_reference_of_the_python_client_shows_nothing_that_only_its_shell_calls() -> None:
    page = (ROOT / "docs/reference/python-client.md").read_text()
    shown = set(re.findall(r"(?m)^(?:await )?(\w+)\(", page))
    assert {"subscribe", "publish"} <= shown
    assert shown & {"delivered", "opened", "ended", "left", "told"} == set()


def test_every_path_that_the_router_serves_is_on_its_page() -> None:
    served = json.loads((ROOT / "docs/reference/openapi-router.json").read_text())["paths"]
    page = (ROOT / "docs/reference/router.md").read_text()
    assert [path for path in served if not re.search(re.escape(path) + r"[?` ]", page)] == []


def test_every_relative_link_leads_to_a_file() -> None:
    broken = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in tracked("*.md")
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
        if "://" not in target and not target.startswith("mailto:") and not (page.parent / target).exists()
    ]
    assert not broken, "\n".join(broken)


def test_every_page_of_the_docs_is_reached_from_the_index() -> None:
    docs = ROOT / "docs"
    reached: set[str] = set()
    waiting = [docs / "README.md"]
    while waiting:
        page = waiting.pop()
        if str(page) in reached or not page.is_file():
            continue
        reached.add(str(page))
        waiting += [
            (page.parent / link).resolve() for link in re.findall(r"\]\(([^)#\s]+\.md)[^)]*\)", page.read_text())
        ]
    assert {str(path) for path in tracked("docs/*.md")} - reached == set()
