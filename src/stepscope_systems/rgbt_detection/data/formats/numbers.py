"""Numbers in annotation files: whole pixels stay whole, and boxes stay in their image."""

DECIMALS = 6  # of a pixel; so that 0.1 + 63.9 ends at 64 and not beyond the border


def written(number: float) -> str:
    """Return the shortest text that reads back as the same number.

    >>> written(3.0), written(3.25)
    ('3', '3.25')
    """
    return str(int(number)) if number.is_integer() else repr(number)


def extent(near: float, far: float) -> float:
    """Return the width or height between two edges.

    >>> extent(0.1, 64.0)
    63.9
    """
    return round(far - near, DECIMALS)


def far_edge(near: float, size: float) -> float:
    """Return the edge that lies so far from the near one."""
    return round(near + size, DECIMALS)
