"""A frozen part was put into evaluation mode, and `train()` on the model put it back.

## What it proves
The program called `eval()` on a part of the model whose parameters were all frozen, a later
`train()` on a module above it switched the part back, no later `eval()` followed, and layers of
the part whose behaviour depends on the mode then ran in training mode in a recorded step. Or: a
parameter that was declared frozen required no gradient at one recorded step and did at a later.

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
are unfrozen step by step are healthy unless they are declared frozen.

## Sources
- https://docs.pytorch.org/docs/stable/generated/torch.nn.Module.html#torch.nn.Module.train
- https://github.com/pytorch/pytorch/issues/66073
"""

from collections.abc import Iterator

from stepscope.core import Finding, Findings, Place, Related, Severity, Watch, rule
from stepscope.evidence.intent import Intent, matches
from stepscope.evidence.modules import ModeCall, Module, Modules
from stepscope.evidence.parameters import Parameters, ancestors
from stepscope.evidence.subtrees import subtrees


@rule("FRZ005", Severity.WARNING)
def freeze_undone(modules: Modules, parameters: Parameters, intent: Intent | None) -> Findings:
    declared = intent.frozen if intent is not None else ()
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
        if matches(each.name, declared) and _comes_back(each.requires_grad)
    ]
    for tree in subtrees(thawed, (each.name for each in parameters.parameters)):
        yield Finding(
            subject=tree.subject,
            message="is declared frozen, and required no gradient, but later does again",
            measured="requires_grad went from False to True between two recorded steps",
            expected="requires_grad=False at every step",
            at=tree.place,
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
