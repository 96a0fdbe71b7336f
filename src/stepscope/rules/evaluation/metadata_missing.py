"""Samples come to evaluation without metadata that they were declared to carry.

## What it proves
The intent declares keys that each sample carries to evaluation. The first sample of an evaluation
carries some of them and not the others; no key of the missing names is anywhere in it.

## Why it matters
Predictions are made on an image that was resized and padded. Without its original shape, its
padding and its scale they cannot be mapped back, and a default in their place (a scale of 1) gives
boxes that look plausible and match nothing: the score is low, or the wrong one.

## What to do
Let the transform that resizes or pads write down what it did, and collect these keys into what the
data set hands out. Read a key that must be there with `meta["scale_factor"]`, not with `.get()`.

## Limits
Names are compared, not values. Only the first sample of each evaluation is looked at: the first
batch of a DataLoader, what the model is called with, or, where neither has names, a mapping in a
variable of the function that calls the model. Where none of the declared keys is found it cannot be
told where metadata goes, and nothing is judged.

## Sources
- https://mmdetection.readthedocs.io/en/latest/advanced_guides/structures.html (`img_shape`,
  `ori_shape`, `pad_shape`, `scale_factor` of a `DetDataSample`)
"""

from stepscope.core import Finding, Findings, NotJudged, Place, Severity, Watch, rule
from stepscope.evidence.course.evaluations import Evaluated, Evaluations
from stepscope.evidence.intent import Intent


@rule("EVL004", Severity.ERROR)
def metadata_missing(intent: Intent, evaluations: Evaluations) -> Findings:
    if not intent.metadata:
        raise NotJudged('no metadata is declared (`metadata = ["scale_factor"]` in [intent])')
    judged = False
    said: set[str] = set()
    for _, each in evaluations.seen:
        names = {key.rpartition(".")[2] for key in each.keys}
        missing = [key for key in intent.metadata if key not in names]
        if len(missing) == len(intent.metadata):
            continue
        judged = True
        new = [key for key in missing if key not in said]
        if new:
            said.update(new)
            there = [key for key in intent.metadata if key in names]
            yield Finding(
                subject=", ".join(new),
                message="declared as metadata, and not in the samples that are evaluated",
                measured=f"{each.keys_from} carries {', '.join(there)}; keys seen: {len(names)}",
                expected="each sample carries: " + ", ".join(intent.metadata),
                at=each.at,
            )
    if not judged:
        raise NotJudged("none of the declared keys was found in a sample that was evaluated")


def fails_when_the_scale_is_not_handed_on(watch: Watch) -> None:
    watch.saw(Intent(metadata=("ori_shape", "scale_factor")))
    _evaluate({"ori_shape": (512, 640)})


def fails_when_one_of_four_is_missing(watch: Watch) -> None:
    keys = ("img_shape", "ori_shape", "pad_shape", "scale_factor")
    watch.saw(Intent(metadata=keys), _seen("meta.img_shape", "meta.ori_shape", "meta.pad_shape"))


def passes_when_all_are_there(watch: Watch) -> None:
    watch.saw(Intent(metadata=("ori_shape", "scale_factor")))
    _evaluate({"ori_shape": (512, 640), "scale_factor": (0.05, 0.0625)})


def skips_when_none_of_them_is_found(watch: Watch) -> None:
    watch.saw(Intent(metadata=("ori_shape", "scale_factor")))
    _evaluate({"path": "0001.png"})


def skips_when_nothing_is_declared(watch: Watch) -> None:
    watch.saw(Intent())
    _evaluate({"path": "0001.png"})


def _evaluate(meta: dict[str, object]) -> None:
    import torch
    from torch.utils.data import DataLoader

    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(torch.randn(3, 4)).sum().backward()
    optimizer.step()
    samples = [{"image": torch.randn(4), "meta": meta} for _ in range(2)]
    model.eval()
    with torch.no_grad():
        for batch in DataLoader(samples, collate_fn=list):  # type: ignore[arg-type]
            model(torch.stack([sample["image"] for sample in batch]))


def _seen(*keys: str) -> Evaluations:
    evaluated = Evaluated(
        module="", kind="Detector", trained=True, training=False, gradients=False, other_data=True,
        put=True, evaluated=99, keys=keys, keys_from="the batch of a DataLoader",
        at=Place(file="test.py", line=40),
    )  # fmt: skip
    return Evaluations(seen=((100, evaluated),), count=1)
