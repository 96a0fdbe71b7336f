"""`stepscope freeze`: what a plan does to a model, and what freezing saves."""

import contextlib
import sys
from pathlib import Path

import click

from stepscope.cli.options import PATH, number
from stepscope.cli.refusal import refuse

EXAMPLES = """\b
Examples:
  stepscope freeze plan.toml --model my_package.models:detector --lr 1e-4
  stepscope freeze --explain configs/cmt_aqr.py --model my_package.models:detector
  stepscope freeze --measure train.py --frozen backbone -- --epochs 1
  stepscope freeze --measure my_package.models:detector --frozen backbone --input 4x3x224x224

\b
A plan, in TOML, YAML or JSON:
  [freeze]
  frozen = ["backbone"]
  tuned = { neck = 0.05 }                               # multiplies the learning rate
  stages = [{ frozen = ["neck"], until_epoch = 2 }]     # frozen besides, for a while
"""


@click.command(
    short_help="Show what a plan of freezing does to a model, or measure what freezing saves.",
    epilog=EXAMPLES,
)
@click.argument("words", metavar="[PLAN | -- ARGS]", nargs=-1)
@click.option(
    "--model",
    default="",
    metavar="MODULE:FUNCTION",
    help="What returns the model, without arguments.",
)
@number("--lr", click.FloatRange(min=0), 1e-4, "Learning rate of what is not tuned.", "X")
@number("--weight-decay", click.FloatRange(min=0), 0.0, "Weight decay of all groups.", "X")
@number("--stage", click.IntRange(min=0), 0, "Stage to show, from 0.")
@number("--depth", click.IntRange(min=1), 3, "Levels of the model to tell apart.")
@click.option(
    "--measure",
    default="",
    metavar="SCRIPT|MODULE:FUNCTION",
    help="Measure what freezing saves: of a training script, or of a model.",
)
@click.option(
    "--explain",
    type=PATH,
    metavar="CONFIG.py",
    help="Say what a configuration of MMEngine will really do; it is read, not run.",
)
@click.option(
    "-m",
    "is_module",
    is_flag=True,
    help="The script to measure is a module, as in python -m.",
)
@click.option(
    "--frozen", multiple=True, metavar="GLOB", help="Part to freeze when measuring. Repeatable."
)
@number("--rounds", click.IntRange(min=1), 3, "Times that each variant is measured.")
@number("--steps", click.IntRange(min=1), 10, "Steps that each process measures.")
@number("--warm-up", click.IntRange(min=2), 3, "Steps that it takes first.")
@click.option(
    "--input",
    "input_shape",
    default="",
    metavar="SHAPE",
    help="Input of the model: 8x3x224x224.",
)
@click.option(
    "--format",
    "form",
    default="text",
    show_default=True,
    metavar="FORMAT",
    help="One of text, json, markdown.",
)
@click.option("--output", type=PATH, metavar="FILE", help="Write the table to a file.")
def freeze(
    words: tuple[str, ...],
    *,
    model: str,
    lr: float,
    weight_decay: float,
    stage: int,
    depth: int,
    measure: str,
    explain: Path | None,
    is_module: bool,
    frozen: tuple[str, ...],
    rounds: int,
    steps: int,
    warm_up: int,
    input_shape: str,
    form: str,
    output: Path | None,
) -> None:
    """Show what a plan or a configuration freezes in a model, or measure what freezing saves.

    PLAN is a file with a [freeze] table; with --measure, ARGS are the script's own arguments.

    A plan gives a row for each part that is treated alike: frozen or trained, its learning rate
    and weight decay as they will take effect, its elements, and the mode of its normalisation.

    A measurement compares full tuning, lr 0, the freeze, the freeze without a graph, and the freeze
    with cached features, in fresh processes, by ratios with their spread. Of a script, the model is
    that of the optimizer that steps first (of a GAN, often the discriminator), whose steps count.
    """
    from stepscope.cli.delivery import writable
    from stepscope.reporters.tables.grid import FORMATS

    if form not in FORMATS:
        refuse(f"there is no format {form!r}; choose one of {', '.join(FORMATS)}")
    try:
        output = writable(output) if output is not None else None
        with contextlib.redirect_stdout(sys.stderr):  # what the model's function prints is no table
            if measure:
                from stepscope.cli.measuring import measured
                from stepscope.reporters.tables import savings

                found = measured(
                    measure,
                    frozen,
                    arguments=words,
                    is_module=is_module,
                    rounds=rounds,
                    steps=steps,
                    warm_up=warm_up,
                    input_shape=input_shape,
                )
                table = savings.render(found, form)
            elif explain is not None:
                table = _explained(explain, model, form)
            elif len(words) == 1 and model:
                table = _planned(Path(words[0]), model, lr, weight_decay, stage, depth, form)
            else:
                refuse("give a PLAN and --model, --measure or --explain; stepscope freeze --help")
        _deliver(table, output)
    except (ValueError, TypeError) as mistake:
        refuse(str(mistake))
    except KeyboardInterrupt:
        refuse("interrupted", code=130)


def _planned(
    plan: Path, model: str, lr: float, weight_decay: float, stage: int, depth: int, form: str
) -> str:
    from stepscope.adapters.built import model_from
    from stepscope.freezing.plans import AppliedPlan, read_plan
    from stepscope.freezing.plans.table import parts
    from stepscope.reporters.tables.rates import render

    read = read_plan(plan)
    if stage > len(read.stages):
        raise ValueError(f"--stage {stage}: {plan} has the stages 0 to {len(read.stages)}")
    applied = AppliedPlan(read, model_from(model))
    applied.load_state_dict({"stage": stage})
    groups = applied.parameter_groups(lr=lr, weight_decay=weight_decay)
    return render(parts(applied.model, groups, depth), form)


def _explained(config: Path, model: str, form: str) -> str:
    from stepscope.adapters.built import model_from
    from stepscope.freezing.mmengine_config import explain
    from stepscope.reporters.tables.explanation import render

    return render(explain(config, model_from(model) if model else None), form)


def _deliver(table: str, output: Path | None) -> None:
    from stepscope.core.whole_file import write_whole

    if output is None:
        sys.stdout.write(table)
        return
    try:
        write_whole(output, table.encode(errors="backslashreplace"))
    except OSError as why:
        raise ValueError(f"{output} cannot be written: {why.strerror}") from why
