"""What the environment switch turns on, in a program that has just imported torch."""

import functools
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer

from stepscope.adapters.under_way import CheckUnderWay, RunUnderWay, stop_quietly
from stepscope.adapters.watched_children import ChildPlan, WatchedChildren
from stepscope.adapters.watched_run import WatchedRun
from stepscope.cli.check import check
from stepscope.cli.judging import Judging
from stepscope.cli.run import run
from stepscope.cli.settling import settled
from stepscope.switch import OPTIONS
from stepscope.watching.watched import Plan

# click's, or that of typer's own copy of click
UsageError: type[Exception] = typer.BadParameter.__bases__[0]


def begin(command: str, program: str, arguments: tuple[str, ...], options: str) -> None:
    """Watch this program from here on, as `stepscope run` or `check` would with these options.

    Raises:
        ValueError: there is no such option, or what it says cannot be done.
    """
    if command == "run":
        _run(program, arguments, _understood(run, options))
    else:
        _check(program, _understood(check, options))


def _run(program: str, arguments: tuple[str, ...], wanted: dict[str, Any]) -> None:
    judging = _judging(wanted)
    plan = Plan(steps=wanted["steps"], at=tuple(wanted["look_at"] or ()), every=wanted["every"])
    on_error, terms = wanted["on_error"], judging.terms
    watched = WatchedRun(
        program,
        arguments,
        terms=terms,
        home=wanted["folder"] or Path.cwd(),
        plan=plan,
        on_error=on_error,
        stop=stop_quietly,
        children=WatchedChildren(
            ChildPlan(program=program, terms=terms, plan=plan, on_error=on_error)
        ),
        is_late=True,
    )
    RunUnderWay(watched, judging.deliver).begin()


def _check(program: str, wanted: dict[str, Any]) -> None:
    judging = _judging(wanted)
    CheckUnderWay(
        program,
        steps=wanted["steps"],
        timeout_s=wanted["timeout"],
        intent=judging.terms.settings.intent,
        conclude=judging.conclude,
    ).begin()


def _judging(wanted: dict[str, Any]) -> Judging:
    form, output = wanted["form"], wanted["output"]
    if form != "text" and output is None:
        raise ValueError(
            f"{OPTIONS} asks for --format {form} on standard output, which is the program's own; "
            "add --output FILE"
        )
    names = ("intent", "select", "ignore", "strict")
    terms, delivery = settled(**{name: wanted[name] for name in names}, form=form, output=output)
    return Judging(terms=terms, delivery=delivery)


def _understood(command: Callable[..., None], options: str) -> dict[str, Any]:
    """Read options as the command does, which is given the program by the switch."""
    wanted: dict[str, Any] = {}

    @functools.wraps(command)
    def noted(**values: Any) -> None:
        wanted.update(values)

    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command(context_settings={"allow_interspersed_args": False}, add_help_option=False)(noted)
    try:
        words = [*shlex.split(options), "PROGRAM"]
        typer.main.get_command(app).main(words, prog_name=OPTIONS, standalone_mode=False)
    except UsageError as mistake:
        raise ValueError(f"{OPTIONS} is {options!r}: {mistake.format_message()}") from None  # type: ignore[attr-defined]
    except ValueError as mistake:  # a quote without its end
        raise ValueError(f"{OPTIONS} is {options!r}: {mistake}") from None
    if wanted["arguments"] or wanted["module"]:
        raise ValueError(
            f"{OPTIONS} is {options!r}; expected options of `stepscope {command.__name__}` only: "
            "the program is the one that runs"
        )
    return wanted
