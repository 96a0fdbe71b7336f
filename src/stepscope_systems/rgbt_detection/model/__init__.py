"""The detector, in pure torch: tensors in, tensors and loss terms out."""

from stepscope_systems.rgbt_detection.model.detector import Detector, Losses

__all__ = ["Detector", "Losses"]
