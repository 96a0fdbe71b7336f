"""An exception left a module's forward, and training went on without what it was computing.

## What it proves
The forward of the module began and raised; it did not return; and the program took further steps
in the same process. Whatever this call was to contribute (a loss term, a feature) is missing from
the steps named; in a run that is watched, from that share of the steps that were looked at.

## Why it matters
An `except` around an auxiliary loss turns a bug into silence: the loss is absent or zero, the
message is printed at best, and the run looks healthy while a part of the method never trains.

## What to do
Let the exception end the program, and mend its cause. Where a case is meant to be skipped, test for
that case before the call, and count how often it occurs.

## Limits
A note where the module then ran without raising in the same step (a retry), where the call was not
for training (gradients off, or nothing that it holds or is given is trained), and where the program
raises a class of its own, which is control flow: a forward that is left early on purpose. Only
exceptions that leave a module's forward are seen. The line of the `except` is found by reading the
source, and is left out where it cannot be found. In a run that is watched, one step in ten or
fewer is looked at, and none of a model that is compiled: what happens seldom may be missed.

## Sources
- https://docs.python.org/3/tutorial/errors.html#handling-exceptions
"""

from stepscope.core import Finding, Findings, Place, Related, Severity, Watch, rule
from stepscope.evidence.course.swallowed import SwallowedCounts, SwallowedSeen
from stepscope.evidence.losses import SwallowedException, SwallowedExceptions


@rule("LOS001", Severity.ERROR)
def swallowed_exception(
    seen: SwallowedExceptions, later: SwallowedSeen | None, counts: SwallowedCounts | None
) -> Findings:
    told = {_key(each.exception): each for _, each in later.seen} if later is not None else {}
    for each in seen.exceptions:
        known = told.pop(_key(each), None)
        share = counts.share_of(known.number) if known is not None and counts is not None else None
        yield _finding(each, share)
    for known in told.values():
        yield _finding(known.exception, counts.share_of(known.number) if counts else None)


def _key(each: SwallowedException) -> tuple[str, str, Place, bool]:
    return each.module, each.kind, each.raised_at, each.retried


def _finding(each: SwallowedException, share: tuple[int, int] | None) -> Finding:
    steps = ", ".join(map(str, each.steps[:8])) + (", ..." if each.steps[8:] else "")
    when = f"step{'s' if each.steps[1:] else ''} {steps}"
    if share is not None:
        when = f"{share[0]} of the {share[1]} steps looked at ({share[0] / share[1]:.0%})"
    is_loss = each.trained and not each.own_class and not each.retried
    return Finding(
        subject=each.module or "the root module",
        message=(
            "raised when it was called, and was then called again with success"
            if each.retried
            else "raised when it was called; the exception was caught and training went on"
        ),
        measured=f"{_said(each)}; in {when}",
        expected="every forward returns, or its exception ends the program",
        at=_at(each),
        related=(Related(label="caught here", at=each.caught_at),) if each.caught_at else (),
        severity=None if is_loss else Severity.NOTE,
    )


def _said(each: SwallowedException) -> str:
    text = f"{each.kind}: {each.message}".strip(": ").partition("\n")[0]
    return text if len(text) <= 160 else text[:157] + "..."  # noqa: PLR2004 - two lines of a report


def _at(each: SwallowedException) -> Place:
    raised = each.raised_at
    return Place(module=each.module, file=raised.file, line=raised.line, function=raised.function)


def fails_as_a_note_when_features_are_taken_by_leaving_early(_: Watch) -> None:
    import torch

    class StopForwardError(Exception):
        pass

    kept: list[torch.Tensor] = []

    def keep_and_stop(_module: torch.nn.Module, _args: object, output: torch.Tensor) -> None:
        kept.append(output)
        raise StopForwardError

    backbone = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 2))
    backbone[0].register_forward_hook(keep_and_stop)
    optimizer = torch.optim.SGD(backbone[0].parameters(), lr=0.1)
    for _step in range(2):
        try:
            backbone(torch.randn(3, 4))
        except StopForwardError:
            loss = kept.pop().square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def fails_as_a_note_when_inputs_are_caught_before_training(_: Watch) -> None:
    import torch

    class Catcher(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            raise ValueError(f"caught an input of shape {tuple(x.shape)}")

    model, catcher = torch.nn.Linear(4, 2), Catcher()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _step in range(2):
        with torch.no_grad():
            try:
                catcher(torch.randn(3, 4))
            except ValueError:
                batch = torch.randn(3, 4)
        optimizer.zero_grad()
        model(batch).square().mean().backward()
        optimizer.step()


def fails_when_a_projector_cannot_normalise_a_single_row(_: Watch) -> None:
    import torch

    backbone = torch.nn.Linear(4, 4)
    projector = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.BatchNorm1d(4))
    parameters = [*backbone.parameters(), *projector.parameters()]
    optimizer = torch.optim.SGD(parameters, lr=0.1)
    for _step in range(2):
        features = backbone(torch.randn(1, 4))
        loss = features.square().mean()
        try:
            loss = loss + projector(features).square().mean()
        except ValueError:
            print("contrastive loss skipped")  # noqa: T201 - as such programs do
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def fails_when_it_begins_to_raise_later_in_the_run(watch: Watch) -> None:
    from stepscope.evidence.course.series import Series
    from stepscope.evidence.course.swallowed import Swallowed

    raised_at = Place(file="loss.py", line=7)
    exception = SwallowedException(
        module="head", kind="ValueError", message="no pair", raised_at=raised_at,
        caught_at=None, steps=(700,),
    )  # fmt: skip
    watch.saw(
        SwallowedExceptions(exceptions=(), module_calls=9),
        SwallowedSeen(seen=((700, Swallowed(number=0, exception=exception)),), count=1),
        SwallowedCounts(
            series={"looked": Series((700, 900), (90, 110)), "0": Series((700, 900), (1, 3))}
        ),
    )


def passes_when_the_projector_has_two_rows(_: Watch) -> None:
    import torch

    backbone = torch.nn.Linear(4, 4)
    projector = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.BatchNorm1d(4))
    parameters = [*backbone.parameters(), *projector.parameters()]
    optimizer = torch.optim.SGD(parameters, lr=0.1)
    for _step in range(2):
        features = backbone(torch.randn(2, 4))
        loss = features.square().mean() + projector(features).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def passes_when_nothing_of_a_module_is_caught(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _step in range(2):
        try:
            int("not a number")
        except ValueError:
            rows = 2
        optimizer.zero_grad()
        model(torch.randn(rows, 4)).square().mean().backward()
        optimizer.step()


def skips_when_no_module_was_called(_: Watch) -> None:
    import torch

    weight = torch.nn.Parameter(torch.ones(3))
    optimizer = torch.optim.SGD([weight], lr=0.1)
    weight.square().sum().backward()
    optimizer.step()
