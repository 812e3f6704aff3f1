"""The Chromium that is installed, and how it is started without a screen."""

import shutil

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

ARGUMENTS = ["--no-sandbox", "--headless", "--disable-background-networking"]


def find_chromium() -> str | None:
    """Path of its program; None where there is none."""
    return next((path for name in _NAMES if (path := shutil.which(name))), None)
