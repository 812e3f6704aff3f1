"""How long a key of the review page takes to show the next item, in a real browser.

::

    astrid up
    astrid users link NAME        # of a reviewer
    python -m benchmarks.review_page LINK

Signs in by the link, says of each item that one is unsure, and takes everything back at the
end. The time is the browser's own: from the key to the next item on the screen.
"""

from typing import Annotated

import numpy as np
import typer
from playwright.sync_api import Page, sync_playwright

from benchmarks.browser import ARGUMENTS, find_chromium

_SHOWN = "#item[data-detection]:not([hidden])"


def main(
    link: Annotated[str, typer.Argument(help="Sign-in link of a reviewer, fresh.")],
    items: Annotated[int, typer.Option(min=5, max=1000, help="Items to judge.")] = 60,
    pause_ms: Annotated[int, typer.Option(min=0, help="Between two keys; people need more.")] = 300,
) -> None:
    """Measure and print median and 95 % quantile (milliseconds)."""
    found = find_chromium()
    if found is None:
        raise SystemExit("There is no Chromium: install one (apt install chromium).")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=ARGUMENTS)
        page = browser.new_page(viewport={"width": 1600, "height": 1000})
        page.goto(link)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_selector(_SHOWN)
        took_ms = _judge(page, items, pause_ms)
        browser.close()
    median, p95, worst = np.percentile(took_ms, [50, 95, 100])
    typer.echo(
        f"{len(took_ms)} keys: median {median:.0f} ms, p95 {p95:.0f} ms, worst {worst:.0f} ms"
    )


def _judge(page: Page, items: int, pause_ms: int) -> list[float]:
    for _ in range(items):
        page.wait_for_selector(_SHOWN)
        page.keyboard.press("3")
        page.wait_for_timeout(pause_ms)
    took_ms: list[float] = page.evaluate(
        "performance.getEntriesByName('astrid:next').map(entry => entry.duration)"
    )
    for _ in range(items):
        page.keyboard.press("z")
    while page.evaluate(
        "Object.entries(localStorage).some("
        "  ([name, held]) => name.startsWith('astrid.outbox') && held !== '[]')"
    ):
        page.wait_for_timeout(100)
    return took_ms


if __name__ == "__main__":
    typer.run(main)
