"""The report as JUnit XML: one test case for each rule."""

from xml.etree import ElementTree as ET

from stepscope.core import Outcome, Status
from stepscope.core.verdict import Report, Reported, RunFacts, Verdict
from stepscope.reporters.content.places import element, moment, source_line
from stepscope.reporters.content.printable import printable  # escapes all that XML forbids
from stepscope.reporters.content.summary import last_line, verdict


def render(report: Report) -> str:
    """Write failures for what counts against the run; skipped rules with their reasons."""
    cases = [_case(outcome, report) for outcome in report.outcomes]
    if report.verdict is Verdict.NOT_JUDGED:
        case = ET.Element("testcase", classname="stepscope", name="the run can be judged")
        error = ET.SubElement(case, "error", message=printable(verdict(report)))
        error.text = printable(report.run.error)
        cases.insert(0, case)
    totals = {
        "tests": str(len(cases)),
        "failures": str(sum(case.find("failure") is not None for case in cases)),
        "errors": str(sum(case.find("error") is not None for case in cases)),
        "skipped": str(sum(case.find("skipped") is not None for case in cases)),
    }
    suites = ET.Element("testsuites", {"name": "stepscope", **totals})
    seconds = f"{report.run.wall_s:.3f}"
    own = {"name": printable(report.run.program), "time": seconds, **totals}
    suite = ET.SubElement(suites, "testsuite", own)
    suite.extend(cases)
    ET.indent(suites)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(suites, encoding="unicode") + "\n"
    )


def _case(outcome: Outcome, report: Report) -> ET.Element:
    rule = outcome.rule
    case = ET.Element(
        "testcase", classname=f"stepscope.{rule.code[:3]}", name=f"{rule.code} {rule.name}"
    )
    if outcome.status is Status.SKIPPED:
        ET.SubElement(case, "skipped", message=printable(outcome.reason))
    if outcome.status is Status.CRASHED:
        message = printable(f"the rule failed, not the run: {last_line(outcome.reason)}")
        ET.SubElement(case, "error", message=message).text = printable(outcome.reason)
    found = [each for each in report.findings if each.rule is rule]
    faults = [each for each in found if report.is_fault(each)]
    if faults:
        message = f"{faults[0].finding.subject}: {faults[0].finding.message}"
        failure = ET.SubElement(case, "failure", type=faults[0].severity.value)
        failure.set("message", printable(message))
        failure.text = printable("\n\n".join(_text(each, report.run) for each in found))
    elif found:
        told = ET.SubElement(case, "system-out")
        told.text = printable("\n\n".join(_text(each, report.run) for each in found))
    ignored = [each for each in report.ignored if each.rule is rule]
    if ignored:
        ET.SubElement(case, "skipped", message=printable(f"ignored: {ignored[0].ignored}"))
    return case


def _text(reported: Reported, run: RunFacts) -> str:
    finding = reported.finding
    where = (source_line(finding.at, run), element(finding.at, finding.subject), moment(reported))
    lines = [
        f"{reported.severity.value}: {finding.subject}: {finding.message}",
        f"measured: {finding.measured}",
        f"expected: {finding.expected}",
        ", ".join(word for word in where if word),
        *(f"{source_line(r.at, run) or element(r.at, '')}: {r.label}" for r in finding.related),
    ]
    return "\n".join(line for line in lines if line)
