"""The review page in a real browser: what it shows, what becomes of what is typed."""

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect
from sqlalchemy import Engine, select

from astrid_core.curation.access import KnownUser, Role, issue_sign_in_link
from astrid_core.extraction.cutouts import F32
from astrid_core.preview import difference_limit, diverging, stretch, zscale_limits
from astrid_core.storage import ObjectStore
from dbschema.models import Detection, DetectionConsensus, ValidationEvent
from tests import review
from tests.browser import chromium
from tests.callers import Person, person

N_ITEMS = 40
VALIDATIONS = "**/validations"

SignIn = Callable[[KnownUser], Page]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def stack() -> F32:
    rng = np.random.default_rng(3)
    stack = rng.normal(100.0, 5.0, (N_ITEMS, 4, 63, 63)).astype(np.float32)
    y, x = np.mgrid[:63, :63]
    star = 500 * np.exp(-((x - 31) ** 2 + (y - 31) ** 2) / 8)
    stack[:, 0] += star
    stack[:, 2] += star - 100
    stack[:, 1, :5] = np.nan  # the lowest rows
    return stack


@pytest.fixture
def items(engine: Engine, store: ObjectStore, stack: F32, tmp_path: Path) -> dict[UUID, F32]:
    """Detections to judge and their cutouts."""
    with engine.begin() as connection:
        found = review.store_cutouts(connection, store, stack, tmp_path / "cutouts.fits")
    return dict(zip(found, stack, strict=True))


@pytest.fixture
def sign_in(browser: Browser, address: str, engine: Engine) -> Iterator[SignIn]:
    """Opens a browser of its own for a user, by a link, and shows the first item."""
    contexts: list[BrowserContext] = []
    failed: list[str] = []

    def signed_in(user: KnownUser) -> Page:
        with engine.begin() as connection:
            link = issue_sign_in_link(connection, user).secret.get_secret_value()
        contexts.append(browser.new_context(viewport={"width": 1600, "height": 1000}))
        page = contexts[-1].new_page()
        page.on("pageerror", lambda error: failed.append(str(error)))
        page.goto(f"{address}/sign-in?link={link}")
        page.get_by_role("button", name="Sign in").click()
        expect(page.locator("#item")).to_be_visible()
        return page

    yield signed_in
    for context in contexts:
        context.close()
    assert failed == []


@pytest.fixture
def page(sign_in: SignIn, people: dict[Role, Person], items: dict[UUID, F32]) -> Page:
    """The review page of a reviewer, at its first item."""
    return sign_in(people["reviewer"].user)


def shown(page: Page) -> UUID:
    return UUID(page.locator("#item").get_attribute("data-detection"))


def judge(page: Page, *keys: str) -> UUID:
    """Press keys that judge the item shown, and wait for the next."""
    judged = shown(page)
    for key in keys:
        page.keyboard.press(key)
    expect(page.locator("#item")).not_to_have_attribute("data-detection", str(judged))
    return judged


def until(page: Page, condition: str) -> None:
    """Wait for a condition; Playwright's own way of it is what the pages' policy forbids."""
    end = time.monotonic() + 30
    while not page.evaluate(condition):
        assert time.monotonic() < end, f"never: {condition}"
        page.wait_for_timeout(20)


def settled(page: Page) -> None:
    """Wait until the server has everything."""
    until(
        page,
        "Object.keys(localStorage).every("
        "  name => !name.startsWith('astrid.outbox') || localStorage[name] === '[]')",
    )


def events(engine: Engine) -> list[Any]:
    with engine.connect() as connection:
        query = select(ValidationEvent.__table__).order_by(ValidationEvent.created_at)
        return list(connection.execute(query))


def state(engine: Engine, detection: UUID) -> tuple[Any, ...]:
    """What verdicts have made of a detection, but for the time."""
    consensus = select(
        DetectionConsensus.label, DetectionConsensus.n_events, DetectionConsensus.decided_by
    ).where(DetectionConsensus.detection_id == detection)
    own = select(Detection.is_validated, Detection.n_verdicts).where(Detection.id == detection)
    with engine.connect() as connection:
        return connection.execute(consensus).one_or_none(), connection.execute(own).one()


def test_thirty_verdicts_by_keyboard_alone(page: Page, engine: Engine) -> None:
    answers = (("1", "2"), ("2", "6"), ("3",), ("1", "Enter"), ("2", "1"))
    expected = (
        ("real", "variable"),
        ("bogus", "noise"),
        ("unsure", None),
        ("real", None),
        ("bogus", "dipole"),
    )
    said = {judge(page, *answers[i % 5]): expected[i % 5] for i in range(30)}
    settled(page)
    assert len(said) == 30
    assert {e.detection_id: (e.verdict, e.subtype) for e in events(engine)} == said
    assert all(event.time_taken_s > 0 and event.cutout_sha256 for event in events(engine))
    expect(page.locator("#counts")).to_have_text("30 judged: 12 real · 12 bogus · 6 unsure")
    until(page, "performance.getEntriesByName('astrid:next').length === 30")


def test_undo_is_exact(page: Page, engine: Engine) -> None:
    before = state(engine, shown(page))
    first = judge(page, "1", "1")
    second = shown(page)
    page.keyboard.press("z")
    expect(page.locator("#item")).to_have_attribute("data-detection", str(first))
    settled(page)
    assert state(engine, first) == before
    assert [event.verdict for event in events(engine)] == ["real", "withdrawn"]
    judge(page, "2", "Enter")
    assert shown(page) == second
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#what")).to_contain_text("bogus")
    settled(page)
    assert state(engine, first)[0].label == "pending"
    page.keyboard.press("z")
    expect(page.locator("#saving")).to_have_text("Taken back.")
    page.keyboard.press("z")
    expect(page.locator("#saving")).to_have_text("Nothing to take back.")


def test_a_second_verdict_corrects_the_first(page: Page, engine: Engine) -> None:
    first = judge(page, "1", "Enter")
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#item")).to_have_attribute("data-detection", str(first))
    judge(page, "2", "Enter")
    settled(page)
    given, corrected = events(engine)
    assert (given.verdict, corrected.verdict) == ("real", "bogus")
    assert corrected.supersedes == given.id
    page.keyboard.press("z")
    settled(page)
    expect(page.locator("#what")).to_contain_text("real")
    expect(page.locator("#counts")).to_contain_text("1 judged: 1 real")


def pixels(page: Page, plane: str) -> np.ndarray:
    """RGBA of a picture, lowest row first."""
    flat, side = page.evaluate(
        """plane => {
             const canvas = document.querySelector(`canvas[data-plane="${plane}"]`);
             const { width, height } = canvas;
             const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
             return [Array.from(data), width];
           }""",
        plane,
    )
    return np.array(flat, dtype=np.int16).reshape(side, side, 4)[::-1]


def test_pictures_are_the_cutout_under_the_stated_stretch(
    page: Page, items: dict[UUID, F32], tmp_path: Path
) -> None:
    science, reference, difference, _ = items[shown(page)]
    low, high, brightest = zscale_limits(science, reference)

    def check(grey: Callable[[F32], np.ndarray]) -> None:
        for name, plane in (("science", science), ("reference", reference)):
            drawn, there = pixels(page, name), np.isfinite(plane)
            assert (drawn[..., 3] == np.where(there, 255, 0)).all()
            np.testing.assert_array_equal(
                drawn[there][:, :3], grey(plane)[there][:, None] + [0] * 3
            )
        coloured = pixels(page, "difference")[..., :3]
        np.testing.assert_array_equal(coloured, diverging(difference, difference_limit(difference)))

    check(lambda plane: stretch(plane, low, high).astype(int))  # asinh is the default
    page.keyboard.press("i")
    check(lambda plane: 255 - stretch(plane, low, high).astype(int))
    page.keyboard.press("i")
    page.keyboard.press("s")
    expect(page.locator("#stretch")).to_have_text("linear")
    check(lambda plane: np.floor(255 * part(plane, low, high) + 0.5).astype(int))
    page.keyboard.press("s")
    expect(page.locator("#stretch")).to_have_text("log")
    check(
        lambda plane: np.floor(
            255 * np.log1p(1000 * part(plane, low, brightest)) / np.log1p(1000) + 0.5
        ).astype(int)
    )
    page.keyboard.press("s")
    page.keyboard.press("+")  # 1.5 times: the 41 pixels in the middle
    drawn = pixels(page, "science")[..., 0]
    np.testing.assert_array_equal(drawn, stretch(science, low, high)[11:52, 11:52])
    page.keyboard.press("b")
    expect(page.locator('[data-name="science"]')).to_have_text("⇄ reference")
    seen = pixels(page, "science")[..., 0]
    np.testing.assert_array_equal(seen, pixels(page, "reference")[..., 0])
    expect(page.locator('[data-name="science"]')).to_have_text("⇄ science")


def part(plane: F32, low: float, high: float) -> np.ndarray:
    """Where between two limits pixels are, from 0 to 1; NaN is 0."""
    return np.clip((np.nan_to_num(plane, nan=low).astype(float) - low) / (high - low), 0, 1)


def test_a_reload_loses_nothing(page: Page, engine: Engine) -> None:
    page.route(VALIDATIONS, lambda route: route.abort())
    said = [judge(page, "1", "Enter") for _ in range(3)]
    expect(page.locator("#saving")).to_contain_text("3 not saved yet")
    assert events(engine) == []
    following = shown(page)
    page.reload()
    expect(page.locator("#item")).to_be_visible()
    expect(page.locator("#saving")).to_contain_text("not saved yet")
    assert shown(page) == following
    page.unroute(VALIDATIONS)
    settled(page)
    assert [event.detection_id for event in events(engine)] == said
    page.keyboard.press("z")  # what was said before the reload can be taken back
    expect(page.locator("#item")).to_have_attribute("data-detection", str(said[-1]))
    settled(page)
    assert events(engine)[-1].verdict == "withdrawn"


def test_an_answer_that_got_lost_makes_no_second_event(page: Page, engine: Engine) -> None:
    posts: list[str] = []

    def lose_the_first(route: Route) -> None:
        posts.append(route.request.headers["idempotency-key"])
        answer = route.fetch()
        if len(posts) == 1:
            route.abort()  # the server has it, the page does not know
        else:
            route.fulfill(response=answer)

    page.route(VALIDATIONS, lose_the_first)
    judge(page, "2", "Enter")
    settled(page)
    assert len(posts) == 2
    assert posts[0] == posts[1]
    assert len(events(engine)) == 1


def test_two_reviewers_never_get_the_same(
    sign_in: SignIn, items: dict[UUID, F32], engine: Engine
) -> None:
    with engine.begin() as connection:
        users = [person(connection, "reviewer").user for _ in range(2)]
    pages = [sign_in(user) for user in users]
    said: list[set[UUID]] = [set(), set()]
    for _ in range(6):
        for page, mine in zip(pages, said, strict=True):
            mine.add(judge(page, "1", "Enter"))
    for page in pages:
        settled(page)
    assert not said[0] & said[1]
    by = {user.id: mine for user, mine in zip(users, said, strict=True)}
    for user_id, mine in by.items():
        assert {e.detection_id for e in events(engine) if e.reviewer_id == user_id} == mine


def test_the_model_is_told_only_after_the_verdict(page: Page) -> None:
    assert "model" not in page.locator("main").inner_text()
    item = f"fetch('/review/items/{shown(page)}').then(answer => answer.text())"
    told = page.evaluate(item)
    assert "cutout_sha256" in told
    assert not re.search("confidence|verdict|label|stratum|model", told)
    judge(page, "1", "Enter")
    settled(page)
    expect(page.locator("#saving")).to_have_text("Saved: real; the model: 50 % real")


def test_a_refused_verdict_comes_back(page: Page, engine: Engine) -> None:
    first = shown(page)
    with engine.begin() as connection:
        changed = Detection.__table__.update().where(Detection.id == first)
        connection.execute(changed.values(cutout_sha256="0" * 64))
    judge(page, "1", "Enter")
    expect(page.locator("#problem")).to_contain_text("is not the one that was shown")
    expect(page.locator("#counts")).to_contain_text("0 judged")
    assert events(engine) == []


def test_a_note_goes_with_the_verdict(page: Page, engine: Engine) -> None:
    page.keyboard.press("n")
    page.keyboard.type("on 1 spike of 2")  # digits are text here
    page.keyboard.press("Enter")
    judge(page, "2", "3")
    judge(page, "1", "Enter")
    settled(page)
    assert [event.note for event in events(engine)] == ["on 1 spike of 2", None]


def test_every_control_has_a_name_and_a_key(page: Page) -> None:
    for button in page.locator("#verdicts button").all():
        assert button.get_attribute("aria-keyshortcuts")
        assert button.get_attribute("aria-label") or button.inner_text()
    page.get_by_role("button", name="bogus").click()
    page.get_by_role("button", name="cosmic ray").click()
    expect(page.locator("#counts")).to_contain_text("1 judged: 0 real · 1 bogus")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    page.keyboard.press("1")  # no verdict while the help is read
    page.keyboard.press("Escape")
    expect(page.locator("#subtypes")).to_be_hidden()


def test_what_was_judged_and_one_detection(
    page: Page, address: str, items: dict[UUID, F32]
) -> None:
    first = judge(page, "1", "1")
    judge(page, "3")
    settled(page)
    page.get_by_role("link", name="Judged").click()
    entries = page.locator(".gallery li")
    expect(entries).to_have_count(2)
    page.get_by_label("Label").select_option("pending")
    page.get_by_role("button", name="Show").click()
    expect(entries).to_have_count(1)
    until(page, "document.querySelector('.gallery canvas').width < 300")  # drawn
    page.locator(".gallery a").click()
    page.wait_for_url(f"**/review/detections/{first}")
    science, reference, _, _ = items[first]
    low, high, _ = zscale_limits(science, reference)
    until(page, "document.querySelector('canvas').width === 63")
    np.testing.assert_array_equal(pixels(page, "science")[..., 0], stretch(science, low, high))
    expect(page.locator("main")).to_contain_text("The model says 50 % real.")
    expect(page.get_by_role("table").first).to_contain_text("real (transient)")
    page.get_by_role("link", name="Judge it").click()
    expect(page.locator("#item")).to_have_attribute("data-detection", str(first))
