"""Options that several commands have."""

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from stepscope.reporters import formats

IntentFile: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--intent",
        metavar="FILE",
        help="Read [intent] and all other settings from FILE instead of the nearest "
        "stepscope.toml.",
    ),
]
Select: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--select", metavar="CODE", help="Ask only these rules: FRZ, FRZ003. Repeatable."),
]
Ignore: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--ignore",
        metavar="CODE=REASON",
        help="Do not count this rule's findings; they are still listed, with REASON. Repeatable.",
    ),
]
Format: TypeAlias = Annotated[
    str, typer.Option("--format", metavar="FORMAT", help=f"One of {', '.join(formats())}.")
]
Output: TypeAlias = Annotated[
    Path | None, typer.Option("--output", metavar="FILE", help="Write the report to a file.")
]
Strict: TypeAlias = Annotated[bool, typer.Option("--strict", help="Warnings count as faults.")]
