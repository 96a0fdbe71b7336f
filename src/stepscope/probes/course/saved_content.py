"""What is in the objects that are handed over to be saved, by name and identity."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from stepscope.core import Place
from stepscope.probes.checkpoints.files_tried import storage_key

DEEPEST = 6  # containers within containers


@dataclass(slots=True)
class SavedContent:
    """What the saves between two steps have written."""

    keys: set[str] = field(default_factory=set)  # of tensors and numbers, dotted
    storages: set[int] = field(default_factory=set)
    modules: set[int] = field(default_factory=set)  # pickled whole
    optimizers: int = 0  # states of such
    has_parameters: bool = False  # trained ones
    paths: list[str] = field(default_factory=list)
    at: Place = field(default_factory=Place)

    @property
    def is_to_resume(self) -> bool:
        """Whether training could go on from it: it has the state of an optimizer too."""
        return self.has_parameters and self.optimizers > 0

    def take(self, value: object, lead: str = "", depth: int = 0) -> Iterator[Tensor]:
        """Take in the names of nested mappings; yield the tensors."""
        if isinstance(value, Tensor):
            self.keys.add(lead)
            self.storages.add(storage_key(value))
            yield value
        elif isinstance(value, torch.nn.Module):
            self.modules |= {id(each) for each in value.modules()}
            for name, tensor in (*value.named_parameters(), *value.named_buffers()):
                yield from self.take(tensor, f"{lead}.{name}", depth)
        elif isinstance(value, int | float):
            self.keys.add(lead)
        elif isinstance(value, Mapping) and depth < DEEPEST:
            self.optimizers += {"state", "param_groups"} <= value.keys()
            for key, each in value.items():
                yield from self.take(each, f"{lead}.{key}" if lead else str(key), depth + 1)
        elif isinstance(value, list | tuple) and depth < DEEPEST:
            for index, each in enumerate(value):
                yield from self.take(each, f"{lead}.{index}", depth + 1)


def endings(key: str) -> Iterator[str]:
    """Yield a dotted name, and what is left of it without its leading parts."""
    while key:
        yield key
        key = key.partition(".")[2]
