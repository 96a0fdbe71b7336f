"""The running statistics of a normalisation layer are of no use to evaluation.

## What it proves
Either a running mean or variance is nan, inf or below 0 (an error). Or, at four looks in the first
steps of the run, the layer had every mean 0 and every variance 1, as it is made (a warning): it ran
in evaluation mode all the time, so that it normalises nothing; or it ran in training mode and did
not average, as its momentum is 0.

## Why it matters
Evaluation mode normalises by these numbers. With nan or inf every prediction is nan, while
training, which uses the batch, goes on with a falling loss. With 0 and 1 the layer only scales and
shifts: a `norm_eval=True` that was made for pretrained weights does this to a model that begins
from scratch.

## What to do
Look for the batch with values that are not finite, and leave it out; reset the statistics
(`reset_running_stats()`) and average again. Let a layer that begins from scratch run in training
mode, with a momentum between 0 and 1, or None for the plain mean.

## Limits
A layer of which the mode or the statistics changed between the first looks is healthy, and so is
one that no recorded step called, or that is frozen: where a frozen part is as it was made, its
weights are missing too (CKP001, CKP004). Layers that lie unused until later in the run are not
judged.

## Sources
- https://docs.pytorch.org/docs/stable/generated/torch.nn.BatchNorm2d.html: `momentum`, and the
  statistics that a layer is made with
- https://github.com/open-mmlab/mmdetection/blob/main/mmdet/models/backbones/resnet.py: `norm_eval`
"""

from collections.abc import Iterator

from stepscope.core import Finding, Findings, Place, Severity, Watch, rule
from stepscope.evidence.course.running_statistics import BrokenStatistics
from stepscope.evidence.course.statistics_looks import StatisticsLooks
from stepscope.evidence.course.unlearnt_statistics import StatisticsUnlearnt, UnlearntStatistics
from stepscope.evidence.modules import Modules
from stepscope.evidence.parameters import Parameters
from stepscope.evidence.subtrees import Subtree, subtrees


@rule("NRM002", Severity.ERROR)
def unusable_running_stats(
    looks: StatisticsLooks,
    broken: BrokenStatistics | None,
    unlearnt: UnlearntStatistics | None,
    modules: Modules | None,
    parameters: Parameters | None,
) -> Findings:
    layers = max(int(count) for _, count in looks.series["layers"])
    for _, each in broken.seen if broken is not None else ():
        for tree in subtrees(each.layers, each.layers):
            yield Finding(
                subject=_subject(tree),
                message="has running statistics that are not finite, or a variance below 0",
                measured=f"{len(tree.members)} of {layers} layers, seen at step {each.until}",
                expected="finite means, and variances of 0 or more",
                at=Place(module=tree.name),
            )
    called = {each.name for each in modules.modules if each.calls} if modules is not None else set()
    used = {name for name in called if parameters is not None and _is_trained(name, parameters)}
    for _, made in unlearnt.seen if unlearnt is not None else ():
        if not made.is_training or made.momentum == 0:
            yield from _unlearnt(made, used)


def _is_trained(layer: str, parameters: Parameters) -> bool:
    """Tell whether what belongs to a layer, or stands around one without parameters, moves."""
    own = parameters.below(layer) or parameters.below(layer.rpartition(".")[0])
    return any(each.trainable and each.ever_changed for each in own)


def _unlearnt(made: StatisticsUnlearnt, used: set[str]) -> Iterator[Finding]:
    for tree in subtrees([name for name in made.layers if name in used], made.layers):
        yield Finding(
            subject=_subject(tree),
            message="runs with a momentum of 0, and never averages the statistics for evaluation"
            if made.is_training
            else "runs in evaluation mode with the statistics that a layer is made with",
            measured=f"every mean 0 and every variance 1 until step {made.until};"
            f" layers: {len(tree.members)}",
            expected="statistics of the data",
            at=Place(module=tree.name),
            severity=Severity.WARNING,
        )


def _subject(tree: Subtree) -> str:
    more = f" and {len(tree.members) - 1} more" if len(tree.members) > 1 else ""
    return f"{tree.members[0]}{more}"


def _train(norm: object, *, steps: int = 11, poison: float = 0.0) -> None:
    import torch

    assert isinstance(norm, torch.nn.Module)
    model = torch.nn.Sequential(torch.nn.Linear(4, 4), norm, torch.nn.Linear(4, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for step in range(steps):
        optimizer.zero_grad()
        x = torch.randn(8, 4)
        if step == 1:
            x = x + poison
        model(x).square().mean().backward()
        if x.isfinite().all():
            optimizer.step()


def fails_with_an_error_when_one_batch_was_infinite(_: Watch) -> None:
    import torch

    _train(torch.nn.BatchNorm1d(4), poison=float("inf"))


def passes_when_one_batch_was_large(_: Watch) -> None:
    import torch

    _train(torch.nn.BatchNorm1d(4), poison=1e4)


def fails_with_a_warning_when_a_new_layer_runs_in_evaluation_mode(_: Watch) -> None:
    import torch

    _train(torch.nn.BatchNorm1d(4).eval())


def passes_when_a_new_layer_has_run_so_for_three_looks(_: Watch) -> None:
    import torch

    _train(torch.nn.BatchNorm1d(4).eval(), steps=10)


def passes_when_a_layer_with_learnt_statistics_runs_in_evaluation_mode(_: Watch) -> None:
    import torch

    norm = torch.nn.BatchNorm1d(4)
    norm(torch.randn(8, 4))
    _train(norm.eval())


def passes_when_the_layer_is_frozen_as_it_was_made(_: Watch) -> None:
    import torch

    _train(torch.nn.BatchNorm1d(4).eval().requires_grad_(False))


def fails_with_a_warning_when_the_momentum_is_zero(_: Watch) -> None:
    import torch

    _train(torch.nn.BatchNorm1d(4, momentum=0.0))


def passes_when_the_momentum_is_small(_: Watch) -> None:
    import torch

    _train(torch.nn.BatchNorm1d(4, momentum=1e-6))


def skips_without_running_statistics(_: Watch) -> None:
    import torch

    _train(torch.nn.LayerNorm(4))
