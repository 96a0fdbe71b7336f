"""The colours of every picture: each has one meaning, and is read on light and on dark paper."""

from itertools import cycle

VISIBLE = "#3987d6"
INFRARED = "#d9622b"
FUSED = "#159a80"
SERIES = (FUSED, "#a25bd0", "#b3860b", "#cf4d8e", "#5b8c2a", VISIBLE, INFRARED, "#7d8590")

# Boxes lie on photographs, bright or black, so these are stronger than the lines of charts.
HIT = "#35d0a5"
FALSE_ALARM = "#ff5c5c"
MISSED = "#ffc23d"
FOUND = "#e8ecef"  # a person who was found: the truth beside a hit
UNJUDGED = "#9aa7b4"


def of_series(names: list[str]) -> list[str]:
    """Return a colour for each name: a modality's own where a name begins with it."""
    own = {"visible": VISIBLE, "infrared": INFRARED}
    given = [next((own[word] for word in own if name.startswith(word)), None) for name in names]
    free = cycle(colour for colour in SERIES if colour not in given)
    return [colour or next(free) for colour in given]
