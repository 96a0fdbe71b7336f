"""How a state dictionary fits a module, and whether another prefix would fit it better."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from stepscope.checkpoint_files.matching import Shapes, best_repair, fits


@dataclass(frozen=True, slots=True)
class Fit:
    """What a state gave a module."""

    matched: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    mismatched: tuple[str, ...]
    repair: str
    repaired: int  # tensors that would match with it


def own_tensors(module: nn.Module) -> dict[str, Tensor]:
    """Return parameters and persistent buffers by the keys of the module's state dictionary.

    Read off the module, because `state_dict()` may run hooks of the program.
    """
    found: dict[str, Tensor] = {}
    for prefix, child in module.named_modules(remove_duplicate=False):
        lead = f"{prefix}." if prefix else ""
        for key, parameter in child._parameters.items():
            if parameter is not None:
                found[lead + key] = parameter
        for key, buffer in child._buffers.items():
            if buffer is not None and key not in child._non_persistent_buffers_set:
                found[lead + key] = buffer
    return found


def fit(
    own: Mapping[str, Tensor],
    state: Mapping[str, object],
    reported: tuple[Iterable[str], Iterable[str]] | None,
) -> Fit:
    """Compare a module's tensors with a state. `reported`: missing and unexpected as torch said.

    What torch reports counts hooks in, which may rename keys; without it the names decide.
    """
    ours = {name: tuple(tensor.shape) for name, tensor in own.items()}
    theirs = {name: tuple(v.shape) for name, v in state.items() if isinstance(v, Tensor)}
    if reported is None:
        reported = (ours.keys() - theirs.keys(), state.keys() - ours.keys())
    missing = [name for name in reported[0] if name in ours]
    unexpected = [name for name in reported[1] if not name.endswith("_extra_state")]
    mismatched = {
        name: f"{name}: {theirs[name]} in the file, {shape} in the model"
        for name, shape in ours.items()
        if name in theirs and not fits(theirs[name], shape)
    }
    # A name that torch neither found nor missed: a hook has renamed a key to it, or the layer
    # filled it in itself (the batch counter of a BatchNorm in an old file).
    renamed = theirs.keys() - ours.keys() - set(unexpected)
    absent = {*missing, *mismatched, *(() if renamed else ours.keys() - theirs.keys())}
    matched = tuple(name for name in ours if name not in absent)
    repair, repaired = "", len(matched)
    if absent and (unexpected or not matched):
        repair, repaired = best_repair(ours, dict(_levels(state)), len(matched))
    return Fit(
        matched,
        tuple(sorted(missing)),
        tuple(sorted(unexpected)),
        tuple(mismatched.values()),
        repair,
        repaired if repair else 0,
    )


def _levels(state: Mapping[str, object]) -> Iterator[tuple[str, Shapes]]:
    """Yield the tensors of the state, and those of each dictionary inside it."""
    yield "", {key: tuple(v.shape) for key, v in state.items() if isinstance(v, torch.Tensor)}
    for name, inner in state.items():
        if isinstance(inner, Mapping):
            shapes = {k: tuple(v.shape) for k, v in inner.items() if isinstance(v, torch.Tensor)}
            if shapes and all(isinstance(key, str) for key in shapes):
                yield name, shapes
