"""How a run is shared out among processes, and what Hypothesis may complain of on a busy machine."""

from typing import Final

import pytest
from hypothesis import HealthCheck, settings
from xdist.remote import Producer  # type: ignore[import-untyped]
from xdist.scheduler import LoadFileScheduling  # type: ignore[import-untyped]

# The tests of these folders share one installation, which costs 4 s of CPU to start; of the others, those of a file.
TOGETHER: Final = ("tests/cli/", "tests/integration/")

# Neither an example's time nor the time to draw it says anything about the code.
settings.register_profile("busy machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy machine")


class ByInstallation(LoadFileScheduling):  # type: ignore[misc]
    """Gives a process the tests of a file at once, and those of an installation."""

    def _split_scope(self, nodeid: str) -> str:
        file = str(super()._split_scope(nodeid))
        return next((folder for folder in TOGETHER if file.startswith(folder)), file)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByInstallation:
    return ByInstallation(config, log)
