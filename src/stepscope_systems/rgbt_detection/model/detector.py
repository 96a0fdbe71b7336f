"""The visible/infrared Faster R-CNN: one body for both modalities, one detector for their sum."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.transform import GeneralizedRCNNTransform, resize_boxes

from stepscope_systems.rgbt_detection.config import ModelConfig
from stepscope_systems.rgbt_detection.model import parts
from stepscope_systems.rgbt_detection.model.alignment import Alignment, Contrast
from stepscope_systems.rgbt_detection.model.dhn import Whereabouts
from stepscope_systems.rgbt_detection.model.fusion import Fusion, Levels, fuse
from stepscope_systems.rgbt_detection.model.macl import Embedded
from stepscope_systems.rgbt_detection.model.msp import ModalitySpecificGate

Images = list[Tensor]  # (3, H, W) each
Target = dict[str, Tensor]
Detections = dict[str, Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """The pyramid of each modality after the gates, and what the detector sees of both."""

    visible: Levels
    infrared: Levels
    fused: Levels


@dataclass(frozen=True, slots=True, kw_only=True)
class Losses:
    """What a training step gives: raw terms by name, and what there is to say of the contrast."""

    terms: dict[str, Tensor]
    contrast: Contrast | None


class Detector(nn.Module):
    """Finds people in pairs.

    In training `detector(visible, infrared, targets)` returns `Losses`; in evaluation
    `detector(visible, infrared)` a list of dicts: `boxes` (M, 4) xyxy in pixels of the images
    given, `labels` (M,), `scores` (M,). Images are lists of (3, H, W) in [0, 1], infrared ones with
    the one channel three times; both of a pair are equally large, and pairs may differ. A target
    holds `boxes` (N, 4), `labels` (N,), and for the alignment `boxes_visible`, `boxes_infrared`
    (N, 4), `identities` (N,), `scene` and `frame` (scalars).
    """

    def __init__(self, config: ModelConfig) -> None:
        """Build from random weights."""
        super().__init__()
        self.config = config
        self.transform = GeneralizedRCNNTransform(
            config.shortest, config.longest, list(config.mean), list(config.deviation)
        )
        self.body = parts.Body(config.body)
        self.fpn = parts.pyramid(self.body, config.channels)
        self.msp = ModalitySpecificGate(config.channels) if config.msp else None
        self.rpn = parts.proposals(config)
        self.roi_heads = parts.heads(config)
        self.alignment = Alignment(config) if config.macl or config.domain else None

    def train(self, mode: bool = True) -> "Detector":  # noqa: FBT001, FBT002 - torch's signature
        """Enter a mode; a body with `norm_eval` keeps the statistics it came with."""
        super().train(mode)
        if self.config.norm_eval:
            for module in self.body.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self

    def forward(
        self, visible: Images, infrared: Images, targets: list[Target] | None = None
    ) -> Losses | list[Detections]:
        """Return losses in training, detections otherwise."""
        sizes = [(image.shape[-2], image.shape[-1]) for image in visible]
        batch, resized = self.transform(_joined(visible, infrared), targets)
        features = self._features(batch, self.config.fusion)
        proposals, rpn_terms = self.rpn(batch, features.fused, resized)
        detections, roi_terms = self.roi_heads(
            features.fused, proposals, batch.image_sizes, resized
        )
        if not self.training:
            found: list[Detections] = self.transform.postprocess(
                detections, batch.image_sizes, sizes
            )
            return found
        assert targets is not None, "torchvision's RPN has asked for them"
        terms = rpn_terms | roi_terms
        contrast = None
        if self.alignment is not None:
            pooled = self._pooled(
                features,
                batch,
                sizes,
                [each["boxes_visible"] for each in targets],
                [each["boxes_infrared"] for each in targets],
            )
            contrast = self.alignment(*pooled, _whereabouts(targets))
            terms |= contrast.terms
        return Losses(terms=terms, contrast=contrast)

    def gates(self, visible: Images, infrared: Images) -> dict[str, Levels]:
        """Return MSP's factor per modality, level and pixel, (B, 1, h, w) in (0.5, 1.5).

        Raises:
            ValueError: this detector has no MSP.
        """
        if self.msp is None:
            raise ValueError("this detector was built without MSP; there are no gates to show")
        batch, _ = self.transform(_joined(visible, infrared), None)
        gates = {name: self.msp.gate(level) for name, level in self._ungated(batch).items()}
        half = len(visible)
        return {
            "visible": {name: gate[:half] for name, gate in gates.items()},
            "infrared": {name: gate[half:] for name, gate in gates.items()},
        }

    def embed(
        self,
        visible: Images,
        infrared: Images,
        boxes_visible: list[Tensor],
        boxes_infrared: list[Tensor],
    ) -> Embedded:
        """Return the people in boxes, as MACL sees them: (N, 128) each, of unit length.

        Raises:
            ValueError: this detector has no projector.
        """
        if self.alignment is None:
            raise ValueError("this detector was built without MACL; it embeds nobody")
        sizes = [(image.shape[-2], image.shape[-1]) for image in visible]
        batch, _ = self.transform(_joined(visible, infrared), None)
        features = self._features(batch, self.config.fusion)
        pooled = self._pooled(features, batch, sizes, boxes_visible, boxes_infrared)
        embedded: Embedded = self.alignment.macl(*pooled)
        return embedded

    def _ungated(self, batch: ImageList) -> Levels:
        """Both modalities through one body: (2B, C, h, w) per level, visible first."""
        visible, infrared = batch.tensors[:, :3], batch.tensors[:, 3:]
        levels: Levels = self.fpn(self.body(torch.cat([visible, infrared])))
        return levels

    def _features(self, batch: ImageList, fusion: Fusion) -> Features:
        levels = self._ungated(batch)
        if self.msp is not None:
            levels = self.msp(levels)
        half = len(batch.image_sizes)
        visible = {name: level[:half] for name, level in levels.items()}
        infrared = {name: level[half:] for name, level in levels.items()}
        return Features(visible=visible, infrared=infrared, fused=fuse(visible, infrared, fusion))

    def _pooled(
        self,
        features: Features,
        batch: ImageList,
        sizes: list[tuple[int, int]],
        boxes_visible: list[Tensor],
        boxes_infrared: list[Tensor],
    ) -> tuple[Tensor, Tensor]:
        """Return the mean RoI feature of each person in each modality, (N, C)."""
        pooled = []
        for levels, boxes in (
            (features.visible, boxes_visible),
            (features.infrared, boxes_infrared),
        ):
            scaled = [
                resize_boxes(each, list(old), list(new))
                for each, old, new in zip(boxes, sizes, batch.image_sizes, strict=True)
            ]
            rois = self.roi_heads.box_roi_pool(levels, scaled, batch.image_sizes)
            pooled.append(rois.mean((2, 3)))
        return pooled[0], pooled[1]


def _joined(visible: Images, infrared: Images) -> Images:
    """Stack the modalities of each pair: resizing, padding and boxes are shared from here on.

    Raises:
        ValueError: the images of a pair differ in size, or there are more of one modality.
    """
    if len(visible) != len(infrared):
        raise ValueError(
            f"{len(visible)} visible images and {len(infrared)} infrared ones; expected pairs"
        )
    for one, other in zip(visible, infrared, strict=True):
        if one.shape != other.shape:
            raise ValueError(
                f"a visible image of {tuple(one.shape)} and its infrared one of "
                f"{tuple(other.shape)}; expected equal (3, H, W): resize one of them first"
            )
    return [torch.cat(pair) for pair in zip(visible, infrared, strict=True)]


def _whereabouts(targets: list[Target]) -> Whereabouts:
    counts = [len(each["boxes_visible"]) for each in targets]
    return Whereabouts(
        identity=torch.cat([each["identities"] for each in targets]),
        scene=torch.cat([each["scene"].expand(n) for each, n in zip(targets, counts, strict=True)]),
        frame=torch.cat([each["frame"].expand(n) for each, n in zip(targets, counts, strict=True)]),
    )
