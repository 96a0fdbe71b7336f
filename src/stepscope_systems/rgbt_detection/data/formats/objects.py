"""What an annotation file states of one image, whatever its format."""

from dataclasses import dataclass

from stepscope_systems.rgbt_detection.data.pairs import Box


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotated:
    """One object in one modality, as its file states it: nothing of it is judged yet."""

    box: Box | None  # None: the file says that this modality does not show the object
    label: str
    occlusion: int = 0  # 0 none, 1 partial, 2 heavy
    ignore: bool = False
    identity: int = -1  # the same person elsewhere in the scene; -1: not known


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotation:
    """The objects of one image in one modality, in the order of the file."""

    objects: tuple[Annotated, ...]
    size: tuple[int, int] | None = None  # width, height in pixels, where the file states them
