"""Everything a run can be told, with the presets it starts from.

The comment beside a field is what `--help` says of it.
"""

from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Literal

from stepscope_systems.rgbt_detection.ranges import (
    POSITIVE,
    SHARE,
    Range,
    at_least,
    expect_within,
)

BodyName = Literal["resnet10", "resnet18", "resnet50"]
Stage = Literal["stage1", "stage2"]
Init = Literal["imagenet", "coco", "scratch"]

STAGES = 5  # of a body: its stem and four layers
_LEVELS = 5  # of the pyramid
_CHANNELS = 6  # of a pair, as the detector sees it
_BELOW_ONE = Range(least=0, most=1, is_open_above=True)

_MODEL = MappingProxyType(
    {
        "frozen_stages": Range(least=0, most=STAGES),
        **dict.fromkeys(("channels", "classes", "representation"), at_least(1)),
        **dict.fromkeys(("anchor_sizes", "anchor_ratios", "deviation"), POSITIVE),
        **dict.fromkeys(("proposals", "rois_sampled", "detections"), at_least(1)),
        "anchors_sampled": at_least(2),  # half of them may be people
        "score_threshold": _BELOW_ONE,
        **dict.fromkeys(("shortest", "longest", "queue", "hardest"), at_least(1)),
        "momentum": _BELOW_ONE,
        "near_frames": at_least(0),
    }
)
_DATA = MappingProxyType(
    {
        **dict.fromkeys(("train_pairs", "test_pairs", "batch"), at_least(1)),
        "validation_share": Range(least=0, most=1, is_open_below=True, is_open_above=True),
        **dict.fromkeys(("seed", "workers", "misalignment"), at_least(0)),
        "flip": SHARE,
        "scale": POSITIVE,
        **dict.fromkeys(("brightness", "contrast", "infrared_gain"), at_least(0)),
    }
)
_OPTIMIZER = MappingProxyType(
    {
        "lr": POSITIVE,
        **dict.fromkeys(("base_batch", "accumulate"), at_least(1)),
        **dict.fromkeys(("weight_decay", "tau_lr", "warmup_steps", "clip"), at_least(0)),
        "final_lr": SHARE,
        "ema": _BELOW_ONE,
    }
)
_RUN = MappingProxyType(
    {
        **dict.fromkeys(("epochs", "validate_every", "devices"), at_least(1)),
        **dict.fromkeys(("patience", "threads"), at_least(0)),
        "seed": Range(least=0, most=2**32 - 1),  # what NumPy's generators take
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """The detector."""

    body: BodyName = "resnet50"  # both modalities go through it
    frozen_stages: int = 0  # of the body, from the stem on; 5 is all of it
    norm_eval: bool = False  # the body keeps the statistics of its pretraining
    channels: int = 256  # of the pyramid
    fusion: Literal["mean", "max", "visible", "infrared"] = "mean"  # what the detector sees of both
    head: Literal["shared", "per-class"] = "shared"  # boxes: as MMDetection, or torchvision
    classes: int = 1  # without the background
    representation: int = 1024  # width of the RoI head's two layers
    anchor_sizes: tuple[int, ...] = (32, 64, 128, 256, 512)  # pixels, a level each
    anchor_ratios: tuple[float, ...] = (1.5, 2.44, 3.5)  # height by width; people: 1 / 0.41
    proposals: int = 1000  # after non-maximum suppression
    anchors_sampled: int = 256  # per image
    rois_sampled: int = 512  # per image
    detections: int = 100  # at most, per image
    score_threshold: float = 0.05  # below it nothing is detected
    shortest: int = 512  # the shorter side that images are resized to, pixels
    longest: int = 640  # the longer side stays below it
    # red, green, blue: ImageNet; infrared: KAIST (MLPD, Kim et al., RA-L 2021)
    mean: tuple[float, ...] = (0.485, 0.456, 0.406, 0.1598, 0.1598, 0.1598)  # R G B, 3 x infrared
    deviation: tuple[float, ...] = (0.229, 0.224, 0.225, 0.0813, 0.0813, 0.0813)  # as mean
    msp: bool = True  # gates that weigh each modality by pixel
    macl: bool = True  # contrastive term between the modalities of a person
    macl_norm: Literal["bn", "gn", "none"] = "bn"  # of its projector: batch, group, none
    dhn: bool = True  # hard negatives from a queue, beside macl
    queue: int = 8192  # rows
    momentum: float = 0.99  # of the key projector
    hardest: int = 256  # negatives per person when the queue is full
    near_frames: int = 25  # of one scene: may show the same people
    domain: bool = False  # MMD between the modalities' embeddings

    def __post_init__(self) -> None:
        """Refuse what cannot be built.

        Raises:
            ValueError: options that contradict each other.
        """
        if self.dhn and not self.macl:
            raise ValueError("model.dhn needs model.macl: the queue holds what MACL projects")
        expect_within("model", self, _MODEL)
        if self.shortest > self.longest:
            raise ValueError(
                f"model.shortest is {self.shortest}, above model.longest of {self.longest}; "
                "expected the shorter side first"
            )
        if not self.anchor_ratios:
            raise ValueError("model.anchor_ratios is empty; expected one at least, as 2.44")
        if len(self.anchor_sizes) != _LEVELS:
            raise ValueError(
                f"model.anchor_sizes are {len(self.anchor_sizes)}; expected {_LEVELS}, one for "
                "each level of the pyramid"
            )
        for name in ("mean", "deviation"):
            if len(getattr(self, name)) != _CHANNELS:
                raise ValueError(
                    f"model.{name} has {len(getattr(self, name))} numbers; expected {_CHANNELS}: "
                    "red, green, blue, and three times infrared"
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class LossWeights:
    """The total is the sum of weight x term, at every step."""

    detection: float = 1.0  # of torchvision's four terms
    macl: float = 1.0  # lambda 1
    dhn: float = 0.5  # lambda 2
    domain: float = 0.1  # lambda 3

    def __post_init__(self) -> None:
        """Refuse weights that would drive a term up.

        Raises:
            ValueError: a weight is negative.
        """
        names = ("detection", "macl", "dhn", "domain")
        expect_within("loss", self, dict.fromkeys(names, at_least(0)))


@dataclass(frozen=True, slots=True, kw_only=True)
class DataConfig:
    """The pairs, and what is done to them."""

    source: str = "synthetic"  # synthetic, llvip:PATH, kaist:PATH, coco:PATH, yolo:PATH
    variant: str = ""  # of the annotations; empty: KAIST paired, LLVIP undeclared
    ignored: tuple[str, ...] = ()  # classes of COCO and YOLO neither to find nor wrong when found
    is_subset: bool = False  # part of a data set is meant; otherwise its size is remarked on
    train_pairs: int = 480  # of the synthetic set
    test_pairs: int = 120  # of the synthetic set
    eval_boxes: Literal["visible", "infrared", "union"] = "visible"  # whose boxes are the truth
    validation_share: float = 0.15  # of the training scenes, where the data set supplies no split
    seed: int = 0  # of the synthetic set and the split
    batch: int = 8  # pairs per process and step
    workers: int = 0  # processes that load pairs; 0: the training process itself
    flip: float = 0.5  # probability
    scale: tuple[float, float] = (0.9, 1.2)  # of the zoom
    brightness: float = 0.2  # of the visible image; the infrared one is not coloured
    contrast: float = 0.2  # of the visible image
    infrared_gain: float = 0.15  # contrast of the infrared image
    missing: Literal["visible", "infrared"] | None = None  # a modality blanked on purpose
    misalignment: int = 0  # pixels, of the synthetic infrared image
    has_shared_cue: bool = True  # False: the synthetic control in which alignment is impossible

    def __post_init__(self) -> None:
        """Refuse numbers that no data set can be read by.

        Raises:
            ValueError: an option lies outside its range.
        """
        expect_within("data", self, _DATA)
        if self.scale[0] > self.scale[1]:
            raise ValueError(f"data.scale is {self.scale}; expected the smaller zoom first")


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimizerConfig:
    """AdamW, a linear warm-up, and a cosine."""

    lr: float = 1e-4  # at `base_batch` pairs a step; scaled linearly with the real number
    base_batch: int = 8  # pairs a step that `lr` is meant for
    weight_decay: float = 1e-4  # not of biases, normalisation, alpha and tau
    tau_lr: float = 0.1  # by lr: its gradient is large at 0.07
    warmup_steps: int = 500  # of the optimizer, from a hundredth of `lr` on
    final_lr: float = 0.01  # by lr, at the end of the cosine
    clip: float = 5.0  # largest gradient norm, before the step
    accumulate: int = 1  # batches per step
    ema: float = 0.999  # decay of the averaged weights that are validated and saved; 0: none

    def __post_init__(self) -> None:
        """Refuse numbers that nothing can be optimised by.

        Raises:
            ValueError: an option lies outside its range.
        """
        expect_within("optimizer", self, _OPTIMIZER)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """How long, where, and from what."""

    epochs: int = 12  # over the training pairs
    patience: int = 0  # validations without a better AP until the run stops; 0: never
    validate_every: int = 1  # epochs
    seed: int = 0  # of weights, order, augmentation and sampling
    precision: Literal["32-true", "16-mixed", "bf16-mixed"] = "32-true"  # mixed: half matrices
    accelerator: Literal["auto", "cpu", "gpu"] = "auto"  # auto: a GPU where there is one
    devices: int = 1  # processes, each with its own batch
    threads: int = 0  # of torch on the CPU; 0: as many as it likes
    output: str = "runs/rgbt-detection"  # the folder above those of the stages
    checkpoint: str | None = None  # of stage 1; what stage 2 starts from
    init: Init | None = None  # what to start from instead
    weights: str | None = None  # a local file for `init`, instead of torchvision's cache
    resume: str | None = None  # a checkpoint of this very stage
    progress: bool = True  # a bar for each epoch

    def __post_init__(self) -> None:
        """Refuse a run that would do nothing, or leave no best checkpoint.

        Raises:
            ValueError: an option lies outside its range, or no epoch would be validated.
        """
        expect_within("run", self, _RUN)
        if self.validate_every > self.epochs:
            raise ValueError(
                f"run.validate_every is {self.validate_every}, and the run has {self.epochs} "
                "epochs: none would be validated, and no best checkpoint chosen; expected fewer"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """One run."""

    model: ModelConfig = field(default_factory=ModelConfig)
    loss: LossWeights = field(default_factory=LossWeights)
    data: DataConfig = field(default_factory=DataConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    run: RunConfig = field(default_factory=RunConfig)


def r50() -> Config:
    """Return the real size: ResNet-50 at 640x512, for a GPU."""
    return Config(
        model=ModelConfig(frozen_stages=1, norm_eval=True), run=RunConfig(init="imagenet")
    )


def nano() -> Config:
    """Return what learns on two CPU cores in minutes: a ResNet of 10 layers at 160x128."""
    return Config(
        model=ModelConfig(
            body="resnet10",
            channels=64,
            representation=256,
            anchor_sizes=(16, 24, 36, 54, 80),
            proposals=100,
            anchors_sampled=128,
            rois_sampled=64,
            detections=30,
            shortest=128,
            longest=160,
            queue=512,
            hardest=64,
        ),
        # At 1.0 and 0.5 a detector of random weights learns to tell people apart and does not
        # learn to find them: bench/rgbt_detection/learning.py.
        loss=LossWeights(macl=0.1, dhn=0.05, domain=0.01),
        optimizer=OptimizerConfig(lr=1e-3, warmup_steps=50, ema=0.98),
        run=RunConfig(epochs=8, init="scratch"),
    )


def for_stage(config: Config, stage: Stage) -> Config:
    """Return a preset as a stage begins with it: stage 2 freezes the body and needs stage 1."""
    if stage == "stage1":
        return config
    is_small = config.model.body == "resnet10"
    return replace(
        config,
        model=replace(config.model, frozen_stages=5),
        optimizer=replace(config.optimizer, warmup_steps=15) if is_small else config.optimizer,
        data=replace(config.data, train_pairs=144, test_pairs=96),
        run=replace(config.run, init=None, epochs=12),
    )


PRESETS = {"nano": nano, "r50": r50}
