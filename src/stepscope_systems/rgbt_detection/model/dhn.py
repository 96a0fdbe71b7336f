"""DHN: hard negatives from a queue of people seen before."""

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, distributed, nn
from torch.func import functional_call
from torch.nn import functional

from stepscope_systems.rgbt_detection.model.macl import Embedded

# Finite: the temperature's gradient at -inf is not a number.
_NEVER = -1e4


@dataclass(frozen=True, slots=True, kw_only=True)
class Whereabouts:
    """Who a row is and where it was seen, so that nobody is their own negative. All (N,) int64."""

    identity: Tensor  # -1: not known
    scene: Tensor
    frame: Tensor


class NegativeQueue(nn.Module):
    """A ring of keys of both modalities, made by a momentum copy of the projector.

    The copy is held in buffers (He et al., CVPR 2020, section 3.2: theta_k <- m theta_k +
    (1 - m) theta_q), so it is saved, moved and never trained: 0 parameters. Rows enter after the
    loss that they could have served, and are never negatives of the same person, nor of the same
    scene within `near` frames.
    """

    def __init__(
        self,
        projector: nn.Module,
        *,
        size: int = 8192,
        dim: int = 128,
        momentum: float = 0.99,
        near: int = 25,
        hardest: int = 256,
        active_from: float = 0.25,
    ) -> None:
        """Begin with an empty queue; `active_from` is the share that must be filled."""
        super().__init__()
        self.size, self.momentum, self.near = size, momentum, near
        self.hardest, self.active_from = hardest, active_from
        self._names = dict[str, str]()  # of the projector's tensors, and of our buffers
        for name, tensor in projector.state_dict().items():
            self._names[name] = "key_" + name.replace(".", "_")
            self.register_buffer(self._names[name], tensor.detach().clone())
        self.register_buffer("rows", torch.zeros(2, size, dim))  # visible, infrared
        for name in ("identity", "scene", "frame"):
            self.register_buffer(name, torch.full((size,), -1))
        self.pointer = 0  # on the host: asking a device would wait for it
        self.filled = 0

    def get_extra_state(self) -> dict[str, int]:
        """Return the counts, for the checkpoint."""
        return {"pointer": self.pointer, "filled": self.filled}

    def set_extra_state(self, state: dict[str, int]) -> None:
        """Restore the counts.

        Raises:
            ValueError: they are not those of a queue of this size.
        """
        pointer, filled = state.get("pointer", -1), state.get("filled", -1)
        if not (0 <= pointer < self.size and 0 <= filled <= self.size):
            raise ValueError(
                f"the counts of the queue are {state}; expected a pointer below {self.size}, and "
                f"0 to {self.size} rows filled"
            )
        self.pointer, self.filled = pointer, filled

    @property
    def is_active(self) -> bool:
        """Tell whether enough of the queue is real rows."""
        return self.filled >= self.active_from * self.size

    @property
    def candidates(self) -> int:
        """How many of the hardest rows a person is held against: more as the queue fills."""
        return max(1, min(self.hardest, self.filled, self.hardest * self.filled // self.size))

    @torch.no_grad()
    def keys(self, projector: nn.Module, visible: Tensor, infrared: Tensor) -> Embedded:
        """Project features by the momentum copy. (N, C) each, N > 0; rows of unit length."""
        tensors = {name: cast(Tensor, getattr(self, own)) for name, own in self._names.items()}
        with torch.autocast(visible.device.type, enabled=False):
            both = torch.cat([visible, infrared]).float()
            rows = functional.normalize(functional_call(projector, tensors, (both,)), dim=1)
        return Embedded(visible=rows[: len(visible)], infrared=rows[len(visible) :])

    def loss(
        self, queries: Embedded, keys: Embedded, where: Whereabouts, temperature: Tensor
    ) -> Tensor:
        """Return -log of the own key's share among the hardest rows, over both directions.

        Only rows of the other modality are candidates. Call it where `is_active`.
        """
        excluded = self._excluded(where)  # (N, filled)
        terms = []
        for query, key, modality in (
            (queries.visible, keys.infrared, 1),
            (queries.infrared, keys.visible, 0),
        ):
            # A copy: new rows are laid over the old ones before the backward needs them.
            rows = cast(Tensor, self.rows)[modality, : self.filled].clone()
            similarity = (query @ rows.T).masked_fill(excluded, _NEVER)
            hard = similarity.topk(self.candidates, dim=1).values / temperature
            own = (query * key).sum(1, keepdim=True) / temperature
            logits = torch.cat([own, hard], dim=1)
            terms.append(functional.cross_entropy(logits, torch.zeros_like(where.identity)))
        return (terms[0] + terms[1]) / 2

    @torch.no_grad()
    def update(self, projector: nn.Module) -> None:
        """Move the momentum copy towards the projector; its statistics are its own.

        While the queue is empty there is no row that the copy must stay consistent with: it is the
        projector, whose weights may have been loaded since this was built.
        """
        share = 1.0 if self.filled == 0 else 1 - self.momentum
        for name, parameter in projector.named_parameters():
            cast(Tensor, getattr(self, self._names[name])).lerp_(parameter, share)

    @torch.no_grad()
    def enqueue(self, keys: Embedded, where: Whereabouts) -> None:
        """Lay rows over the oldest ones; in distributed training those of all ranks, in order."""
        both = torch.stack([keys.visible, keys.infrared], dim=1)  # (N, 2, D)
        about = torch.stack([where.identity, where.scene, where.frame], dim=1)
        if distributed.is_available() and distributed.is_initialized():
            both, about = _of_all_ranks(both), _of_all_ranks(about)
        both, about = both[-self.size :], about[-self.size :]
        count = len(both)
        slots = (torch.arange(count, device=both.device) + self.pointer) % self.size
        cast(Tensor, self.rows)[:, slots] = both.transpose(0, 1).to(cast(Tensor, self.rows).dtype)
        for name, column in zip(("identity", "scene", "frame"), about.unbind(1), strict=True):
            cast(Tensor, getattr(self, name))[slots] = column
        self.pointer = (self.pointer + count) % self.size
        self.filled = min(self.size, self.filled + count)

    def _excluded(self, where: Whereabouts) -> Tensor:
        identity, scene, frame = (
            cast(Tensor, each)[: self.filled] for each in (self.identity, self.scene, self.frame)
        )
        known = where.identity >= 0
        same = (where.identity[:, None] == identity) & known[:, None]
        close = (where.frame[:, None] - frame).abs() <= self.near
        return same | ((where.scene[:, None] == scene) & close)


def _of_all_ranks(rows: Tensor) -> Tensor:
    """Gather rows of which each rank has its own number."""
    world = distributed.get_world_size()
    counts = [torch.zeros(1, dtype=torch.int64, device=rows.device) for _ in range(world)]
    distributed.all_gather(counts, counts[0].new_tensor([len(rows)]))
    most = max(int(each) for each in counts)
    padded = rows.new_zeros((most, *rows.shape[1:]))
    padded[: len(rows)] = rows
    gathered: list[Any] = [torch.empty_like(padded) for _ in range(world)]
    distributed.all_gather(gathered, padded)
    return torch.cat([each[: int(n)] for each, n in zip(gathered, counts, strict=True)])
