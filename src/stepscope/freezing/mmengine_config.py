"""Says what a configuration of MMEngine will really do to what it means to freeze."""

import inspect
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from stepscope.configurations.python_config import PythonConfig, Unknown, read_config
from stepscope.core import Place
from stepscope.evidence.explanation import Effect, Explanation, Said
from stepscope.freezing.patterns import Names

OPTIONS = ("frozen_stages", "norm_eval")
# Arguments that configurations give to classes of mmdetection3d and mmcv that do not have them.
NOT_ARGUMENTS = {
    "SECOND": {"frozen_stages", "norm_eval"},
    "SECONDFPN": {"frozen_stages", "norm_eval"},
    "CPFPN": {"norm_eval", "frozen_stages"},
    "HardSimpleVFE": {"frozen_stages", "norm_eval"},
    "SparseEncoder": {"frozen_stages", "norm_eval"},
    "Fp16OptimizerHook": {"exclude_frozen_parameters"},
}
NO_PARAMETERS = {"HardSimpleVFE"}
FLOORED = ("Cosine", "Poly")  # schedulers that lift a group of lr 0 to their eta_min


@dataclass(frozen=True, slots=True)
class Rates:
    """What the optimizer and its schedule are given."""

    base: float | None
    custom: Mapping[str, Mapping[str, object]]
    floor: float = 0.0  # that the schedule lifts every group to
    floored_by: str = ""
    peak: float = 1.0  # multiple of the rate that the schedule rises to


def explain(path: Path | str, model: nn.Module | None = None) -> Explanation:
    """Read a configuration, and say what happens to each part that it speaks of.

    With the model, keys are held against its parameters as MMEngine does: a key decides on each
    parameter whose name it is a substring of, the longest key first.

    Raises:
        ValueError: see `read_config`.
    """
    path = Path(path)
    config = read_config(path)
    rates = _rates(config.values)
    options = dict(_options(config.values.get("model"), ""))
    said = [*_stages(options, model), *_keys(rates, options, model), *_lost(config)]
    held = {each.what.removeprefix("model.") for each in said if _is_meant_frozen(each, options)}
    tuned = {
        each.what: multiplier
        for each in said
        if each.effect is Effect.TUNED and each.what in rates.custom
        if (multiplier := _number(rates.custom[each.what].get("lr_mult"))) not in (None, 1.0)
    }
    return Explanation(
        path=str(path),
        lr=rates.base,
        said=tuple(said),
        frozen=tuple(sorted(held)),
        tuned={key: value for key, value in tuned.items() if value is not None},
    )


def _is_meant_frozen(said: Said, options: Mapping[str, Mapping[str, object]]) -> bool:
    """Tell whether a plan would freeze it whole."""
    if said.effect in (Effect.PSEUDO, Effect.REVIVED):
        return True
    part = options.get(said.what.removeprefix("model."))
    return said.effect is Effect.FROZEN and (part is None or _is_all(part))


def _is_all(part: Mapping[str, object]) -> bool:
    """Tell whether `frozen_stages` covers a backbone, of four stages where it does not say."""
    stages, number = part.get("frozen_stages"), part.get("num_stages", 4)
    return isinstance(stages, int) and isinstance(number, int) and stages >= number


def _rates(values: Mapping[str, object]) -> Rates:
    wrapper = _table(values.get("optim_wrapper"))
    optimizer = _table(wrapper.get("optimizer") or values.get("optimizer"))
    paramwise = _table(wrapper.get("paramwise_cfg") or optimizer.get("paramwise_cfg"))
    custom = {key: _table(entry) for key, entry in _table(paramwise.get("custom_keys")).items()}
    schedulers = values.get("param_scheduler")
    floor, by = 0.0, ""
    for each in schedulers if isinstance(schedulers, list) else [schedulers]:
        scheduler = _table(each)
        kind, lowest = str(scheduler.get("type", "")), _number(scheduler.get("eta_min")) or 0.0
        if kind.startswith(FLOORED) and lowest > floor:
            floor, by = lowest, f"{kind}(eta_min={lowest:g})"
    policy = _table(values.get("lr_config"))  # of mmcv 1
    lowest = _number(policy.get("min_lr")) or 0.0
    if lowest > floor:
        floor, by = lowest, f"{policy.get('policy')}(min_lr={lowest:g})"
    return Rates(_number(optimizer.get("lr")), custom, floor, by, _peak(policy))


def _peak(policy: object) -> float:
    """Return how far mmcv's cyclic policy rises above the base rate."""
    target = _table(policy).get("target_ratio")
    highest = target[0] if isinstance(target, list) and target else 1.0
    return _number(highest) or 1.0


def _options(part: object, name: str) -> Iterator[tuple[str, Mapping[str, object]]]:
    """Yield the parts of the model that are given an option of freezing, by their names."""
    if not isinstance(part, dict):
        return
    if name and any(option in part for option in OPTIONS):
        yield name, part
    for key, value in part.items():
        yield from _options(value, f"{name}.{key}" if name else str(key))


def _stages(options: Mapping[str, Mapping[str, object]], model: nn.Module | None) -> Iterator[Said]:
    for name, part in options.items():
        kind = str(part.get("type", ""))
        refused = [option for option in OPTIONS if option in part and _refuses(kind, option)]
        refused += [
            option
            for option in OPTIONS
            if option in part and option not in refused and _lacks(model, name, option)
        ]
        for option in refused:
            sentence = f"{kind or 'its class'} has no argument {option}: the model is not built"
            yield Said(effect=Effect.REFUSED, what=f"model.{name}", sentence=sentence)
        stages = part.get("frozen_stages")
        if "frozen_stages" in refused or not isinstance(stages, int):
            continue
        if kind in NO_PARAMETERS:
            sentence = f"{kind} has no parameters: there is nothing to freeze"
            yield Said(effect=Effect.UNMATCHED, what=f"model.{name}", sentence=sentence)
        elif stages < 0:
            sentence = f"frozen_stages={stages} means that nothing of it is frozen"
            yield Said(effect=Effect.TUNED, what=f"model.{name}", sentence=sentence)
        else:
            sentence = (
                f"its class freezes the stem and the first {stages} stages: no gradient, "
                "evaluation mode through train()"
            )
            if _is_all(part):
                sentence += (
                    f"; that is all of it, unless it has more than {part.get('num_stages', 4)}"
                )
            if not part.get("norm_eval"):
                sentence += "; the statistics of what is not frozen move (norm_eval is not set)"
            yield Said(effect=Effect.FROZEN, what=f"model.{name}", sentence=sentence)


def _refuses(kind: str, option: str) -> bool:
    return option in NOT_ARGUMENTS.get(kind, set())


def _lacks(model: nn.Module | None, name: str, option: str) -> bool:
    """Tell whether the class of that part of a live model does not take the option."""
    if model is None:
        return False
    try:
        part = model.get_submodule(name)
    except AttributeError:
        return False
    taken = inspect.signature(type(part).__init__).parameters
    is_open = any(each.kind is each.VAR_KEYWORD for each in taken.values())
    return option not in taken and not is_open


def _keys(
    rates: Rates, options: Mapping[str, Mapping[str, object]], model: nn.Module | None
) -> Iterator[Said]:
    decided = decisive_keys(model, rates.custom) if model is not None else {}
    names = Names.of(model) if model is not None else None
    for key, entry in rates.custom.items():
        multiplier = _number(entry.get("lr_mult", 1.0))
        if multiplier is None:
            sentence = f"its lr_mult is {entry.get('lr_mult')!r}, which is no number"
            yield Said(effect=Effect.UNREAD, what=key, sentence=sentence)
            continue
        count = elements = None
        if names is not None:
            mine = [name for name, by in decided.items() if by == key]
            count, elements = len(mine), sum(names.parameters[n].numel() for n in mine)
            if not mine:
                yield _unmatched(key, names, decided)
                continue
            tops = sorted({name.partition(".")[0] for name in mine})
            if len(tops) > 1:
                sentence = f"is a substring of names in {', '.join(tops)}"
                yield Said(effect=Effect.WIDE, what=key, sentence=sentence, parameters=count)
        yield _rated(key, multiplier, rates, options, count, elements)


def _rated(
    key: str,
    multiplier: float,
    rates: Rates,
    options: Mapping[str, Mapping[str, object]],
    count: int | None,
    elements: int | None,
) -> Said:
    lr = None if rates.base is None else rates.base * multiplier
    stages = options.get(key, {}).get("frozen_stages")
    if multiplier == 0 and rates.floor:
        effect = Effect.REVIVED
        sentence = f"has lr 0, and {rates.floored_by} lifts it to {rates.floor:g}: it will train"
    elif multiplier == 0:
        effect = Effect.PSEUDO
        sentence = (
            "has lr 0 and is not frozen: backward computes its gradients, the optimizer keeps "
            "state for it, and its running statistics move"
        )
        if (
            isinstance(stages, int)
            and stages >= 0
            and not _refuses(str(options[key].get("type")), OPTIONS[0])
        ):
            effect = Effect.FROZEN
            sentence = f"has lr 0, for what frozen_stages={stages} leaves trainable"
    else:
        effect = Effect.TUNED
        sentence = f"trains at {multiplier:g} times the base rate"
        if lr is not None:
            sentence += f": {lr:.3g}"
        if rates.peak > 1 and lr is not None:
            sentence += f", and {lr * rates.peak:.3g} where the schedule peaks"
    return Said(
        effect=effect, what=key, sentence=sentence, lr=lr, parameters=count, elements=elements
    )


def _unmatched(key: str, names: Names, decided: Mapping[str, str]) -> Said:
    longer = sorted({by for name, by in decided.items() if key in name})
    buffers = sorted(name for name in names.buffers if key in name)
    without = [name for name in names.modules if name == key]
    if longer:
        sentence = f"decides on nothing: the longer {', '.join(longer)} comes first"
    elif buffers:
        sentence = f"matches no parameter: {buffers[0]} is a buffer"
    elif without:
        sentence = f"matches no parameter: {key} has none"
    else:
        sentence = "matches no parameter, and MMEngine says nothing of it"
    return Said(effect=Effect.UNMATCHED, what=key, sentence=sentence, parameters=0)


def decisive_keys(model: nn.Module, keys: Mapping[str, object]) -> dict[str, str]:
    """Return the key that decides on each parameter, as MMEngine 0.10 orders them.

    The longest key that is a substring of the name; of equally long ones the last of the alphabet
    loses to the first.
    """
    order = sorted(sorted(keys), key=len, reverse=True)
    found = {}
    for name, _ in model.named_parameters():
        key = next((each for each in order if each in name), None)
        if key is not None:
            found[name] = key
    return found


def _lost(config: PythonConfig) -> Iterator[Said]:
    for each in config.overwritten:
        lost = [key for key in each.lost if key.rpartition(".")[2] in OPTIONS] or [*each.lost]
        if lost:
            sentence = (
                f"is assigned again in line {each.by_line}, and nothing of the first value is "
                f"left: {', '.join(lost[:4])}"
            )
            at = Place(file=str(each.file), line=each.line)
            yield Said(effect=Effect.OVERWRITTEN, what=each.name, sentence=sentence, at=at)
    unknown = [*config.unread, *_unknowns(config.values.get("model"))]
    for unread in unknown:
        at = Place(file=str(unread.file), line=unread.line)
        sentence = "only running the file would tell"
        yield Said(effect=Effect.UNREAD, what=unread.source, sentence=sentence, at=at)


def _unknowns(value: object) -> Iterator[Unknown]:
    if isinstance(value, Unknown):
        yield value
    for each in (
        value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    ):
        yield from _unknowns(each)


def _table(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def _number(value: object) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and math.isfinite(value) else None  # type: ignore[arg-type]
