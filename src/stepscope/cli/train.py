"""`stepscope train`: one of the training systems, found by what is installed."""

from importlib.metadata import entry_points
from typing import Annotated

import typer

from stepscope.cli.refusal import refuse

GROUP = "stepscope.systems"  # of entry points: name, and a function of arguments to exit code

EXAMPLES = """
Examples:

\b
  stepscope train rgbt-detection --help
  stepscope train rgbt-detection stage1 --preset nano
  stepscope train rgbt-detection stage1 --preset r50 --data llvip:/data/LLVIP
"""


def train(
    system: Annotated[
        str | None, typer.Argument(metavar="SYSTEM", help="Which; without it, list them.")
    ] = None,
    arguments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="ARGS", help="All after SYSTEM is the system's own.", show_default=False
        ),
    ] = None,
) -> None:
    """Train one of the systems that verify themselves, or run another of its commands."""
    systems = {each.name: each for each in entry_points(group=GROUP)}
    if system is None:
        typer.echo("\n".join(sorted(systems)))
        return
    if system not in systems:
        known = ", ".join(sorted(systems)) or "none is installed"
        refuse(f"there is no system {system!r}; there are: {known}")
    try:
        code = systems[system].load()(arguments or [])
    except ModuleNotFoundError as missing:
        if missing.name is None:  # raised by a library, of something else
            raise
        refuse(
            f"{system} needs {missing.name}, which is not installed; "
            "pip install 'stepscope[systems]'"
        )
    raise typer.Exit(code)
