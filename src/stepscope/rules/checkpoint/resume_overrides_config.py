"""A load replaced a value that was configured, and the loaded one is in effect.

## What it proves
Error: the intent declares a temperature, the model had it before a load (as it stands, or through
exp), the load replaced it by a value more than 5 % off, and that value was still there when the
next optimizer step began. Note: module and optimizer were both loaded (a resume), and a learning
rate, a weight decay or a scale of the logits from before the load is not the one in effect. In a
run that is watched, loads after its first step are judged as well.

## Why it matters
A corrected setting has no effect on a resumed run: the checkpoint brings the old one back, and
the log shows the configuration.

## What to do
Set the value again after the load, or start from weights without the old scale and optimizer.

## Limits
A temperature that the model did not have before the load is not judged here. A value that the
program sets again after the load is left alone. Without a declared temperature, and for learning
rates always, it is a note: to restore a schedule is what a resume is for. Weights that are loaded
without an optimizer are no resume, and what they bring is meant. After the first step a load is a
resume where the optimizer's state has counted more steps than the run has taken: a run that goes
back to its own last good state is none; and of a scale that the step has moved, the nearer of the
two values counts. In `stepscope inspect --against`
the values of the file are judged as if a resume had brought them back.

## Sources
- The 5 %: bfloat16 holds logit_scale = 4.6052 as 4.59375, which moves exp() by 1.1 %.
"""

import math
import re

from stepscope.core import Finding, Findings, NotJudged, Place, Severity, Watch, rule
from stepscope.evidence.checkpoint_file import CheckpointFile
from stepscope.evidence.checkpoints import Checkpoints, Load, OptimizerLoad, ValueBefore
from stepscope.evidence.course.later_loads import LaterLoads, NumbersLoaded
from stepscope.evidence.intent import Intent

SCALE = re.compile(r"(^|[._])(logit_scale|logit_bias|temperature|temp|tau|scale)$")


@rule("CKP006", Severity.ERROR)
def resume_overrides_config(
    checkpoints: Checkpoints | None,
    intent: Intent | None,
    file: CheckpointFile | None,
    later: LaterLoads | None,
    *,
    tolerance: float = 0.05,
) -> Findings:
    declared = intent.temperature if intent is not None else None
    if later is not None:
        yield from _later(later, declared, tolerance)
    if checkpoints is not None and checkpoints.loads:
        yield from _at_start(checkpoints, declared, tolerance, is_file=file is not None)
    elif later is None:
        if checkpoints is None:
            raise NotJudged(f"needs {Checkpoints.obtained_by}")
        needed = "something to compare with (`inspect --against`)"
        raise NotJudged(f"needs {needed}" if file else "no load into a module was seen")


def _at_start(
    checkpoints: Checkpoints, declared: float | None, tolerance: float, *, is_file: bool
) -> Findings:
    in_effect = "is what a resume brings back" if is_file else "is in effect"
    # Accelerate loads an optimizer's own state back into it, to move it to the device.
    resumed = any(load.path or load.numbers for load in checkpoints.optimizer_loads)
    for load in checkpoints.loads:
        for number in filter(_is_in_effect, load.numbers):
            if not SCALE.search(number.name):
                continue
            broken = declared is not None and _breaks(declared, number, tolerance)
            if broken or resumed:
                yield _finding(load, number, declared if broken else None, in_effect)
    for loaded in checkpoints.optimizer_loads:
        numbers = list(filter(_is_in_effect, loaded.numbers))
        if numbers:
            yield _restored(loaded, numbers, in_effect)


def _later(later: LaterLoads, declared: float | None, tolerance: float) -> Findings:
    for step, told in later.seen:
        resumed = told.steps > step
        for load in told.modules:
            for number in filter(_is_in_effect, load.numbers):
                broken = declared is not None and _breaks(declared, number, tolerance)
                if SCALE.search(number.name) and (broken or resumed):
                    yield _finding(load, number, declared if broken else None, "is in effect")
        for loaded in told.optimizers:
            numbers = list(filter(_is_in_effect, loaded.numbers))
            if numbers and resumed:
                yield _restored(loaded, numbers, "is in effect")


def _restored(load: OptimizerLoad, numbers: list[ValueBefore], in_effect: str) -> Finding:
    first, count = numbers[0], len(numbers)
    return Finding(
        subject=f"{first.name} of {load.optimizer}"
        + (f", and {count - 1} more of its settings" if count > 1 else ""),
        message=_values(first, in_effect),
        measured=f"loaded from {load.path}" if load.path else "loaded",
        expected=f"{first.before:.5g}, or the schedule's value at this point",
        at=load.at,
        severity=Severity.NOTE,
    )


def _finding(
    load: Load | NumbersLoaded, number: ValueBefore, declared: float | None, in_effect: str
) -> Finding:
    path = load.path if isinstance(load, Load) else ""
    expected = f"{number.before:.5g}"
    if declared is not None:
        expected += f" (declared temperature {declared:g})"
    return Finding(
        subject=number.name,
        message=_values(number, in_effect),
        measured=f"exp: {_exp(number.before):.4g} before the load, {_exp(number.after):.4g} after"
        + (f"; from {path}" if path else ""),
        expected=expected,
        at=load.at,
        severity=None if declared is not None else Severity.NOTE,
    )


def _values(number: ValueBefore, in_effect: str) -> str:
    before, after = f"{number.before:.5g}", f"{number.after:.5g}"
    return f"configured {before}, checkpoint {after}: {after} {in_effect}"


def _is_in_effect(number: ValueBefore) -> bool:
    return number.at_start == number.after


def _breaks(declared: float, number: ValueBefore, tolerance: float) -> bool:
    """Tell whether the number meant the declared one, by one reading, and no longer does."""
    for read in (_exp, float):
        if _near(read(number.before), declared, tolerance):
            return not _near(read(number.after), declared, tolerance)
    return False


def _near(value: float, declared: float, tolerance: float) -> bool:
    return abs(value - declared) <= tolerance * abs(declared)


def _exp(value: float) -> float:
    return math.exp(min(value, 700.0))  # the largest that a float holds is exp(709)


def fails_when_a_resume_brings_the_old_scale_back(watch: Watch) -> None:
    import torch

    watch.saw(Intent(temperature=100.0))
    model = torch.nn.Linear(4, 2)
    model.logit_scale = torch.nn.Parameter(torch.tensor(4.6052))
    model.load_state_dict({**model.state_dict(), "logit_scale": torch.tensor(2.6562)})
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    (model(torch.ones(3, 4)).sum() * model.logit_scale.exp()).backward()
    optimizer.step()


def _resume_after_a_step(scale: float, *, counted: int = 90) -> None:
    import torch

    model = torch.nn.Linear(4, 2)
    scale_of_logits = model.logit_scale = torch.nn.Parameter(torch.tensor(4.6052))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5)

    def step() -> None:
        optimizer.zero_grad()
        (model(torch.ones(3, 4)).sum() * scale_of_logits.exp()).backward()
        optimizer.step()

    step()  # so that the optimizer has a state to load into
    saved = optimizer.state_dict()
    for each in saved["state"].values():
        each["step"] = torch.tensor(float(counted))
    saved["param_groups"][0]["lr"] = 1e-4
    model.load_state_dict({**model.state_dict(), "logit_scale": torch.tensor(scale)})
    optimizer.load_state_dict(saved)
    step()


def fails_when_a_resume_after_the_first_step_brings_the_old_scale_back(watch: Watch) -> None:
    watch.saw(Intent(temperature=100.0))
    _resume_after_a_step(2.6562)


def fails_with_a_note_when_it_restores_settings_and_nothing_is_declared(_: Watch) -> None:
    _resume_after_a_step(2.6562, counted=2)


def passes_when_a_run_goes_back_to_its_own_state(_: Watch) -> None:
    _resume_after_a_step(2.6562, counted=1)


def fails_with_a_note_when_a_resume_restores_the_learning_rate(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5)
    model.load_state_dict({key: v + 1 for key, v in model.state_dict().items()})
    saved = optimizer.state_dict()
    saved["param_groups"][0]["lr"] = 1e-3
    optimizer.load_state_dict(saved)
    model(torch.ones(3, 4)).sum().backward()
    optimizer.step()


def fails_when_the_scale_is_just_beyond_the_tolerance(watch: Watch) -> None:
    watch.saw(Intent(temperature=100.0), _scale(4.6052, math.log(94.9)))


def passes_when_the_scale_is_just_within_the_tolerance(watch: Watch) -> None:
    watch.saw(Intent(temperature=100.0), _scale(4.6052, math.log(95.1)))


def passes_when_the_model_never_had_the_declared_temperature(watch: Watch) -> None:
    watch.saw(Intent(temperature=100.0), _scale(2.6592, 4.0))


def passes_when_weights_are_loaded_and_nothing_is_declared(watch: Watch) -> None:
    watch.saw(_scale(4.6052, 2.6562))


def passes_when_the_program_sets_the_value_again(watch: Watch) -> None:
    import torch

    watch.saw(Intent(temperature=100.0))
    model = torch.nn.Linear(4, 2)
    model.logit_scale = torch.nn.Parameter(torch.tensor(4.6052))
    model.load_state_dict({**model.state_dict(), "logit_scale": torch.tensor(2.6562)})
    model.logit_scale.data.fill_(4.6052)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    (model(torch.ones(3, 4)).sum() * model.logit_scale.exp()).backward()
    optimizer.step()


def fails_when_a_file_holds_another_scale_than_is_declared(watch: Watch) -> None:
    watch.saw(Intent(temperature=100.0), _scale(math.log(100), 2.6592), _file())


def skips_when_a_file_is_held_against_nothing(watch: Watch) -> None:
    watch.saw(Checkpoints(tried=(), loads=()), _file())


def skips_when_nothing_was_loaded(_: Watch) -> None:
    import torch

    torch.nn.Linear(4, 2)


def _scale(before: float, after: float) -> Checkpoints:
    number = ValueBefore(name="logit_scale", before=before, after=after, at_start=after)
    load = Load(
        module="", path="last.pth", strict=True, in_file=1, matched=1, total=1, matched_bytes=4,
        total_bytes=4, missing=(), unexpected=(), mismatched=(), numbers=(number,),
        at=Place(file="train.py", line=20),
    )  # fmt: skip
    return Checkpoints(tried=(), loads=(load,))


def _file() -> CheckpointFile:
    return CheckpointFile(path="a.pth", format="torch", writer="torch.save", nbytes=1, tensors=())
