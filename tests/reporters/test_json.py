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


def test_what_the_run_ran_on_what_it_warned_of_and_what_fed_it_is_there(
    described_report: Report,
) -> None:
    text = render(described_report)
    read = msgspec.json.decode(text, type=Document)
    assert read == document(described_report)
    assert read.run.environment is not None
    assert (read.run.environment.python, read.run.environment.packages) == (
        "3.12.1",
        {"some": "some"},
    )
    assert (len(read.messages), read.messages_left_out) == (50, 10)
    assert (read.messages[0].text, read.messages[0].count) == ("some", 2)
    assert read.messages[0].at == Place(file="train.py", line=5, function="some")
    assert [(each.dataset, each.size, each.batches) for each in read.loaders] == [("some", 100, 3)]


def test_what_is_not_known_of_the_circumstances_is_empty(clean_report: Report) -> None:
    read = msgspec.json.decode(render(clean_report), type=Document)
    assert (read.run.environment, read.messages, read.loaders) == (None, (), ())
