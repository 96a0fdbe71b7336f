"""Who asks a configuration: the program, or what only keeps, copies or prints it."""

import linecache
import re
from types import FrameType

from stepscope.probes.source_lines import PROGRAM, kind_of

# What these do with a configuration of theirs is no reading by the program.
OWN = ("argparse", "omegaconf", "hydra", "yacs", "mmengine.config", "addict", "stepscope.probes")
PRINTING = (
    "json", "yaml", "pprint", "reprlib", "logging", "rich", "wandb", "torch.serialization",
    "pickle", "_pickle", "copyreg",
)  # fmt: skip
# Lightning's `save_hyperparameters` makes a copy that the program goes on to read.
WRITTEN_DOWN = re.compile(
    r"print|json|yaml|toml|\blog(?!it)|logg(er|ing)|wandb|add_hparams|save(?!_hyper)|writ|dump"
)


def is_own(frame: FrameType) -> bool:
    """Tell a line of the libraries themselves, or of a method that a data class was given."""
    code = frame.f_code
    if code.co_filename == "<string>":
        return code.co_name.startswith("__")  # `__repr__`, `__eq__`, `__hash__`
    return _is_below(str(frame.f_globals.get("__name__")), OWN)


def program_line(frame: FrameType | None) -> FrameType | None:
    """Find the line that asks for a whole table; None where that is to write it down."""
    asking = frame
    while frame is not None and kind_of(frame.f_code) < PROGRAM:
        if _is_below(str(frame.f_globals.get("__name__")), PRINTING):
            return None
        frame = frame.f_back
    found = frame or asking
    assert found is not None, "somebody asks"
    text = linecache.getline(found.f_code.co_filename, found.f_lineno)
    return None if WRITTEN_DOWN.search(text) else found


def _is_below(module: str, packages: tuple[str, ...]) -> bool:
    return any(module == each or module.startswith(f"{each}.") for each in packages)
