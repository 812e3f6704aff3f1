"""A real browser for tests of pages; they skip, loudly, where there is none."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, sync_playwright

from benchmarks.browser import ARGUMENTS, find_chromium


@contextmanager
def chromium() -> Iterator[Browser]:
    """The Chromium that is installed."""
    found = find_chromium()
    if found is None:
        pytest.skip("NO BROWSER: pages were not tested; install chromium (apt install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=ARGUMENTS)
        yield browser
        browser.close()
