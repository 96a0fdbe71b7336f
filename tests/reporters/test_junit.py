"""The JUnit report is XML whatever the program says, with one case for each rule."""

from xml.etree import ElementTree as ET

import pytest

from stepscope.core.verdict import Report
from stepscope.reporters.junit import render


def suite(report: Report) -> ET.Element:
    found = ET.fromstring(render(report)).find("testsuite")  # noqa: S314 - our own
    assert found is not None
    return found


def results(report: Report) -> dict[str, str]:
    """Name what each case came to."""
    return {
        case.attrib["name"].partition(" ")[0]: case[0].tag if len(case) else "passed"
        for case in suite(report)
    }


def test_there_is_one_case_for_each_rule(report: Report) -> None:
    assert results(report) == {
        "CON003": "error",
        "DST003": "skipped",
        "FRZ001": "failure",
        "FRZ002": "passed",
        "FRZ003": "skipped",
        "FRZ004": "passed",
        "FRZ005": "passed",
        "FRZ006": "skipped",
        "GRD002": "failure",
        "LOS002": "skipped",
        "LOS010": "system-out",
        "NUM001": "passed",
    }


@pytest.mark.parametrize("name", ["report", "clean_report", "crashed_report", "hostile_report"])
def test_the_totals_are_those_of_the_cases(name: str, request: pytest.FixtureRequest) -> None:
    found = suite(request.getfixturevalue(name))
    assert int(found.attrib["tests"]) == len(found)
    for total, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        assert int(found.attrib[total]) == len(found.findall(f"testcase/{tag}"))


def test_a_run_that_could_not_be_judged_is_an_error(crashed_report: Report) -> None:
    first = suite(crashed_report)[0]
    assert first[0].tag == "error"
    assert first[0].attrib["message"].startswith("Could not judge: the program raised")


def test_the_text_of_a_hostile_program_arrives_as_text(hostile_report: Report) -> None:
    failure = suite(hostile_report).find("testcase/failure")
    assert failure is not None
    assert '<script>alert(1)</script> & "quoted"' in failure.attrib["message"]
