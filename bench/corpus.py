"""The programs that stepscope is measured on: healthy ones, and planted faults with their twins.

    python -m bench.corpus [all|quiet|faults] [NAME...]

runs `stepscope check` on them and says what was found, expected or not.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BENCH = Path(__file__).resolve().parent
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


@dataclass(frozen=True, slots=True)
class Expected:
    """One finding that a planted fault must give."""

    code: str
    about: str = ""  # in the finding's subject, parameter or module
    file: str = ""  # how the reported file ends
    line: str = ""  # in the source line at the reported place

    def fits(self, finding: dict[str, Any], root: Path) -> bool:
        """Tell whether this finding, as the JSON report has it, is the expected one."""
        at = finding["at"]
        named = " ".join((finding["subject"], at.get("parameter", ""), at.get("module", "")))
        return (
            finding["rule"] == self.code
            and self.about in named
            and at.get("file", "").endswith(self.file)
            and self.line in source_line(root / at.get("file", ""), at.get("line", 0))
        )


@dataclass(frozen=True, slots=True)
class Program:
    """A training script, how it is started, and what should be found in it."""

    script: Path
    arguments: tuple[str, ...] = ()
    prepare: tuple[str, ...] = ()  # a script beside it to run first, with its arguments
    steps: int = 3
    findings: tuple[Expected, ...] = ()
    lrs: tuple[tuple[str, float], ...] = ()  # as they should take effect, by parameter

    @property
    def name(self) -> str:
        """`healthy/gan`, `region_clip/bf16_logit_scale`."""
        return f"{self.script.parent.name}/{self.script.stem}"

    @property
    def intent(self) -> Path | None:
        """What the author declared; the repaired twin is held to the same."""
        path = self.script.with_name(self.script.stem.removesuffix("_repaired") + ".toml")
        return path if path.exists() else None

    def command(self, folder: Path) -> list[str]:
        """Prepare what the program needs in `folder`, and return how it is started."""
        if self.prepare:
            script, *arguments = (text.format(folder=folder) for text in self.prepare)
            run([script, *arguments], self.script.parent)
        return [self.script.name, *(text.format(folder=folder) for text in self.arguments)]


def healthy() -> list[Program]:
    """Return the programs in which nothing is to be found."""
    return [Program(script) for script in sorted((BENCH / "healthy").glob("*.py"))]


def planted() -> Iterator[Program]:
    """Yield the faults and their repaired twins, which expect no finding."""
    for declared in sorted((BENCH / "faults").glob("*/expected.toml")):
        for entry in tomllib.loads(declared.read_text())["program"]:
            yield Program(
                script=declared.parent / entry["script"],
                arguments=tuple(entry.get("arguments", ())),
                prepare=tuple(entry.get("prepare", ())),
                steps=entry.get("steps", 3),
                findings=tuple(Expected(**each) for each in entry.get("finding", ())),
                lrs=tuple(entry.get("lr", {}).items()),
            )


def check(program: Program, folder: Path) -> tuple[int, dict[str, Any]]:
    """Run `stepscope check` on it; return the exit code and the JSON report.

    Raises:
        RuntimeError: there is no report; the text is what was said instead.
    """
    options = ["--steps", str(program.steps)]
    options += ["--intent", str(program.intent)] if program.intent else []
    started = program.command(folder)
    ended = run(
        ["-m", "stepscope", "check", "--format", "json", *options, *started],
        program.script.parent,
    )
    if not ended.stdout.startswith("{"):
        raise RuntimeError(f"{program.name} ended with {ended.returncode}: {ended.stderr[-4000:]}")
    return ended.returncode, json.loads(ended.stdout)


def run(arguments: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run Python with these arguments on one thread, and return what it said."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, **ONE_THREAD},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


def source_line(file: Path, number: int) -> str:
    """Return a line of a file, or nothing where there is none."""
    if not number or not file.is_file():
        return ""
    lines = file.read_text().splitlines()
    return lines[number - 1] if number <= len(lines) else ""


def tell(program: Program, report: dict[str, Any]) -> None:
    """Print what was found, beside what was expected."""
    found, root = report["findings"], program.script.parent
    for finding in found:
        met = any(each.fits(finding, root) for each in program.findings)
        mark = "as expected" if met else f"besides ({finding['severity']})"
        print(f"    {mark}: {finding['rule']} {finding['subject']}: {finding['message']}")
        print(f"        {finding['measured']}; {finding['at']}")
    missing = [each for each in program.findings if not any(each.fits(f, root) for f in found)]
    for each in missing:
        print(f"    MISSING: {each}")
    for crash in report["crashed"]:
        print(f"    CRASHED: {crash['rule']} {crash['reason']}")
    for fault in report["run"]["faults"]:
        print(f"    FAULT: {fault}")


def main() -> None:
    which, *names = sys.argv[1:] or ["all"]
    programs = [] if which == "faults" else healthy()
    programs += [] if which == "quiet" else planted()
    for program in programs:
        if names and not any(name in program.name for name in names):
            continue
        began = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            try:
                code, report = check(program, Path(folder))
            except RuntimeError as failure:
                print(failure)
                continue
        wall_s = time.perf_counter() - began
        print(f"{program.name}: exit {code}, {report['run']['steps']} steps, {wall_s:.1f} s")
        tell(program, report)


if __name__ == "__main__":
    main()
