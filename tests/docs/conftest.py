"""Somebody who follows the pages, in a fresh clone and a real browser."""

from tests.browser.conftest import browser as browser
