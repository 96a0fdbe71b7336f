"""A frozen part was put into evaluation mode, and `train()` on the model put it back.

## What it proves
The program called `eval()` on a part of the model whose parameters were all frozen, a later
`train()` on a module above it switched the part back, no later `eval()` followed, and layers of
the part whose behaviour depends on the mode then ran in training mode in a recorded step. Or: a
parameter that was declared frozen required no gradient at one recorded step and did at a later.
Over a run: the layers of a frozen part ran in evaluation mode at one sampled step and in training
mode at a later one, while the part stayed frozen and kept its bits.

## Why it matters
`train()` walks over all children, so it undoes every earlier `eval()` below it, and frameworks
call it at the start of training or of each epoch. Dropout and batch statistics are then active in
a part that the author believes to be fixed.

## What to do
Call `eval()` on the part after every `train()`, most safely by overriding `train()` in the model.

## Limits
Only `eval()` calls that the program itself makes count, not those of a library that returns its
models in evaluation mode. A part without dropout and running statistics behaves the same in both
modes. A part that something else moves, such as an EMA teacher, is left alone. Parameters that
are unfrozen step by step are healthy unless they are declared frozen. Over a run the line is that
of the last `train()` or `requires_grad_()` from above that the program called before the later
step; where it set `requires_grad` itself, no line is known.

## Sources
- https://docs.pytorch.org/docs/stable/generated/torch.nn.Module.html#torch.nn.Module.train
- https://github.com/pytorch/pytorch/issues/66073
"""

from collections.abc import Iterator

from stepscope.core import Finding, Findings, NotJudged, Place, Related, Severity, Watch, rule
from stepscope.evidence.course.followers import Followers
from stepscope.evidence.course.frozen_curves import FrozenCurves
from stepscope.evidence.course.mode_turns import ModeTurns
from stepscope.evidence.course.thaws import Thaws
from stepscope.evidence.intent import Intent, matches
from stepscope.evidence.modules import ModeCall, Module, Modules
from stepscope.evidence.parameters import Parameters, ancestors, is_below
from stepscope.evidence.subtrees import subtrees


@rule("FRZ005", Severity.WARNING)
def freeze_undone(
    modules: Modules | None,
    parameters: Parameters | None,
    intent: Intent | None,
    compared: FrozenCurves | None,
    turns: ModeTurns | None,
    thaws: Thaws | None,
    followers: Followers | None,
) -> Findings:
    declared = intent.frozen if intent is not None else ()
    if modules is not None and parameters is not None:
        dated = {name for _, each in thaws.seen for name in each.parameters} if thaws else set()
        yield from _in_windows(modules, parameters, declared, dated)
    elif compared is None and thaws is None:
        raise NotJudged(f"needs {Modules.obtained_by}")
    if turns is not None:
        yield from _turned(turns, followers, parameters, declared)
    for _, thawed in thaws.seen if thaws is not None else ():
        names = [name for name in thawed.parameters if matches(name, declared)]
        yield from _thawed(
            names,
            parameters,
            measured=f"requires_grad was False at step {thawed.since}, True at step {thawed.until}",
            by=thawed.at,
        )


def _in_windows(
    modules: Modules, parameters: Parameters, declared: tuple[str, ...], dated: set[str]
) -> Iterator[Finding]:
    """Judge the recorded steps; thaws that are known to the step are told of by themselves."""
    for switched_off, switched_on in _undone(modules.mode_calls):
        part = switched_off.module
        own = parameters.below(part)
        running = [
            layer for layer in modules.below(part) if layer.sensitive and True in layer.training
        ]
        is_still = all(each.frozen and not each.ever_changed for each in own)
        if not running or not own or not is_still:
            continue
        is_declared = all(matches(each.name, declared) for each in own)
        yield Finding(
            subject=part,
            message="is frozen and was put into evaluation mode, but train() put it back",
            measured=f"{_listed(running)} ran in training mode",
            expected="evaluation mode in every training step",
            at=Place(
                module=part,
                file=switched_on.at.file,
                line=switched_on.at.line,
                function=switched_on.at.function,
            ),
            related=(Related("put into evaluation mode", switched_off.at),),
            severity=Severity.ERROR if is_declared else Severity.WARNING,
        )
    thawed = [
        each.name
        for each in parameters.parameters
        if matches(each.name, declared)
        and each.name not in dated
        and _comes_back(each.requires_grad)
    ]
    yield from _thawed(
        thawed,
        parameters,
        measured="requires_grad went from False to True between two recorded steps",
        by=Place(),
    )


def _turned(
    turns: ModeTurns,
    followers: Followers | None,
    parameters: Parameters | None,
    declared: tuple[str, ...],
) -> Iterator[Finding]:
    moving = set(parameters.moved) if parameters is not None else set()
    moving.update(followers.parameters if followers is not None else ())
    known = {each.owner for each in parameters.parameters} if parameters is not None else set()
    for _, turn in turns.seen:
        still = [name for name in turn.modules if not _moves(name, moving, known)]
        for tree in subtrees(still, turn.modules):
            is_declared = all(matches(name, declared) for name in tree.members)
            yield Finding(
                subject=f"{tree.name or 'the model'} (layers: {len(tree.members)})",
                message="is frozen and was in evaluation mode, and is in training mode again",
                measured=(
                    f"{tree.members[0]} in evaluation mode at step {turn.since},"
                    f" in training mode at step {turn.until}"
                ),
                expected="evaluation mode in every training step",
                at=Place(
                    module=tree.name,
                    file=turn.at.file,
                    line=turn.at.line,
                    function=turn.at.function,
                ),
                severity=Severity.ERROR if is_declared else Severity.WARNING,
            )


def _moves(layer: str, moving: set[str], owners: set[str]) -> bool:
    """Tell whether what a layer belongs to moves: its own parameters, or those around it."""
    part = layer if layer in owners else layer.rpartition(".")[0]
    return any(is_below(name, part) for name in moving)


def _thawed(
    names: list[str], parameters: Parameters | None, *, measured: str, by: Place
) -> Iterator[Finding]:
    everything = [each.name for each in parameters.parameters] if parameters is not None else names
    for tree in subtrees(names, everything):
        yield Finding(
            subject=tree.subject,
            message="is declared frozen, and required no gradient, but later does again",
            measured=measured,
            expected="requires_grad=False at every step",
            at=tree.place,
            related=(Related("made to require a gradient", by),) if by.line else (),
            severity=Severity.ERROR,
        )


def _undone(calls: tuple[ModeCall, ...]) -> Iterator[tuple[ModeCall, ModeCall]]:
    """Yield the last direct `eval()` of a part, and the `train()` from above that undid it."""
    history: dict[str, list[int]] = {}  # positions of the mode calls on each module
    for i, call in enumerate(calls):
        if call.call in ("eval()", "train()"):
            history.setdefault(call.module, []).append(i)
    for part, own in history.items():
        above = sorted(i for name in ancestors(part) for i in history.get(name, ()))
        later = [i for i in above if i > own[-1]]
        was_put_to_sleep = calls[own[-1]].call == "eval()" and calls[own[-1]].direct
        if was_put_to_sleep and later and calls[later[-1]].call == "train()":
            yield calls[own[-1]], next(calls[i] for i in later if calls[i].call == "train()")


def _comes_back(requires_grad: tuple[bool, ...]) -> bool:
    return False in requires_grad and True in requires_grad[requires_grad.index(False) :]


def _listed(layers: list[Module]) -> str:
    more = f" and {len(layers) - 1} more" if len(layers) > 1 else ""
    return f"{layers[0].name} ({layers[0].kind}){more}"


def fails_when_the_model_is_put_into_training_mode_after_its_frozen_part(_: Watch) -> None:
    import torch

    backbone = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.BatchNorm1d(4))
    model = torch.nn.Sequential(backbone.requires_grad_(False), torch.nn.Linear(4, 2))
    optimizer = torch.optim.SGD(model[1].parameters(), lr=0.1)
    backbone.eval()
    for _epoch in range(2):
        model.train()
        optimizer.zero_grad()
        model(torch.randn(8, 4)).sum().backward()
        optimizer.step()


def fails_when_a_declared_frozen_parameter_requires_gradients_again(watch: Watch) -> None:
    import torch

    from stepscope.evidence.intent import Intent

    watch.saw(Intent(frozen=("0",)))
    model = torch.nn.Sequential(torch.nn.Linear(4, 4).requires_grad_(False), torch.nn.Linear(4, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _step in range(2):
        optimizer.zero_grad()
        model(torch.randn(8, 4)).sum().backward()
        optimizer.step()
        model.requires_grad_()


def passes_when_the_frozen_part_is_put_back_after_every_train(_: Watch) -> None:
    import torch

    backbone = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.BatchNorm1d(4))
    model = torch.nn.Sequential(backbone.requires_grad_(False), torch.nn.Linear(4, 2))
    optimizer = torch.optim.SGD(model[1].parameters(), lr=0.1)
    for _epoch in range(2):
        model.train()
        backbone.eval()
        optimizer.zero_grad()
        model(torch.randn(8, 4)).sum().backward()
        optimizer.step()


def passes_when_a_library_had_put_it_into_evaluation_mode(watch: Watch) -> None:
    import torch

    from stepscope.core import Place
    from stepscope.evidence.modules import ModeCall, Module, Modules

    backbone = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Dropout(0.1))
    model = torch.nn.Sequential(backbone.requires_grad_(False), torch.nn.Linear(4, 2))
    optimizer = torch.optim.SGD(model[1].parameters(), lr=0.1)
    model(torch.randn(8, 4)).sum().backward()
    optimizer.step()
    watch.saw(
        Modules(
            modules=(Module(name="0.1", kind="Dropout", training=(True,), drop=0.1),),
            mode_calls=(
                ModeCall(module="0", call="eval()", at=Place(file="load.py", line=3), direct=False),
                ModeCall(module="", call="train()", at=Place(file="train.py", line=9)),
            ),
        )
    )


def passes_when_the_mode_makes_no_difference(_: Watch) -> None:
    import torch

    backbone = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.LayerNorm(4))
    model = torch.nn.Sequential(backbone.requires_grad_(False), torch.nn.Linear(4, 2))
    optimizer = torch.optim.SGD(model[1].parameters(), lr=0.1)
    backbone.eval()
    for _epoch in range(2):
        model.train()
        optimizer.zero_grad()
        model(torch.randn(8, 4)).sum().backward()
        optimizer.step()


def passes_when_the_part_is_a_teacher_that_follows(_: Watch) -> None:
    import torch

    student = torch.nn.Sequential(torch.nn.Linear(4, 2), torch.nn.Dropout(0.1))
    teacher = torch.nn.Sequential(torch.nn.Linear(4, 2), torch.nn.Dropout(0.1))
    model = torch.nn.ModuleList([student, teacher.requires_grad_(False).eval()])
    optimizer = torch.optim.SGD(student.parameters(), lr=0.1)
    model.train()
    for _step in range(2):
        optimizer.zero_grad()
        (student(torch.ones(3, 4)) - teacher(torch.ones(3, 4))).square().sum().backward()
        optimizer.step()
        with torch.no_grad():
            for slow, fast in zip(teacher.parameters(), student.parameters(), strict=True):
                slow.lerp_(fast, 0.1)


def passes_when_a_part_is_unfrozen_step_by_step(_: Watch) -> None:
    import torch

    backbone = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.BatchNorm1d(4))
    model = torch.nn.Sequential(backbone.requires_grad_(False).eval(), torch.nn.Linear(4, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _epoch in range(2):
        optimizer.zero_grad()
        model(torch.randn(8, 4)).sum().backward()
        optimizer.step()
        backbone.requires_grad_()
        model.train()


def fails_when_train_undoes_the_freeze_in_a_later_epoch(_: Watch) -> None:
    import torch

    backbone = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.BatchNorm1d(4))
    model = torch.nn.Sequential(backbone.requires_grad_(False), torch.nn.Linear(4, 2))
    optimizer = torch.optim.SGD(model[1].parameters(), lr=0.1)
    for module in backbone.modules():
        module.training = False  # as a library does that builds its models so
    for epoch in range(4):
        if epoch == 3:  # noqa: PLR2004 - far from the beginning
            model.train()
        optimizer.zero_grad()
        model(torch.randn(8, 4)).sum().backward()
        optimizer.step()


def fails_with_an_error_when_a_declared_part_is_thawed_between_two_looks(watch: Watch) -> None:
    from stepscope.core import Place
    from stepscope.evidence.course.thaws import Thawed, Thaws
    from stepscope.evidence.intent import Intent

    thawed = Thawed(
        parameters=("backbone.weight",), since=1200, until=1230, at=Place(file="train.py", line=40)
    )
    watch.saw(Intent(frozen=("backbone",)), Thaws(seen=((1230, thawed),), count=1))


def passes_when_an_undeclared_part_is_thawed(watch: Watch) -> None:
    from stepscope.evidence.course.thaws import Thawed, Thaws

    thawed = Thawed(parameters=("backbone.weight",), since=1200, until=1230)
    watch.saw(Thaws(seen=((1230, thawed),), count=1))


def passes_when_the_layers_that_are_put_back_belong_to_a_teacher(watch: Watch) -> None:
    from stepscope.evidence.course.followers import Followed, Followers
    from stepscope.evidence.course.frozen_curves import FrozenCurves
    from stepscope.evidence.course.mode_turns import ModeTurned, ModeTurns
    from stepscope.evidence.course.series import Series

    turned = ModeTurned(modules=("teacher.1",), since=90, until=100)
    followed = Followed(parameters=("teacher.0.weight",), until=2)
    watch.saw(
        FrozenCurves(series={"parameters": Series((0, 1), (2.0, 2.0))}),
        ModeTurns(seen=((100, turned),), count=1),
        Followers(seen=((2, followed),), count=1),
    )


def skips_when_nothing_is_trained(_: Watch) -> None:
    pass
