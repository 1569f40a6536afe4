"""One `whimbrel dev` for the tests of a module, and one per test for those that end it."""

from tests.support.dev import development as development
from tests.support.dev import start_development as start_development
