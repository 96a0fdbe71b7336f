"""Names in a notebook, as the person in front of it knows them."""

import os
import sys
from pathlib import PurePath
from typing import Any

SESSION = "JPY_SESSION_NAME"  # in which Jupyter gives a kernel the path of its notebook


def cell_of(file: str) -> str:
    """Return `Cell In[3]` for the file that IPython invents for a cell; others as they are.

    The invented file is nowhere to be found once the kernel has gone.
    """
    shell = _shell()
    named = shell.compile.format_code_name(file) if shell is not None else None
    return " ".join(named) if named else file


def notebook() -> str:
    """Return the name of the notebook of which this process is the kernel; "" where it is none."""
    if "ipykernel" not in sys.modules or _shell() is None:
        return ""
    return PurePath(os.environ.get(SESSION, "notebook")).name


def _shell() -> Any:
    """Return IPython's shell, where one runs: of a kernel, or in a terminal."""
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython is not None else None
