"""Keeps to itself what Lightning says of a run that is as it was meant to be."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_NEEDLESS = (
    r"Checkpoint directory .* exists and is not empty",  # config.yaml is in it already
    r"Experiment logs directory .* exists and is not empty",  # said by train()
    r"Found \d+ module\(s\) in eval mode",  # frozen, which the proof watches
    r"The '\w+' does not have many workers",  # data.workers is the user's choice
    r"`isinstance\(treespec, LeafSpec\)` is deprecated",  # between Lightning and torch
)


@contextmanager
def quiet() -> Iterator[None]:
    """Leave out needless warnings, and the advertisements among Lightning's remarks."""
    remarks = logging.getLogger("lightning.pytorch.utilities.rank_zero")
    level = remarks.level
    remarks.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            for message in _NEEDLESS:
                warnings.filterwarnings("ignore", message)
            yield
    finally:
        remarks.setLevel(level)
