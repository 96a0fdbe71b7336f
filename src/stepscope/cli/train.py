"""`stepscope train`: one of the training systems, found by what is installed."""

from importlib.metadata import entry_points

import click

from stepscope.cli.refusal import refuse

GROUP = "stepscope.systems"  # of entry points: name, and a function of arguments to exit code

EXAMPLES = """
Examples:

\b
  stepscope train rgbt-detection --help
  stepscope train rgbt-detection stage1 --preset nano
  stepscope train rgbt-detection stage1 --preset r50 --data llvip:/data/LLVIP
"""


@click.command(
    short_help="Train one of the systems that verify themselves.",
    epilog=EXAMPLES,
    context_settings={"allow_interspersed_args": False, "ignore_unknown_options": True},
)
@click.argument("system", required=False)
@click.argument("arguments", metavar="[ARGS]...", nargs=-1, type=click.UNPROCESSED)
def train(system: str | None, arguments: tuple[str, ...]) -> None:
    """Train one of the systems that verify themselves, or run another of its commands.

    Without SYSTEM, list them. All after SYSTEM is the system's own.
    """
    systems = {each.name: each for each in entry_points(group=GROUP)}
    if system is None:
        click.echo("\n".join(sorted(systems)))
        return
    if system not in systems:
        known = ", ".join(sorted(systems)) or "none is installed"
        refuse(f"there is no system {system!r}; there are: {known}")
    try:
        code = systems[system].load()(list(arguments))
    except ModuleNotFoundError as missing:
        if missing.name is None:  # raised by a library, of something else
            raise
        refuse(
            f"{system} needs {missing.name}, which is not installed; "
            "pip install 'stepscope[systems]'"
        )
    raise SystemExit(code)
