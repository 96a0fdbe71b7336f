"""The report of a detector as one HTML file: no script, no request, no second file."""

from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from stepscope.version import __version__
from stepscope_systems.rgbt_detection.pictures.content import DetectorReport
from stepscope_systems.rgbt_detection.pictures.sections import sections


def write_report(path: Path, report: DetectorReport) -> None:
    """Write the page; its folder is made where it is missing.

    Raises:
        ValueError: a picture cannot be drawn of what was given.
    """
    page = render(report)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8")


def render(report: DetectorReport) -> str:
    """Return the page: figures first, then tables beside their charts, then what was seen."""
    environment = Environment(
        loader=PackageLoader("stepscope_systems.rgbt_detection.pictures"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = environment.get_template("report.html")
    return template.render(report=report, sections=sections(report), version=__version__) + "\n"
