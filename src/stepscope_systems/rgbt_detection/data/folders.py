"""Image files of a folder by their stems."""

from collections.abc import Mapping
from pathlib import Path

from stepscope_systems.rgbt_detection.data.faults import DataFault

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff"})


def images(folder: Path) -> tuple[dict[str, Path], list[DataFault]]:
    """Return the images of a folder by stem, in order of name, and a fault for each stem twice.

    Raises:
        DataFault: there is no such folder.
    """
    if not folder.is_dir():
        raise DataFault(
            folder,
            found="no such folder",
            expected="the images of one modality",
            advice="give the folder that holds the data set, or move the images there",
        )
    found: dict[str, Path] = {}
    faults = []
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in SUFFIXES or path.name.startswith("."):
            continue
        if path.stem in found:
            faults.append(_twice(path, found[path.stem]))
        found.setdefault(path.stem, path)
    return found, faults


def count_fault(
    visible: Mapping[str, Path], infrared: Mapping[str, Path], folder: Path
) -> list[DataFault]:
    """Return a fault when both modalities do not have the same number of images."""
    if len(visible) == len(infrared):
        return []
    missing = sorted(set(visible) ^ set(infrared))
    return [
        DataFault(
            folder,
            found=f"{len(infrared):,} infrared images",
            expected=f"{len(visible):,}, as many as visible ones",
            advice=f"restore or remove what has no counterpart, first {missing[0]}",
        )
    ]


def _twice(path: Path, other: Path) -> DataFault:
    return DataFault(
        path,
        found=f"a second image of the name {path.stem}, beside {other.name}",
        expected="one image of each name",
        advice="remove one of them",
    )
