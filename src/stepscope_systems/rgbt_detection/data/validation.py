"""Lists everything that is at fault with a data set, at once."""

from stepscope_systems.rgbt_detection.data.assembly import undecodable
from stepscope_systems.rgbt_detection.data.faults import DataFault
from stepscope_systems.rgbt_detection.data.sources import Source

__all__ = ["DataFault", "validate"]


def validate(source: Source, *, decode: bool = False) -> list[DataFault]:
    """Return all faults of a data set; none: its pairs can be used as they are.

    Args:
        source: what to read.
        decode: read the pixels of all images too, which takes long: a file cut short has a sound
            header.
    """
    reading = source.inspect()
    faults = list(reading.faults)
    return faults + undecodable(reading.pairs) if decode else faults
