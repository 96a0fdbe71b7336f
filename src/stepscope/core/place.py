"""Where in a run something is: a parameter, a module, a source line, a step."""

import msgspec


class Place(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Every field that is known is filled in; the rest stay empty."""

    parameter: str = ""  # qualified, as in `model.named_parameters()`
    module: str = ""  # qualified, as in `model.named_modules()`; "" is also the root
    file: str = ""  # absolute, or as Python reports it; reporters make it relative
    line: int = 0  # 1 is the first line; 0: unknown
    function: str = ""  # qualified name of the function that holds the line
    step: int | None = None  # optimizer steps taken before this moment
    rank: int | None = None  # of the process; None where there is one process

    def __str__(self) -> str:
        """Say the place in one line, the most exact first."""
        source = f"{self.file}:{self.line}" if self.line else self.file
        if source and self.function:
            source += f" in {self.function}"
        step = "" if self.step is None else f"step {self.step}"
        rank = "" if self.rank is None else f"rank {self.rank}"
        parts = (source, self.parameter or self.module, step, rank)
        return ", ".join(part for part in parts if part)
