"""What the environment switch turns on, in a program that has just imported torch."""

import shlex
from pathlib import Path
from typing import Any

import click

from stepscope.adapters.under_way import CheckUnderWay, RunUnderWay, stop_quietly
from stepscope.adapters.watched_children import ChildPlan, WatchedChildren
from stepscope.adapters.watched_run import WatchedRun
from stepscope.cli.check import check
from stepscope.cli.judging import Judging
from stepscope.cli.options import Asked
from stepscope.cli.run import run
from stepscope.cli.settling import settled
from stepscope.inherited import OPTIONS
from stepscope.probes.notebook import notebook
from stepscope.watching.watched import Plan


def begin(command: str, program: str, arguments: tuple[str, ...], options: str) -> None:
    """Watch this program from here on, as `stepscope run` or `check` would with these options.

    Raises:
        ValueError: there is no such option, or what it says cannot be done.
    """
    program = notebook() or program
    if command == "run":
        _run(program, arguments, _understood(run, options))
    else:
        _check(program, _understood(check, options))


def _run(program: str, arguments: tuple[str, ...], wanted: dict[str, Any]) -> None:
    judging = _judging(wanted)
    plan = Plan(steps=wanted["steps"], at=wanted["look_at"], every=wanted["every"])
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
    asked = Asked.among(wanted)
    if asked.form != "text" and asked.output is None:
        raise ValueError(
            f"{OPTIONS} asks for --format {asked.form} on standard output, which is the program's "
            "own; add --output FILE"
        )
    terms, delivery = settled(asked)
    return Judging(terms=terms, delivery=delivery)


def _understood(command: click.Command, options: str) -> dict[str, Any]:
    """Read options as the command does, which is given the program by the switch."""
    wanted: dict[str, Any] = {}

    reader = click.Command(
        command.name,
        params=command.params,
        callback=wanted.update,
        context_settings=command.context_settings,
        add_help_option=False,
    )
    try:
        reader.main([*shlex.split(options), "PROGRAM"], prog_name=OPTIONS, standalone_mode=False)
    except click.UsageError as mistake:
        raise ValueError(f"{OPTIONS} is {options!r}: {mistake.format_message()}") from None
    except ValueError as mistake:  # a quote without its end
        raise ValueError(f"{OPTIONS} is {options!r}: {mistake}") from None
    if wanted["arguments"] or wanted["module"]:
        raise ValueError(
            f"{OPTIONS} is {options!r}; expected options of `stepscope {command.name}` only: "
            "the program is the one that runs"
        )
    return wanted
