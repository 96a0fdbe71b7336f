"""The one sentence that a command ends with where it cannot do what was asked."""

import sys
from typing import NoReturn


def refuse(why: str, code: int = 2) -> NoReturn:
    """Say why on stderr, and leave."""
    from stepscope.reporters.content.printable import printable

    sys.stderr.write(f"stepscope: {printable(why)}\n")
    raise SystemExit(code)
