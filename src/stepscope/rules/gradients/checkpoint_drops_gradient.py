"""Re-entrant activation checkpointing over inputs without gradient gives its block no gradient.

## What it proves
`torch.utils.checkpoint` with `use_reentrant=True` ran a block although none of its inputs required
a gradient, its result entered a loss, and no backward of the recorded steps reached the trainable
parameters that were used inside.

## Why it matters
The re-entrant form builds a graph only if an input requires a gradient. Otherwise the whole block
is a constant: its parameters keep their initial values. torch prints one warning, once.

## What to do
Pass `use_reentrant=False`. Where a library chooses (`gradient_checkpointing_kwargs` in
transformers), set it there, or call `enable_input_require_grads()`.

## Limits
Blocks that get a gradient by another path are left alone; so is the other form of checkpointing.

## Sources
- https://docs.pytorch.org/docs/stable/checkpoint.html
"""

from stepscope.core import Finding, Findings, Place, Severity, Watch, rule
from stepscope.evidence.gradient_paths import GradientPaths
from stepscope.evidence.parameters import Parameters
from stepscope.evidence.subtrees import subtrees


@rule("GRD010", Severity.ERROR)
def checkpoint_drops_gradient(paths: GradientPaths, parameters: Parameters) -> Findings:
    everything = tuple(each.name for each in parameters.parameters)
    for block in paths.checkpointed:
        for tree in subtrees(block.parameters, everything):
            yield Finding(
                subject=tree.subject,
                message=(
                    "gets no gradient: it runs inside a re-entrant checkpoint that no input with"
                    " a gradient enters"
                ),
                measured=f"{len(tree.members)} trainable parameters used inside, 0 reached",
                expected="use_reentrant=False, or an input that requires a gradient",
                at=Place(
                    parameter=tree.members[0],
                    module=block.module,
                    file=block.at.file,
                    line=block.at.line,
                    function=block.at.function,
                ),
            )


def _train(*, reentrant: bool, first: bool) -> None:
    import warnings

    import torch
    from torch.utils.checkpoint import checkpoint

    stem, block, head = (torch.nn.Linear(4, 4) for _ in range(3))
    model = torch.nn.ModuleList([block, head, *([stem] if first else [])])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _step in range(2):
        x = torch.randn(3, 4)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's own, once
            hidden = checkpoint(block, stem(x) if first else x, use_reentrant=reentrant)
        optimizer.zero_grad()
        head(hidden).sum().backward()
        optimizer.step()


def fails_when_the_first_block_is_checkpointed_re_entrantly(_: Watch) -> None:
    _train(reentrant=True, first=False)


def passes_with_the_other_form(_: Watch) -> None:
    _train(reentrant=False, first=False)


def passes_when_a_trained_layer_comes_before(_: Watch) -> None:
    _train(reentrant=True, first=True)


def passes_when_the_block_gets_a_gradient_by_another_path(_: Watch) -> None:
    import warnings

    import torch
    from torch.utils.checkpoint import checkpoint

    block = torch.nn.Linear(4, 4)
    optimizer = torch.optim.SGD(block.parameters(), lr=0.1)
    for _step in range(2):
        x = torch.randn(3, 4)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's own, once
            hidden = checkpoint(block, x, use_reentrant=True)
        optimizer.zero_grad()
        (hidden + block(x)).sum().backward()
        optimizer.step()
