"""What all tests of probes share."""

import gc

import pytest


@pytest.fixture(autouse=True, scope="module")
def alone() -> None:
    """Let models of other tests go: probes see all that live."""
    gc.collect()
