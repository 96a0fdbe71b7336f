"""The commands `validate` and `convert`: they print, and return an exit code.

0: nothing at fault; 1: the data set is at fault.
"""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from stepscope_systems.rgbt_detection.data.assembly import undecodable
from stepscope_systems.rgbt_detection.data.conversion.convert import Form, Images
from stepscope_systems.rgbt_detection.data.conversion.convert import convert as write
from stepscope_systems.rgbt_detection.data.faults import DataFault
from stepscope_systems.rgbt_detection.data.pairs import EvalBoxes
from stepscope_systems.rgbt_detection.data.sources import Source


def validate(source: Source, *, console: Console, decode: bool = False, most: int = 50) -> int:
    """Print what a data set holds and all that is at fault with it, up to `most` lines."""
    with console.status(f"reading {source.kind}"):
        reading = source.inspect()
        faults = [*reading.faults, *(undecodable(reading.pairs) if decode else ())]
    console.print(escape(reading.pairs.summary()), soft_wrap=True)
    if not faults:
        looked = "pixels decoded" if decode else "headers read; --decode reads the pixels too"
        console.print(f"Nothing at fault ({looked}).")
        return 0
    console.print(_table(source.root, faults[:most]))
    if len(faults) > most:
        console.print(f"... and {len(faults) - most:,} more.")
    faulty = "1 fault" if len(faults) == 1 else f"{len(faults):,} faults"
    console.print(f"{faulty}; the pairs above are those without.")
    return 1


def convert(
    source: Source,
    target: Path,
    form: Form,
    *,
    console: Console,
    eval_boxes: EvalBoxes = "visible",
    images: Images = "copy",
) -> int:
    """Write a data set in another layout, and print what that layout cannot hold."""
    try:
        with console.status(f"converting {source.kind} to {form}"):
            pairs = source.inspect().sound()
            written = write(pairs, target, form, eval_boxes=eval_boxes, images=images)
    except DataFault as fault:
        console.print(escape(str(fault)), soft_wrap=True)
        return 1
    console.print(escape(pairs.summary()), soft_wrap=True)
    console.print(f"{written.annotations:,} annotation files and {written.images:,} images written")
    for loss in written.losses:
        console.print(f"Not held by {form}: {escape(loss)}.", soft_wrap=True)
    return 0


def _table(root: Path, faults: Sequence[DataFault]) -> Table:
    # Folded: a name cut short is not the name of a file.
    columns = (
        Column(each, overflow="fold") for each in ("file", "found", "expected", "what to do")
    )
    table = Table(*columns, show_lines=False, expand=True)
    for fault in faults:
        path = fault.path
        place = str(path.relative_to(root)) if path.is_relative_to(root) else str(path)
        table.add_row(*map(escape, (place, fault.found, fault.expected, fault.advice)))
    return table
