"""The model is evaluated in training mode, or trained in evaluation mode.

## What it proves
Evaluated in training mode: a module that is trained ran without gradients, in training mode, on a
batch from a DataLoader that serves no training step, and layers below it that depend on the mode
were in training mode. Trained in evaluation mode: an outermost module ran in evaluation mode in
every recorded step, together with all its layers that depend on the mode, while parameters beside
or in these layers are trained. Over a whole run: a module that was trained in training mode was,
with all its layers that depend on the mode, in evaluation mode at the first step after an
evaluation, or at two looks on end.

## Why it matters
In training mode dropout disturbs the prediction and BatchNorm normalises by the evaluation batch,
then writes it into its running statistics: the score is wrong and the model has seen the test
data. In evaluation mode dropout never acts and statistics never adapt, so that the regulariser
that was configured does not exist.

## What to do
Call `model.eval()` before every evaluation and `model.train()` after it. Models that a library
loads from pretrained weights often come in evaluation mode: call `train()` once before training.

## Limits
Passes on batches of the training loaders (pseudo-labels, generated samples, memory banks) are
left alone, as are passes whose batches come from no DataLoader. A module of which only some
layers are in the other mode was set so on purpose: Monte Carlo dropout, frozen BatchNorm. A
module whose mode-dependent layers belong to frozen parts may be in evaluation mode. Over a whole
run only modules that hold others are judged, and modes are looked at in sampled steps: a module
that is put to sleep for one step is left alone.

## Sources
- https://docs.pytorch.org/docs/stable/notes/autograd.html#evaluation-mode-nn-module-eval
"""

from collections.abc import Iterator

from stepscope.core import Finding, Findings, Place, Related, Severity, Watch, rule
from stepscope.evidence.course.evaluations import Evaluations
from stepscope.evidence.course.modes import ModesOverTime, StayedInEvaluation
from stepscope.evidence.environment import Beginning, Run
from stepscope.evidence.modules import EvaluationPasses, ModeCall, Module, Modules
from stepscope.evidence.parameters import Parameters, ancestors, is_below


@rule("EVL001", Severity.WARNING)
def eval_in_train_mode(
    modules: Modules,
    parameters: Parameters,
    passes: EvaluationPasses | None,
    evaluations: Evaluations | None,
    sleepers: ModesOverTime | None,
    beginning: Beginning | None,
    run: Run,
) -> Findings:
    yield from _evaluated_awake(passes, evaluations)
    fallen: dict[str, Finding] = {}
    for step, sleeper in sleepers.seen if sleepers is not None else ():
        fallen.setdefault(sleeper.module, _fell_asleep(step, sleeper))
    yield from fallen.values()
    # Of a look into the middle of a run: what was asleep from the start was said at the start.
    if beginning is not None and run.steps == max(len(each.training) for each in modules.modules):
        for module in _outermost(modules):
            if module.name not in fallen:
                yield from _asleep_throughout(module, modules, parameters)


def _evaluated_awake(
    passes: EvaluationPasses | None, evaluations: Evaluations | None
) -> Iterator[Finding]:
    found: dict[str, Finding] = {}
    for each in passes.passes if passes is not None else ():
        if each.training and each.sensitive and each.other_loader:
            layers, first = len(each.sensitive), each.sensitive[0]
            found.setdefault(each.module, _evaluated(each.module, layers, first, each.at))
    for _, seen in evaluations.seen if evaluations is not None else ():
        if seen.training and seen.sensitive and seen.other_data and seen.trained:
            layers, first = seen.sensitive, seen.first_sensitive
            found.setdefault(seen.module, _evaluated(seen.module, layers, first, seen.at))
    yield from found.values()


def _evaluated(module: str, layers: int, first: str, at: Place) -> Finding:
    return Finding(
        subject=module or "the model",
        message="is evaluated in training mode",
        measured=(
            f"layers in training mode that depend on it: {layers}, the first {first};"
            " batches of no training loader"
        ),
        expected="eval() before an evaluation",
        at=_where(module or first, at),
    )


def _fell_asleep(step: int, seen: StayedInEvaluation) -> Finding:
    when = "the first after an evaluation" if seen.after_evaluation else f"and still at step {step}"
    return Finding(
        subject=seen.module or f"the model ({seen.kind})",
        message="is trained in evaluation mode",
        measured=(
            f"layers that depend on the mode: {seen.layers} ({', '.join(seen.kinds)}), in training"
            f" mode at earlier steps, in evaluation mode at step {seen.since}, {when}"
        ),
        expected="train() before training",
        at=_where(seen.module, seen.at),
        related=(Related("put into evaluation mode", seen.at),) if seen.at.file else (),
    )


def _asleep_throughout(
    module: Module, modules: Modules, parameters: Parameters
) -> Iterator[Finding]:
    layers = [each for each in modules.below(module.name) if each.sensitive and _ran(each)]
    regularised = [each for each in layers if _is_of_trained_part(each, parameters)]
    if _trains(module) or any(map(_trains, layers)) or not regularised:
        return
    call = _put_to_sleep(module, modules.mode_calls)
    kinds = ", ".join(sorted({layer.kind for layer in layers}))
    yield Finding(
        subject=module.name or f"the model ({module.kind})",
        message="is trained in evaluation mode",
        measured=(
            f"layers that depend on the mode: {len(layers)} ({kinds}),"
            f" in training mode at none of {len(module.training)} steps"
        ),
        expected="train() before training",
        at=_where(module.name or regularised[0].name, Place() if call is None else call.at),
        related=() if call is None else (Related("put into evaluation mode", call.at),),
    )


def _where(module: str, at: Place) -> Place:
    return Place(module=module, file=at.file, line=at.line, function=at.function)


def _outermost(modules: Modules) -> Iterator[Module]:
    """Yield the modules that ran, and that no other running module holds."""
    ran = {each.name: each for each in modules.modules if _ran(each)}
    for name, module in ran.items():
        if not any(above in ran for above in ancestors(name)):
            yield module


def _ran(module: Module) -> bool:
    return any(mode is not None for mode in module.training)


def _trains(module: Module) -> bool:
    return True in module.training


def _is_of_trained_part(layer: Module, parameters: Parameters) -> bool:
    around = (parameters.below(name) for name in (layer.name, *ancestors(layer.name)))
    found = next((each for each in around if each), ())
    return any(each.trainable and each.ever_changed for each in found)


def _put_to_sleep(module: Module, calls: tuple[ModeCall, ...]) -> ModeCall | None:
    reaching = [c for c in calls if is_below(module.name, c.module) and c.call == "eval()"]
    return reaching[-1] if reaching else None


def fails_when_the_validation_forgets_eval(_: Watch) -> None:
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Dropout(0.1), torch.nn.Linear(4, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    train = DataLoader(TensorDataset(torch.ones(6, 4)), batch_size=3)
    valid = DataLoader(TensorDataset(torch.ones(6, 4)), batch_size=3)
    for _epoch in range(2):
        for (batch,) in train:
            optimizer.zero_grad()
            model(batch).sum().backward()
            optimizer.step()
        with torch.no_grad():
            for (batch,) in valid:
                model(batch)


def fails_when_nobody_calls_train_after_loading(_: Watch) -> None:
    import torch

    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Dropout(0.1), torch.nn.Linear(4, 2))
    model.eval()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _step in range(2):
        optimizer.zero_grad()
        model(torch.ones(3, 4)).sum().backward()
        optimizer.step()


def fails_when_a_validation_leaves_evaluation_mode_on(_: Watch) -> None:
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Dropout(0.1), torch.nn.Linear(4, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    train = DataLoader(TensorDataset(torch.ones(3, 4)), batch_size=3)
    valid = DataLoader(TensorDataset(torch.ones(6, 4)), batch_size=3)
    for _epoch in range(2):
        for (batch,) in train:
            optimizer.zero_grad()
            model(batch).sum().backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            for (batch,) in valid:
                model(batch)


def _sleeping(asleep_at: tuple[int, ...]) -> None:
    import torch

    head = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.BatchNorm1d(4))
    model = torch.nn.Sequential(torch.nn.Linear(4, 4), head)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for step in range(5):
        head.train(step not in asleep_at)
        optimizer.zero_grad()
        model(torch.randn(3, 4)).square().mean().backward()
        optimizer.step()


def fails_when_a_head_is_put_to_sleep_for_two_steps(_: Watch) -> None:
    _sleeping((2, 3))


def passes_when_a_head_is_put_to_sleep_for_one_step(_: Watch) -> None:
    _sleeping((2,))


def passes_when_each_mode_is_set(_: Watch) -> None:
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Dropout(0.1), torch.nn.Linear(4, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    train = DataLoader(TensorDataset(torch.ones(6, 4)), batch_size=3)
    valid = DataLoader(TensorDataset(torch.ones(6, 4)), batch_size=3)
    for _epoch in range(2):
        model.train()
        for (batch,) in train:
            optimizer.zero_grad()
            model(batch).sum().backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            for (batch,) in valid:
                model(batch)


def passes_when_pseudo_labels_come_from_a_training_batch(_: Watch) -> None:
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Dropout(0.1), torch.nn.Linear(4, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    labelled = DataLoader(TensorDataset(torch.ones(6, 4)), batch_size=3)
    unlabelled = DataLoader(TensorDataset(torch.ones(6, 4)), batch_size=3)
    for (known,), (unknown,) in zip(labelled, unlabelled, strict=True):
        with torch.no_grad():
            target = model(unknown)
        optimizer.zero_grad()
        (model(known).sum() + (model(unknown) - target).square().sum()).backward()
        optimizer.step()


def passes_when_a_rollout_has_no_loader(_: Watch) -> None:
    import torch

    policy = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Dropout(0.1))
    optimizer = torch.optim.SGD(policy.parameters(), lr=0.1)
    for _step in range(2):
        with torch.no_grad():
            policy(torch.ones(3, 4))
        optimizer.zero_grad()
        policy(torch.ones(3, 4)).sum().backward()
        optimizer.step()


def passes_when_only_dropout_is_active_in_an_evaluation(_: Watch) -> None:
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Dropout(0.1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    train = DataLoader(TensorDataset(torch.ones(6, 4)), batch_size=3)
    valid = DataLoader(TensorDataset(torch.ones(6, 4)), batch_size=3)
    for (batch,) in train:
        optimizer.zero_grad()
        model(batch).sum().backward()
        optimizer.step()
    model.eval()
    model[1].train()
    with torch.no_grad():
        for (batch,) in valid:
            model(batch)


def passes_when_batch_normalisation_alone_is_in_evaluation_mode(_: Watch) -> None:
    import torch

    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.BatchNorm1d(4), torch.nn.ReLU())
    model[1].eval()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _step in range(2):
        optimizer.zero_grad()
        model(torch.randn(3, 4)).sum().backward()
        optimizer.step()


def passes_when_what_depends_on_the_mode_is_frozen(_: Watch) -> None:
    import torch

    encoder = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.BatchNorm1d(4))
    model = torch.nn.Sequential(encoder.requires_grad_(False), torch.nn.Linear(4, 2)).eval()
    optimizer = torch.optim.SGD(model[1].parameters(), lr=0.1)
    for _step in range(2):
        optimizer.zero_grad()
        model(torch.randn(3, 4)).sum().backward()
        optimizer.step()
