"""The total loss: the weighted sum of its terms, and nothing else."""

from dataclasses import dataclass

from torch import Tensor

from stepscope_systems.rgbt_detection.config import LossWeights


@dataclass(frozen=True, slots=True, kw_only=True)
class Total:
    """A step's loss, and what it is made of."""

    total: Tensor
    weighted: dict[str, Tensor]  # by the raw terms' names


def weights_of(weights: LossWeights) -> dict[str, float]:
    """Return the weight of every term there can be."""
    detection = ("loss_objectness", "loss_rpn_box_reg", "loss_classifier", "loss_box_reg")
    return dict.fromkeys(detection, weights.detection) | {
        "loss_macl": weights.macl,
        "loss_dhn": weights.dhn,
        "loss_domain": weights.domain,
    }


def total_loss(terms: dict[str, Tensor], weights: LossWeights) -> Total:
    """Sum weight x term; where a term is not finite, the total is not finite either."""
    table = weights_of(weights)
    weighted = {name: table[name] * term for name, term in terms.items()}
    first, *others = weighted.values()
    total = first
    for each in others:
        total = total + each
    return Total(total=total, weighted=weighted)
