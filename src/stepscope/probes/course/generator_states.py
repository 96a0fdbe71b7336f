"""How far the generators of random numbers have come. To read them moves none."""

import random
import sys
import zlib
from typing import Any

import torch

CPU, CUDA = "torch's CPU generator", "a CUDA generator"
PYTHON, NUMPY = "Python's `random`", "`numpy.random`"

State = dict[str, Any]  # by the name of the generator; tensors for the CPU's, else hashable


def torch_state() -> State:
    """Read those of torch, in a few microseconds. What CUDA counts is kept on the host."""
    state: State = {CPU: torch.default_generator.get_state()}
    if torch.cuda.is_initialized():
        generators = torch.cuda.default_generators
        state[CUDA] = tuple((each.initial_seed(), each.get_offset()) for each in generators)
    return state


def whole_state() -> State:
    """Read those of Python and NumPy too, which takes ten times as long."""
    state = torch_state()
    state[PYTHON] = random.getstate()
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        _, keys, position, *_ = numpy.random.get_state()
        state[NUMPY] = keys.tobytes(), int(position)
    return state


def moved(before: State, after: State) -> list[str]:
    """Return the names of the generators that are in both, and differ."""
    return [name for name in after if name in before and not _same(before[name], after[name])]


def digest(state: State) -> int:
    """Return a number that stands for the states."""
    plain = [each.tolist() if isinstance(each, torch.Tensor) else each for each in state.values()]
    return zlib.crc32(repr(plain).encode())


def _same(before: Any, after: Any) -> bool:
    if isinstance(before, torch.Tensor):
        return torch.equal(before, after)
    return bool(before == after)
