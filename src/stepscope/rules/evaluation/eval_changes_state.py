"""A forward of an evaluation changes the model that is evaluated.

## What it proves
Between the first and the second forward of one evaluation, bits of parameters that an optimizer
trains changed, or of running statistics.

## Why it matters
Training goes on from another model than the one it had reached, and the score belongs to neither.
BatchNorm that is evaluated in training mode writes the evaluation data into its statistics: the
score is wrong, and the model has seen the data that was held out.

## What to do
Put the model into evaluation mode before it is evaluated. Where statistics are meant to be
estimated anew on this data, ignore this rule and say so.

## Limits
Weights that are swapped in before an evaluation and back after it are left alone, and so are not
found where they are not swapped back. Other buffers are not compared: banks, caches and counters
may change. Statistics that `DistributedDataParallel` hands out at each forward are not compared
either. An evaluation of one batch is not judged, nor is one with gradients enabled.
Evaluations are compared as long as the time that it takes stays below 0.3 % of the run; the first
one always is.

## Sources
- https://docs.pytorch.org/docs/stable/generated/torch.nn.BatchNorm2d.html (running statistics)
- https://docs.pytorch.org/docs/stable/optim.html#weight-averaging-swa-and-ema
"""

from collections.abc import Callable
from typing import Any

from stepscope.core import Finding, Findings, Severity, Watch, rule
from stepscope.evidence.course.evaluation_changes import EvaluationChanges


@rule("EVL002", Severity.WARNING)
def eval_changes_state(changes: EvaluationChanges) -> Findings:
    said: set[str] = set()
    for _, each in changes.seen:
        for count, first, what in (
            (each.parameters, each.first_parameter, "trained parameters"),
            (each.statistics, each.first_statistics, "running statistics"),
        ):
            if count and what not in said:
                said.add(what)
                yield Finding(
                    subject=what,
                    message="are changed by a forward of an evaluation",
                    measured=(
                        f"{count} of {each.compared} tensors differ in their bits from one forward"
                        f" to the next, the first {first}; evaluation after step {each.evaluated}"
                    ),
                    expected="the same bits throughout an evaluation",
                    at=each.at,
                )


def fails_when_a_validation_in_training_mode_moves_the_statistics(_: Watch) -> None:
    import torch

    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.BatchNorm1d(4))
    _train_and_evaluate(model, before=lambda: None, after=lambda: None)


def fails_when_a_forward_writes_into_a_weight(_: Watch) -> None:
    import torch

    class Renormalised(torch.nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if not self.training:
                self.weight.div_(self.weight.norm() + 1)
            return super().forward(x)

    model = torch.nn.Sequential(Renormalised(4, 4))
    _train_and_evaluate(model, before=model.eval, after=model.train)


def passes_when_the_model_is_in_evaluation_mode(_: Watch) -> None:
    import torch

    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.BatchNorm1d(4))
    _train_and_evaluate(model, before=model.eval, after=model.train)


def passes_when_averaged_weights_are_swapped_in_and_out(_: Watch) -> None:
    import torch

    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.BatchNorm1d(4))
    kept = {key: torch.empty_like(value) for key, value in model.state_dict().items()}

    def swap() -> None:
        model.eval()
        for key, value in model.state_dict().items():
            kept[key].copy_(value)
            value.copy_(value / 2)

    def swap_back() -> None:
        model.load_state_dict(kept)
        model.train()

    _train_and_evaluate(model, before=swap, after=swap_back)


def skips_when_an_evaluation_has_one_batch(_: Watch) -> None:
    import torch

    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.BatchNorm1d(4))
    _train_and_evaluate(model, before=lambda: None, after=lambda: None, batches=1)


def _train_and_evaluate(
    model: Any, *, before: Callable[[], object], after: Callable[[], object], batches: int = 2
) -> None:
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    train = DataLoader(TensorDataset(torch.randn(6, 4)), batch_size=3)
    valid = DataLoader(TensorDataset(torch.randn(3 * batches, 4)), batch_size=3)
    for _epoch in range(2):
        for (batch,) in train:
            optimizer.zero_grad()
            model(batch).square().mean().backward()
            optimizer.step()
        before()
        with torch.no_grad():
            for (batch,) in valid:
                model(batch)
        after()
