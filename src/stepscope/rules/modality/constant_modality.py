"""A declared modality is the same in every sample.

## What it proves
In all recorded steps the input that the intent declares as a modality was one number everywhere
(an error), or the same sample every time, bit for bit (a warning), while another input of the model
differed from sample to sample.

## Why it matters
The model trains on what the other modalities say and on one constant. A loader that cannot find the
files of a modality, or that fills a missing channel, gives zeros without a word, and the loss falls
all the same.

## What to do
Look at the loader: which files it opens for this modality, and what it returns when one is missing.
Let it raise.

## Limits
Declared modalities only: a hidden state or a mask of zeros is healthy. Fewer than four samples are
not judged, nor is a run in which no input differs, as where one batch is learnt by heart. A
modality that is left out for some samples on purpose differs between samples.

## Sources
- Four samples: of a modality left out for half of them at random, all four are once in 16 times;
  the 24 of three batches of eight, once in 10^7.
"""

from fnmatch import fnmatchcase

from stepscope.core import Finding, Findings, NotJudged, Place, Severity, Watch, rule
from stepscope.evidence.input_spreads import InputSpread, InputSpreads
from stepscope.evidence.intent import Intent


@rule("MOD002", Severity.ERROR)
def constant_modality(spreads: InputSpreads, intent: Intent, *, fewest: int = 4) -> Findings:
    declared = [
        each
        for each in spreads.inputs
        if any(fnmatchcase(each.name, pattern) for pattern in intent.modalities)
    ]
    if not declared:
        raise NotJudged("no declared modality among the floating-point inputs of the model")
    if max(each.samples for each in declared) < fewest:
        raise NotJudged(f"fewer than {fewest} samples of a declared modality")
    if all(each.is_one_sample for each in spreads.inputs):
        raise NotJudged("no input differs from sample to sample")
    for each in declared:
        if each.samples >= fewest and each.is_one_sample:
            yield _finding(each)


def _finding(spread: InputSpread) -> Finding:
    return Finding(
        subject=f"input {spread.name!r}",
        message="is one number in every sample"
        if spread.is_one_number
        else "is the same in every sample",
        measured=f"{spread.samples} samples of shape {spread.shape[1:]}"
        + (f", {spread.number:g} everywhere" if spread.is_one_number else ", equal bit for bit"),
        expected="samples that differ",
        at=Place(parameter=spread.name),
        severity=Severity.ERROR if spread.is_one_number else Severity.WARNING,
    )


def _train(thermal: str, *, batch: int = 2, steps: int = 2, rgb: bool = True) -> None:
    import torch

    class Fusion(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = torch.nn.Linear(6, 1)

        def forward(self, rgb: torch.Tensor, thermal: torch.Tensor) -> torch.Tensor:
            result: torch.Tensor = self.head(torch.cat([rgb, thermal], dim=1)).sum()
            return result

    same = torch.randn(1, 3).expand(batch, 3).clone()
    model = Fusion()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for step in range(steps):
        optimizer.zero_grad()
        infrared = {
            "zero": torch.zeros(batch, 3),
            "same": same,
            "last": same + (step == steps - 1) * torch.eye(batch, 3),
        }[thermal]
        model(torch.randn(batch, 3) if rgb else same, infrared).backward()
        optimizer.step()


def fails_with_an_error_when_all_is_zero(watch: Watch) -> None:
    watch.saw(Intent(modalities=("rgb", "thermal")))
    _train("zero")


def fails_with_a_warning_when_one_sample_comes_every_time(watch: Watch) -> None:
    watch.saw(Intent(modalities=("rgb", "thermal")))
    _train("same")


def passes_when_the_last_step_differs(watch: Watch) -> None:
    watch.saw(Intent(modalities=("rgb", "thermal")))
    _train("last")


def skips_when_there_are_three_samples(watch: Watch) -> None:
    watch.saw(Intent(modalities=("rgb", "thermal")))
    _train("zero", batch=3, steps=1)


def skips_when_no_input_differs(watch: Watch) -> None:
    watch.saw(Intent(modalities=("rgb", "thermal")))
    _train("same", rgb=False)


def skips_when_it_is_not_declared(watch: Watch) -> None:
    watch.saw(Intent(modalities=("depth",)))
    _train("zero")
