"""A checkpoint looks as if it was trained under a known defect.

## What it proves
Nothing: it is a resemblance, and a warning. Either Adam's second moments of a few modules stand
more than a hundred thousand times (as gradients) above the median of the modules, with a gap of a
thousand below them, as a gradient amplified by a constant (GRD006) leaves them; or
`stepscope inspect FOLDER --tainted-by` has reasons to say that it was trained under the finding.

## Why it matters
A defect that is repaired in the program lives on in the weights, and in the optimizer's memory: a
run that resumes takes steps near zero in those modules until the moments have decayed.

## What to do
Train again from a checkpoint of before, or at least start from the weights with a fresh optimizer.
Keep the file until the repaired run is there to compare with.

## Limits
Judged where the parameters of the optimizer's entries are known. A defect that amplifies more than
half of the modules leaves no outliers. A module whose gradients are large on purpose looks the
same. Without a finding (`--tainted-by`) only the second moments are judged.

## Sources
- `bench/checkpoint_files/second_moments.py`: 10 healthy models (ResNet-18, MobileNetV3, VGG-11,
  ViT, ConvNeXt, BERT, GPT-2, LSTM, CLIP, Faster R-CNN), 4 to 30 steps of AdamW from their initial
  values. The largest module stands at most 8,910 times above the median (ConvNeXt, whose blocks are
  scaled by 1e-6), else at most 161; the widest gap among the larger half of the modules is 21
  (LSTM, which has three), else at most 8.1.
- The constants that such defects have are 1e4 and more ("-1e10 for masked positions").
"""

import msgspec

from stepscope.core import Finding, Findings, NotJudged, Place, Severity, Watch, rule
from stepscope.evidence.checkpoint_file import (
    CheckpointFile,
    GroupFacts,
    OptimizerFacts,
    Slot,
    Taint,
    Taints,
)
from stepscope.evidence.second_moments import outliers

SHOWN = 3


@rule("CKP009", Severity.WARNING)
def tainted(
    file: CheckpointFile | None,
    taints: Taints | None,
    *,
    over_median: float = 1e5,
    gap: float = 1e3,
) -> Findings:
    if file is None and taints is None:
        raise NotJudged("needs a checkpoint file (`stepscope inspect`)")
    for each in taints.checkpoints if taints is not None else ():
        if each.is_tainted and taints is not None:
            yield Finding(
                subject=each.path,
                message=f"was trained under {', '.join(taints.codes)} ({each.confidence})",
                measured="; ".join(each.reasons),
                expected="trained after the repair",
            )
    if file is None:
        return
    slots = [slot for each in file.optimizers for slot in each.slots if slot.second_moment]
    if not slots:
        raise NotJudged("the file has no second moments (of Adam) to judge by")
    if not any(slot.parameter for slot in slots):
        raise NotJudged("which parameters the second moments belong to is not known")
    found = outliers(file, over_median=over_median, gap=gap)
    if found:
        first = found[0]
        names = ", ".join(each.module for each in found[:SHOWN])
        yield Finding(
            subject=names + (", ..." if len(found) > SHOWN else ""),
            message="the optimizer remembers gradients out of all proportion to the other modules",
            measured=f"root mean square {first.rms:.3g}: {first.rms / first.median:.2g} times the "
            f"median of the modules, {first.rms / first.next_below:.2g} times the next",
            expected=f"within {over_median:.0e} of the median",
            at=Place(module=first.module),
        )


def fails_when_one_module_stands_far_above_the_rest(watch: Watch) -> None:
    watch.saw(_saved(1.1e5))


def fails_when_a_checkpoint_was_trained_under_a_finding(watch: Watch) -> None:
    reason = "logit_scale 9.2: exp gives 9897"
    watch.saw(
        _listed(Taint(path="a.pth", is_tainted=True, confidence="certain", reasons=(reason,)))
    )


def passes_when_the_spread_is_that_of_a_healthy_model(watch: Watch) -> None:
    watch.saw(_saved(0.9e5))


def passes_when_the_moments_fall_off_without_a_gap(watch: Watch) -> None:
    watch.saw(_saved(1.1e5, next_below=1.2e2))


def passes_when_no_checkpoint_shows_the_defect(watch: Watch) -> None:
    watch.saw(_listed(Taint(path="a.pth", is_tainted=False, confidence="likely", reasons=())))


def skips_when_nothing_is_kept_of_the_gradients(watch: Watch) -> None:
    watch.saw(msgspec.structs.replace(_saved(1.0), optimizers=()))


def skips_when_no_moment_has_a_name(watch: Watch) -> None:
    optimizer = OptimizerFacts(
        path="optimizer",
        groups=(),
        slots=(Slot(parameter="", key="0", shape=(4,), second_moment=1.0),),
        names_from="not known",
    )
    watch.saw(msgspec.structs.replace(_saved(1.0), optimizers=(optimizer,)))


def skips_when_a_program_is_judged(_: Watch) -> None:
    pass


def _listed(*taints: Taint) -> Taints:
    return Taints(folder="runs", codes=("CON001",), checkpoints=taints)


def _saved(amplified: float, next_below: float = 1.0) -> CheckpointFile:
    rms = {
        "mask": amplified,
        "head": next_below,
        "neck": 1.0,
        "body": 1.0,
        "stem": 0.5,
        "norm": 1.0,
    }
    slots = tuple(
        Slot(parameter=f"{name}.weight", key=name, shape=(4,), second_moment=value**2)
        for name, value in rms.items()
    )
    group = GroupFacts(index=0, parameters=tuple(slot.parameter for slot in slots))
    optimizer = OptimizerFacts(
        path="optimizer", groups=(group,), slots=slots, names_from="the file"
    )
    return CheckpointFile(
        path="a.pth", format="torch", writer="torch.save", nbytes=1, tensors=(),
        optimizers=(optimizer,),
    )  # fmt: skip
