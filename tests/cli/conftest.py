"""One `whimbrel dev` for all tests of the command line, and one per test for those that end it."""

from collections.abc import Iterator

import pytest

from tests.support.dev import Development, running
from tests.support.dev import start_development as start_development


@pytest.fixture(scope="session")
def development(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Development]:
    with running(tmp_path_factory.mktemp("development")) as one:
        yield one
