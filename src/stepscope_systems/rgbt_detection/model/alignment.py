"""The contrastive terms of a step: which are active, and why the others are not."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from stepscope_systems.rgbt_detection.config import ModelConfig
from stepscope_systems.rgbt_detection.model.dhn import NegativeQueue, Whereabouts
from stepscope_systems.rgbt_detection.model.macl import Embedded, ModalityAlignment, info_nce
from stepscope_systems.rgbt_detection.model.mmd import squared_mmd

_TELLABLE = 2  # people that it takes to tell one from another


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrast:
    """The terms that were active in a step, and why the others were not."""

    terms: dict[str, Tensor]
    inactive: dict[str, str]  # term: reason
    people: int  # N: chance level of loss_macl is ln N
    embedded: Embedded
    fill: float  # of the queue, in [0, 1]

    @torch.no_grad()
    def recall_at_1(self) -> Tensor:
        """Return the share of people whose nearest row of the other modality is their own."""
        similarity = self.embedded.visible @ self.embedded.infrared.T
        own = torch.arange(len(similarity), device=similarity.device)
        return (
            (similarity.argmax(1) == own).float().mean()
            + (similarity.argmax(0) == own).float().mean()
        ) / 2

    @torch.no_grad()
    def cosines(self) -> tuple[Tensor, Tensor]:
        """Return the mean cosine of own pairs, and of pairs of different people."""
        similarity = self.embedded.visible @ self.embedded.infrared.T
        positive = similarity.diagonal().mean()
        others = len(similarity) * (len(similarity) - 1)
        return positive, (similarity.sum() - similarity.diagonal().sum()) / others


class Alignment(nn.Module):
    """MACL, with DHN and the domain term where the configuration has them."""

    def __init__(self, config: ModelConfig) -> None:
        """Build the projector, and its queue."""
        super().__init__()
        self.has_macl, self.has_domain = config.macl, config.domain
        self.macl = ModalityAlignment(config.channels, config.macl_norm)
        self.dhn = (
            NegativeQueue(
                self.macl.projector,
                size=config.queue,
                momentum=config.momentum,
                near=config.near_frames,
                hardest=config.hardest,
            )
            if config.dhn
            else None
        )

    def forward(self, visible: Tensor, infrared: Tensor, where: Whereabouts) -> Contrast:
        """Return the terms of N people, (N, C) features of each modality.

        In float32 under autocast: the similarities are divided by a small number.
        """
        with torch.autocast(visible.device.type, enabled=False):
            return self._contrast(visible.float(), infrared.float(), where)

    def _contrast(self, visible: Tensor, infrared: Tensor, where: Whereabouts) -> Contrast:
        people = len(visible)
        fill = self.dhn.filled / self.dhn.size if self.dhn is not None else 0.0
        if people == 0:  # the mean over no row would enter the statistics
            nobody = Embedded(visible=visible.new_empty(0, 128), infrared=visible.new_empty(0, 128))
            wanted = {"loss_macl": self.has_macl, "loss_domain": self.has_domain}
            wanted["loss_dhn"] = self.dhn is not None
            inactive = {name: "nobody in the batch" for name, on in wanted.items() if on}
            if self.dhn is not None:  # other ranks wait for this one's rows, be there none
                self.dhn.update(self.macl.projector)
                self.dhn.enqueue(nobody, where)
            return Contrast(terms={}, inactive=inactive, people=0, embedded=nobody, fill=fill)
        embedded = self.macl(visible, infrared)
        terms: dict[str, Tensor] = {}
        inactive = dict[str, str]()
        too_few = f"{people} people in the batch; it takes two"
        if self.has_macl and people >= _TELLABLE:
            terms["loss_macl"] = info_nce(embedded, self.macl.temperature)
        elif self.has_macl:
            inactive["loss_macl"] = too_few
        if self.has_domain and people >= _TELLABLE:
            terms["loss_domain"] = squared_mmd(embedded.visible, embedded.infrared)
        elif self.has_domain:
            inactive["loss_domain"] = too_few
        if self.dhn is not None:
            self._against_queue(self.dhn, visible, infrared, embedded, where, terms, inactive)
        return Contrast(terms=terms, inactive=inactive, people=people, embedded=embedded, fill=fill)

    def _against_queue(
        self,
        queue: NegativeQueue,
        visible: Tensor,
        infrared: Tensor,
        embedded: Embedded,
        where: Whereabouts,
        terms: dict[str, Tensor],
        inactive: dict[str, str],
    ) -> None:
        """Add DHN's term, and only then let the rows in."""
        queue.update(self.macl.projector)
        keys = queue.keys(self.macl.projector, visible, infrared)
        if not queue.is_active:
            share = queue.filled / queue.size
            inactive["loss_dhn"] = (
                f"the queue is {share:.0%} full; it takes {queue.active_from:.0%}"
            )
        else:
            terms["loss_dhn"] = queue.loss(embedded, keys, where, self.macl.temperature)
        queue.enqueue(keys, where)
