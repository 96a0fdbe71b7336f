"""Whether the inputs of the model differ from sample to sample."""

from typing import ClassVar

import msgspec

from stepscope.core import Evidence


class InputSpread(msgspec.Struct, frozen=True, kw_only=True):
    """One floating-point input, over all recorded steps, by the name of the forward's argument."""

    name: str
    shape: tuple[int, ...]  # of the last one
    samples: int  # that were looked at
    is_one_number: bool  # every element of every sample is the same number
    is_one_sample: bool  # every sample is, bit for bit, the same
    number: float  # the first element of the last sample


class InputSpreads(Evidence, frozen=True, kw_only=True):
    """The inputs of two dimensions and more that came with more than one sample."""

    obtained_by: ClassVar[str] = "a floating-point input of the model"
    inputs: tuple[InputSpread, ...]
