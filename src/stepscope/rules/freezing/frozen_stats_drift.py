"""A normalisation layer is frozen, and its running statistics move all the same.

## What it proves
All parameters of the layer were frozen at every recorded step (`requires_grad=False`, or lr 0 in
every group) and kept their bits, while the layer ran in training mode and its running mean or
variance changed. A layer without parameters counts as frozen where the module around it is. Over a
run: the layer is frozen and in no optimizer, its statistics kept their bits from one look to the
next, and had others at a later look.

## Why it matters
`requires_grad=False` says nothing about buffers. In training mode the layer normalises by the
batch, not by what it learnt, and overwrites the statistics that evaluation will use. The frozen
part therefore behaves differently from the checkpoint it came from, more so with every step.

## What to do
Put the frozen part into `eval()` mode after every `train()` of the model (override `train()`, or
use the framework's own option, such as `norm_eval=True`), or unfreeze the layer.

## Limits
It is an error where the declared intent freezes the layer, else a warning: some adapt statistics
on purpose. Networks that something else moves (EMA teachers, momentum encoders) are left alone,
and so are bitwise copies of a part that is being trained, which are about to be moved. Layers in
evaluation mode are healthy. So are those that `stepscope.freeze(..., norm="train")` leaves in
training mode, as it was asked to. Over a run, statistics that move from the beginning are left to
the first recorded steps, and a `load_state_dict` between two looks excuses what changed there.

## Sources
- https://docs.pytorch.org/docs/stable/generated/torch.nn.BatchNorm2d.html
- https://github.com/pytorch/pytorch/issues/66073
"""

from collections.abc import Mapping

from stepscope.core import Finding, Findings, NotJudged, Place, Related, Severity, Watch, rule
from stepscope.evidence.course.followers import Followers
from stepscope.evidence.course.frozen_curves import FrozenCurves
from stepscope.evidence.course.mode_turns import ModeTurns
from stepscope.evidence.course.movements import Movements
from stepscope.evidence.freezing import Freezes
from stepscope.evidence.intent import Intent, matches
from stepscope.evidence.modules import ModeCall, Module, Modules
from stepscope.evidence.optimizers import Optimizers
from stepscope.evidence.parameters import Buffer, Buffers, Parameter, Parameters, is_below
from stepscope.evidence.subtrees import Subtree, subtrees

_RUNS = "is frozen, but runs in training mode, and its running statistics move"
_STOOD_STILL = "is frozen, but its running statistics, which stood still, move"


@rule("FRZ003", Severity.WARNING)
def frozen_stats_drift(
    modules: Modules | None,
    parameters: Parameters | None,
    buffers: Buffers | None,
    optimizers: Optimizers | None,
    intent: Intent | None,
    freezes: Freezes | None,
    compared: FrozenCurves | None,
    movements: Movements | None,
    turns: ModeTurns | None,
    followers: Followers | None,
) -> Findings:
    declared = intent.frozen if intent is not None else ()
    told: set[str] = set()
    if modules is not None and parameters is not None and buffers is not None:
        drifting = _drifting(modules, parameters, buffers, optimizers, declared, freezes)
        told = {name for names in drifting.values() for name in names}
        yield from _in_windows(drifting, modules, buffers)
    elif compared is None:
        raise NotJudged(f"needs {Modules.obtained_by}")
    if movements is not None:
        moving = parameters.moved if parameters is not None else frozenset()
        moving |= followers.parameters if followers is not None else frozenset()
        yield from _over_time(movements, turns, moving, told, declared)


def _drifting(
    modules: Modules,
    parameters: Parameters,
    buffers: Buffers,
    optimizers: Optimizers | None,
    declared: tuple[str, ...],
    freezes: Freezes | None,
) -> dict[bool, list[str]]:
    """Return the layers whose statistics move in the recorded steps, by being declared frozen."""
    layers = [module for module in modules.modules if module.normalisation]
    drifting: dict[bool, list[str]] = {True: [], False: []}
    held: dict[str, list[Parameter]] = {}
    for parameter in parameters.parameters:
        held.setdefault(parameter.owner, []).append(parameter)
    statistics = {each.name: each for each in buffers.buffers if each.ever_changed}
    for layer in layers:
        if _largest_move(layer.name, statistics) is None or True not in layer.training:
            continue
        own = held.get(layer.name) or parameters.below(layer.name.rpartition(".")[0])
        if not own or not all(_is_frozen(each, optimizers) for each in own):
            continue
        if freezes and freezes.leaves_in_training(layer.name, tuple(each.name for each in own)):
            continue
        is_declared = all(matches(each.name, declared) for each in own)
        if is_declared or not _is_copy(layer, parameters):
            drifting[is_declared].append(layer.name)
    return drifting


def _in_windows(drifting: dict[bool, list[str]], modules: Modules, buffers: Buffers) -> Findings:
    layers = [module.name for module in modules.modules if module.normalisation]
    statistics = {each.name: each for each in buffers.buffers if each.ever_changed}
    for is_declared, names in drifting.items():
        for tree in subtrees(names, layers):
            moved = [_largest_move(name, statistics) for name in tree.members]
            most = max((m for m in moved if m is not None), key=lambda each: each.largest_move)
            switch = _switched_by(tree, modules.mode_calls)
            yield Finding(
                subject=_subject(tree),
                message=_RUNS,
                measured=(
                    f"largest move {most.largest_move:.3g} in {most.name};"
                    f" parameters unchanged over {len(most.after)} steps"
                ),
                expected="evaluation mode in a frozen part, with unchanged statistics",
                at=Place(module=tree.name or tree.members[0]),
                related=() if switch is None else (Related("put into training mode", switch.at),),
                severity=Severity.ERROR if is_declared else Severity.WARNING,
            )


def _over_time(
    movements: Movements,
    turns: ModeTurns | None,
    moving: frozenset[str],
    told: set[str],
    declared: tuple[str, ...],
) -> Findings:
    """Report the layers whose statistics stood still, and then no longer."""
    for _, moved in movements.seen:
        layers = dict.fromkeys(name.rpartition(".")[0] for name in moved.statistics)
        parts = {layer: layer.rpartition(".")[0] for layer in layers if layer not in told}
        names = [
            layer for layer, part in parts.items() if not any(is_below(n, part) for n in moving)
        ]
        for tree in subtrees(names, layers):
            turned = [
                Related("put into training mode", turn.at)
                for _, turn in (turns.seen if turns is not None else ())
                if not set(turn.modules).isdisjoint(tree.members)
            ]
            is_declared = all(matches(name, declared) for name in tree.members)
            yield Finding(
                subject=_subject(tree),
                message=_RUNS if turned else _STOOD_STILL,
                measured=(
                    f"the same statistics until step {moved.since}, others at step {moved.until};"
                    f" layers: {len(tree.members)}"
                ),
                expected="evaluation mode in a frozen part, with unchanged statistics",
                at=Place(module=tree.name or tree.members[0]),
                related=tuple(each for each in turned[-1:] if each.at.line),
                severity=Severity.ERROR if is_declared else Severity.WARNING,
            )


def _largest_move(layer: str, changed: Mapping[str, Buffer]) -> Buffer | None:
    prefix = f"{layer}." if layer else ""
    names = (f"{prefix}running_mean", f"{prefix}running_var")
    own = [changed[name] for name in names if name in changed]
    return max(own, key=lambda each: each.largest_move, default=None)


def _is_frozen(parameter: Parameter, optimizers: Optimizers | None) -> bool:
    still = optimizers is not None and optimizers.stands_still(parameter.name)
    return (parameter.frozen or still) and not parameter.ever_changed


def _is_copy(layer: Module, parameters: Parameters) -> bool:
    """Tell a target network that has not been moved yet: its weights are those of a trained one."""
    beside = parameters.below(layer.name.rpartition(".")[0])
    weights = {each.before[0] for each in beside if each.frozen and len(each.shape) > 1}
    return any(
        each.before[0] in weights
        for each in parameters.parameters
        if not each.frozen and len(each.shape) > 1
    )


def _switched_by(tree: Subtree, calls: tuple[ModeCall, ...]) -> ModeCall | None:
    above = (c for c in reversed(calls) if c.call == "train()" and is_below(tree.name, c.module))
    return next(above, None)


def _subject(tree: Subtree) -> str:
    if tree.members == (tree.name,):
        return tree.name
    layers = f"{len(tree.members)} of {tree.total} normalisation layers"
    return f"{tree.name or 'the model'} ({layers})"


def fails_when_a_frozen_backbone_runs_in_training_mode(_: Watch) -> None:
    import torch

    backbone = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.BatchNorm1d(4))
    backbone.requires_grad_(False)
    model = torch.nn.Sequential(backbone, torch.nn.Linear(4, 2))
    optimizer = torch.optim.SGD(model[1].parameters(), lr=0.1)
    model.train()
    for _step in range(2):
        optimizer.zero_grad()
        model(torch.randn(8, 4)).sum().backward()
        optimizer.step()


def fails_when_the_backbone_is_frozen_by_a_learning_rate_of_zero(_: Watch) -> None:
    import torch

    backbone = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.BatchNorm1d(4))
    head = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(
        [{"params": backbone.parameters(), "lr": 0.0}, {"params": head.parameters(), "lr": 0.1}]
    )
    for _step in range(2):
        optimizer.zero_grad()
        head(backbone(torch.randn(8, 4))).sum().backward()
        optimizer.step()


def fails_when_a_layer_without_parameters_stands_in_a_frozen_part(watch: Watch) -> None:
    import torch

    from stepscope.evidence.intent import Intent

    watch.saw(Intent(frozen=("0",)))
    backbone = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.BatchNorm1d(4, affine=False))
    backbone.requires_grad_(False)
    model = torch.nn.Sequential(backbone, torch.nn.Linear(4, 2))
    optimizer = torch.optim.SGD(model[1].parameters(), lr=0.1)
    for _step in range(2):
        optimizer.zero_grad()
        model(torch.randn(8, 4)).sum().backward()
        optimizer.step()


def passes_when_the_frozen_backbone_is_in_evaluation_mode(_: Watch) -> None:
    import torch

    backbone = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.BatchNorm1d(4))
    backbone.requires_grad_(False)
    model = torch.nn.Sequential(backbone, torch.nn.Linear(4, 2))
    optimizer = torch.optim.SGD(model[1].parameters(), lr=0.1)
    model.train()
    backbone.eval()
    for _step in range(2):
        optimizer.zero_grad()
        model(torch.randn(8, 4)).sum().backward()
        optimizer.step()


def passes_when_the_freeze_was_asked_to_leave_the_statistics_alone(watch: Watch) -> None:
    import torch

    from stepscope.evidence.freezing import Freeze, Freezes

    backbone = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.BatchNorm1d(4))
    backbone.requires_grad_(False)  # what stepscope.freeze(model, "0", norm="train") does
    model = torch.nn.Sequential(backbone, torch.nn.Linear(4, 2))
    names = tuple(f"0.{name}" for name, _ in backbone.named_parameters())
    watch.saw(Freezes(freezes=(Freeze(patterns=("0",), parameters=names, modules=("0.0",)),)))
    optimizer = torch.optim.SGD(model[1].parameters(), lr=0.1)
    for _step in range(2):
        optimizer.zero_grad()
        model(torch.randn(8, 4)).sum().backward()
        optimizer.step()


def fails_when_a_freeze_keeps_the_layer_and_something_else_has_put_it_back(watch: Watch) -> None:
    import torch

    from stepscope.evidence.freezing import Freeze, Freezes

    backbone = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.BatchNorm1d(4))
    backbone.requires_grad_(False)
    model = torch.nn.Sequential(backbone, torch.nn.Linear(4, 2))
    names = tuple(f"0.{name}" for name, _ in backbone.named_parameters())
    kept = ("0", "0.0", "0.1")
    watch.saw(Freezes(freezes=(Freeze(patterns=("0",), parameters=names, modules=kept),)))
    optimizer = torch.optim.SGD(model[1].parameters(), lr=0.1)
    for _step in range(2):
        optimizer.zero_grad()
        model(torch.randn(8, 4)).sum().backward()
        optimizer.step()


def passes_when_the_normalisation_layer_is_trained(_: Watch) -> None:
    import torch

    backbone = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.BatchNorm1d(4))
    backbone[0].requires_grad_(False)
    optimizer = torch.optim.SGD(backbone[1].parameters(), lr=0.1)
    for _step in range(2):
        optimizer.zero_grad()
        backbone(torch.randn(8, 4)).square().sum().backward()
        optimizer.step()


def passes_when_the_frozen_network_is_a_momentum_encoder(_: Watch) -> None:
    import copy

    import torch

    online = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.BatchNorm1d(4))
    target = copy.deepcopy(online).requires_grad_(False)
    model = torch.nn.ModuleDict({"online": online, "target": target})
    optimizer = torch.optim.SGD(model["online"].parameters(), lr=0.1)
    for _step in range(2):
        optimizer.zero_grad()
        (online(torch.randn(8, 4)) - target(torch.randn(8, 4))).square().sum().backward()
        optimizer.step()
        with torch.no_grad():
            for slow, fast in zip(target.parameters(), online.parameters(), strict=True):
                slow.lerp_(fast, 0.1)


def passes_when_a_copy_of_the_trained_network_has_not_been_moved_yet(_: Watch) -> None:
    import copy

    import torch

    online = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.BatchNorm1d(4))
    target = copy.deepcopy(online).requires_grad_(False)
    model = torch.nn.ModuleDict({"online": online, "target": target})
    optimizer = torch.optim.SGD(model["online"].parameters(), lr=0.1)
    for _step in range(2):
        optimizer.zero_grad()
        (online(torch.randn(8, 4)) - target(torch.randn(8, 4))).square().sum().backward()
        optimizer.step()


def fails_when_the_statistics_begin_to_move_in_a_later_epoch(_: Watch) -> None:
    import torch

    backbone = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.BatchNorm1d(4))
    model = torch.nn.Sequential(backbone.requires_grad_(False), torch.nn.Linear(4, 2))
    optimizer = torch.optim.SGD(model[1].parameters(), lr=0.1)
    for epoch in range(4):
        model.train()
        if epoch < 3:  # noqa: PLR2004
            backbone.eval()
        optimizer.zero_grad()
        model(torch.randn(8, 4)).sum().backward()
        optimizer.step()


def fails_when_the_move_was_seen_between_two_looks_only(watch: Watch) -> None:
    from stepscope.evidence.course.frozen_curves import FrozenCurves
    from stepscope.evidence.course.movements import Moved, Movements
    from stepscope.evidence.course.series import Series

    moved = Moved(statistics=("0.1.running_mean", "0.1.running_var"), since=101, until=201)
    watch.saw(
        FrozenCurves(series={"statistics": Series((0, 100, 200), (2.0, 2.0, 2.0))}),
        Movements(seen=((200, moved),), count=1),
    )


def passes_when_the_layer_belongs_to_a_teacher(watch: Watch) -> None:
    from stepscope.evidence.course.followers import Followed, Followers
    from stepscope.evidence.course.frozen_curves import FrozenCurves
    from stepscope.evidence.course.movements import Moved, Movements
    from stepscope.evidence.course.series import Series

    moved = Moved(statistics=("teacher.1.running_mean",), since=101, until=201)
    watch.saw(
        FrozenCurves(series={"statistics": Series((0, 100, 200), (2.0, 2.0, 2.0))}),
        Movements(seen=((200, moved),), count=1),
        Followers(seen=((2, Followed(parameters=("teacher.0.weight",), until=2)),), count=1),
    )


def skips_when_nothing_is_trained(_: Watch) -> None:
    pass
