"""One `whimbrel dev` for all tests of the command line, and one per test for those that end it."""

from tests.support.dev import development as development
from tests.support.dev import start_development as start_development
