"""Words of hostile headers on the pages, in a real browser: shown as text, and nothing runs."""

from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import Engine, update

from astrid_core.curation.access import Role, issue_sign_in_link
from astrid_core.storage import ObjectStore
from benchmarks.hostile_values import TEXTS
from dbschema.models import DifferenceRun, Observation
from tests import review
from tests.browser import chromium
from tests.callers import Person

MARKUP = "</script></td><img src=x onerror=window.ran=1><script>window.ran=1</script><b id=evil>"
WORDS = [MARKUP, *(text.decode("utf-8", "replace").replace("\0", "\ufffd") for text in TEXTS)]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def found(engine: Engine, store: ObjectStore, tmp_path: Path) -> UUID:
    """A detection whose file, header and errors say everything that harms."""
    stack = np.random.default_rng(3).normal(100, 5, (1, 4, 63, 63)).astype(np.float32)
    with engine.begin() as connection:
        [found] = review.store_cutouts(connection, store, stack, tmp_path / "cutouts.fits")
        review.judge(connection, review.expert(connection), found, note=MARKUP)
        connection.execute(
            update(Observation).values(
                archive_id=f"{MARKUP}.fits",
                field=MARKUP,
                filter_band=MARKUP,
                instrument=" ".join(WORDS),
                detector=MARKUP,
                raw_fits_path=f"raw/{MARKUP}.fits",
            )
        )
        connection.execute(update(DifferenceRun).values(error_message=MARKUP))
    return found


def test_nothing_that_a_header_says_runs(
    browser: Browser, address: str, engine: Engine, people: dict[Role, Person], found: UUID
) -> None:
    context = browser.new_context()
    page = context.new_page()
    dialogs: list[str] = []
    errors: list[str] = []
    elsewhere: list[str] = []
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on(
        "request",
        lambda request: None if request.url.startswith(address) else elsewhere.append(request.url),
    )
    with engine.begin() as connection:
        link = issue_sign_in_link(connection, people["reviewer"].user).secret.get_secret_value()
    page.goto(f"{address}/sign-in?link={link}")
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(f"{address}/review")
    for path, is_quoted in (
        (f"/review/detections/{found}", True),
        (f"/review?detection={found}", True),
        ("/review/judged", False),
    ):
        page.goto(address + path)
        page.wait_for_load_state("networkidle")
        if is_quoted:
            expect(page.locator("body")).to_contain_text("<script>window.ran=1</script>")
        _unharmed(page, path)
    context.close()
    assert (dialogs, errors, elsewhere) == ([], [], [])


def _unharmed(page: Page, path: str) -> None:
    for element in ("#evil", "img[src='x']", "h1:text-is('x')", "script:not([src]):not([type])"):
        assert page.locator(element).count() == 0, (path, element)
    assert page.evaluate("window.ran") is None, path
    assert page.locator("main").count() == 1, path
