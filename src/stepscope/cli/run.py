"""`stepscope run`: the whole run of an unmodified program, watched."""

import gc
from pathlib import Path
from typing import Annotated, Literal

import typer

from stepscope.cli.options import Format, Ignore, IntentFile, Output, Select, Strict
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


def run(
    script: Annotated[str, typer.Argument(metavar="SCRIPT", help="Script, or module with -m.")],
    arguments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="ARGS",
            help="All after SCRIPT is the script's own; a leading -- is left out.",
            show_default=False,
        ),
    ] = None,
    *,
    module: Annotated[
        bool, typer.Option("-m", help="SCRIPT is a module, as in python -m.")
    ] = False,
    steps: Annotated[
        int, typer.Option(min=1, metavar="K", help="Optimizer steps of each close look.")
    ] = 3,
    look_at: Annotated[
        list[int] | None,
        typer.Option(
            min=0,
            metavar="STEP",
            help="Look closely from this step on, besides the start and turning points. "
            "Repeatable.",
        ),
    ] = None,
    every: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Sample every N-th step; by default as often as half a percent of the time "
            "allows.",
        ),
    ] = None,
    on_error: Annotated[
        Literal["report", "stop"],
        typer.Option(help="What a finding of weight error does to the run."),
    ] = "report",
    folder: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Keep the recording below DIR instead of the current folder."
        ),
    ] = None,
    intent: IntentFile = None,
    select: Select = None,
    ignore: Ignore = None,
    form: Format = "text",
    output: Output = None,
    strict: Strict = False,
) -> None:
    """Run SCRIPT to its end, and say what is wrong with it as soon as it is.

    The script is not changed, and computes what it would compute without stepscope. Findings
    appear in its own terminal, each once; the report comes at the end, and goes to stderr.
    """
    gc.disable()  # what is loaded now is no garbage, and would be searched for it all the time
    from stepscope.cli.settling import settled

    try:
        terms, delivery = settled(
            intent=intent,
            select=select,
            ignore=ignore,
            form=form,
            output=output,
            strict=strict,
        )
    except ValueError as mistake:
        refuse(str(mistake))

    from stepscope.adapters.leaving import leave  # not before: it loads torch
    from stepscope.adapters.target import Target, TargetError
    from stepscope.adapters.watched_children import ChildPlan, WatchedChildren
    from stepscope.adapters.watched_run import WatchedRun
    from stepscope.adapters.watched_script import Ended, watch
    from stepscope.cli.judging import Judging
    from stepscope.watching.watched import Plan

    own = tuple(arguments or ())
    target = Target(script, is_module=module, arguments=own[1:] if own[:1] == ("--",) else own)
    judging = Judging(terms=terms, delivery=delivery)
    plan = Plan(steps=steps, at=tuple(look_at or ()), every=every)
    watched = WatchedRun(
        str(target),
        target.arguments,
        terms=terms,
        home=folder or Path.cwd(),
        plan=plan,
        on_error=on_error,
        children=WatchedChildren(
            ChildPlan(program=str(target), terms=terms, plan=plan, on_error=on_error)
        ),
    )

    def conclude(ended: Ended) -> int:
        report = watched.conclude(ended.ending, error=ended.error, elsewhere=ended.elsewhere)
        if report is None:  # the first rank reports
            return ended.code
        code = judging.deliver(report)
        watched.reported()
        return ended.code or code

    gc.enable()
    try:
        code = watch(target, watched.watched, conclude)
    except TargetError as mistake:
        refuse(str(mistake))
    leave(code)
