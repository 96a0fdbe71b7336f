"""`stepscope check`: the first optimizer steps of an unmodified program, judged."""

from typing import Annotated

import typer

from stepscope.cli.options import Format, Ignore, IntentFile, Output, Select, Strict
from stepscope.cli.refusal import refuse

EXAMPLES = """\b
Examples:
  stepscope check train.py
  stepscope check --steps 5 train.py --epochs 1 --lr 1e-3
  stepscope check -m open_clip_train.main --dataset-type synthetic
  stepscope check --format sarif --output reports/check.sarif train.py
  torchrun --nproc-per-node 2 -m stepscope check train.py

\b
Exit code: 0 nothing at fault, 1 the run is at fault, 2 it could not be judged.

Settings are read from --intent FILE, or else from the nearest stepscope.toml or
pyproject.toml with a [tool.stepscope] table, from the current folder upwards.
"""


def check(
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
    steps: Annotated[int, typer.Option(min=1, metavar="K", help="Optimizer steps to record.")] = 3,
    timeout: Annotated[
        float | None,
        typer.Option(min=0.0, metavar="SECONDS", help="Stop the script after this time."),
    ] = None,
    intent: IntentFile = None,
    select: Select = None,
    ignore: Ignore = None,
    form: Format = "text",
    output: Output = None,
    strict: Strict = False,
) -> None:
    """Run SCRIPT until K optimizer steps are recorded, and say what is wrong with them.

    The script is not changed, and computes what it would compute without stepscope. Its output
    stays on stdout, and the report goes to stderr; with another format than text and without
    --output, the report alone goes to stdout, and the script's output to stderr.
    """
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
    from stepscope.adapters.script import check as observe
    from stepscope.adapters.target import Target, TargetError
    from stepscope.cli.judging import Judging

    judging = Judging(terms=terms, delivery=delivery)
    own = tuple(arguments or ())
    target = Target(script, is_module=module, arguments=own[1:] if own[:1] == ("--",) else own)
    try:
        code = observe(
            target,
            steps=steps,
            timeout_s=timeout,
            intent=terms.settings.intent,
            conclude=judging.conclude,
        )
    except TargetError as mistake:
        refuse(str(mistake))
    except KeyboardInterrupt:
        refuse("interrupted", code=130)
    leave(code)
