"""Rows under headings."""

from stepscope.reporters.tables import grid

HEADINGS = ("part", "elements")
ROWS = (("neck|0", "12,345"), ("head", "6"))


def test_text_sets_numbers_flush_right() -> None:
    assert grid.text(HEADINGS, ROWS, right=(1,)) == [
        "part    elements",
        "neck|0    12,345",
        "head           6",
    ]


def test_markdown_escapes_bars_and_marks_columns_of_numbers() -> None:
    assert grid.markdown(HEADINGS, ROWS, right=(1,)) == [
        "| part | elements |",
        "|---|---:|",
        "| neck\\|0 | 12,345 |",
        "| head | 6 |",
    ]


def test_a_long_word_is_folded_and_no_letter_is_lost() -> None:
    lines = grid.text(("part", "elements"), (("x" * 150, "1,234,567"),), right=(1,), width=40)
    assert "".join(lines).count("x") == 150
    assert sum("1,234,567" in line for line in lines) == 1
    assert max(map(len, lines)) <= 40


def test_markup_of_rich_is_no_markup() -> None:
    assert grid.text(("part",), (("[red]neck[/red]",),))[1] == "[red]neck[/red]"
