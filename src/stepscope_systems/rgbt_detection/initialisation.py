"""What a run starts from: named, counted, and refused where too little of it fits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any
from urllib.error import URLError

import torch
from torch import Tensor, nn
from torchvision.models import WeightsEnum

from stepscope_systems.rgbt_detection.config import Config, Stage

_ENOUGH = 0.9  # of the tensors that a source could give
_QUEUE = "alignment.dhn."

# torchvision's Faster R-CNN, by our names
_OF_COCO = (
    ("backbone.body.", "body."),
    ("backbone.fpn.", "fpn."),
    ("rpn.", "rpn."),
    ("roi_heads.", "roi_heads."),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """What was taken over."""

    source: str
    names: tuple[str, ...]
    nbytes: int
    skipped: dict[str, str]  # name in the source: reason
    left: tuple[str, ...]  # of the detector, at their random values

    def summary(self) -> str:
        """Return one or two lines for the terminal."""
        parts: dict[str, int] = {}
        for name in self.names:
            part = name.split(".")[0]
            parts[part] = parts.get(part, 0) + 1
        taken = ", ".join(f"{part} {count}" for part, count in parts.items()) or "nothing"
        line = (
            f"from {self.source}: {len(self.names)} tensors, {self.nbytes / 1e6:,.1f} MB ({taken})"
        )
        if self.left:
            line += f"; {len(self.left)} tensors stay random: {_some(self.left)}"
        if self.skipped:
            reasons = [f"{name} ({reason})" for name, reason in self.skipped.items()]
            line += f"; skipped {len(self.skipped)}: {_some(reasons)}"
        return line


def expect_start(config: Config, stage: Stage) -> None:
    """Refuse a run that was not told what to start from, before anything is read.

    Raises:
        ValueError: stage 2 has neither a checkpoint nor an `init`, or both; or `weights` are named
            for nothing.
        FileNotFoundError: a file that was named is not there.
    """
    run = config.run
    if run.resume is not None:
        return
    if stage == "stage2" and run.checkpoint is not None and run.init is not None:
        raise ValueError(
            f"both --run.checkpoint {run.checkpoint} and --run.init {run.init} were given; "
            "expected one of the two"
        )
    if run.weights is not None and (run.checkpoint is not None or run.init in (None, "scratch")):
        raise ValueError(
            f"--run.weights {run.weights} would not be read; expected it with --run.init imagenet "
            "or coco, and without --run.checkpoint"
        )
    if stage == "stage2" and run.checkpoint is None and run.init is None:
        raise ValueError(
            "stage 2 starts from stage 1, and was given no checkpoint; expected "
            "--run.checkpoint FILE (stage 1 writes best.ckpt), or in so many words "
            "--run.init imagenet, coco or scratch"
        )
    for file in (run.checkpoint, run.weights):
        if file is not None and not Path(file).is_file():
            raise FileNotFoundError(f"{file} is not there; expected a checkpoint")


def initialise(detector: nn.Module, config: Config, stage: Stage) -> Loaded:
    """Load what the configuration names into a detector that was just built.

    Raises:
        ValueError: stage 2 has neither a checkpoint nor an `init`, or less than 90 % fits.
        FileNotFoundError: the file is not there.
    """
    expect_start(config, stage)
    run = config.run
    if run.checkpoint is not None:
        state = weights_in(Path(run.checkpoint), inside="detector.")
        return load(detector, state, f"the checkpoint {run.checkpoint}", whole=True)
    if run.init in (None, "scratch"):
        left = tuple(dict(detector.named_parameters()))
        return Loaded(source="scratch", names=(), nbytes=0, skipped={}, left=left)
    if run.init == "imagenet":
        state = _published(config) if run.weights is None else weights_in(Path(run.weights))
        state = {f"body.{name}": value for name, value in state.items()}
    else:
        state = _published_coco(config) if run.weights is None else weights_in(Path(run.weights))
        state = _renamed(state)
    origin = run.weights or "torchvision's weights"
    return load(detector, state, f"{run.init} ({origin})", whole=False)


def load(detector: nn.Module, state: Mapping[str, Any], source: str, *, whole: bool) -> Loaded:
    """Copy what fits by name and shape. `whole`: the source is a detector of this kind.

    Raises:
        ValueError: too little fits, or a tensor of a whole detector has another shape; with the
            first names that do not fit. Or one that fits is not finite.
    """
    own = {
        name: value for name, value in detector.state_dict().items() if isinstance(value, Tensor)
    }
    fits, skipped = _compared(own, state)
    # Frozen normalisation, and weights older than these counters, have none.
    wanted = [
        name
        for name in own
        if whole or (name.startswith("body.") and not name.endswith("num_batches_tracked"))
    ]
    got = sum(name in fits for name in wanted)
    # A queue of another size starts empty; a head or a pyramid of another size would be random.
    differ = [name for name in skipped if name in own and not name.startswith(_QUEUE)]
    if got < _ENOUGH * len(wanted) or (whole and differ):
        expected = f"{_ENOUGH:.0%}" + (", and none of another shape" if whole else "")
        raise ValueError(
            f"{source}: {got} of {len(wanted)} tensors fit "
            f"({_some(_misfits(skipped, state, wanted))}); "
            f"expected {expected}: give the preset and model options that it was trained with"
        )
    for name, value in fits.items():
        if not bool(torch.isfinite(value).all()):
            raise ValueError(
                f"{source}: {name} holds numbers that are not finite, so nothing could be "
                "detected; expected a checkpoint from before training diverged"
            )
    detector.load_state_dict(fits, strict=False)
    if whole:
        _counts(detector, state, fits, source)
    nbytes = sum(value.numel() * value.element_size() for value in fits.values())
    left = tuple(name for name, _ in detector.named_parameters() if name not in fits)
    return Loaded(source=source, names=tuple(fits), nbytes=nbytes, skipped=skipped, left=left)


def _compared(
    own: Mapping[str, Tensor], state: Mapping[str, Any]
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return what fits, and why the rest does not."""
    fits, skipped = dict[str, Tensor](), dict[str, str]()
    for name, value in state.items():
        if not isinstance(value, Tensor):
            continue
        if name not in own:
            skipped[name] = "not in this detector"
        elif own[name].shape != value.shape:
            skipped[name] = f"{_shape(value)}, here {_shape(own[name])}"
        elif own[name].is_floating_point() != value.is_floating_point():
            skipped[name] = f"{value.dtype}, here {own[name].dtype}"
        else:
            fits[name] = value
    return fits, skipped


def _counts(
    detector: nn.Module, state: Mapping[str, Any], fits: Mapping[str, Tensor], source: str
) -> None:
    """Hand modules what they keep beside their tensors, such as the fill of the queue.

    Not where a tensor of theirs stays as it was: the counts of another queue are not its counts.

    Raises:
        ValueError: it is not what the module keeps.
    """
    for name, module in detector.named_modules():
        extra = state.get(f"{name}._extra_state")
        tensors = (f"{name}.{key}" for key, _ in module.named_buffers())
        if isinstance(extra, dict) and all(each in fits for each in tensors):
            try:
                module.set_extra_state(extra)
            except ValueError as error:
                raise ValueError(f"{source}: {name}: {error}") from None


def content_of(path: Path) -> Any:
    """Read a file that torch wrote, without running code.

    Raises:
        FileNotFoundError: the file is not there.
        ValueError: it cannot be read so.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there; expected a checkpoint")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError:
        # Not in torch's words, which advise to run the code.
        raise ValueError(
            f"{path} cannot be read as weights (it holds more than tensors and plain values, or is "
            "no file of torch); `stepscope inspect` tells what it is"
        ) from None
    except Exception as error:  # noqa: BLE001 - whatever a damaged file makes torch say
        reason = (str(error) or type(error).__name__).partition(". ")[0].splitlines()[0]
        raise ValueError(
            f"{path} cannot be read as weights ({reason}); `stepscope inspect` tells what it is"
        ) from None


def weights_in(path: Path, inside: str = "") -> dict[str, Any]:
    """Read a file of weights; a Lightning checkpoint's are below `state_dict`.

    Raises:
        FileNotFoundError: the file is not there.
        ValueError: it cannot be read without running code, or holds no weights by name.
    """
    content = content_of(path)
    state = content.get("state_dict", content) if isinstance(content, dict) else content
    if not isinstance(state, dict) or not all(isinstance(name, str) for name in state):
        raise ValueError(
            f"{path} holds a {type(state).__name__}; expected tensors by name: "
            "`stepscope inspect` tells what it is"
        )
    return {
        name.removeprefix(inside): value for name, value in state.items() if name.startswith(inside)
    }


def _renamed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    renamed = {}
    for name, value in state.items():
        for theirs, ours in _OF_COCO:
            if name.startswith(theirs):
                renamed[ours + name.removeprefix(theirs)] = value
    return renamed


def _published(config: Config) -> dict[str, Tensor]:
    from torchvision.models import ResNet18_Weights, ResNet50_Weights

    known = {
        "resnet18": ResNet18_Weights.IMAGENET1K_V1,
        "resnet50": ResNet50_Weights.IMAGENET1K_V2,
    }
    if config.model.body not in known:
        raise ValueError(
            f"there are no ImageNet weights of {config.model.body}; expected --model.body "
            f"{' or '.join(known)}, --run.weights FILE, or --run.init scratch"
        )
    return _fetched(known[config.model.body])


def _published_coco(config: Config) -> dict[str, Tensor]:
    from torchvision.models.detection import FasterRCNN_ResNet50_FPN_Weights

    if config.model.body != "resnet50":
        raise ValueError(
            f"torchvision's COCO detector has a resnet50, not a {config.model.body}; expected "
            "--model.body resnet50, or --run.weights FILE"
        )
    return _fetched(FasterRCNN_ResNet50_FPN_Weights.COCO_V1)


def _fetched(published: WeightsEnum) -> dict[str, Tensor]:
    """Take published weights from torchvision's cache, or over the network.

    Raises:
        ValueError: they are in neither.
    """
    try:
        weights: dict[str, Tensor] = published.get_state_dict(check_hash=True)
    except (URLError, RuntimeError) as error:  # RuntimeError: what came is not what was published
        raise ValueError(
            f"{published.url} cannot be fetched ({error}); expected a network, or the file by "
            "--run.weights FILE"
        ) from None
    return weights


def _misfits(
    skipped: Mapping[str, str], state: Mapping[str, Any], wanted: Sequence[str]
) -> list[str]:
    shapes = [f"{name}: {reason}" for name, reason in skipped.items() if "here" in reason]
    return shapes or [f"{name} is missing" for name in wanted if name not in state]


def _some(names: Sequence[str]) -> str:
    more = len(names) - 3
    return ", ".join(names[:3]) + (f" and {more} more" if more > 0 else "")


def _shape(value: Tensor) -> str:
    return "x".join(map(str, value.shape)) or "scalar"
