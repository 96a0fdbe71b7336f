"""Everything a run can be told, with the presets it starts from."""

from dataclasses import dataclass, field, replace
from typing import Literal

BodyName = Literal["resnet10", "resnet18", "resnet50"]
Stage = Literal["stage1", "stage2"]
Init = Literal["imagenet", "coco", "scratch"]

STAGES = 5  # of a body: its stem and four layers
_LEVELS = 5  # of the pyramid
_CHANNELS = 6  # of a pair, as the detector sees it


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """The detector."""

    body: BodyName = "resnet50"
    frozen_stages: int = 0  # of the body, from the stem on; 5 is all of it
    norm_eval: bool = False  # the body keeps the statistics of its pretraining
    channels: int = 256  # of the pyramid
    fusion: Literal["mean", "max", "visible", "infrared"] = "mean"
    head: Literal["shared", "per-class"] = "shared"  # boxes: as MMDetection, or torchvision
    classes: int = 1  # without the background
    representation: int = 1024  # width of the RoI head's two layers
    anchor_sizes: tuple[int, ...] = (32, 64, 128, 256, 512)  # pixels, a level each
    anchor_ratios: tuple[float, ...] = (1.5, 2.44, 3.5)  # height by width; people: 1 / 0.41
    proposals: int = 1000  # after non-maximum suppression
    anchors_sampled: int = 256  # per image
    rois_sampled: int = 512  # per image
    detections: int = 100  # at most, per image
    score_threshold: float = 0.05
    shortest: int = 512  # sides that images are resized to, pixels
    longest: int = 640
    # red, green, blue: ImageNet; infrared: KAIST (MLPD, Kim et al., RA-L 2021)
    mean: tuple[float, ...] = (0.485, 0.456, 0.406, 0.1598, 0.1598, 0.1598)
    deviation: tuple[float, ...] = (0.229, 0.224, 0.225, 0.0813, 0.0813, 0.0813)
    msp: bool = True
    macl: bool = True
    macl_norm: Literal["bn", "gn", "none"] = "bn"
    dhn: bool = True
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
        if not 0 <= self.frozen_stages <= STAGES:
            raise ValueError(f"model.frozen_stages is {self.frozen_stages}; expected 0 to {STAGES}")
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


@dataclass(frozen=True, slots=True, kw_only=True)
class DataConfig:
    """The pairs, and what is done to them."""

    source: str = "synthetic"  # synthetic, llvip:PATH, kaist:PATH, coco:PATH, yolo:PATH
    variant: str = ""  # of the annotations; empty: KAIST paired, LLVIP undeclared
    is_subset: bool = False  # part of a data set is meant; otherwise its size is remarked on
    train_pairs: int = 480  # of the synthetic set
    test_pairs: int = 120
    eval_boxes: Literal["visible", "infrared", "union"] = "visible"  # whose boxes are the truth
    validation_share: float = 0.15  # of the training scenes, where the data set supplies no split
    seed: int = 0  # of the synthetic set and the split
    batch: int = 8  # pairs per process and step
    workers: int = 0
    flip: float = 0.5  # probability
    scale: tuple[float, float] = (0.9, 1.2)  # of the zoom
    brightness: float = 0.2  # of the visible image; the infrared one is not coloured
    contrast: float = 0.2
    infrared_gain: float = 0.15  # contrast of the infrared image
    missing: Literal["visible", "infrared"] | None = None  # a modality blanked on purpose
    misalignment: int = 0  # pixels, of the synthetic infrared image
    has_shared_cue: bool = True  # False: the synthetic control in which alignment is impossible


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimizerConfig:
    """AdamW, a linear warm-up, and a cosine."""

    lr: float = 1e-4  # at `base_batch` pairs a step; scaled linearly with the real number
    base_batch: int = 8
    weight_decay: float = 1e-4  # not of biases, normalisation, alpha and tau
    tau_lr: float = 0.1  # by lr: its gradient is large at 0.07
    warmup_steps: int = 500
    final_lr: float = 0.01  # by lr, at the end of the cosine
    clip: float = 5.0  # largest gradient norm, before the step
    accumulate: int = 1  # batches per step
    ema: float = 0.999  # decay of the averaged weights that are validated and saved; 0: none


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """How long, where, and from what."""

    epochs: int = 12
    patience: int = 0  # validations without a better AP until the run stops; 0: never
    validate_every: int = 1  # epochs
    seed: int = 0
    precision: Literal["32-true", "16-mixed", "bf16-mixed"] = "32-true"
    accelerator: str = "auto"
    devices: int = 1
    threads: int = 0  # of torch on the CPU; 0: as many as it likes
    output: str = "runs/rgbt-detection"
    checkpoint: str | None = None  # of stage 1; what stage 2 starts from
    init: Init | None = None  # what to start from instead
    weights: str | None = None  # a local file for `init`, instead of torchvision's cache
    resume: str | None = None  # a checkpoint of this very stage
    progress: bool = True


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
