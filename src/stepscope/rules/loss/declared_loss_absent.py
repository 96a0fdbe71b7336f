"""A loss that was declared never takes part in a backward.

## What it proves
The intent names a loss. None of the summands of any backward of the recorded steps bears that
name, nor does anything else below a backward that the program has named; or the loss of that name
is there only as a constant, from which no gradient flows.

## Why it matters
An auxiliary loss that is configured and never computed (pairs that the loader does not return, a
branch that is never taken, a weight read from the wrong key) leaves no trace in a total that falls.

## What to do
Look at the nearest names below, at the condition under which the loss is computed, and at what the
loader returns.

## Limits
Names are keys of dictionaries and of outputs that modules return, attributes of modules, and
variables of the functions around the backward. `loss_macl` counts as `macl`. Where no summand has
a name and nothing was handed out under one, the rule cannot tell and is skipped. In `check`, a
loss that begins after the recorded steps is reported too: declare it once it is due. In `run` the
rule waits for the end, and takes a name that stood in a sampled step for a loss that is due; where
not every step was sampled a rare loss may have been missed, and what is found is a warning.

## Sources
- https://docs.pytorch.org/docs/stable/notes/autograd.html
"""

import difflib

from stepscope.core import Finding, Findings, NotJudged, Place, Severity, Watch, rule
from stepscope.evidence.course.endings import Endings, RunEnded
from stepscope.evidence.course.loss_curves import LossCurves
from stepscope.evidence.course.progress import Progress
from stepscope.evidence.gradients import BackwardRoots
from stepscope.evidence.intent import Intent
from stepscope.evidence.loss_terms import LossTerms


@rule("LOS002", Severity.ERROR)
def declared_loss_absent(
    intent: Intent,
    terms: LossTerms,
    roots: BackwardRoots | None,
    progress: Progress | None,
    endings: Endings | None,
    curves: LossCurves | None,
) -> Findings:
    if not intent.loss_names:
        raise NotJudged("no losses are declared")
    if progress is not None and (endings is None or endings.steps is None):
        raise NotJudged("a loss may begin later: judged when the run has come to its own end")
    named = [term for term in terms.terms if term.named_by_model]
    if not named and not terms.values_read:
        raise NotJudged("the program gives no names to its losses")
    total = roots.roots[0].at if roots is not None and roots.roots else Place()
    reaching = {term.name for term in terms.terms if term.differentiable} | set(terms.reached)
    later = set(curves.series if curves is not None else ()) - set(terms.values_read)
    may_have_missed = progress is not None and progress.sampled < progress.step - progress.first
    for name in intent.loss_names:
        if any(_is_meant(name, each) for each in reaching | later):
            continue
        constant = next((t for t in terms.terms if _is_meant(name, t.name)), None)
        read = next((each for each in terms.values_read if _is_meant(name, each)), None)
        if constant is not None:
            message = "is in the total as a constant: no gradient flows from it"
        elif read is not None:
            message = f"is handed out as {read!r}, and no backward reaches it"
        else:
            message = "is declared, and never computed under this name"
        seen = sorted(reaching | set(terms.values_read))
        nearest = difflib.get_close_matches(name, seen, 3, 0.3) or seen[:6]
        yield Finding(
            subject=name,
            message=message,
            measured=f"0 of {len(terms.terms)} terms that reach a backward; nearest names: "
            + (", ".join(nearest) or "none"),
            expected="one term of this name with gradient",
            at=constant.at if constant is not None else total,
            severity=Severity.WARNING if may_have_missed else None,
        )


def _is_meant(declared: str, name: str) -> bool:
    """Tell whether a name in the program is the declared one: `loss_macl` is `macl`."""
    short, full = sorted((_plain(declared), _plain(name)), key=len)
    return bool(short) and (short == full or f"_{short}_" in f"_{full}_")


def _plain(name: str) -> str:
    words = name.lower().replace(".", "_").replace("-", "_").replace("/", "_").split("_")
    return "_".join(word for word in words if word not in ("loss", "losses", ""))


def fails_when_the_contrastive_loss_is_never_computed(watch: Watch) -> None:
    import torch

    from stepscope.evidence.intent import Intent

    class Detector(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = torch.nn.Linear(4, 2)

        def forward(
            self, x: torch.Tensor, pairs: "torch.Tensor | None" = None
        ) -> dict[str, object]:
            out = self.head(x)
            losses: dict[str, object] = {"loss_cls": out.square().mean()}
            if pairs is not None:
                losses["loss_macl"] = (out - pairs).square().mean()
            return losses

    watch.saw(Intent(losses=("cls", "macl")))
    model = Detector()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    losses = model(torch.randn(8, 4))
    sum(losses.values()).backward()
    optimizer.step()


def fails_when_the_declared_loss_is_a_constant(watch: Watch) -> None:
    import torch

    from stepscope.evidence.intent import Intent

    watch.saw(Intent(losses=("cls", "macl")))
    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    out = model(torch.randn(8, 4))
    loss_cls = out.square().mean()
    loss_macl = out.detach().abs().mean()
    (loss_cls + 0.5 * loss_macl).backward()
    optimizer.step()


def fails_when_no_sampled_step_of_a_long_run_computes_it(watch: Watch) -> None:
    from stepscope.evidence.intent import Intent

    watch.saw(Intent(losses=("cls", "macl")))
    watch.saw(LossTerms(terms=(), values_read=("loss_cls",), reached=("loss_cls",)))
    watch.saw(Progress(first=0, step=2000, sampled=100, seconds=60.0))
    watch.saw(Endings(seen=((2000, RunEnded(finished=True)),), count=1))


def passes_when_a_longer_name_contains_the_declared_one(watch: Watch) -> None:
    import torch

    from stepscope.evidence.intent import Intent

    watch.saw(Intent(losses=("cls", "macl")))
    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    out = model(torch.randn(8, 4))
    loss_cls = out.square().mean()
    loss_macl = out.abs().mean()
    (loss_cls + 0.5 * loss_macl).backward()
    optimizer.step()


def passes_when_the_loss_began_after_the_observed_steps(watch: Watch) -> None:
    import torch

    from stepscope.evidence.course.series import Series
    from stepscope.evidence.intent import Intent

    watch.saw(Intent(losses=("cls", "macl")))
    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    losses = {"loss_cls": model(torch.randn(8, 4)).square().mean()}
    losses["loss_cls"].backward()
    optimizer.step()
    watch.saw(LossCurves(series={"loss_macl": Series((500, 510), (2.0, 1.9))}))


def skips_when_the_run_goes_on(watch: Watch) -> None:
    fails_when_the_contrastive_loss_is_never_computed(watch)
    watch.saw(Endings(seen=((9, RunEnded(finished=False)),), count=1))


def skips_when_the_program_names_none_of_its_losses(watch: Watch) -> None:
    import torch

    from stepscope.evidence.intent import Intent

    watch.saw(Intent(losses=("macl",)))
    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(torch.randn(8, 4)).square().mean().backward()
    optimizer.step()


def skips_when_no_losses_are_declared(watch: Watch) -> None:
    import torch

    from stepscope.evidence.intent import Intent

    watch.saw(Intent())
    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(torch.randn(8, 4)).square().mean().backward()
    optimizer.step()
