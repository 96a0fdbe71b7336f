"""What the tests of recordings share."""

import os

import pytest


@pytest.fixture(autouse=True)
def _power_that_does_not_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait for the disk: thousands of small files are joined here."""
    monkeypatch.setattr(os, "fsync", os.fstat)
