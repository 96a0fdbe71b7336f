"""Makes text from an unknown program safe to show: no control characters, nothing hidden."""

import unicodedata

# Control, format (bidirectional overrides, zero width), surrogate, private, unassigned; line and
# paragraph separators.
_UNSAFE = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))


def printable(text: str, *, keep: str = "\n") -> str:
    r"""Write every character that a terminal might obey, or a reader not see, as an escape.

    >>> printable("\x1b[31mred")
    '\\x1b[31mred'
    """
    text = text.replace("\r\n", "\n").expandtabs(4)
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        each if each in keep or unicodedata.category(each) not in _UNSAFE else _escape(each)
        for each in text
    )


def one_line(text: str) -> str:
    """Return it safe, and on one line."""
    return " ".join(printable(text).split())


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
