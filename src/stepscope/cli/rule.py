"""`stepscope rule`: the page of a rule, or the list of all rules."""

import sys

import click

from stepscope.core import Rule


@click.command(short_help="Show a rule: what it proves, and what to do. Without a code, list all.")
@click.argument("code", required=False)
@click.option("--plain", is_flag=True, help="Markdown as it is, one line a rule.")
def rule(code: str | None, *, plain: bool) -> None:
    """Show what a rule proves, why it matters and what to do. Without CODE: list all rules.

    CODE is the code of a rule or its name, as FRZ001.
    """
    from stepscope.catalogue import every_rule, page
    from stepscope.core.selection import unknown_code

    rules = every_rule()
    plain = plain or not sys.stdout.isatty()
    if code is None:
        _list(rules, plain=plain)
        return
    found = next((each for each in rules if code.lower() in (each.code.lower(), each.name)), None)
    if found is None:
        from stepscope.reporters.content.printable import printable

        sys.stderr.write(f"stepscope: {printable(unknown_code(code, rules))}\n")
        raise SystemExit(2)
    if plain:
        sys.stdout.write(page(found))
        return
    from rich.console import Console
    from rich.markdown import Markdown

    console = Console()
    console.print(Markdown(page(found)), width=min(console.width, 100))


def _list(rules: tuple[Rule, ...], *, plain: bool) -> None:
    rows = [
        (each.code, each.severity.value, each.name, each.page.partition("\n")[0]) for each in rules
    ]
    if plain:
        widest = max((len(row[2]) for row in rows), default=0)
        for code, severity, name, headline in rows:
            sys.stdout.write(f"{code}  {severity:<7}  {name:<{widest}}  {headline}\n")
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, show_header=False)
    for code, severity, name, headline in rows:
        table.add_row(Text(code, "bold"), severity, Text.assemble((name, "bold"), "\n", headline))
    Console().print(table)
