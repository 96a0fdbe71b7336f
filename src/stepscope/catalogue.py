"""Finds every rule, and writes its page.

python -m stepscope.catalogue           writes docs/catalogue/ below the current folder
python -m stepscope.catalogue --check   tells whether it is as the rules say (exit 1 if not)
"""

import inspect
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeGuard

from stepscope import rules as home
from stepscope.core import Rule, Watch
from stepscope.core.discovery import members

Example = Callable[[Watch], None]


def every_rule() -> tuple[Rule, ...]:
    """All rules of the house, by code. Importing a rule imports no torch."""
    return tuple(sorted(members(home, _is_rule), key=lambda rule: rule.code))


def examples(rule: Rule) -> Iterator[tuple[str, Example]]:
    """Yield its examples as they stand in the file: `fails_...`, `passes_...`, `skips_...`."""
    for name, value in vars(rule.module).items():
        if name.startswith(("fails_", "passes_", "skips_")):
            yield name, value


def page(rule: Rule) -> str:
    """Return the catalogue page, in Markdown."""
    headline, _, prose = rule.page.partition("\n")
    needs = ", ".join(
        need.kind.__name__ + (" (if known)" if need.optional else "")
        for need in rule.needs.values()
    )
    lines = [
        f"# {rule.code} {rule.name}",
        f"*{rule.severity.value} · known {rule.moment.name.lower()} training · reads {needs}*",
        headline,
        prose.strip(),
    ]
    if rule.options:
        lines.append("## Options")
        lines.append("\n".join(f"- `{name} = {value!r}`" for name, value in rule.options.items()))
    for name, example in examples(rule):
        body = inspect.getsource(example).partition("\n")[2]
        lines.append(f"## {name.replace('_', ' ').capitalize()}")
        lines.append(f"```python\n{textwrap.dedent(body).strip()}\n```")
    return "\n\n".join(lines) + "\n"


def index() -> str:
    """Return the list of all rules, in Markdown."""
    rows = [
        f"| [{rule.code}]({rule.code}.md) | {rule.name} | {rule.severity.value} "
        f"| {rule.page.partition(chr(10))[0]} |"
        for rule in every_rule()
    ]
    return "\n".join(
        [
            "# Rules",
            "",
            "| code | name | severity | what it finds |",
            "|---|---|---|---|",
            *rows,
            "",
        ]
    )


def pages() -> dict[str, str]:
    """Return the text of every file of the catalogue, by file name."""
    return {"index.md": index()} | {f"{rule.code}.md": page(rule) for rule in every_rule()}


def main(arguments: list[str], folder: Path = Path("docs/catalogue")) -> int:
    """Write the catalogue, or with `--check` compare it; return the exit code."""
    wanted = pages()
    if arguments == ["--check"]:
        found = {path.name: path.read_text("utf-8") for path in folder.glob("*.md")}
        stale = sorted(name for name in wanted | found if wanted.get(name) != found.get(name))
        if stale:
            sys.stderr.write(
                f"{folder} differs from the rules in {', '.join(stale)}; "
                "run `python -m stepscope.catalogue`\n"
            )
        return 1 if stale else 0
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob("*.md"):
        path.unlink()
    for name, text in wanted.items():
        (folder / name).write_text(text, "utf-8")
    return 0


def _is_rule(value: object) -> TypeGuard[Rule]:
    return isinstance(value, Rule)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
