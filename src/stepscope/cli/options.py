"""Options that several commands have."""

import functools
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

import click

from stepscope.reporters import formats

Command = TypeVar("Command", bound=Callable[..., Any])

PATH = click.Path(path_type=Path)
JUDGING = (
    click.option(
        "--intent",
        type=PATH,
        metavar="FILE",
        help="Read [intent] and all other settings from FILE instead of the nearest "
        "stepscope.toml.",
    ),
    click.option(
        "--select",
        multiple=True,
        metavar="CODE",
        help="Ask only these rules: FRZ, FRZ003. Repeatable.",
    ),
    click.option(
        "--ignore",
        multiple=True,
        metavar="CODE=REASON",
        help="Do not count this rule's findings; they are still listed, with REASON. Repeatable.",
    ),
    click.option(
        "--format",
        "form",
        default="text",
        show_default=True,
        metavar="FORMAT",
        help=f"One of {', '.join(formats())}.",
    ),
    click.option("--output", type=PATH, metavar="FILE", help="Write the report to a file."),
    click.option("--strict", is_flag=True, help="Warnings count as faults."),
)


def number(
    name: str,
    kind: click.IntRange | click.FloatRange,
    default: float,
    what: str,
    metavar: str = "N",
) -> Callable[[Command], Command]:
    """Make the option of a number, whose help shows its default and its range."""
    return click.option(
        name, type=kind, default=default, show_default=True, metavar=metavar, help=what
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """By what a command is asked to judge, and where to report."""

    intent: Path | None
    select: tuple[str, ...]
    ignore: tuple[str, ...]
    form: str
    output: Path | None
    strict: bool

    @classmethod
    def among(cls, values: dict[str, Any]) -> "Asked":
        """Take them out of the values of all options."""
        return cls(**{each.name: values.pop(each.name) for each in fields(cls)})


def judging(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that say how to judge, the last in its help, as one `asked`."""

    @functools.wraps(command)
    def with_asked(**values: Any) -> None:
        command(asked=Asked.among(values), **values)

    for option in reversed(JUDGING):
        with_asked = option(with_asked)
    return with_asked


def program(command: Command) -> Command:
    """Give a command the program to run; everything after SCRIPT belongs to it, as with `python`.

    Arguments need the setting `allow_interspersed_args=False`.
    """
    is_module = click.option(
        "-m", "module", is_flag=True, help="SCRIPT is a module, as in python -m."
    )
    arguments = click.argument("arguments", metavar="[ARGS]...", nargs=-1, type=click.UNPROCESSED)
    return click.argument("script")(arguments(is_module(command)))
