"""`stepscope freeze`: what a plan does to a model, and what freezing saves."""

import importlib
import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

EXAMPLES = """\b
Examples:
  stepscope freeze plan.toml --model my_package.models:detector --lr 1e-4
  stepscope freeze --explain configs/cmt_aqr.py
  stepscope freeze --measure train.py --frozen backbone -- --epochs 1
  stepscope freeze --measure my_package.models:detector --frozen backbone --input 4x3x224x224

\b
A plan, in TOML, YAML or JSON:
  [freeze]
  frozen = ["backbone"]
  tuned = { neck = 0.05 }                               # multiplies the learning rate
  stages = [{ frozen = ["neck"], until_epoch = 2 }]     # frozen besides, for a while
"""


def freeze(
    plan: Annotated[
        Path | None, typer.Argument(metavar="[PLAN]", help="File with a [freeze] table.")
    ] = None,
    *,
    model: Annotated[
        str,
        typer.Option(metavar="MODULE:FUNCTION", help="What returns the model, without arguments."),
    ] = "",
    lr: Annotated[float, typer.Option(min=0.0, help="Learning rate of what is not tuned.")] = 1e-4,
    weight_decay: Annotated[float, typer.Option(min=0.0, help="Weight decay of all groups.")] = 0.0,
    stage: Annotated[int, typer.Option(min=0, metavar="N", help="Stage to show, from 0.")] = 0,
    depth: Annotated[int, typer.Option(min=1, help="Levels of the model to tell apart.")] = 3,
    form: Annotated[
        str, typer.Option("--format", metavar="FORMAT", help="One of text, json, markdown.")
    ] = "text",
) -> None:
    """Show what a plan of freezing does to a model, before anything is trained.

    A row for each part that is treated alike: frozen or trained, its learning rate and weight
    decay as they will take effect, its elements, and the mode of its normalisation layers.
    """
    from stepscope.freezing.plans import AppliedPlan, read_plan
    from stepscope.freezing.plans.table import parts
    from stepscope.reporters.tables.rates import FORMATS, render

    if form not in FORMATS:
        _refuse(f"there is no format {form!r}; choose one of {', '.join(FORMATS)}")
    if plan is None or not model:
        _refuse("give a PLAN and --model MODULE:FUNCTION; see stepscope freeze --help")
    try:
        read = read_plan(plan)
        if stage > len(read.stages):
            _refuse(f"--stage {stage}: {plan} has the stages 0 to {len(read.stages)}")
        applied = AppliedPlan(read, built(model))
        applied.load_state_dict({"stage": stage})
        groups = applied.parameter_groups(lr=lr, weight_decay=weight_decay)
    except (ValueError, TypeError) as mistake:
        _refuse(str(mistake))
    sys.stdout.write(render(parts(applied.model, groups, depth), form))


def built(target: str) -> Any:
    """Return the model that `package.module:function` makes.

    Raises:
        ValueError: there is no such function, or it raises.
        TypeError: it is no function, or returns no module.
    """
    from torch import nn

    name, _, function = target.partition(":")
    if not (name and function):
        raise ValueError(f"--model {target!r}: expected MODULE:FUNCTION")
    sys.path.insert(0, str(Path.cwd()))
    try:
        made: object = importlib.import_module(name)
        for part in function.split("."):
            made = getattr(made, part)
    except (ImportError, AttributeError) as why:
        raise ValueError(f"--model {target}: {why}") from why
    if not isinstance(made, nn.Module):
        if not callable(made):
            raise TypeError(f"--model {target} is {type(made).__name__}; expected a function")
        try:
            made = made()
        except Exception as why:
            raise ValueError(f"--model {target} raised {type(why).__name__}: {why}") from why
    made = made[0] if isinstance(made, tuple) and made else made
    if not isinstance(made, nn.Module):
        raise TypeError(f"--model {target} returned {type(made).__name__}; expected a module")
    return made


def _refuse(why: str) -> NoReturn:
    from stepscope.reporters.content.printable import printable

    sys.stderr.write(f"stepscope: {printable(why)}\n")
    raise typer.Exit(2)
