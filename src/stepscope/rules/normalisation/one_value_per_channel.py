"""A normalisation layer computes a statistic from a single value.

## What it proves
In a recorded step the input of the layer held exactly one value for each mean and variance that
the layer computes from its input. Where the layer raised, the finding says so.

## Why it matters
The mean of one value is the value itself: what the layer puts out is its bias, whatever came in,
and no gradient passes back. BatchNorm and InstanceNorm therefore raise in training mode; an
`except` around them turns that into a loss that is silently missing. GroupNorm and LayerNorm say
nothing.

## What to do
Feed BatchNorm more than one row (`drop_last=True`, a larger batch), or take a layer whose
statistics do not depend on the batch. Give GroupNorm fewer groups than channels where the spatial
size is 1.

## Limits
BatchNorm and InstanceNorm with running statistics, in evaluation mode, compute none. Two values
are degenerate too (every output is plus or minus one), yet they pass a gradient, and are left
alone.

## Sources
- https://docs.pytorch.org/docs/stable/generated/torch.nn.BatchNorm1d.html
- https://github.com/pytorch/pytorch/issues/4534
"""

from stepscope.core import Finding, Findings, Place, Severity, Watch, rule
from stepscope.evidence.normalisation import NormalisationCall, NormalisationCalls
from stepscope.evidence.subtrees import subtrees


@rule("NRM001", Severity.ERROR)
def one_value_per_channel(calls: NormalisationCalls) -> Findings:
    single = {call.module: call for call in calls.calls if call.fewest_values == 1}
    for has_raised in (True, False):
        names = [name for name, call in single.items() if call.raised is has_raised]
        for tree in subtrees(names, (call.module for call in calls.calls)):
            call = single[tree.members[0]]
            more = f" and {len(tree.members) - 1} more" if len(tree.members) > 1 else ""
            yield Finding(
                subject=f"{call.module or 'the model'} ({call.kind}){more}",
                message=_message(call),
                measured=f"1 value for each statistic in its smallest call; calls: {call.calls}",
                expected="at least 2 values for each statistic",
                at=Place(
                    module=call.module,
                    file=call.at.file,
                    line=call.at.line,
                    function=call.at.function,
                ),
            )


def _message(call: NormalisationCall) -> str:
    if call.raised:
        return "was given one value for each statistic, and raised"
    return "normalises over one value, so that its output does not depend on its input"


def fails_when_batch_normalisation_raises_on_one_row(_: Watch) -> None:
    import contextlib

    import torch

    head = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.BatchNorm1d(4))
    model = torch.nn.ModuleDict({"body": torch.nn.Linear(4, 4), "head": head})
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _step in range(2):
        optimizer.zero_grad()
        features = model["body"](torch.ones(1, 4))
        loss = features.sum()
        with contextlib.suppress(ValueError):
            loss = loss + model["head"](features).sum()
        loss.backward()
        optimizer.step()


def fails_when_groups_hold_one_channel_without_extent(_: Watch) -> None:
    import torch

    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1), torch.nn.GroupNorm(4, 4))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(torch.ones(2, 3, 1, 1)).sum().backward()
    optimizer.step()


def passes_when_a_batch_has_two_rows(_: Watch) -> None:
    import torch

    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.BatchNorm1d(4))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(torch.randn(2, 4)).sum().backward()
    optimizer.step()


def passes_when_groups_hold_two_channels(_: Watch) -> None:
    import torch

    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1), torch.nn.GroupNorm(2, 4))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(torch.ones(2, 3, 1, 1)).sum().backward()
    optimizer.step()


def passes_when_the_layer_uses_its_running_statistics(_: Watch) -> None:
    import torch

    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.BatchNorm1d(4), torch.nn.ReLU())
    model[1].eval()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(torch.randn(1, 4)).sum().backward()
    optimizer.step()


def skips_when_the_model_has_no_normalisation_layer(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(torch.ones(1, 4)).sum().backward()
    optimizer.step()
