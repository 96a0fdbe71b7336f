"""What a configuration will really do, in sentences."""

from collections.abc import Iterator

import msgspec

from stepscope.core.recording import sayable
from stepscope.evidence.explanation import Explanation, Said
from stepscope.reporters.content.printable import one_line
from stepscope.reporters.tables import grid

HEADINGS = ("in the configuration", "", "what it will do")


def render(explanation: Explanation, form: str) -> str:
    """Return the explanation as text, JSON or Markdown, the plan that is meant last."""
    if form == "json":
        return grid.json(sayable({"version": 1, **msgspec.to_builtins(explanation)}))
    rows = [(one_line(s.what), s.effect.value, _sentence(s)) for s in explanation.said]
    rate = "unknown" if explanation.lr is None else f"{explanation.lr:g}"
    heading = f"{one_line(explanation.path)}, base learning rate {rate}"
    table = grid.markdown if form == "markdown" else grid.text
    return "\n".join([heading, "", *table(HEADINGS, rows), "", *_plan(explanation, form), ""])


def _sentence(said: Said) -> str:
    count = ""
    if said.parameters and said.elements is not None:
        count = f" ({said.parameters} parameters, {said.elements:,} elements)"
    where = f" (line {said.at.line})" if said.at.line else ""
    return one_line(f"{said.sentence}{count}{where}")


def _plan(explanation: Explanation, form: str) -> Iterator[str]:
    """Yield the plan that would do what seems to be meant, in TOML."""
    if not explanation.frozen and not explanation.tuned:
        return
    yield "What seems to be meant, as a plan:"
    yield "```toml" if form == "markdown" else ""
    yield "[freeze]"
    if explanation.frozen:
        yield f"frozen = [{', '.join(_quoted(f'*{key}*') for key in explanation.frozen)}]"
    if explanation.tuned:
        yield ""
        yield "[freeze.tuned]"
        yield from (f"{_quoted(f'*{key}*')} = {x:g}" for key, x in explanation.tuned.items())
    if form == "markdown":
        yield "```"


def _quoted(text: str) -> str:
    return msgspec.json.encode(one_line(text)).decode()  # a basic string of TOML, too
