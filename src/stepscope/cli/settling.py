"""What `check` and `run` settle before anything runs: by what to judge, and where to report."""

from pathlib import Path

from stepscope.catalogue import every_rule
from stepscope.cli.delivery import Delivery
from stepscope.cli.options import Asked
from stepscope.configurations.settings import chosen, load
from stepscope.summing_up import Terms


def settled(asked: Asked) -> tuple[Terms, Delivery]:
    """Read the settings, choose the rules, and prepare the report.

    Raises:
        ValueError: an option or the file holds what stepscope does not know, or cannot do.
    """
    rules = every_rule()
    settings = load(asked.intent, rules)
    terms = Terms(
        selection=chosen(settings, rules, asked.select, asked.ignore),
        settings=settings,
        root=str(Path.cwd()),  # before the script can change it
        strict=asked.strict,
    )
    return terms, Delivery.prepare(asked.form, asked.output)
