"""Batch normalisation takes its statistics from a handful of values.

## What it proves
In the recorded steps every call of the layer in training mode computed each mean and variance from
fewer than eight values: samples times positions, those of all processes where they are pooled.

## Why it matters
The error of a mean over n values is 1 / sqrt(n) of their spread, and a variance over a handful is
worse. Each sample is then normalised by what happens to lie beside it, and the running statistics
that evaluation uses differ from what training saw.

## What to do
A larger batch, statistics pooled over processes (`SyncBatchNorm`), or a normalisation that does not
look at the batch (`GroupNorm`, `LayerNorm`). Accumulating gradients does not help: each micro-batch
is normalised by itself.

## Limits
A warning. One call with eight values or more excuses the layer: a last, incomplete batch is normal.
One value is NRM001. Layers in evaluation mode, layer and group normalisation, and instance
normalisation, which is made for few values, are left alone.

## Sources
- Wu and He, "Group Normalization" (ECCV 2018), figure 1: the error of ResNet-50 rises with batches
  of fewer than 16 images for each device, and steeply below 8; fully connected layers have one
  value for each sample.
"""

from stepscope.core import Finding, Findings, NotJudged, Place, Severity, Watch, rule
from stepscope.evidence.normalisation import NormalisationCalls
from stepscope.evidence.subtrees import subtrees


@rule("NRM003", Severity.WARNING)
def small_batch_statistics(calls: NormalisationCalls, *, fewest: int = 8) -> Findings:
    layers = {
        call.module: call
        for call in calls.calls
        if "BatchNorm" in call.kind and call.training and call.most_values > 0
    }
    if not layers:
        raise NotJudged("needs batch normalisation in training mode")
    small = [name for name, call in layers.items() if 1 < call.most_values < fewest]
    for tree in subtrees(small, layers):
        call = layers[tree.members[0]]
        more = f" and {len(tree.members) - 1} more" if len(tree.members) > 1 else ""
        most = max(layers[name].most_values for name in tree.members)
        yield Finding(
            subject=f"{call.module or 'the model'} ({call.kind}){more}",
            message="computes its batch statistics from a handful of values",
            measured=f"at most {most} values for each statistic; calls: {call.calls}",
            expected=f"{fewest} values or more",
            at=Place(
                module=call.module,
                file=call.at.file,
                line=call.at.line,
                function=call.at.function,
            ),
        )


def _train(layer: object, *shapes: tuple[int, ...]) -> None:
    import torch

    assert isinstance(layer, torch.nn.Module)
    model = torch.nn.Sequential(layer)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    for shape in shapes:
        optimizer.zero_grad()
        model(torch.randn(shape)).square().sum().backward()
        optimizer.step()


def fails_when_a_batch_has_seven_rows(_: Watch) -> None:
    import torch

    _train(torch.nn.BatchNorm1d(4), (7, 4), (7, 4))


def passes_when_a_batch_has_eight_rows(_: Watch) -> None:
    import torch

    _train(torch.nn.BatchNorm1d(4), (8, 4), (8, 4))


def passes_when_the_last_batch_is_small(_: Watch) -> None:
    import torch

    _train(torch.nn.BatchNorm1d(4), (16, 4), (2, 4))


def passes_when_two_images_have_two_by_two_positions(_: Watch) -> None:
    import torch

    _train(torch.nn.BatchNorm2d(4), (2, 4, 2, 2))


def skips_when_groups_are_normalised(_: Watch) -> None:
    import torch

    _train(torch.nn.GroupNorm(2, 4), (2, 4), (2, 4))


def skips_when_the_layer_is_in_evaluation_mode(_: Watch) -> None:
    import torch

    _train(torch.nn.BatchNorm1d(4).eval(), (2, 4), (2, 4))
