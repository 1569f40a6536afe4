"""The real processes on a real nats-server, as `whimbrel dev` starts them."""

from collections.abc import AsyncIterator

import pytest

from tests.integration.outsiders import DomainTeam
from tests.support.dev import Development
from tests.support.dev import development as development
from tests.support.dev import start_development as start_development


@pytest.fixture
async def shop(development: Development) -> AsyncIterator[DomainTeam]:
    """A domain team connected with its credentials."""
    team = await DomainTeam.connect(development)
    yield team
    await team.close()
