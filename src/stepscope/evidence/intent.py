"""What the user meant, declared: the facts no observer can read off a program."""

from fnmatch import fnmatchcase
from typing import ClassVar

from stepscope.core import Evidence, Moment
from stepscope.evidence.milestones import parsed


class Intent(Evidence, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `[intent]` table of `stepscope.toml`. Everything is optional.

    Globs are matched against qualified parameter names: `*` matches dots too, and a name
    without a wildcard also matches everything below it. What a text names to the letter it
    means, brackets or not.
    """

    moment: ClassVar[Moment] = Moment.BEFORE
    obtained_by: ClassVar[str] = "a declared intent (`[intent]` in stepscope.toml)"
    frozen: tuple[str, ...] = ()  # globs: must not move
    trainable: tuple[str, ...] = ()  # globs: must require gradients and move
    losses: tuple[str, ...] | dict[str, float] = ()  # names, or names with weights
    classes: int | None = None
    checkpoint: str | None = None  # path or glob that must have been loaded
    modalities: tuple[str, ...] = ()  # input names that the loss must depend on
    temperature: float | None = None  # effective scale of the logits at the start: exp(logit_scale)
    metadata: tuple[str, ...] = ()  # keys each sample must carry to evaluation
    modules: tuple[str, ...] = ()  # class names: must be built, and called
    milestones: tuple[str, ...] = ()  # "epoch 5: acc > 0.2", "step 50: loss < 0.7 of chance"

    def __post_init__(self) -> None:
        """Refuse a milestone that cannot be read.

        Raises:
            ValueError: one is written otherwise.
        """
        for milestone in self.milestones:
            try:
                parsed(milestone)
            except ValueError as mistake:
                raise ValueError(f"milestones: {mistake}") from None

    @property
    def loss_names(self) -> tuple[str, ...]:
        """Names of the declared losses."""
        return tuple(self.losses)

    @property
    def loss_weights(self) -> dict[str, float]:
        """Declared weights, by name; empty where only names are declared."""
        return self.losses if isinstance(self.losses, dict) else {}


def matches(name: str, patterns: tuple[str, ...]) -> bool:
    """Tell whether a qualified name is meant by one of the globs."""
    return any(
        name == glob
        or name.startswith(f"{glob}.")
        or fnmatchcase(name, glob)
        or fnmatchcase(name, f"{glob}.*")
        for glob in patterns
    )
