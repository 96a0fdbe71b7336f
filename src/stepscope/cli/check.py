"""`stepscope check`: the first optimizer steps of an unmodified program, judged."""

import click

from stepscope.cli.options import Asked, judging, number, program
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


@click.command(
    short_help="Judge an unmodified program by its first optimizer steps.",
    epilog=EXAMPLES,
    context_settings={"allow_interspersed_args": False},
)
@program
@number("--steps", click.IntRange(min=1), 3, "Optimizer steps to record.", "K")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="Stop the script after this time.",
)
@judging
def check(
    script: str,
    arguments: tuple[str, ...],
    *,
    module: bool,
    steps: int,
    timeout: float | None,
    asked: Asked,
) -> None:
    """Run SCRIPT until K optimizer steps are recorded, and say what is wrong with them.

    All after SCRIPT is the script's own; a leading -- is left out.

    The script is not changed, and computes what it would compute without stepscope. Its output
    stays on stdout, and the report goes to stderr; with another format than text and without
    --output, the report alone goes to stdout, and the script's output to stderr.
    """
    from stepscope.cli.settling import settled

    try:
        terms, delivery = settled(asked)
    except ValueError as mistake:
        refuse(str(mistake))

    from stepscope.adapters.leaving import leave  # not before: it loads torch
    from stepscope.adapters.script import check as observe
    from stepscope.adapters.target import Target, TargetError
    from stepscope.cli.judging import Judging

    judge = Judging(terms=terms, delivery=delivery)
    own = arguments[1:] if arguments[:1] == ("--",) else arguments
    target = Target(script, is_module=module, arguments=own)
    try:
        code = observe(
            target,
            steps=steps,
            timeout_s=timeout,
            intent=terms.settings.intent,
            conclude=judge.conclude,
        )
    except TargetError as mistake:
        refuse(str(mistake))
    except KeyboardInterrupt:
        refuse("interrupted", code=130)
    leave(code)
