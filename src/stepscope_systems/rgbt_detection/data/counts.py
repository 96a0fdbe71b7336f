"""Says how the numbers of pairs and boxes compare with what was published."""

from collections.abc import Mapping


def completeness(count: int, published: Mapping[int, str], *, subset: bool) -> str:
    """Return the words for a summary; `published` says what each known number of pairs is.

    >>> completeness(12_025, {12_025: "the published list"}, subset=False)
    'complete: 12,025 pairs, the published list'
    >>> completeness(66, {12_025: "the published list"}, subset=True)
    'subset of 66 pairs, as declared'
    >>> completeness(66, {12_025: "the published list"}, subset=False)
    'NOT COMPLETE: 66 pairs, not 12,025 (the published list)'
    """
    if subset:
        return f"subset of {count:,} pairs, as declared"
    if count in published:
        return f"complete: {count:,} pairs, {published[count]}"
    known = " or ".join(f"{number:,} ({name})" for number, name in published.items())
    return f"NOT COMPLETE: {count:,} pairs, not {known}" if known else f"{count:,} pairs"


def boxes(count: int, published: int) -> str:
    """Return the words for a summary of a complete list.

    >>> boxes(4_254, 4_254), boxes(4_250, 4_254)
    ('boxes as published', 'NOT THE PUBLISHED BOXES: 4,250, not 4,254')
    """
    if count == published:
        return "boxes as published"
    return f"NOT THE PUBLISHED BOXES: {count:,}, not {published:,}"
