"""A COCO list looked up by the names of its images."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from stepscope_systems.rgbt_detection.data.faults import DataFault
from stepscope_systems.rgbt_detection.data.formats import coco
from stepscope_systems.rgbt_detection.data.formats.objects import Annotated


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """One file; names are those of its images without suffix and ending, in its order."""

    path: Path
    images: Mapping[str, coco.CocoImage]
    objects: Mapping[int | str, list[coco.CocoObject]]  # by id of image
    labels: Mapping[int, str]

    def stated(self, name: str) -> list[coco.CocoObject]:
        """Return the entries of one image, in the order of the file."""
        return self.objects[self.images[name].id]

    def annotated(self, name: str) -> list[Annotated]:
        """Return the objects of one image."""
        return [coco.annotated(one, self.labels[one.category_id]) for one in self.stated(name)]

    def size(self, name: str) -> tuple[int, int]:
        """Return width and height that the list states of one image."""
        image = self.images[name]
        return image.width, image.height

    def is_paired(self) -> bool:
        """Return whether each entry says which one of another list it belongs to."""
        ids = [one.pair_id for objects in self.objects.values() for one in objects]
        return len(set(ids)) == len(ids) and min(ids, default=0) >= 0


def load(path: Path, ending: str, faults: list[DataFault]) -> Index:
    """Return the index of a file; its images without a name of their own get into `faults`.

    Raises:
        DataFault: the file cannot be read at all.
    """
    content = coco.read(path)
    labels = {category.id: category.name for category in content.categories}
    objects: dict[int | str, list[coco.CocoObject]] = {one.id: [] for one in content.images}
    names = [_name(image, ending) for image in content.images]
    faults += [_nameless(path, image) for image in content.images if not image.name]
    faults += _twice(path, "the image", filter(None, names))
    faults += _twice(path, "the image id", [str(image.id) for image in content.images])
    for stated in content.annotations:
        if stated.image_id in objects and stated.category_id in labels:
            objects[stated.image_id].append(stated)
        else:
            faults.append(_dangling(path, stated))
    images = {name: one for name, one in zip(names, content.images, strict=True) if name}
    return Index(path=path, images=images, objects=objects, labels=labels)


def _name(image: coco.CocoImage, ending: str) -> str:
    if not image.file_name:
        return image.im_name.removesuffix(ending)
    return PurePosixPath(image.file_name).with_suffix("").as_posix().removesuffix(ending)


def _nameless(path: Path, image: coco.CocoImage) -> DataFault:
    return DataFault(
        path,
        found=f"the image {image.id!r} has no file_name",
        expected="file_name, or im_name as in KAIST_annotation.json",
        advice="write the list again with the names of the files",
    )


def _twice(path: Path, what: str, values: Iterable[str]) -> list[DataFault]:
    return [
        DataFault(
            path,
            found=f"{what} {value} is listed {count} times",
            expected="each once",
            advice="take the others from the list",
        )
        for value, count in Counter(values).items()
        if count > 1
    ]


def _dangling(path: Path, stated: coco.CocoObject) -> DataFault:
    return DataFault(
        path,
        found=f"annotation {stated.id!r} is of image {stated.image_id!r} and category "
        f"{stated.category_id}",
        expected="ids that images and categories have; the number 1 is not the word '1'",
        advice="write the list again with one kind of ids",
    )
