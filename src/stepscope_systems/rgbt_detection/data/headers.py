"""Sizes of images from their headers, and whether their pixels can be read."""

from pathlib import Path

from stepscope_systems.rgbt_detection.data.faults import DataFault


def image_size(path: Path) -> tuple[int, int]:
    """Return width and height in pixels; only the header is read.

    Raises:
        DataFault: there is no such file, or it is not an image.
    """
    from PIL import Image  # half of the start of a program

    try:
        with Image.open(path) as image:
            return image.size
    except FileNotFoundError:
        raise _missing(path) from None
    except (Image.DecompressionBombError, OSError, SyntaxError, ValueError) as error:
        raise _unreadable(path, error) from None


def pixels_fault(path: Path) -> DataFault | None:
    """Return a fault when the pixels cannot be decoded: a file cut short has a sound header."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            image.load()
    except (OSError, SyntaxError, ValueError) as error:
        return _unreadable(path, error)
    return None


def pair_size(visible: Path, infrared: Path) -> tuple[tuple[int, int] | None, list[DataFault]]:
    """Return the size that both images have, or None and what is at fault."""
    sizes: list[tuple[int, int]] = []
    faults: list[DataFault] = []
    for path in (visible, infrared):
        try:
            sizes.append(image_size(path))
        except DataFault as fault:
            faults.append(fault)
    if faults:
        return None, faults
    if sizes[0] != sizes[1]:
        unequal = DataFault(
            infrared,
            found=f"{sizes[1][0]} x {sizes[1][1]} pixels",
            expected=f"{sizes[0][0]} x {sizes[0][1]}, as {visible.name} of the visible images",
            advice="register both modalities to one size, since one box serves both",
        )
        return None, [unequal]
    return sizes[0], []


def _missing(path: Path) -> DataFault:
    return DataFault(
        path,
        found="no such file",
        expected="an image of each modality for every pair",
        advice="restore the file, or take its pair from the list",
    )


def _unreadable(path: Path, error: Exception) -> DataFault:
    reason = str(error).replace(str(path), path.name) or type(error).__name__
    return DataFault(
        path,
        found=f"cannot be read as an image ({reason})",
        expected="a JPEG or PNG file that is whole",
        advice="fetch the file again",
    )
