"""The command line. Its help needs no torch, and loads neither rich nor the rules."""

import contextlib
import os
import sys
import traceback
from typing import Annotated

import typer

from stepscope.cli.check import EXAMPLES, check
from stepscope.cli.freeze import EXAMPLES as FREEZE_EXAMPLES
from stepscope.cli.freeze import freeze
from stepscope.cli.inspect import EXAMPLES as INSPECTING
from stepscope.cli.inspect import inspect
from stepscope.cli.review import EXAMPLES as REVIEWING
from stepscope.cli.review import review
from stepscope.cli.rule import rule
from stepscope.cli.run import EXAMPLES as RUNNING
from stepscope.cli.run import run
from stepscope.cli.train import EXAMPLES as SYSTEMS
from stepscope.cli.train import train
from stepscope.version import __version__

# Plain help: rich would draw boxes, and take longer to import than all the rest.
app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
# Everything after SCRIPT belongs to the script, as with `python`.
app.command(
    context_settings={"allow_interspersed_args": False},
    short_help="Judge an unmodified program by its first optimizer steps.",
    epilog=EXAMPLES,
)(check)
app.command(
    context_settings={"allow_interspersed_args": False},
    short_help="Watch the whole run of an unmodified program.",
    epilog=RUNNING,
)(run)
app.command(
    short_help="Judge a run that was watched, from its recording, also while it goes on.",
    epilog=REVIEWING,
)(review)
app.command(
    short_help="Show what a plan of freezing does to a model, or measure what freezing saves.",
    epilog=FREEZE_EXAMPLES,
)(freeze)
app.command(
    short_help="Show what is in a checkpoint, and what is odd about it.", epilog=INSPECTING
)(inspect)
# Everything after SYSTEM belongs to the system.
app.command(
    context_settings={"allow_interspersed_args": False, "ignore_unknown_options": True},
    short_help="Train one of the systems that verify themselves.",
    epilog=SYSTEMS,
)(train)
app.command(short_help="Show a rule: what it proves, and what to do. Without a code, list all.")(
    rule
)


def _version(wanted: bool) -> None:  # noqa: FBT001 - typer calls it so
    if wanted:
        sys.stdout.write(f"stepscope {__version__}\n")
        raise typer.Exit


@app.callback()
def stepscope(
    *,
    _: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Tell, with evidence and a source line, when a training run is not doing what it should."""


def main() -> None:
    """Run a command and exit with its code: 0, 1 or 2."""
    try:
        app(prog_name="stepscope")
    except Exception:  # noqa: BLE001 - Python would exit with 1, which says that the run is at fault
        said = f"{traceback.format_exc()}stepscope: this is a fault of stepscope, not of the run\n"
        with contextlib.suppress(OSError):  # the script may have closed or replaced sys.stderr
            os.write(2, said.encode(errors="backslashreplace"))
        raise SystemExit(2) from None
