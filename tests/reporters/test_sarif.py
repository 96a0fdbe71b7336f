"""The SARIF log has the structure of the standard.

Sections are those of https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/sarif-v2.1.0-os.html
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from stepscope.core.verdict import Report
from stepscope.reporters.sarif import render

# Object -> its properties: those that must be there, and those that may be. Everything else is
# an error, as in the schema of the standard (additionalProperties: false).
SHAPES: dict[str, tuple[set[str], set[str]]] = {
    "log": ({"version", "runs"}, {"$schema"}),  # 3.13
    "run": (  # 3.14
        {"tool", "results"},
        {"invocations", "originalUriBaseIds", "columnKind"},
    ),
    "driver": ({"name"}, {"version", "semanticVersion", "informationUri", "rules"}),  # 3.19
    "rule": (  # 3.49
        {"id"},
        {"name", "shortDescription", "fullDescription", "help", "defaultConfiguration"},
    ),
    "result": (  # 3.27
        {"message", "ruleId"},
        {
            "ruleIndex",
            "level",
            "locations",
            "relatedLocations",
            "partialFingerprints",
            "suppressions",
        },
    ),
    "location": (set(), {"id", "physicalLocation", "logicalLocations", "message"}),  # 3.28
    "invocation": (  # 3.20
        {"executionSuccessful"},
        {"exitCode", "workingDirectory", "toolExecutionNotifications"},
    ),
    "notification": ({"message"}, {"level", "associatedRule", "locations"}),  # 3.58
}
LEVELS = {"none", "note", "warning", "error"}


def has_shape(value: dict[str, Any], name: str) -> None:
    needed, allowed = SHAPES[name]
    assert needed <= value.keys() <= needed | allowed, name


def all_locations(run: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for result in run["results"]:
        yield from result["locations"]
        yield from result.get("relatedLocations", ())
    for notification in run["invocations"][0]["toolExecutionNotifications"]:
        yield from notification.get("locations", ())


@pytest.fixture(params=["report", "clean_report", "crashed_report", "hostile_report"])
def log(request: pytest.FixtureRequest) -> dict[str, Any]:
    log: dict[str, Any] = json.loads(render(request.getfixturevalue(request.param)))
    return log


def test_objects_have_the_properties_of_the_standard_and_no_others(log: dict[str, Any]) -> None:
    has_shape(log, "log")
    assert log["version"] == "2.1.0"
    (run,) = log["runs"]
    has_shape(run, "run")
    assert run["columnKind"] in ("utf16CodeUnits", "unicodeCodePoints")
    has_shape(run["tool"]["driver"], "driver")
    for rule in run["tool"]["driver"]["rules"]:
        has_shape(rule, "rule")
        assert rule["defaultConfiguration"]["level"] in LEVELS
        assert rule["help"]["text"]
    for result in run["results"]:
        has_shape(result, "result")
        assert result["level"] in LEVELS
    for location in all_locations(run):
        has_shape(location, "location")
    (invocation,) = run["invocations"]
    has_shape(invocation, "invocation")
    for notification in invocation["toolExecutionNotifications"]:
        has_shape(notification, "notification")
        assert notification["level"] in LEVELS


def test_indices_point_at_the_rules_that_are_named(log: dict[str, Any]) -> None:
    (run,) = log["runs"]
    rules = run["tool"]["driver"]["rules"]
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
    for notification in run["invocations"][0]["toolExecutionNotifications"]:
        if "associatedRule" in notification:
            named = notification["associatedRule"]
            assert rules[named["index"]]["id"] == named["id"]


def test_paths_are_references_to_the_root_which_ends_with_a_slash(log: dict[str, Any]) -> None:
    (run,) = log["runs"]
    assert run["originalUriBaseIds"]["SRCROOT"]["uri"].startswith("file:///")
    assert run["originalUriBaseIds"]["SRCROOT"]["uri"].endswith("/")
    for location in all_locations(run):
        if "physicalLocation" in location:
            artifact = location["physicalLocation"]["artifactLocation"]
            assert artifact["uriBaseId"] == "SRCROOT"
            assert not artifact["uri"].startswith(("/", "file:"))
            assert artifact["uri"].isascii()
            assert not set(artifact["uri"]) & set(" :")  # a colon would make it a scheme
            assert location["physicalLocation"]["region"]["startLine"] >= 1


def test_a_finding_without_a_line_points_at_the_nearest_known_one(report: Report) -> None:
    results = json.loads(render(report))["runs"][0]["results"]
    (drift,) = (each for each in results if each["ruleId"] == "FRZ003")
    (location,) = drift["locations"]
    assert location["physicalLocation"]["artifactLocation"]["uri"] == "train.py"
    assert location["physicalLocation"]["region"] == {"startLine": 4}
    assert location["logicalLocations"][0]["fullyQualifiedName"] == "backbone.bn1"


def test_what_the_user_ignores_is_suppressed_with_the_reason(report: Report) -> None:
    results = json.loads(render(report))["runs"][0]["results"]
    suppressed = {each["ruleId"]: each.get("suppressions") for each in results}
    assert suppressed["FRZ001"] is None
    assert suppressed["FRZ003"][0]["justification"] == "they are meant to follow the new domain"


def test_a_fingerprint_outlives_a_change_of_line_and_numbers(report: Report) -> None:
    from dataclasses import replace

    import msgspec

    first = report.findings[0]
    at = msgspec.structs.replace(first.finding.at, line=99)
    moved = msgspec.structs.replace(first.finding, measured="something else", at=at)
    other = msgspec.structs.replace(first.finding, subject="head")
    prints = [
        json.loads(render(replace(report, findings=(replace(first, finding=each),))))["runs"][0][
            "results"
        ][0]["partialFingerprints"]["stepscope/v1"]
        for each in (first.finding, moved, other)
    ]
    assert prints[0] == prints[1] != prints[2]


def test_a_run_that_could_not_be_judged_is_no_successful_execution(crashed_report: Report) -> None:
    (invocation,) = json.loads(render(crashed_report))["runs"][0]["invocations"]
    assert invocation["executionSuccessful"] is False
    assert invocation["exitCode"] == 2
    problem = invocation["toolExecutionNotifications"][-1]
    assert problem["locations"][0]["physicalLocation"]["region"] == {"startLine": 14}
