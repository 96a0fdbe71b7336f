"""`stepscope run`: the whole run of an unmodified program, watched."""

import gc
from pathlib import Path
from typing import Literal

import click

from stepscope.cli.options import PATH, Asked, judging, number, program
from stepscope.cli.refusal import refuse

EXAMPLES = """\b
Examples:
  stepscope run train.py
  stepscope run --on-error stop train.py --epochs 90
  stepscope run --look-at 1000 --look-at 20000 -m open_clip_train.main
  stepscope run --folder /scratch/runs --format html --output run.html train.py
  torchrun --nproc-per-node 2 -m stepscope run train.py

\b
Exit code: the script's own where that is not 0; else 0 nothing at fault, 1 the run is at
fault, 2 it could not be judged.

What is seen is kept in .stepscope/<run>/ below --folder, and grows while the run goes.
"""


@click.command(
    short_help="Watch the whole run of an unmodified program.",
    epilog=EXAMPLES,
    context_settings={"allow_interspersed_args": False},
)
@program
@number("--steps", click.IntRange(min=1), 3, "Optimizer steps of each close look.", "K")
@click.option(
    "--look-at",
    type=click.IntRange(min=0),
    multiple=True,
    metavar="STEP",
    help="Look closely from this step on, besides the start and turning points. Repeatable.",
)
@click.option(
    "--every",
    type=click.IntRange(min=1),
    metavar="N",
    help="Sample every N-th step; by default as often as half a percent of the time allows.",
)
@click.option(
    "--on-error",
    type=click.Choice(["report", "stop"]),
    default="report",
    show_default=True,
    help="What a finding of weight error does to the run.",
)
@click.option(
    "--folder",
    type=PATH,
    metavar="DIR",
    help="Keep the recording below DIR instead of the current folder.",
)
@judging
def run(
    script: str,
    arguments: tuple[str, ...],
    *,
    module: bool,
    steps: int,
    look_at: tuple[int, ...],
    every: int | None,
    on_error: Literal["report", "stop"],
    folder: Path | None,
    asked: Asked,
) -> None:
    """Run SCRIPT to its end, and say what is wrong with it as soon as it is.

    All after SCRIPT is the script's own; a leading -- is left out.

    The script is not changed, and computes what it would compute without stepscope. Findings
    appear in its own terminal, each once; the report comes at the end, and goes to stderr.
    """
    gc.disable()  # what is loaded now is no garbage, and would be searched for it all the time
    from stepscope.cli.settling import settled

    try:
        terms, delivery = settled(asked)
    except ValueError as mistake:
        refuse(str(mistake))

    from stepscope.adapters.family import Family
    from stepscope.adapters.leaving import leave  # not before: it loads torch
    from stepscope.adapters.started_ranks import StartedRanks
    from stepscope.adapters.target import Target, TargetError
    from stepscope.adapters.watched_children import ChildPlan, WatchedChildren
    from stepscope.adapters.watched_run import WatchedRun
    from stepscope.adapters.watched_script import Ended, watch
    from stepscope.cli.judging import Judging
    from stepscope.watching.watched import Plan

    own = arguments[1:] if arguments[:1] == ("--",) else arguments
    target = Target(script, is_module=module, arguments=own)
    judge = Judging(terms=terms, delivery=delivery)
    plan = Plan(steps=steps, at=look_at, every=every)
    how = ChildPlan(program=str(target), terms=terms, plan=plan, on_error=on_error)
    watched = WatchedRun(
        str(target),
        target.arguments,
        terms=terms,
        home=folder or Path.cwd(),
        plan=plan,
        on_error=on_error,
        children=Family(WatchedChildren(how), StartedRanks(how)),
    )

    def conclude(ended: Ended) -> int:
        report = watched.conclude(ended.ending, error=ended.error, elsewhere=ended.elsewhere)
        if report is None:  # the first rank reports
            return ended.code
        code = judge.deliver(report)
        watched.reported()
        return ended.code or code

    gc.enable()
    try:
        code = watch(target, watched.watched, conclude)
    except TargetError as mistake:
        refuse(str(mistake))
    leave(code)
