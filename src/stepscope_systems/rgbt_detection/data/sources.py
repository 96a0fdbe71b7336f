"""A data set as a user names it: llvip:PATH, kaist:PATH, coco:PATH, yolo:PATH."""

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Literal, get_args

from stepscope_systems.rgbt_detection.data.coco import CocoSource, inspect_coco
from stepscope_systems.rgbt_detection.data.faults import Reading
from stepscope_systems.rgbt_detection.data.kaist import inspect_kaist
from stepscope_systems.rgbt_detection.data.kaist_layout import Variant
from stepscope_systems.rgbt_detection.data.llvip import Annotations, inspect_llvip
from stepscope_systems.rgbt_detection.data.yolo import inspect_yolo

Kind = Literal["llvip", "kaist", "coco", "yolo"]
Split = Literal["train", "test", "validation"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where pairs come from, and how they are to be read."""

    kind: Kind
    root: Path
    split: Split | None = None  # None: the only one of a variant of KAIST; otherwise train
    variant: Variant = "raw"  # of KAIST
    annotations: Annotations = "undeclared"  # of LLVIP
    annotations_path: Path | None = None  # of KAIST, where it is not in its usual place
    frames: Path | None = None  # of KAIST: a file of imageSets
    ignored: frozenset[str] = frozenset()  # of COCO and YOLO; KAIST has its own
    subset: bool = False
    repair: bool = False

    def inspect(self) -> Reading:
        """Return the sound pairs of the source and every fault.

        Raises:
            ValueError: the data set has no such split.
        """
        match self.kind:
            case "llvip":
                return inspect_llvip(
                    self.root,
                    self.split or "train",
                    annotations=self.annotations,
                    subset=self.subset,
                    repair=self.repair,
                )
            case "kaist":
                if self.split == "validation":
                    raise ValueError(
                        "KAIST has no validation split; split its training pairs by scene"
                    )
                return inspect_kaist(
                    self.root,
                    self.variant,
                    self.split,
                    annotations=self.annotations_path,
                    frames=self.frames,
                    subset=self.subset,
                    repair=self.repair,
                )
            case "coco":
                return inspect_coco(self._lists())
            case "yolo":
                return inspect_yolo(
                    self.root, self.split or "train", ignored=self.ignored, repair=self.repair
                )

    def _lists(self) -> CocoSource:
        split = self.split or "train"
        infrared = self.root / f"infrared_{split}.json"
        return CocoSource(
            visible_list=self.root / f"visible_{split}.json",
            infrared_list=infrared if infrared.exists() else None,
            visible_images=self.root / "visible",
            infrared_images=self.root / "infrared",
            ignored=self.ignored,
            split=split,
            repair=self.repair,
        )


def kind_and_root(data: str) -> tuple[Kind, Path]:
    """Return what `kaist:PATH` says.

    Raises:
        ValueError: it names no known kind, or no path.
    """
    word, _, path = data.partition(":")
    kinds: Iterable[Kind] = get_args(Kind)
    for kind in kinds:
        if word == kind and path:
            return kind, Path(path).expanduser()
    near = get_close_matches(word, list(kinds), n=1)
    hint = f"; did you mean {near[0]}:PATH?" if near and word != near[0] else ""
    known = ", ".join(f"{kind}:PATH" for kind in kinds)
    raise ValueError(f"data is {data!r}; expected one of {known}{hint}")
