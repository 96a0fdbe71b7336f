"""The JSON report is what its types say, and holds what the report holds."""

import msgspec

from stepscope.core import Place
from stepscope.core.verdict import Report
from stepscope.reporters.json import Document, document, render


def test_it_is_read_back_as_the_types_that_describe_it(report: Report) -> None:
    assert msgspec.json.decode(render(report), type=Document) == document(report)


def test_a_hostile_report_is_read_back_too(hostile_report: Report) -> None:
    assert msgspec.json.decode(render(hostile_report), type=Document) == document(hostile_report)


def test_every_rule_is_in_exactly_one_place(report: Report) -> None:
    read = msgspec.json.decode(render(report), type=Document)
    listed = [
        *(each.rule for each in read.findings),
        *(each.rule for each in read.ignored),
        *read.passed,
        *(each.rule for each in read.skipped),
        *(each.rule for each in read.crashed),
    ]
    assert sorted(listed) == [each.rule.code for each in report.outcomes]


def test_the_fields_of_the_contract_have_their_names(report: Report) -> None:
    read = msgspec.json.decode(render(report))
    assert (read["version"], read["verdict"], read["exit_code"]) == (1, "findings", 1)
    first = read["findings"][1]
    assert first["rule"] == "GRD002"
    assert first["name"] == "cut-by-no-grad"
    assert first["severity"] == "error"
    assert first["at"] == {
        "file": "train.py",
        "line": 13,
        "function": "main",
        "module": "score",
        "step": 0,
    }
    assert first["related"][1] == {"label": "is made here", "at": {"file": "train.py", "line": 4}}
    assert read["skipped"][0] == {"rule": "DST003", "reason": "one process"}
    assert read["ignored"][0]["ignored"] == "they are meant to follow the new domain"


def test_a_crash_is_told_with_its_place(crashed_report: Report) -> None:
    read = msgspec.json.decode(render(crashed_report), type=Document)
    assert read.verdict == "not-judged"
    assert read.run.error_at == Place(file="train.py", line=14, function="main")
    assert read.run.obstacle == "the program raised before the first optimizer step"
