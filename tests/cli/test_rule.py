"""`stepscope rule` shows pages, and finds the way from a wrong code to the right one."""

import pytest
from click.testing import CliRunner

from stepscope import __version__
from stepscope.catalogue import every_rule, page
from stepscope.cli import app


@pytest.mark.parametrize("word", ["OPT001", "opt001", "not-in-optimizer"])
def test_a_rule_is_shown_by_code_or_name(word: str) -> None:
    result = CliRunner().invoke(app, ["rule", word])
    rule = next(each for each in every_rule() if each.code == "OPT001")
    assert (result.exit_code, result.output) == (0, page(rule))


def test_an_unknown_code_leads_to_the_nearest() -> None:
    result = CliRunner().invoke(app, ["rule", "OPTO01"])
    assert result.exit_code == 2
    assert "no rule has the code 'OPTO01'; the nearest is OPT" in result.stderr


def test_without_a_code_every_rule_has_one_line() -> None:
    result = CliRunner().invoke(app, ["rule"])
    lines = result.output.splitlines()
    assert [line.split()[0] for line in lines] == [each.code for each in every_rule()]


def test_the_version_is_that_of_the_package() -> None:
    assert CliRunner().invoke(app, ["--version"]).output == f"stepscope {__version__}\n"
