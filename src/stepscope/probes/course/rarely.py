"""Which of the sampled steps are worth a look that costs more than a glance."""

FIRST = 3  # sampled steps, of which each is
EVERY = 10  # of the sampled steps that follow, one in so many


class Rarely:
    """Counts sampled steps. What is looked at rarely leaves the pace of the others alone."""

    def __init__(self) -> None:
        self._asked = 0

    def is_due(self) -> bool:
        """Tell whether to look now; to be asked once in each sampled step."""
        asked, self._asked = self._asked, self._asked + 1
        return asked < FIRST or asked % EVERY == 0
