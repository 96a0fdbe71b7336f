"""Sums over a tensor whose elements come piece by piece."""

import math

import torch

from stepscope.probes.fingerprints import COLUMNS

TINY = 1e-30  # of the mean square: 2^26 times above where single precision ends
_ROW = 8 * COLUMNS  # bytes
_WIDER = {  # torch has few operations for these
    torch.uint16: torch.int32,
    torch.uint32: torch.int64,
    torch.uint64: torch.float64,
    torch.bool: torch.uint8,
}


class RunningFingerprint:
    """Adds up the columns of `probes.fingerprints`, so that a short tensor stands for a long one.

    That fingerprint adds the words of each column first. Hence a tensor of one row, the sums of the
    columns, and the same rest behind it has the same fingerprint as all rows.
    """

    def __init__(self) -> None:
        self._columns: torch.Tensor | None = None
        self._rest = torch.empty(0, dtype=torch.uint8)

    def add(self, elements: torch.Tensor) -> None:
        """Take the next elements, a row in memory."""
        octets = elements.view(torch.uint8)
        if self._rest.numel():
            octets = torch.cat([self._rest, octets])
        whole = octets.numel() // _ROW * _ROW
        if whole:
            sums = octets[:whole].view(torch.int64).view(-1, COLUMNS).sum(0)
            self._columns = sums if self._columns is None else self._columns + sums
        self._rest = octets[whole:].clone()

    def stand_in(self) -> torch.Tensor:
        """Return a tensor of few bytes with the fingerprint of all elements together."""
        if self._columns is None:
            return self._rest
        return torch.cat([self._columns.view(torch.uint8), self._rest])


class RunningValues:
    """Extremes, mean and spread. Blocks are joined by the formula for two samples.

    Source: Chan, Golub, LeVeque, "Updating formulae and a pairwise algorithm for computing sample
    variances" (1979), equation 2.1.
    """

    __slots__ = ("elements", "finite", "largest", "mean", "smallest", "squares", "zeros")

    def __init__(self) -> None:
        self.elements = 0
        self.finite = 0
        self.zeros = 0
        self.smallest: float = math.inf
        self.largest: float = -math.inf
        self.mean = 0.0
        self.squares = 0.0  # of the distances from the mean, added up

    @property
    def non_finite(self) -> int:
        """Number of elements that are NaN or infinite."""
        return self.elements - self.finite

    def add(self, elements: torch.Tensor) -> None:
        """Take the next elements."""
        numbers = _numbers(elements)
        self.elements += numbers.numel()
        self.zeros += numbers.numel() - int(torch.count_nonzero(numbers))
        smallest, largest = (bound.item() for bound in torch.aminmax(numbers))
        if not (math.isfinite(smallest) and math.isfinite(largest)):
            numbers = numbers[torch.isfinite(numbers)]
            if not numbers.numel():
                return
            smallest, largest = (bound.item() for bound in torch.aminmax(numbers))
        self.smallest = min(self.smallest, smallest)
        self.largest = max(self.largest, largest)
        self._join(numbers)

    def _join(self, numbers: torch.Tensor) -> None:
        squares, mean = _moments(numbers)
        new = numbers.numel()
        both = self.finite + new
        apart = mean - self.mean
        self.squares += squares + apart * apart * (self.finite * new / both)
        self.mean += apart * (new / both)
        self.finite = both


def _numbers(elements: torch.Tensor) -> torch.Tensor:
    """Return real numbers of a type that torch computes with."""
    if elements.is_complex():
        elements = torch.view_as_real(elements).view(-1)
    if elements.is_floating_point() and elements.element_size() < 4:  # noqa: PLR2004  # bytes
        return elements.float()
    return elements.to(_WIDER.get(elements.dtype, elements.dtype))


def _moments(numbers: torch.Tensor) -> tuple[float, float]:
    """Return the squares of the distances from the mean, added up, and the mean.

    Squares are added before the mean is known where that loses nothing: where the mean is small
    against them, and they are far from the smallest number of single precision.
    """
    count = numbers.numel()
    if numbers.is_floating_point():
        mean = float(numbers.sum()) / count
        squares = float(torch.dot(numbers, numbers))
        if math.isfinite(squares) and squares > max(4 * count * mean * mean, TINY * count):
            return squares - count * mean * mean, mean
    wide = numbers.double()
    mean = float(wide.mean())
    apart = wide - mean
    return float(torch.dot(apart, apart)), mean
