"""Weights were loaded, and an initialiser wrote over them before training began.

## What it proves
A tensor was matched by `load_state_dict`; afterwards an initialiser wrote all of it; and at the
first optimizer step it held exactly the initialiser's bits. Error where this is at least half of
the bytes that matched, else a note.

## Why it matters
The load is logged as a success, and the run trains from random weights. The usual cause is an
`init_weights()` or `model.apply(init)` that stands below the load.

## What to do
Initialise first and load last.

## Limits
A head, or the last blocks, that are reset on purpose after a load are less than half of what was
loaded: a note. Rows that are added to an embedding and initialised are not all of the tensor and
are left alone. Initialisers are the functions of `torch.nn.init` (which `reset_parameters` calls)
and the methods `normal_` and `uniform_`; values written in another way are not judged.

## Sources
- Half: "most of what was loaded", so that a reset on purpose is never an error.
- Zhang et al., "Revisiting Few-sample BERT Fine-tuning" (ICLR 2021), section 4: resets the last
  blocks on purpose.
"""

from stepscope.core import Finding, Findings, NotJudged, Place, Severity, Watch, rule
from stepscope.evidence.checkpoints import Checkpoints, Load

SHOWN = 3


@rule("CKP003", Severity.ERROR)
def loaded_then_reinitialised(checkpoints: Checkpoints, *, least_share: float = 0.5) -> Findings:
    if not checkpoints.loads:
        raise NotJudged("no load into a module was seen")
    for load in checkpoints.loads:
        if not load.reinitialised:
            continue
        share = load.reinitialised_bytes / load.matched_bytes
        names = ", ".join(load.reinitialised[:SHOWN])
        more = ", ..." if len(load.reinitialised) > SHOWN else ""
        yield Finding(
            subject=f"{load.module or 'the model'} "
            f"({len(load.reinitialised)} of {load.matched} loaded tensors)",
            message="an initialiser wrote over what had been loaded, before training began",
            measured=f"{share:.1%} of the loaded bytes: {names}{more}",
            expected="at the first step, the values that were loaded",
            at=load.reinitialised_at or load.at,
            severity=None if share >= least_share else Severity.NOTE,
        )


def fails_when_the_model_is_initialised_last(_: Watch) -> None:
    import torch

    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 2))
    model.load_state_dict({key: v + 1 for key, v in model.state_dict().items()})
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.02)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(torch.ones(3, 4)).sum().backward()
    optimizer.step()


def fails_when_the_data_is_drawn_anew(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 2, bias=False)
    model.load_state_dict({"weight": torch.ones(2, 4)})
    model.weight.data.normal_(0, 0.02)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(torch.ones(3, 4)).sum().backward()
    optimizer.step()


def fails_when_half_is_reset(watch: Watch) -> None:
    watch.saw(_loaded(reset=50))


def fails_with_a_note_when_less_than_half_is_reset(watch: Watch) -> None:
    watch.saw(_loaded(reset=49))


def passes_when_the_load_comes_last(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 2)
    torch.nn.init.kaiming_normal_(model.weight)
    model.load_state_dict({"weight": torch.ones(2, 4), "bias": torch.ones(2)})
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(torch.ones(3, 4)).sum().backward()
    optimizer.step()


def passes_when_rows_are_added_and_initialised(_: Watch) -> None:
    import torch

    model = torch.nn.Embedding(6, 2)
    model.load_state_dict({"weight": torch.ones(6, 2)})
    model.weight.data[4:].normal_()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(torch.tensor([1, 5])).sum().backward()
    optimizer.step()


def passes_when_values_are_written_in_another_way(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 2, bias=False)
    model.load_state_dict({"weight": torch.ones(2, 4)})
    with torch.no_grad():
        model.weight.copy_(torch.full((2, 4), 0.5))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(torch.ones(3, 4)).sum().backward()
    optimizer.step()


def skips_when_nothing_was_loaded(_: Watch) -> None:
    import torch

    torch.nn.Linear(4, 2)


def _loaded(*, reset: int) -> Checkpoints:
    load = Load(
        module="", path="stage1.pth", strict=True, in_file=2, matched=2, total=2,
        matched_bytes=100, total_bytes=100, missing=(), unexpected=(), mismatched=(),
        reinitialised=("head.weight",), reinitialised_bytes=reset,
        reinitialised_at=Place(file="train.py", line=31), at=Place(file="train.py", line=20),
    )  # fmt: skip
    return Checkpoints(tried=(), loads=(load,))
