"""All embeddings of a contrastive loss point the same way.

## What it proves
At every look after the first 500 steps, three at least, the mean cosine between two different rows
of the features that a cross-entropy compares was above 0.99.

## Why it matters
The loss can tell no pair from another: it stays near ln N, and retrieval by these embeddings is a
guess. The causes are a learning rate that is too high, a temperature that is too large, a projector
whose output is mostly its bias, inputs that are all alike, and a missing `detach` or predictor
where there are no negatives.

## What to do
Look at the loss beside ln N, at the inputs of the side that has collapsed, and at the norm of its
last bias against that of its output. Lower the learning rate, warm it up.

## Limits
A warning. Networks begin with embeddings that are alike, so that the first 500 steps are not
judged, or the first half of a run that ended before 1000. Read are the rows of a batch that
autograd keeps for a cross-entropy over a product of two sets of features. Losses without negatives
and batches of fewer than four rows are not seen. Where all rows are embeddings of one input,
nothing has collapsed but the data.

## Sources
- Wang and Isola, "Understanding Contrastive Representation Learning through Alignment and
  Uniformity on the Hypersphere" (ICML 2020): uniformity, which a mean cosine of 1 is the opposite
  of.
- Liang et al., "Mind the Gap" (NeurIPS 2022), figure 2: mean cosines of untrained encoders are near
  1, those of trained CLIP about 0.5.
"""

from stepscope.core import Finding, Findings, NotJudged, Severity, Watch, rule
from stepscope.evidence.course.embeddings import Contrasts, EmbeddingCurves
from stepscope.evidence.course.endings import Endings
from stepscope.evidence.course.progress import Progress


@rule("CON004", Severity.WARNING)
def collapse(
    contrasts: Contrasts,
    curves: EmbeddingCurves,
    progress: Progress,
    endings: Endings | None,
    *,
    settled: int = 500,
    looks: int = 3,
    alike: float = 0.99,
) -> Findings:
    ended = endings.steps if endings is not None else None
    since = min(settled, ended // 2) if ended is not None else settled
    late = {
        name: [cosine for step, cosine in curve if step >= since]
        for name, curve in curves.series.items()
    }
    if all(len(each) < looks for each in late.values()):
        raise NotJudged(f"fewer than {looks} looks after step {since}, of {progress.step}")
    lines = {each.name: each.at for _, each in contrasts.seen}
    for name, cosines in late.items():
        if len(cosines) >= looks and min(cosines) > alike:
            line, _, side = name.partition(" ")
            yield Finding(
                subject=f"features on the {side} of a product",
                message="point all the same way",
                measured=f"mean cosine between two rows {min(cosines):.4f} or more,"
                f" at {len(cosines)} looks after step {since}",
                expected=f"a mean cosine below {alike:g}",
                at=lines[line],
            )


def _seen(cosine: float, *, first: int = 500, count: int = 3) -> tuple[Contrasts, EmbeddingCurves]:
    from stepscope.core import Place
    from stepscope.evidence.course.embeddings import ContrastFound
    from stepscope.evidence.course.series import Series

    steps = tuple(first + 100 * i for i in range(count))
    found = ContrastFound(name="1", at=Place(file="train.py", line=12))
    return (
        Contrasts(seen=((0, found),), count=1),
        EmbeddingCurves(series={"1 left": Series((0, *steps), (0.999,) + (cosine,) * count)}),
    )


def fails_when_the_mean_cosine_is_0_991(watch: Watch) -> None:
    watch.saw(*_seen(0.991))
    _interrupted(watch)


def passes_when_the_mean_cosine_is_0_989(watch: Watch) -> None:
    watch.saw(*_seen(0.989))
    _interrupted(watch)


def skips_when_there_are_two_looks_after_the_beginning(watch: Watch) -> None:
    watch.saw(*_seen(0.999, count=2))
    _interrupted(watch)


def skips_when_the_looks_are_of_the_first_steps(watch: Watch) -> None:
    watch.saw(*_seen(0.999, first=299))
    _interrupted(watch)


def _interrupted(watch: Watch) -> None:
    from stepscope.evidence.course.endings import Endings, RunEnded
    from stepscope.evidence.course.progress import Progress

    watch.saw(
        Endings(seen=((800, RunEnded(finished=False)),), count=1),
        Progress(first=0, step=800, sampled=80, seconds=9.0),
    )


def _train(bias: float) -> None:
    import torch
    from torch.nn.functional import cross_entropy, normalize

    model = torch.nn.ModuleDict({"image": torch.nn.Linear(8, 8), "text": torch.nn.Linear(8, 8)})
    torch.nn.init.constant_(model["image"].bias, bias)  # type: ignore[arg-type]  # a parameter
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    for _step in range(41):
        optimizer.zero_grad()
        image = normalize(model["image"](torch.randn(16, 8)), dim=-1)
        text = normalize(model["text"](torch.randn(16, 8)), dim=-1)
        cross_entropy(image @ text.T / 0.07, torch.arange(16)).backward()
        optimizer.step()


def fails_when_the_bias_drowns_the_image(_: Watch) -> None:
    _train(bias=20.0)


def passes_when_both_sides_are_spread(_: Watch) -> None:
    _train(bias=0.0)
