"""Which entry of a checkpoint is what, told by what the entries hold before by their names."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from stepscope.checkpoint_files.content import Key, Tree
from stepscope.checkpoint_files.contents.stored import Stored, stored
from stepscope.evidence.checkpoint_file import Counter

MODEL = re.compile(r"^(model|state_dict|model_state(_dict)?|net(work)?|module|weights|params)$")
AVERAGED = re.compile(
    r"(^|[_./])(ema|averaged|shadow|swa|polyak|teacher)([_./]|$)|_ema\b", re.IGNORECASE
)
RANDOM = re.compile(r"(^|[_./])(rng|random|random_states?)([_.\d]|$)", re.IGNORECASE)
COUNTERS = re.compile(
    r"^(epoch|global_step|step|iter|iteration|iterations|global_iter|current_epoch|best_epoch"
    r"|batch_idx|seen_samples|num_updates|train_steps?)$"
)
CONFIGURATION = re.compile(r"^(hyper_parameters|args|cfg|config|opt|options|hparams|conf)$")
NESTED = 4  # levels below the top at which parts are looked for


@dataclass(slots=True)
class Layout:
    """The parts of a checkpoint by their paths in it."""

    states: dict[str, dict[str, Stored]] = field(default_factory=dict)  # named tensors
    averaged: dict[str, dict[str, Stored]] = field(default_factory=dict)
    optimizers: dict[str, dict[Key, Tree]] = field(default_factory=dict)
    schedulers: dict[str, dict[Key, Tree]] = field(default_factory=dict)
    scalers: dict[str, dict[Key, Tree]] = field(default_factory=dict)
    random: list[str] = field(default_factory=list)
    configurations: dict[str, Tree] = field(default_factory=dict)
    others: dict[str, str] = field(default_factory=dict)  # path -> "loop", "callback", ...
    counters: list[Counter] = field(default_factory=list)
    loose: dict[str, Stored] = field(default_factory=dict)  # in no part that is known

    @property
    def model_paths(self) -> list[str]:
        """Return the states that are the model: those called so, or else all of them."""
        named = [path for path in self.states if MODEL.match(path.rpartition("/")[2])]
        return named or list(self.states)

    @property
    def model(self) -> dict[str, Stored]:
        """Return the model's tensors; with the name of the entry in front where it has several."""
        return merged(self.states, self.model_paths)


def merged(states: Mapping[str, dict[str, Stored]], paths: list[str]) -> dict[str, Stored]:
    """Join states; those that share a name keep apart by the names of their entries."""
    if len({name for path in paths for name in states[path]}) == sum(
        len(states[path]) for path in paths
    ):
        return {name: at for path in paths for name, at in states[path].items()}
    return {f"{path}.{name}": at for path in paths for name, at in states[path].items()}


def layout(tree: Tree) -> Layout:
    """Find the parts in the tree of a file, or of a folder as a table of its files."""
    found = Layout()
    if isinstance(tree, dict) and is_state(tree) and not _is_special(tree):
        _flat(found, tree)
    else:
        _visit(found, "", tree, 0)
    return found


def is_state(node: dict[Key, Tree]) -> bool:
    """Tell whether a table is mostly tensors by name. Extra states of modules may be among them."""
    tensors = sum(stored(each) is not None for each in node.values())
    return tensors > 0 and tensors * 2 >= len(node) and all(isinstance(key, str) for key in node)


def _is_special(node: dict[Key, Tree]) -> bool:
    return _is_optimizer(node) or _is_schedule(node) or _is_scaler(node)


def _flat(found: Layout, tree: dict[Key, Tree]) -> None:
    """Take a state apart whose keys lead with what they belong to, as DCP may write it."""
    state: dict[str, Stored] = {}
    nested: dict[Key, Tree] = {}
    for name, value in tree.items():
        key = str(name)
        if re.match(r"^(optim|optimizer)[^.]*\.(state|param_groups)\.", key):
            nested[key] = value
        elif tensor := stored(value):
            state[key] = tensor
        elif isinstance(value, dict):
            _visit(found, key, value, 1)
        else:
            _count(found, key, key, value)
    heads = {name.partition(".")[0] for name in state}
    lead = next(iter(heads)) if len(heads) == 1 else ""
    if nested and MODEL.match(lead):
        state = {name.partition(".")[2]: at for name, at in state.items()}
    if state:
        found.states[lead if nested else ""] = state
    if nested:
        found.optimizers["optimizer"] = _unflattened(nested)


def _unflattened(flat: dict[Key, Tree]) -> dict[Key, Tree]:
    """Return the optimizer whose entries are named "optimizer.state.layer.weight.exp_avg"."""
    state: dict[Key, Tree] = {}
    settings: dict[Key, Tree] = {}
    for key, value in flat.items():
        assert isinstance(key, str)
        _, kind, rest = key.split(".", 2)
        name, _, entry = rest.rpartition(".")
        kept = (state if kind == "state" else settings).setdefault(name, {})
        assert isinstance(kept, dict)
        kept[entry] = value
    groups: dict[tuple[tuple[str, str], ...], dict[Key, Tree]] = {}
    for parameter in state:
        own = settings.get(parameter)
        table = own if isinstance(own, dict) else {}
        same = tuple(sorted((str(k), repr(v)) for k, v in table.items() if k != "params"))
        group = groups.setdefault(same, {**table, "params": []})
        params = group["params"]
        if isinstance(params, list):
            params.append(parameter)
    return {"state": state, "param_groups": list(groups.values())}


def _visit(found: Layout, path: str, node: Tree, depth: int) -> None:
    key = path.rpartition("/")[2]
    tensor = stored(node)
    if tensor:
        if RANDOM.search(key):
            found.random.append(path)
        else:
            found.loose[path] = tensor
        return
    if depth and RANDOM.search(key) and not isinstance(node, str | bool):
        found.random.append(path)
        return
    if isinstance(node, list | tuple):
        if depth < NESTED:
            for at, child in enumerate(node):
                _visit(found, f"{path}[{at}]", child, depth + 1)
        return
    if not isinstance(node, dict):
        _count(found, path, key, node)
        return
    if depth and CONFIGURATION.match(key) and not is_state(node):
        if depth == 1:
            found.configurations[path] = node
        return
    _table(found, path, node, depth)


def _table(found: Layout, path: str, node: dict[Key, Tree], depth: int) -> None:
    key = path.rpartition("/")[2]
    if _is_optimizer(node):
        found.optimizers[path or "the file"] = node
        # MMEngine keeps the scaler inside the optimizer.
        _children(found, path, {k: v for k, v in node.items() if k == "loss_scaler"}, depth)
    elif _is_schedule(node):
        found.schedulers[path or "the file"] = node
    elif _is_scaler(node):
        found.scalers[path or "the file"] = node
    elif key in ("loops", "callbacks", "message_hub"):
        found.others[path] = {"loops": "loop", "callbacks": "callback"}.get(key, "log")
        _children(found, path, node, depth)
    elif is_state(node):
        kept = {str(key): each for key, v in node.items() if (each := stored(v))}
        (found.averaged if AVERAGED.search(path) else found.states)[path] = kept
    elif depth < NESTED:
        _children(found, path, node, depth)


def _children(found: Layout, path: str, node: dict[Key, Tree], depth: int) -> None:
    for key, child in node.items():
        name = key if isinstance(key, str) else str(key)
        _visit(found, f"{path}/{name}" if path else name, child, depth + 1)


def _count(found: Layout, path: str, key: str, value: Tree) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if number and COUNTERS.match(key) and not re.search(r"(loops|callbacks|message_hub)/", path):
        assert isinstance(value, int | float)
        found.counters.append(Counter(name=path, value=float(value)))


def _is_optimizer(node: dict[Key, Tree]) -> bool:
    return isinstance(node.get("param_groups"), list | tuple | dict) and isinstance(
        node.get("state"), dict
    )


def _is_schedule(node: dict[Key, Tree]) -> bool:
    counted = "last_epoch" in node or "last_step" in node
    known = ("_step_count", "_last_lr", "base_lrs", "base_values", "_global_step", "patience")
    return counted and any(key in node for key in known)


def _is_scaler(node: dict[Key, Tree]) -> bool:
    return {"scale", "growth_factor", "_growth_tracker"} <= node.keys() or {
        "cur_scale",
        "cur_iter",
    } <= node.keys()
