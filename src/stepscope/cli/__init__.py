"""The command line. Its help needs no torch, and loads neither rich nor the rules."""

import contextlib
import os
import traceback

import click

from stepscope.cli.check import check
from stepscope.cli.freeze import freeze
from stepscope.cli.inspect import inspect
from stepscope.cli.review import review
from stepscope.cli.rule import rule
from stepscope.cli.run import run
from stepscope.cli.train import train
from stepscope.version import __version__


class AsListed(click.Group):
    """A group whose help lists its commands as they were added: the main ones first."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return the names of the commands."""
        return list(self.commands)


@click.group(
    cls=AsListed,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, message="stepscope %(version)s", help="Show the version.")
def app() -> None:
    """Tell, with evidence and a source line, when a training run is not doing what it should."""


for command in (check, run, review, freeze, inspect, train, rule):
    app.add_command(command)


def main() -> None:
    """Run a command and exit with its code: 0, 1 or 2."""
    try:
        app(prog_name="stepscope")
    except Exception:  # noqa: BLE001 - Python would exit with 1, which says that the run is at fault
        said = f"{traceback.format_exc()}stepscope: this is a fault of stepscope, not of the run\n"
        with contextlib.suppress(OSError):  # the script may have closed or replaced sys.stderr
            os.write(2, said.encode(errors="backslashreplace"))
        raise SystemExit(2) from None
