"""The API over a database that holds a training dataset."""

import pytest


@pytest.fixture
def migrated_url(frozen_url: str) -> str:
    """A database of this test's own with the dataset in it."""
    return frozen_url
