"""Each member works where nothing but what it declares is installed.

The workspace's one environment hides a missing dependency. Here an import hook hides everything else, which tells
the same as an environment per member and needs no network.
"""

import subprocess
import sys
from importlib.metadata import packages_distributions, requires

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.architecture.tree import Member, members

IMPORT_ALL = """
import importlib, pkgutil, sys

class Hidden:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name in hidden:
            raise ModuleNotFoundError(f"No module named {name!r}: the member does not declare it", name=name)

package, *hidden = sys.argv[1:]
sys.meta_path.insert(0, Hidden)
portion = importlib.import_module(package)
for module in pkgutil.walk_packages(portion.__path__, package + "."):
    if not module.name.endswith(".__main__"):
        importlib.import_module(module.name)
"""


def installed_for(name: str, extras: frozenset[str] = frozenset()) -> set[str]:
    """Return the distributions that installing ``name`` brings, itself included."""
    found: set[str] = set()
    waiting = [(canonicalize_name(name), extras)]
    seen = set(waiting)
    while waiting:
        distribution, wanted = waiting.pop()
        found.add(distribution)
        for requirement in map(Requirement, requires(distribution) or ()):
            marker = requirement.marker
            if marker is None or any(marker.evaluate({"extra": extra}) for extra in wanted | {""}):
                step = (canonicalize_name(requirement.name), frozenset(requirement.extras))
                if step not in seen:
                    seen.add(step)
                    waiting.append(step)
    return found


@pytest.mark.parametrize("member", members(), ids=lambda member: member.name)
def test_every_module_of_a_member_imports_with_only_what_the_member_declares(member: Member) -> None:
    present = installed_for(member.name)
    hidden = [other.package for other in members() if other.name not in present]
    hidden += [
        top for top, owners in packages_distributions().items() if not present & {*map(canonicalize_name, owners)}
    ]
    run = [sys.executable, "-W", "error", "-c", IMPORT_ALL, member.package, *hidden]
    outcome = subprocess.run(run, capture_output=True, text=True, timeout=60, check=False)
    assert outcome.returncode == 0, outcome.stderr
