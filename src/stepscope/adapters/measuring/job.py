"""What one measuring process is asked to do."""

import msgspec

from stepscope.evidence.savings import Variant


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One variant of one target in one round."""

    target: str  # a script, a module, or "module:function" that returns a model
    is_module: bool
    arguments: tuple[str, ...]  # of the script
    patterns: tuple[str, ...]
    variant: Variant
    round: int
    warm_up: int  # steps that are taken first, and not measured
    steps: int
    input_shape: tuple[int, ...] = ()  # for a model that comes without inputs

    @property
    def is_model(self) -> bool:
        """Whether the target returns a model, instead of training one."""
        return not self.is_module and ":" in self.target and not self.target.endswith(".py")
