"""Where pairs come from: two images, or a folder of each modality."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from stepscope_systems.rgbt_detection.data.faults import DataFault
from stepscope_systems.rgbt_detection.data.headers import image_size
from stepscope_systems.rgbt_detection.data.pairs import Modality
from stepscope_systems.rgbt_detection.prediction.moments import (
    Moment,
    Pixels,
    other,
    paired,
    without,
)

IMAGES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"})
_FOLDERS: dict[Modality, tuple[str, ...]] = {
    "visible": ("visible",),
    "infrared": ("infrared", "lwir"),  # KAIST's name
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Pairs to be read one by one."""

    count: int | None  # None: a video that does not say how many frames it has
    moments: Callable[[], Iterator[Moment]]
    is_video: bool = False
    rate: Fraction | None = None  # frames per second, of a video that says so
    notes: tuple[str, ...] = ()  # true of every pair


def of_images(paths: dict[Modality, Path], missing: Modality | None) -> Source:
    """Return the one pair of two images, or of one when the other modality is missing.

    Raises:
        DataFault: an image is not there, or cannot be read.
    """
    name = next(iter(paths.values())).stem
    moment = _read(name, paths, missing)
    return Source(count=1, moments=lambda: iter([moment]))


def of_folder(folder: Path, missing: Modality | None) -> Source:
    """Return the pairs of `visible/` and `infrared/` (or `lwir/`), in order of their names.

    A pair's images have one name, whatever their suffixes. The folder of a modality that is
    declared missing is not looked at.

    Raises:
        DataFault: a folder is not there or holds no image, a file is none, or an image has no
            partner.
    """
    modalities: list[Modality] = [other(missing)] if missing else ["visible", "infrared"]
    found = {each: _images(_subfolder(folder, each)) for each in modalities}
    first, *rest = modalities
    for second in rest:
        _expect_same_names(folder, found[first], found[second])
    for path in (path for each in found.values() for path in each.values()):
        image_size(path)  # reads the header: what is no image at all is found before the first pair
    names = sorted(found[first])

    def moments() -> Iterator[Moment]:
        for name in names:
            yield _read(name, {each: found[each][name] for each in modalities}, missing)

    return Source(count=len(names), moments=moments)


def image(path: Path, modality: Modality) -> Pixels:
    """Read (H, W, 3) of a visible, (H, W) of an infrared image, in [0, 1], the right way up.

    Images of 16 bits are taken by the range of 16 bits, as in training.

    Raises:
        DataFault: there is no such file, it is no image, or its range is not known.
    """
    try:
        with Image.open(path) as opened:
            upright = ImageOps.exif_transpose(opened)
            upright.load()
    except FileNotFoundError:
        raise no_file(path, modality) from None
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError) as error:
        reason = str(error).replace(str(path), path.name)
        raise DataFault(
            path,
            found=f"cannot be read as an image ({reason})",
            expected="a JPEG or PNG file that is whole",
            advice="fetch the file again",
        ) from None
    if upright.mode == "F":
        raise DataFault(
            path,
            found="an image of floating-point numbers, whose range is not known",
            expected="8 or 16 bits a pixel",
            advice="scale it as the training images were, and save it as PNG",
        )
    if upright.mode.startswith("I"):
        deep = np.asarray(upright, np.float32) / np.float32(65535)
        return deep if modality == "infrared" else np.repeat(deep[..., None], 3, axis=2)
    mode = "L" if modality == "infrared" else "RGB"
    return np.asarray(upright.convert(mode), np.float32) / np.float32(255)


def no_file(path: Path, modality: Modality) -> DataFault:
    """Return what to say of a path that leads nowhere."""
    return DataFault(
        path,
        found="no such file",
        expected=f"the {modality} half of what is to be predicted",
        advice=f"correct the path, or declare it: --missing {modality}",
    )


def _read(name: str, paths: dict[Modality, Path], missing: Modality | None) -> Moment:
    if missing is not None:
        present = other(missing)
        return without(missing, name, image(paths[present], present))
    visible, infrared = paths["visible"], paths["infrared"]
    return paired(name, image(visible, "visible"), image(infrared, "infrared"))


def _subfolder(folder: Path, modality: Modality) -> Path:
    if not folder.is_dir():
        raise DataFault(
            folder,
            found="no such folder",
            expected="a folder with visible/ and infrared/ (or lwir/)",
            advice="correct the path",
        )
    names = _FOLDERS[modality]
    there = [folder / name for name in names if (folder / name).is_dir()]
    if len(there) == 1:
        return there[0]
    contents = ", ".join(sorted(each.name for each in folder.iterdir())[:8]) or "nothing"
    raise DataFault(
        folder,
        found=f"holds {contents}",
        expected=f"one folder of the {modality} images, named {' or '.join(names)}",
        advice=f"rename it, or declare that there is none: --missing {modality}",
    )


def _images(folder: Path) -> dict[str, Path]:
    """Return the images of a folder by name without suffix."""
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in IMAGES:
            continue
        if path.stem in found:
            raise DataFault(
                path,
                found=f"the folder also has {found[path.stem].name}",
                expected="one image of each name",
                advice="take one of them away",
            )
        found[path.stem] = path
    if not found:
        raise DataFault(
            folder,
            found="no image",
            expected=f"files ending in {', '.join(sorted(IMAGES))}",
            advice="name the folder above visible/ and infrared/",
        )
    return found


def _expect_same_names(folder: Path, visible: dict[str, Path], infrared: dict[str, Path]) -> None:
    alone = [("infrared", name) for name in sorted(visible.keys() - infrared.keys())]
    alone += [("visible", name) for name in sorted(infrared.keys() - visible.keys())]
    if not alone:
        return
    shown = ", ".join(f"no {modality} image {name}" for modality, name in alone[:3])
    more = f" and {len(alone) - 3:,} more" if len(alone) > 3 else ""  # noqa: PLR2004 - shown
    raise DataFault(
        folder,
        found=f"{len(visible):,} visible and {len(infrared):,} infrared images ({shown}{more})",
        expected="one of each under the same name",
        advice="add the missing images, take their partners away, or declare a modality missing",
    )
