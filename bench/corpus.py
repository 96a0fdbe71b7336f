"""The programs that stepscope is measured on: healthy ones, and planted faults with their twins.

    python -m bench.corpus [--run] [all|quiet|faults] [NAME...]

runs `stepscope check` on them and says what was found, expected or not. With `--run` it is
`stepscope run`, to the end of each program and with every step sampled; the faults of `later.toml`
are among them then, and the step is said at which each finding was first told.
"""

import json
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.preloaded import run
from stepscope.recordings.folder import latest
from stepscope.recordings.reader import read

BENCH = Path(__file__).resolve().parent
WINDOW = 3  # steps that are seen whole, where a program does not say


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
    steps: int = WINDOW
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


def planted(declared_in: str = "expected.toml") -> Iterator[Program]:
    """Yield the faults and their repaired twins, which expect no finding."""
    for declared in sorted((BENCH / "faults").glob(f"*/{declared_in}")):
        for entry in tomllib.loads(declared.read_text())["program"]:
            yield Program(
                script=declared.parent / entry["script"],
                arguments=tuple(entry.get("arguments", ())),
                prepare=tuple(entry.get("prepare", ())),
                steps=entry.get("steps", WINDOW),
                findings=tuple(Expected(**each) for each in entry.get("finding", ())),
                lrs=tuple(entry.get("lr", {}).items()),
            )


def over_time() -> Iterator[Program]:
    """Yield the faults that only the whole run shows, each before its twin."""
    for declared in planted("later.toml"):
        fault = replace(declared, steps=WINDOW)  # there they are those of the run
        yield fault
        twin = fault.script.with_name(f"{fault.script.stem}_repaired.py")
        if fault.findings and twin.exists():
            yield replace(fault, script=twin, findings=())


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


def watch(program: Program, folder: Path) -> tuple[int, dict[str, Any], dict[str, int]]:
    """Run `stepscope run` on it; return the exit code, the JSON report, and the steps of news.

    Raises:
        RuntimeError: there is no report; the text is what was said instead.
    """
    output = folder / "report.json"
    options = ["--steps", str(program.steps), "--every", "1", "--folder", str(folder)]
    options += ["--format", "json", "--output", str(output)]
    options += ["--intent", str(program.intent)] if program.intent else []
    started = program.command(folder)
    ended = run(["-m", "stepscope", "run", *options, *started], program.script.parent)
    if not output.exists():
        raise RuntimeError(f"{program.name} ended with {ended.returncode}: {ended.stderr[-4000:]}")
    first: dict[str, int] = {}
    for process in read(latest(folder).path).ranks:
        for found in process.findings():
            first[found.code] = min(found.step, first.get(found.code, found.step))
    return ended.returncode, json.loads(output.read_text()), first


def source_line(file: Path, number: int) -> str:
    """Return a line of a file, or nothing where there is none."""
    if not number or not file.is_file():
        return ""
    lines = file.read_text().splitlines()
    return lines[number - 1] if number <= len(lines) else ""


def tell(program: Program, report: dict[str, Any], first: Mapping[str, int]) -> None:
    """Print what was found, beside what was expected; `first` are the steps of news, by code."""
    found, root = report["findings"], program.script.parent
    for finding in found:
        met = any(each.fits(finding, root) for each in program.findings)
        mark = "as expected" if met else f"besides ({finding['severity']})"
        code = finding["rule"]
        when = f" (step {first[code]})" if code in first else ""
        print(f"    {mark}: {code}{when} {finding['subject']}: {finding['message']}")
        print(f"        {finding['measured']}; {finding['at']}")
    missing = [each for each in program.findings if not any(each.fits(f, root) for f in found)]
    for each in missing:
        print(f"    MISSING: {each}")
    for crash in report["crashed"]:
        print(f"    CRASHED: {crash['rule']} {crash['reason']}")
    for fault in report["run"]["faults"]:
        print(f"    FAULT: {fault}")


def main() -> None:
    words = [word for word in sys.argv[1:] if word != "--run"]
    is_watched = "--run" in sys.argv
    which, *names = words or ["all"]
    programs = [] if which == "faults" else healthy()
    programs += [] if which == "quiet" else planted()
    programs += over_time() if is_watched and which != "quiet" else []
    for program in programs:
        if names and not any(name in program.name for name in names):
            continue
        began = time.perf_counter()
        first: dict[str, int] = {}
        with tempfile.TemporaryDirectory() as folder:
            try:
                if is_watched:
                    code, report, first = watch(program, Path(folder))
                else:
                    code, report = check(program, Path(folder))
            except RuntimeError as failure:
                print(failure)
                continue
        wall_s = time.perf_counter() - began
        print(f"{program.name}: exit {code}, {report['run']['steps']} steps, {wall_s:.1f} s")
        tell(program, report, first)
        sys.stdout.flush()


if __name__ == "__main__":
    main()
