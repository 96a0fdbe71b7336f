"""An optimizer's state by the names of the parameters that it belongs to."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stepscope.checkpoint_files.content import Key, Tree
from stepscope.checkpoint_files.contents.naming import MOST_CHOICES, Shape, aligned, alike
from stepscope.checkpoint_files.contents.stored import Stored, stored
from stepscope.checkpoint_files.contents.values import Values
from stepscope.evidence.checkpoint_file import GroupFacts, OptimizerFacts, Slot

MOST_WORK = 20_000_000  # groups times parameters: beyond, no names are looked for
STATISTICS = ("running_mean", "running_var", "num_batches_tracked")
KINDS = (  # what torch's optimizers keep for a parameter
    ({"exp_avg", "exp_avg_sq"}, "Adam or AdamW"),
    ({"exp_avg", "exp_inf"}, "Adamax"),
    ({"square_avg", "acc_delta"}, "Adadelta"),
    ({"square_avg"}, "RMSprop"),
    ({"sum"}, "Adagrad"),
    ({"exp_avg"}, "Lion, or another with one moment"),
    ({"momentum_buffer"}, "SGD with momentum"),
    ({"prev", "step_size"}, "Rprop"),
)


@dataclass(frozen=True, slots=True)
class _Names:
    """What the numbered entries of an optimizer are called."""

    source: str  # a sentence that says how they were found
    names: Mapping[Key, str]  # by key
    choices: Mapping[Key, int]  # how many parameters each entry without a name may be
    certain: frozenset[Key]  # named by the file, or of a shape that no other parameter has


@dataclass(frozen=True, slots=True)
class Parameters:
    """What an optimizer can hold."""

    shapes: Mapping[str, Shape]
    order: str  # "order and shapes", or whose order; "" where the order is not known


def described(
    path: str, node: Mapping[Key, Tree], parameters: Parameters, values: Values
) -> OptimizerFacts:
    """Return the state with names: the file's own, or those that order and shapes leave."""
    state = node["state"]
    assert isinstance(state, dict)
    groups = _groups(node["param_groups"])
    keys = [_keys(group) for group in groups]
    flat = [key for group in keys for key in group]
    named = _named(groups, keys, state, parameters)
    names, choices = named.names, named.choices
    slots = tuple(
        _slot(key, names.get(key, ""), choices.get(key, 1), state[key], values)
        for key in [*(key for key in flat if key in state), *(k for k in state if k not in flat)]
    )
    return OptimizerFacts(
        path=path,
        kind=_kind({entry for slot in slots for entry in slot.entries}, groups),
        groups=tuple(
            GroupFacts(
                index=at,
                label=str(label) if (label := group.get("name")) is not None else "",
                parameters=tuple(names.get(key) or f"#{key!s}" for key in keys[at]),
                lr=values.number(group.get("lr")),
                initial_lr=values.number(group.get("initial_lr")),
                weight_decay=values.number(group.get("weight_decay")),
            )
            for at, group in enumerate(groups)
        ),
        slots=slots,
        names_from=named.source,
        is_certain=named.certain.issuperset([*flat, *state]),
        nbytes=sum(
            tensor.nbytes
            for entries in state.values()
            if isinstance(entries, dict)
            for entry in entries.values()
            if (tensor := stored(entry))
        ),
    )


def _groups(node: Tree) -> list[dict[Key, Tree]]:
    listed = list(node.values()) if isinstance(node, dict) else node
    assert isinstance(listed, list | tuple)
    return [group for group in listed if isinstance(group, dict)]


def _keys(group: Mapping[Key, Tree]) -> list[Key]:
    params = group.get("params")
    if isinstance(params, dict):
        params = list(params.values())
    if not isinstance(params, list | tuple):
        return []
    return [key for key in params if isinstance(key, str | int)]


def _named(
    groups: list[dict[Key, Tree]],
    keys: list[list[Key]],
    state: Mapping[Key, Tree],
    parameters: Parameters,
) -> _Names:
    flat = [key for group in keys for key in group]
    if flat and all(isinstance(key, str) for key in flat):
        as_given = {key: str(key) for key in flat}
        return _Names("the file: its keys are names", as_given, {}, frozenset(flat))
    own = [list(n) if isinstance(n := g.get("param_names"), list | tuple) else [] for g in groups]
    listed = [name for names in own for name in names]
    if flat and [len(names) for names in own] == [len(group) for group in keys]:
        as_given = {key: str(name) for key, name in zip(flat, listed, strict=True)}
        return _Names("the file: its groups list them", as_given, {}, frozenset(flat))
    unknown: dict[Key, int] = dict.fromkeys(flat, 0)
    if not parameters.shapes:
        why = "not known: the file has no model to take them from"
        return _Names(why, {}, unknown, frozenset())
    # MMEngine, and layer-wise learning rates, make one group for each parameter, in order.
    is_one_each = len(keys) > 1 and all(len(group) == 1 for group in keys)
    entries = [
        [_shape(state.get(key)) for key in group] for group in ([flat] if is_one_each else keys)
    ]
    choices, source = _chosen(entries, parameters)
    if not all(choices):
        why = "not known: its shapes are not those of the model, in any order"
        return _Names(why, {}, unknown, frozenset())
    picks = dict(zip(flat, choices, strict=True))
    sure = {key: each[0] for key, each in picks.items() if len(each) == 1}
    several = {key: len(each) for key, each in picks.items() if len(each) > 1}
    numbers = Counter(parameters.shapes.values())
    # One of equal shapes may have been handed over in another order than the model's.
    certain = frozenset(
        key for key in sure if (shape := _shape(state.get(key))) and numbers[shape] == 1
    )
    how_sure = f"certain for {len(certain)} of {len(picks)} parameters, whose shapes are unique"
    if possible := len(sure) - len(certain):
        how_sure += f"; possible for {possible}, if groups follow the model's order"
    return _Names(f"{source}: {how_sure}", sure, several, certain)


def _chosen(
    entries: list[list[Shape | None]], parameters: Parameters
) -> tuple[list[list[str]], str]:
    """Return the names that each entry may have, and what they were found by."""
    if not parameters.order:
        names = list(parameters.shapes)
        flat = [each for group in entries for each in group]
        choices = alike(flat, list(parameters.shapes.values()))
        said = "shapes alone (safetensors keeps no order; --against MODULE:FUNCTION has it)"
        return [[names[at] for at in each] for each in choices], said
    found = _in_order(entries, parameters.shapes)
    if all(len(each) == 1 for each in found):
        return found, parameters.order
    if not all(found) or any(len(each) >= MOST_CHOICES for each in found):
        return found, parameters.order
    # A module of which one parameter is certainly not held is nearly always left out as a whole.
    possible = {name for each in found for name in each}
    out = {name.rpartition(".")[0] for name in parameters.shapes if name not in possible} - {""}
    whole = {
        name: shape
        for name, shape in parameters.shapes.items()
        if name.rpartition(".")[0] not in out
    }
    again = _in_order(entries, whole)
    if all(len(each) == 1 for each in again):
        return again, f"{parameters.order}, and modules held as a whole"
    return found, parameters.order


def _in_order(entries: list[list[Shape | None]], shapes: Mapping[str, Shape]) -> list[list[str]]:
    names = list(shapes)
    if len(entries) * len(names) > MOST_WORK:
        return [[] for group in entries for _ in group]
    found = aligned(entries, list(shapes.values()))
    return [[names[at] for at in each] for group in found.choices for each in group]


def parameters_of(
    model: Mapping[str, Stored], *, keeps_order: bool, order: Sequence[str] = ()
) -> Parameters:
    """Return the model's parameters in order: that of `order`, or else that of the file."""
    found = _parameters(model)
    if order:
        known = {name: found[name] for name in order if name in found}
        return Parameters(known, "order of the model, and shapes")
    return Parameters(found, "order and shapes" if keeps_order else "")


def _parameters(model: Mapping[str, Stored]) -> dict[str, Shape]:
    """Return what can be a parameter, in order, each memory once."""
    seen: set[object] = set()
    found: dict[str, Shape] = {}
    for name, tensor in model.items():
        is_float = "float" in tensor.dtype or "complex" in tensor.dtype
        if not is_float or name.rpartition(".")[2] in STATISTICS or tensor.memory in seen:
            continue
        if tensor.memory is not None:
            seen.add(tensor.memory)
        found[name] = tensor.shape
    return found


def _shape(entries: Tree) -> Shape | None:
    """Return the parameter's shape, by what is kept of it: never that of a step counter."""
    if not isinstance(entries, dict):
        return None
    shapes = [
        tensor.shape
        for name, each in entries.items()
        if name != "step" and (tensor := stored(each))
    ]
    return max(shapes, key=len, default=None)


def _slot(key: Key, name: str, candidates: int, entries: Tree, values: Values) -> Slot:
    table = entries if isinstance(entries, dict) else {}
    second = values.statistics(table.get("exp_avg_sq"))
    return Slot(
        parameter=name,
        key=str(key),
        candidates=candidates,
        shape=_shape(entries),
        entries=tuple(str(entry) for entry in table),
        step=values.number(table.get("step")),
        second_moment=second.mean if second else None,
        second_moment_largest=second.largest if second else None,
    )


def _kind(entries: set[str], groups: list[dict[Key, Tree]]) -> str:
    found = next((kind for kept, kind in KINDS if kept <= entries), "")
    settings = {str(key) for group in groups for key in group}
    if not found and {"momentum", "nesterov"} <= settings:
        return "SGD without momentum"
    return found
