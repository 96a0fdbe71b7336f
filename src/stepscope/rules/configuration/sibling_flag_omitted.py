"""A switch is given to a call before training, and not to the same call in training or evaluation.

## What it proves
A switch was set: on the command line, by merging into a configuration of OmegaConf, Hydra, yacs or
MMEngine, or in a data class that was given to `stepscope.watch_config`. Before the first step the
program gave it to a call, beside other options; after the first step it made a call of the same
name elsewhere with at least two of these options, and without the switch.

## Why it matters
The second call builds or evaluates something else than was trained: a branch that was switched on
is off where the model is measured, and the default stands in silently.

## What to do
Give both calls the same options, from one place: a function that takes the configuration, and is
called twice. Or make the argument one without a default.

## Limits
Calls are told to be the same by the name they are called by. Only settings that are read as
arguments of a call (`build(dim=cfg.dim)`, `build(dim=cfg["dim"])`) are seen. A switch that has no
meaning for the second call may be left out of it; that is why this is a warning.

## Sources
- https://docs.python.org/3/library/argparse.html#action (`store_true`)
"""

from collections.abc import Callable, Iterator
from typing import Any

from stepscope.core import Finding, Findings, NotJudged, Related, Severity, Watch, rule
from stepscope.evidence.course.readings import ConfigurationRead, ConfigurationsRead, Phase, Read

SIBLINGS = 2  # options that both calls are given


@rule("CFG002", Severity.WARNING)
def sibling_flag_omitted(configurations: ConfigurationsRead) -> Findings:
    switched = [each for _, each in configurations.seen if each.switches]
    if not switched:
        raise NotJudged("no switch was set, on the command line or in a configuration")
    for each in switched:
        calls = _calls(each)
        for built in calls:
            for later in calls:
                if _name(built) == _name(later) and _is_earlier(built, later):
                    yield from _omitted(built, later, each.switches)


def _calls(seen: ConfigurationRead) -> list[list[Read]]:
    """Gather the reads that are arguments of one call."""
    calls: dict[tuple[str, int, str], list[Read]] = {}
    for read in seen.reads:
        if read.into:
            calls.setdefault((read.at.file, read.call_line, read.into), []).append(read)
    return list(calls.values())


def _name(call: list[Read]) -> str:
    return call[0].into.rpartition(".")[2]


def _is_earlier(built: list[Read], later: list[Read]) -> bool:
    """Tell whether one was made before the first step, and the other only after it."""
    return any(each.phase is Phase.BUILD for each in built) and all(
        each.phase is not Phase.BUILD for each in later
    )


def _omitted(built: list[Read], later: list[Read], switches: tuple[str, ...]) -> Iterator[Finding]:
    given = {each.key for each in later}
    shared = sorted({each.key for each in built} & given)
    if len(shared) < SIBLINGS:
        return
    for read in built:
        if read.key in switches and read.key not in given and read.phase is Phase.BUILD:
            yield Finding(
                subject=read.key,
                message=f"is given to {read.into} before training, and not given to it again later",
                measured=f"both calls are given {', '.join(shared)}",
                expected="the same switches wherever the same is built",
                at=later[0].at,
                related=(Related("given here", read.at),),
            )


def _run(words: str, evaluate: Callable[[Any], object]) -> None:
    import argparse

    import torch

    parser = argparse.ArgumentParser()
    parser.add_argument("--dim", type=int, default=4)
    parser.add_argument("--out", type=int, default=2)
    parser.add_argument("--fusion", action="store_true")
    args = parser.parse_args(words.split())
    model = _build(dim=args.dim, out=args.out, fusion=args.fusion)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(torch.ones(3, 4)).sum().backward()
    optimizer.step()
    evaluate(args)


def _build(dim: int, out: int, *, fusion: bool = False) -> Any:
    import torch

    return torch.nn.Linear(dim, out, bias=fusion)


def fails_when_the_evaluation_builds_the_model_without_the_switch(_: Watch) -> None:
    _run("--fusion", lambda args: _build(dim=args.dim, out=args.out))


def passes_when_only_one_option_is_shared(_: Watch) -> None:
    _run("--fusion", lambda args: _build(dim=args.dim, out=2))


def passes_when_both_are_given_the_switch(_: Watch) -> None:
    _run("--fusion", lambda args: _build(dim=args.dim, out=args.out, fusion=args.fusion))


def skips_when_no_switch_is_set(_: Watch) -> None:
    _run("--dim 4", lambda args: _build(dim=args.dim, out=args.out))
