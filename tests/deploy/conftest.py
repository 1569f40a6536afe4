"""What the deploy folder renders to."""

import copy
import os
from pathlib import Path

import pytest

from deploy.checks.rendered import Objects, render

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"


@pytest.fixture(scope="session", autouse=True)
def tools_of_the_environment() -> None:
    """kubectl and nats-server stand beside the interpreter."""
    os.environ["PATH"] = f"{ROOT / '.venv/bin'}{os.pathsep}{os.environ['PATH']}"


@pytest.fixture(scope="session")
def base(tools_of_the_environment: None) -> Objects:
    return render(DEPLOY / "k8s/base")


@pytest.fixture
def objects(base: Objects) -> Objects:
    """The rendered base, to be damaged."""
    return copy.deepcopy(base)
