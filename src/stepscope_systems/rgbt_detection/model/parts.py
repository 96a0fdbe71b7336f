"""The parts of Faster R-CNN, from torchvision, at the sizes of a configuration."""

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.roi_heads import RoIHeads
from torchvision.models.detection.rpn import RegionProposalNetwork, RPNHead
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet
from torchvision.ops import MultiScaleRoIAlign
from torchvision.ops.feature_pyramid_network import FeaturePyramidNetwork, LastLevelMaxPool

from stepscope_systems.rgbt_detection.config import BodyName, ModelConfig

LEVELS = ("0", "1", "2", "3")
_POOL = 7  # RoI grid

_RESNETS: dict[BodyName, Callable[[], ResNet]] = {
    "resnet10": lambda: ResNet(BasicBlock, [1, 1, 1, 1]),
    "resnet18": lambda: ResNet(BasicBlock, [2, 2, 2, 2]),
    "resnet50": lambda: ResNet(Bottleneck, [3, 4, 6, 3]),
}


class Body(nn.Module):
    """A ResNet without its classifier: four levels, strides 4, 8, 16, 32."""

    def __init__(self, name: BodyName) -> None:
        """Take the stages out of torchvision's ResNet, under their own names."""
        super().__init__()
        whole = _RESNETS[name]()
        self.conv1, self.bn1, self.relu, self.maxpool = (
            whole.conv1,
            whole.bn1,
            whole.relu,
            whole.maxpool,
        )
        self.layer1, self.layer2 = whole.layer1, whole.layer2
        self.layer3, self.layer4 = whole.layer3, whole.layer4
        width = whole.fc.in_features
        self.channels = (width // 8, width // 4, width // 2, width)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Return the levels of normalised images (B, 3, H, W)."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        levels = {}
        for name, stage in zip(
            LEVELS, (self.layer1, self.layer2, self.layer3, self.layer4), strict=True
        ):
            x = stage(x)
            levels[name] = x
        return levels


class SharedBoxPredictor(FastRCNNPredictor):  # type: ignore[misc] # torchvision has no types
    """Predicts boxes for the foreground classes alone, as MMDetection does."""

    def __init__(self, channels: int, num_classes: int) -> None:
        """Take `num_classes` with the background."""
        super().__init__(channels, num_classes)
        self.bbox_pred = nn.Linear(channels, 4 * (num_classes - 1))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (N, classes) and box deltas (N, 4 classes), the background's zero."""
        scores, deltas = super().forward(x)
        return scores, functional.pad(deltas, (4, 0))


def pyramid(body: Body, channels: int) -> FeaturePyramidNetwork:
    """Return an FPN of five levels; the last is pooled from the fourth."""
    return FeaturePyramidNetwork(list(body.channels), channels, LastLevelMaxPool())


def proposals(config: ModelConfig) -> RegionProposalNetwork:
    """Return the RPN, with anchors of upright people."""
    anchors = AnchorGenerator(
        tuple((size,) for size in config.anchor_sizes),
        (config.anchor_ratios,) * len(config.anchor_sizes),
    )
    return RegionProposalNetwork(
        anchors,
        RPNHead(config.channels, len(config.anchor_ratios)),
        fg_iou_thresh=0.7,
        bg_iou_thresh=0.3,
        batch_size_per_image=config.anchors_sampled,
        positive_fraction=0.5,
        pre_nms_top_n={"training": 2 * config.proposals, "testing": config.proposals},
        post_nms_top_n={"training": config.proposals, "testing": config.proposals},
        nms_thresh=0.7,
    )


def heads(config: ModelConfig) -> RoIHeads:
    """Return the RoI heads: people against background."""
    num_classes = config.classes + 1
    predictor = SharedBoxPredictor if config.head == "shared" else FastRCNNPredictor
    return RoIHeads(
        MultiScaleRoIAlign(LEVELS, _POOL, sampling_ratio=2),
        TwoMLPHead(config.channels * _POOL**2, config.representation),
        predictor(config.representation, num_classes),
        fg_iou_thresh=0.5,
        bg_iou_thresh=0.5,
        batch_size_per_image=config.rois_sampled,
        positive_fraction=0.25,
        bbox_reg_weights=None,
        score_thresh=config.score_threshold,
        nms_thresh=0.5,
        detections_per_img=config.detections,
    )
