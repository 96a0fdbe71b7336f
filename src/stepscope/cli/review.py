"""`stepscope review`: a recorded run, judged from its recording."""

import contextlib
from collections.abc import Mapping
from pathlib import Path

import click

from stepscope.cli.options import PATH, Asked, judging
from stepscope.cli.refusal import refuse
from stepscope.core import Rule

EXAMPLES = """\b
Examples:
  stepscope review                                     the run that began last, here
  stepscope review .stepscope/2026-11-21T09-12-33-train
  stepscope review --follow                            while it goes on
  stepscope review --format html --output run.html
  stepscope review --parquet tables .stepscope/*       many runs, for a notebook

\b
Exit code: 0 nothing at fault, 1 the run is at fault, 2 it could not be judged.

Needs no PyTorch. A run may be looked at while it goes on, or after a kill -9.
"""


@click.command(
    short_help="Judge a run that was watched, from its recording, also while it goes on.",
    epilog=EXAMPLES,
)
@click.argument("runs", metavar="[RUN]...", nargs=-1, type=PATH)
@click.option("--follow", is_flag=True, help="Show findings as they come, until the run ends.")
@click.option(
    "--parquet",
    type=PATH,
    metavar="DIR",
    help="Write the runs' numbers, happenings and findings as tables to DIR.",
)
@judging
def review(
    runs: tuple[Path, ...],
    *,
    follow: bool,
    parquet: Path | None,
    asked: Asked,
) -> None:
    """Judge a run from its recording, by the rules of today. The report goes to stdout.

    RUN is the folder of a recorded run; by default the one that began last below this folder.
    What was declared when it ran stands; where nothing was, the settings found now are taken.
    """
    from stepscope.catalogue import every_rule
    from stepscope.cli.delivery import Delivery
    from stepscope.configurations.settings import chosen, load
    from stepscope.recordings.folder import latest
    from stepscope.recordings.reader import read
    from stepscope.summing_up import Terms
    from stepscope.watching.reviewing import review as judged

    try:
        folders = runs or [latest(Path.cwd()).path]
        if parquet is not None:
            from stepscope.recordings.export import to_parquet

            for table in to_parquet(folders, parquet):
                click.echo(f"stepscope: wrote {table}")
            return
        if len(folders) > 1:
            refuse(f"{len(folders)} runs are given; expected one, or --parquet DIR")
        (folder,) = folders
        rules = every_rule()
        settings = load(asked.intent, rules)
        selection = chosen(settings, rules, asked.select, asked.ignore)
        recorded = read(folder)
        delivery = Delivery.prepare(asked.form, asked.output, on_stdout=True)
        if follow:
            _follow(folder, {rule.code: rule for rule in rules})
            recorded = read(folder)
        terms = Terms(
            selection=selection, settings=settings, root=str(Path.cwd()), strict=asked.strict
        )
        report = judged(recorded, terms)
    except ValueError as mistake:
        refuse(str(mistake))
    except KeyboardInterrupt:
        refuse("interrupted", code=130)
    raise SystemExit(report.exit_code if delivery.deliver(report) else 2)


def _follow(folder: Path, rules: Mapping[str, Rule]) -> None:
    """Show each finding once, as the run writes it down, until its end or an interrupt."""
    from stepscope.recordings.entries import Ended, Found
    from stepscope.recordings.following import follow
    from stepscope.reporters.content.news import render_news

    shown: set[tuple[str, str]] = set()
    with contextlib.suppress(KeyboardInterrupt):  # enough seen: the report follows
        for rank, entry in follow(folder, ()):
            if isinstance(entry, Ended):
                click.echo(f"stepscope: rank {rank} {entry.how} after step {entry.step}", err=True)
            if not isinstance(entry, Found) or entry.code not in rules:
                continue
            key = entry.code, f"{entry.finding.subject} {entry.finding.message}"
            if key not in shown:
                shown.add(key)
                rule = rules[entry.code]
                text = render_news(rule, entry.finding, step=entry.step, root=str(Path.cwd()))
                click.echo(text, err=True)
