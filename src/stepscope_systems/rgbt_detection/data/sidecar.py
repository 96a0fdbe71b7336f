"""Conditions and identities beside a layout that has no place for them: `pairs.json`."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec

from stepscope_systems.rgbt_detection.data.assembly import Sides
from stepscope_systems.rgbt_detection.data.faults import DataFault
from stepscope_systems.rgbt_detection.data.formats.objects import Annotated
from stepscope_systems.rgbt_detection.data.people import Side

FILE_NAME = "pairs.json"


class Note(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the layout cannot say of one pair."""

    condition: str = ""
    identities: tuple[int, ...] | None = None  # of its objects in their order; None: not known


def read(root: Path) -> Mapping[str, Note]:
    """Return the notes by name of pair; none when the data set has no such file.

    Raises:
        DataFault: the file is there and cannot be read.
    """
    path = root / FILE_NAME
    if not path.exists():
        return {}
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Note])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, OSError) as error:
        raise DataFault(
            path,
            found=f"cannot be read ({error})",
            expected='{"name of pair": {"condition": ..., "identities": [...]}, ...}',
            advice="correct it, or remove it to go without conditions and identities",
        ) from None


def write(root: Path, notes: Mapping[str, Note]) -> None:
    """Write the notes beside a data set."""
    content = msgspec.json.format(msgspec.json.encode(notes), indent=1)
    (root / FILE_NAME).write_bytes(content)


def noted(sides: Sides, note: Note | None, root: Path, name: str) -> Sides:
    """Return what the annotations state, with the note's condition and identities.

    Raises:
        DataFault: the note has another number of identities than there are objects.
    """
    if note is None:
        return sides
    if note.identities is None:
        return replace(sides, condition=note.condition)
    count = len(sides.visible.objects)
    if len(note.identities) != count:
        raise DataFault(
            root / FILE_NAME,
            found=f"{len(note.identities)} identities for {name}",
            expected=f"{count}, one for each object",
            advice="write the file again together with the annotations",
        )
    infrared = sides.infrared and _identified(sides.infrared, note.identities)
    visible = _identified(sides.visible, note.identities)
    return replace(sides, visible=visible, infrared=infrared, condition=note.condition)


def _identified(side: Side, identities: Sequence[int]) -> Side:
    # Where one side has fewer objects, the fault of that is told when the people are gathered.
    both = zip(side.objects, identities, strict=False)
    objects: list[Annotated] = [replace(stated, identity=number) for stated, number in both]
    return replace(side, objects=objects)
