"""How each part of a model is treated by an optimizer."""

import msgspec


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One part of a model whose parameters are all treated alike, or the deepest that is shown."""

    module: str  # qualified name, of a parameter where the model holds it itself
    elements: int  # a tensor that is shared counts where it is met first
    frozen: int  # elements that require no gradient
    left_out: int  # elements that require one, and are in no group
    lrs: tuple[float, ...]  # of the groups that hold its parameters, each once
    weight_decays: tuple[float, ...]
    norms: str  # "eval", "train" or "both"; "" without layers that keep running statistics

    @property
    def state(self) -> str:
        """Say what happens to it, in a word or two."""
        if self.frozen == self.elements:
            return "frozen"
        if self.left_out == self.elements:
            return "in no group"
        if self.lrs == (0.0,) and not self.left_out:
            return "lr 0, not frozen"
        return "mixed" if self.frozen or self.left_out or len(self.lrs) > 1 else "trained"
