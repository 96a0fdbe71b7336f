"""Which data sets feed the steps, and which give batches besides."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class DataSets:
    """Data sets by identity. One feeds the steps if it gave the last batch before one.

    Where several loaders feed a step, the others are known by coming before two steps on end.
    """

    training: set[int] = field(default_factory=set)
    unknown: set[int] = field(default_factory=set)  # others that gave a batch since the last step
    last: int = 0  # that gave a batch
    fed: int = -1  # step before which one of training last gave a batch
    _seen: dict[int, int] = field(default_factory=dict)  # when others were seen last

    def gave(self, data: int, step: int) -> bool:
        """Take note of a batch, and tell whether its data set is known to feed the steps."""
        self.last = data
        if data in self.training:
            self.fed = step
            return True
        self.unknown.add(data)
        return False

    def sort(self, step: int) -> None:
        """Tell which of the unknown ones feed the steps: training goes on."""
        for data in self.unknown:
            if data == self.last or self._seen.get(data) == step - 1:
                self.training.add(data)
            self._seen[data] = step
        self.unknown.clear()

    def others(self) -> frozenset[int]:
        """Return those that gave batches since the last step, and are not known to feed it."""
        return frozenset(self.unknown - self.training)
