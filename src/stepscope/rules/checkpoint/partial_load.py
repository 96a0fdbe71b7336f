"""A checkpoint was loaded, and most of it did not reach the model.

## What it proves
Keys and shapes of the state that was handed to `load_state_dict` were compared with those of the
module, as torch itself did. Error: not one tensor matched, or another prefix would match at least
twice as many and a tenth of the module's tensors more. Warning: less than half of the module's
bytes matched and less than half of the file's tensors were used.

## Why it matters
`strict=False` says nothing when a prefix such as `module.` makes every key unknown: the load
"succeeds", and training starts from initial values.

## What to do
Rename the keys as the finding says, or load the part of the file that holds the weights. Then look
at what `load_state_dict` returns: `missing_keys` and `unexpected_keys`.

## Limits
A file of which every tensor found its place (an adapter, a backbone for a detector) is a note, as
is a model of which at least half was filled (a new head). A module that another load also fills
is left alone. Transformers' `from_pretrained` assigns tensors without `load_state_dict`: such a
load is not seen. What keeps its initial values may have been filled by such a load. In `stepscope
inspect --against` the names and shapes of the file are judged as if they were loaded.

## Sources
- https://docs.pytorch.org/docs/stable/generated/torch.nn.Module.html#torch.nn.Module.load_state_dict
- The shares are of the kind "most": half. A repair counts only where it doubles what matches, so
  that parts which happen to share names and shapes (encoder and decoder) do not suggest one.
"""

from stepscope.core import Finding, Findings, NotJudged, Place, Severity, Watch, rule
from stepscope.evidence.checkpoint_file import CheckpointFile
from stepscope.evidence.checkpoints import Checkpoints, Load

SHOWN = 3


@rule("CKP002", Severity.ERROR)
def partial_load(
    checkpoints: Checkpoints,
    file: CheckpointFile | None,
    *,
    least_share: float = 0.5,
    least_gain: float = 0.1,
) -> Findings:
    if not checkpoints.loads:
        raise NotJudged(_nothing_seen(file))
    if file is not None and not any(load.total for load in checkpoints.loads):
        raise NotJudged("a configuration has no tensors to compare with")
    for load in checkpoints.loads:
        others = [each for each in checkpoints.loads if each is not load and _touch(each, load)]
        if load.matched == load.total or any(each.matched for each in others):
            continue
        gain = load.prefix_matched - load.matched
        repairable = load.prefix_matched >= 2 * load.matched and gain >= least_gain * load.total
        used = 1 - (len(load.unexpected) + len(load.mismatched)) / max(1, load.in_file)
        filled = load.matched_bytes / load.total_bytes if load.total_bytes else 1.0
        if load.matched == 0 or repairable:
            severity = Severity.ERROR
        elif filled < least_share and used < least_share:
            severity = Severity.WARNING
        else:
            severity = Severity.NOTE
        yield _finding(load, severity, file, repairable=repairable)


def _nothing_seen(file: CheckpointFile | None) -> str:
    if file is not None:
        return "needs something to compare with (`inspect --against`)"
    return "no load into a module was seen"


def _finding(
    load: Load, severity: Severity, file: CheckpointFile | None, *, repairable: bool
) -> Finding:
    where = "were in the state that was loaded" if file is None else "are in the file"
    message = f"{load.matched} of its {load.total} tensors {where}"
    if repairable:
        message += f"; {load.prefix_matched} would match with this repair: {load.prefix}"
    share = load.matched_bytes / load.total_bytes if load.total_bytes else 1.0
    measured = [
        f"{share:.1%} of the bytes matched",
        _some("missing", load.missing),
        _some("unexpected", load.unexpected),
        _some("other shape", load.mismatched),
        "" if file else f"strict={load.strict}" + (", raised" if load.raised else ""),
    ]
    name = load.module or ("the model" if file is None else "what it is held against")
    return Finding(
        subject=f"{name}, from {load.path}" if load.path else name,
        message=message,
        measured="; ".join(part for part in measured if part),
        expected=f"{load.total} of {load.total} tensors, or all but a new head",
        at=load.at,
        severity=severity,
    )


def _some(what: str, names: tuple[str, ...]) -> str:
    shown = ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
    return f"{len(names)} {what}: {shown}" if names else ""


def _touch(one: Load, other: Load) -> bool:
    """Tell whether one of the two modules holds the other."""
    a, b = (f"{load.module}." if load.module else "" for load in (one, other))
    return a.startswith(b) or b.startswith(a)


def fails_when_a_wrapper_has_led_every_key(_: Watch) -> None:
    import torch

    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 2))
    saved = {f"module.{key}": torch.ones_like(v) for key, v in model.state_dict().items()}
    model.load_state_dict(saved, strict=False)


def fails_when_the_weights_are_one_level_deeper(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 2)
    saved = {"epoch": 3, "state_dict": {key: v + 1 for key, v in model.state_dict().items()}}
    model.load_state_dict(saved, strict=False)


def fails_when_most_of_model_and_file_did_not_meet(watch: Watch) -> None:
    watch.saw(_loaded(matched=49, used=49))


def fails_with_a_note_when_half_of_the_file_is_used(watch: Watch) -> None:
    watch.saw(_loaded(matched=49, used=50))


def fails_with_a_note_when_an_adapter_is_loaded(watch: Watch) -> None:
    watch.saw(_loaded(matched=2, used=100))


def fails_with_a_note_for_a_new_head(_: Watch) -> None:
    import torch

    model = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.Linear(8, 2))
    saved = {"0.weight": torch.ones(8, 8), "0.bias": torch.ones(8)}
    model.load_state_dict(saved, strict=False)


def passes_when_everything_matches(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 2)
    model.load_state_dict({key: v + 1 for key, v in model.state_dict().items()})


def passes_when_two_files_fill_one_model(_: Watch) -> None:
    import torch

    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 4))
    backbone = {"0.weight": torch.ones(4, 4), "0.bias": torch.ones(4)}
    neck = {"1.weight": torch.ones(4, 4), "1.bias": torch.ones(4)}
    model.load_state_dict(backbone, strict=False)
    model.load_state_dict(neck, strict=False)


def fails_when_a_file_is_held_against_what_it_does_not_fit(watch: Watch) -> None:
    watch.saw(_loaded(matched=49, used=49), _file())


def skips_when_a_file_is_held_against_nothing(watch: Watch) -> None:
    watch.saw(Checkpoints(tried=(), loads=()), _file())


def skips_when_nothing_was_loaded(_: Watch) -> None:
    import torch

    torch.nn.Linear(4, 2)


def _loaded(*, matched: int, used: int) -> Checkpoints:
    load = Load(
        module="", path="stage1.pth", strict=False, in_file=100, matched=matched, total=100,
        matched_bytes=matched, total_bytes=100, missing=tuple(map(str, range(matched, 100))),
        unexpected=tuple(f"x{i}" for i in range(100 - used)), mismatched=(),
        at=Place(file="train.py", line=20),
    )  # fmt: skip
    return Checkpoints(tried=(), loads=(load,))


def _file() -> CheckpointFile:
    return CheckpointFile(path="a.pth", format="torch", writer="torch.save", nbytes=1, tensors=())
