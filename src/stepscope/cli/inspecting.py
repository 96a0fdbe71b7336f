"""A checkpoint in, report out."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from stepscope.adapters.built import model_from
from stepscope.checkpoint_files.comparison import (
    against_configuration,
    against_file,
    against_model,
    as_loads,
)
from stepscope.checkpoint_files.contents.describing import Described, describe
from stepscope.checkpoint_files.taint import defects, taints
from stepscope.configurations.declared import declared_at
from stepscope.configurations.files import SUFFIXES, read_table
from stepscope.configurations.settings import Settings
from stepscope.configurations.table import Table
from stepscope.core import Evidence, Place, Recording, Rule, judge
from stepscope.core.joining import join
from stepscope.core.selection import Selection, unknown_code
from stepscope.core.verdict import Report, RunFacts
from stepscope.evidence.checkpoint_file import CheckpointFile, Comparison, Taints
from stepscope.evidence.intent import Intent

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """How to judge a checkpoint."""

    rules: tuple[Rule, ...]  # all there are
    selection: Selection
    is_selected: bool  # by the command line: then all of the rules that it names are asked
    settings: Settings
    strict: bool

    def file(self, path: Path, against: str, progress: Progress | None, began: float) -> Report:
        """Describe one checkpoint, compare it, and judge.

        Raises:
            UnreadableCheckpoint: the checkpoint, or the one to compare with, cannot be read.
            ValueError: `against` is nothing that can be compared with.
        """
        model = _model(against)
        order = [name for name, _ in model.named_parameters()] if model is not None else []
        described = describe(path, progress, order=order)
        compared, intent = None, None
        if model is not None:
            compared = against_model(described, model, against)
        elif against:
            compared, intent = self._compared(described, against)
        evidence: list[Evidence] = [described.evidence, as_loads(described.evidence, compared)]
        if compared is not None:
            evidence.append(compared)
        intent = intent or self.settings.intent
        number = len(described.evidence.tensors)
        return self._report([*evidence, intent], path, number, "tensor", "file", began)

    def tainted(self, folder: Path, by: str, began: float) -> Report:
        """Judge the checkpoints of a folder against a finding.

        Raises:
            ValueError: there is no such folder, rule or report, or no checkpoint in the folder.
        """
        if not folder.is_dir():
            raise ValueError(f"{folder} is no folder; --tainted-by lists those of a folder")
        known = defects(by)
        codes = {rule.code for rule in self.rules}
        for each in known:
            if each.code not in codes:
                raise ValueError(f"--tainted-by {by}: {unknown_code(each.code, self.rules)}")
        found = taints(folder, known)
        number = len(found.checkpoints)
        return self._report([found], folder, number, "checkpoint", "folder", began)

    def _report(
        self,
        evidence: list[Evidence],
        path: Path,
        number: int,
        unit: str,
        subject: str,
        began: float,
    ) -> Report:
        recording = Recording(*evidence)
        rules = self.selection.rules
        if not self.is_selected:
            rules = tuple(rule for rule in rules if _concerns(rule, recording))
        root = str(Path.cwd())
        run = RunFacts(
            program=str(path),
            root=root,
            steps=number,
            asked=number,
            unit=unit,
            subject=subject,
            wall_s=time.perf_counter() - began,
            settings=self.settings.file,
            seen=recording,
        )
        return join(
            run,
            {0: judge(rules, recording, self.settings.options)},
            strict=self.strict,
            ignore=self.selection.ignored,
            locate=lambda finding: (
                declared_at(finding, self.settings.file, root) or Place(file=str(path))
            ),
        )

    def _compared(self, described: Described, against: str) -> tuple[Comparison, Intent | None]:
        other = Path(against)
        if other.suffix.lower() in SUFFIXES and not against.endswith(".index.json"):
            values = read_table(other)
            intent = _intent(other, values)
            meant = intent or self.settings.intent
            return (
                against_configuration(described.evidence, values, against, meant.temperature),
                intent,
            )
        return against_file(described, describe(other)), None


def _model(against: str) -> nn.Module | None:
    """Return the model to compare with; None where it is a file that is meant."""
    if not against or Path(against).exists():
        return None
    if ":" not in against:
        wanted = "a checkpoint, MODULE:FUNCTION, or a file of TOML, YAML or JSON"
        raise ValueError(f"--against {against}: there is no such file; expected {wanted}")
    try:
        return model_from(against)
    except (ValueError, TypeError) as mistake:
        raise ValueError(f"--against {mistake}") from mistake


def _intent(path: Path, values: dict[str, object]) -> Intent | None:
    """Return the declared intent of a configuration that has one."""
    declared = values.get("intent")
    if not isinstance(declared, dict):
        return None
    table = Table(path, "intent.")
    table.expect_keys(declared, Intent.__struct_fields__)
    return table.typed(declared, Intent)


def _concerns(rule: Rule, recording: Recording) -> bool:
    """Tell whether a rule is one on checkpoint files."""
    kinds = {need.kind for need in rule.needs.values()}
    return bool(kinds & {CheckpointFile, Taints, Comparison}) and all(
        need.optional or recording.get(need.kind) is not None for need in rule.needs.values()
    )
