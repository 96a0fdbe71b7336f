"""What a defect leaves in the checkpoints that were trained under it."""

import math
import re
from collections.abc import Callable, Mapping

import msgspec

from stepscope.evidence.checkpoint_file import CheckpointFile
from stepscope.evidence.second_moments import outliers

SCALE = re.compile(r"(^|[._])(logit_?scale|temperature|tau)$", re.IGNORECASE)
LEAST, MOST, ROUNDING = 1.0, 100.0, 0.03  # of CON001
OVER_MEDIAN, GAP = 1e5, 1e3  # of CKP009
SHOWN = 3


class Symptom(msgspec.Struct, frozen=True, kw_only=True):
    """What the file itself says of a defect."""

    is_there: bool
    confidence: str  # "certain", "likely", "possible"
    reason: str


def symptom(code: str, modules: tuple[str, ...], file: CheckpointFile) -> Symptom | None:
    """Return what the file shows of a defect; None where it cannot tell."""
    look = _LOOKS.get(code)
    return look(modules, file) if look is not None else None


def _scale(modules: tuple[str, ...], file: CheckpointFile) -> Symptom | None:
    del modules
    scales = [(e.name, e.value) for e in file.model if e.value is not None and SCALE.search(e.name)]
    if not scales:
        return None
    said: list[str] = []
    for name, value in scales:
        is_scale = "scale" in name
        effective = math.exp(min(value, 700.0)) if is_scale else 1 / value if value else 0.0
        if not _is_inside(effective):
            # A program may keep the scale itself under this name, and no logarithm.
            certain = not (is_scale and _is_inside(value))
            reason = f"{name} is {value:.5g}: multiplies by {effective:.4g}, beyond 1 to 100"
            if not certain:
                reason += ", if it is a logarithm"
            return Symptom(
                is_there=True, confidence="certain" if certain else "possible", reason=reason
            )
        said.append(f"{name} is {value:.5g}: multiplies by {effective:.4g}")
    return Symptom(is_there=False, confidence="certain", reason="; ".join(said))


def _is_inside(scale: float) -> bool:
    return LEAST * (1 - ROUNDING) <= scale <= MOST * (1 + ROUNDING)


def _zero_lr(modules: tuple[str, ...], file: CheckpointFile) -> Symptom | None:
    groups = [group for each in file.optimizers for group in each.groups]
    still = [
        g for g in groups if g.lr == 0 and not g.initial_lr and _concerns(g.parameters, modules)
    ]
    if not groups:
        return None
    if not still:
        return Symptom(is_there=False, confidence="likely", reason="no group has lr 0")
    names = ", ".join(still[0].parameters[:SHOWN])
    count = sum(len(group.parameters) for group in still)
    reason = f"its optimizer has {count} parameters at lr 0: {names}"
    return Symptom(is_there=True, confidence=_surely(file), reason=reason)


def _not_held(modules: tuple[str, ...], file: CheckpointFile) -> Symptom | None:
    has_names = file.optimizers and all(each.has_names for each in file.optimizers)
    if not has_names or not modules:
        return None
    held = {name for o in file.optimizers for g in o.groups for name in g.parameters}
    if any(name.startswith("#") for name in held):
        return None
    left = [
        each.name
        for each in file.model
        if each.name not in held and _concerns((each.name,), modules)
    ]
    if not left:
        return Symptom(is_there=False, confidence="likely", reason="its optimizer holds the module")
    reason = f"its optimizer does not hold {', '.join(left[:SHOWN])}"
    return Symptom(is_there=True, confidence=_surely(file), reason=reason)


def _decayed(modules: tuple[str, ...], file: CheckpointFile) -> Symptom | None:
    del modules
    for each in file.optimizers:
        for group in each.groups:
            scales = [name for name in group.parameters if SCALE.search(name)]
            if scales and group.weight_decay:
                reason = f"{scales[0]} is in a group with weight decay {group.weight_decay:g}"
                return Symptom(is_there=True, confidence=_surely(file), reason=reason)
            if scales:
                reason = f"{scales[0]} is in a group without weight decay"
                return Symptom(is_there=False, confidence=_surely(file), reason=reason)
    return None


def _amplified(modules: tuple[str, ...], file: CheckpointFile) -> Symptom | None:
    if not any(slot.second_moment for each in file.optimizers for slot in each.slots):
        return None
    found = outliers(file, over_median=OVER_MEDIAN, gap=GAP)
    meant = [each for each in found if _concerns((each.module,), modules)]
    if not meant:
        reason = "the second moments of its optimizer have no outlier"
        return Symptom(is_there=False, confidence="likely", reason=reason)
    first = meant[0]
    reason = (
        f"second moments of {first.module}: as gradients {first.rms / first.median:.2g} times the"
        " median of the modules"
    )
    return Symptom(is_there=True, confidence="likely", reason=reason)


def _not_finite(modules: tuple[str, ...], file: CheckpointFile) -> Symptom:
    broken = [e.name for e in file.tensors if e.non_finite and e.part in ("model", "optimizer")]
    del modules
    if not broken:
        return Symptom(is_there=False, confidence="likely", reason="all its numbers are finite")
    names = ", ".join(broken[:SHOWN])
    return Symptom(is_there=True, confidence="certain", reason=f"nan or inf in {names}")


def _surely(file: CheckpointFile) -> str:
    """Say how sure a symptom is that rests on the names of the optimizer's parameters."""
    return "certain" if all(each.is_certain for each in file.optimizers) else "possible"


def _concerns(names: tuple[str, ...], modules: tuple[str, ...]) -> bool:
    """Tell whether a name lies at, below or above one of the modules; no module means all."""
    if not modules:
        return True
    pairs = [(f"{name}.", f"{module}.") for name in names for module in modules]
    return any(name.startswith(module) or module.startswith(name) for name, module in pairs)


_LOOKS: Mapping[str, Callable[[tuple[str, ...], CheckpointFile], Symptom | None]] = {
    "CKP007": _not_finite,
    "CON001": _scale,
    "FRZ001": _zero_lr,
    "GRD006": _amplified,
    "NUM001": _not_finite,
    "OPT001": _not_held,
    "OPT009": _decayed,
}
