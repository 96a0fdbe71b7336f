"""`stepscope inspect`: what is in a checkpoint, and what is odd about it."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from stepscope.cli.options import PATH, Asked, judging
from stepscope.cli.refusal import refuse

EXAMPLES = """\b
Examples:
  stepscope inspect last.ckpt
  stepscope inspect last.pth --against stage1.pth
  stepscope inspect last.pth --against my_package.models:detector
  stepscope inspect last.pth --against train.toml --strict
  stepscope inspect runs/checkpoint-500 --format json --output inspect.json
  stepscope inspect runs --tainted-by check.json
  stepscope inspect runs --tainted-by GRD006

\b
Reads .pth, .pt, .ckpt, .bin, safetensors (sharded too), and folders of Transformers, Accelerate and
torch.distributed.checkpoint. Nothing from the file is executed: one that asks for code is refused.

\b
Exit code: 0 nothing at fault, 1 the checkpoint is at fault, 2 it could not be read or judged.
"""
LARGE = 64 << 20  # bytes: below, reading takes less than a second


@click.command(
    short_help="Show what is in a checkpoint, and what is odd about it.", epilog=EXAMPLES
)
@click.argument("path", metavar="FILE", type=PATH)
@click.option(
    "--against",
    default="",
    metavar="OTHER",
    help="Compare with another checkpoint, a model (MODULE:FUNCTION), or a configuration "
    "(TOML, YAML, JSON).",
)
@click.option(
    "--tainted-by",
    default="",
    metavar="REPORT|CODE",
    help="List the checkpoints of the folder FILE that were trained under the findings of "
    "a JSON report of check, or under one rule.",
)
@judging
def inspect(
    path: Path,
    *,
    against: str,
    tainted_by: str,
    asked: Asked,
) -> None:
    """Show what the checkpoint FILE holds, what is odd about it, and what a resume would miss.

    FILE is a file or a folder.
    Tensors by module, the optimizer's state by the names of the parameters, schedules, averages,
    banks and counters. The report goes to stdout; progress on large files to stderr.
    """
    from stepscope.catalogue import every_rule
    from stepscope.cli.delivery import Delivery
    from stepscope.configurations.settings import chosen, load

    try:
        rules = every_rule()
        settings = load(asked.intent, rules)
        selection = chosen(settings, rules, asked.select, asked.ignore)
        if against and tainted_by:
            refuse("give --against or --tainted-by, not both")
        delivery = Delivery.prepare(asked.form, asked.output, on_stdout=True)
    except ValueError as mistake:
        refuse(str(mistake))

    from stepscope.checkpoint_files.content import UnreadableCheckpoint  # loads torch
    from stepscope.cli.inspecting import Inspection

    began = time.perf_counter()
    inspection = Inspection(
        rules=rules,
        selection=selection,
        is_selected=bool(asked.select),
        settings=settings,
        strict=asked.strict,
    )
    try:
        with _progress(path) as advance:
            if tainted_by:
                report = inspection.tainted(path, tainted_by, began)
            else:
                report = inspection.file(path, against, advance, began)
    except UnreadableCheckpoint as why:
        names = f"; it asks for {', '.join(why.globals)}" if why.globals else ""
        refuse(str(why) + ("" if why.globals and why.globals[0] in str(why) else names))
    except (ValueError, TypeError) as mistake:
        refuse(str(mistake))
    except KeyboardInterrupt:
        refuse("interrupted", code=130)
    raise SystemExit(report.exit_code if delivery.deliver(report) else 2)


@contextmanager
def _progress(path: Path) -> Iterator[Callable[[int], None] | None]:
    """Show how far a large file is read, at a terminal only."""
    nbytes = _nbytes(path)
    if nbytes < LARGE or not os.isatty(2):
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (
        TextColumn("reading"),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("reading", total=nbytes)
        yield lambda more: bar.advance(task, more)


def _nbytes(path: Path) -> int:
    try:
        if path.is_dir():
            return sum(each.stat().st_size for each in path.iterdir() if each.is_file())
        return path.stat().st_size
    except OSError:  # said by whoever reads it
        return 0
