"""The peak of the memory held."""

import torch

from stepscope.freezing.measuring.memory import Peak

NBYTES = 64 << 20


def test_the_peak_remembers_what_was_given_back() -> None:
    peak = Peak()
    before = peak.nbytes
    held = torch.ones(NBYTES, dtype=torch.uint8)
    peak.look()
    del held
    assert NBYTES * 0.9 < peak.nbytes - before < NBYTES * 1.5


def test_an_earlier_peak_is_forgotten() -> None:
    held = torch.ones(NBYTES, dtype=torch.uint8)
    before = Peak().nbytes
    del held
    assert Peak().nbytes < before - NBYTES * 0.5
