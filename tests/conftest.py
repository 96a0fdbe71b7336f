"""What every test shares."""

import gc
import sys

import pytest
import torch


@pytest.fixture(autouse=True)
def _one_thread_and_a_fixed_seed() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _nothing_compiled_by_other_tests() -> None:
    if (frames := sys.modules.get("torch._dynamo.eval_frame")) is not None:
        frames.cached_backends.clear()


@pytest.fixture(autouse=True, scope="module")
def _alone() -> None:
    """Let models of other tests go: probes see all that live."""
    gc.collect()
