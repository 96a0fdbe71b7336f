"""What a checkpoint holds is shown in every format, and whatever it is called."""

import json
import re
import unicodedata

import pytest
import torch

from stepscope.core import Recording
from stepscope.core.joining import join
from stepscope.core.verdict import Report, RunFacts
from stepscope.evidence.checkpoint_file import (
    Brought,
    CheckpointFile,
    Comparison,
    Counter,
    GroupFacts,
    Lack,
    OptimizerFacts,
    PartFacts,
    Slot,
    Taint,
    Taints,
    TensorFacts,
)
from stepscope.reporters import reporter
from stepscope.reporters.content.checkpoint import MOST_ROWS, sections, size
from tests.reporters.conftest import HOSTILE


def tensor(name: str, elements: int = 4) -> TensorFacts:
    return TensorFacts(
        name=name, part="model", shape=(elements,), dtype="float32", nbytes=4 * elements
    )


def described(word: str, *names: str) -> Report:
    slot = Slot(parameter="", key=word, candidates=3)
    group = GroupFacts(index=0, label=word, parameters=(word,), lr=1e-3)
    file = CheckpointFile(
        path=word,
        format=word,
        writer=word,
        nbytes=100,
        tensors=tuple(map(tensor, names)),
        optimizers=(OptimizerFacts(path=word, groups=(group,), slots=(slot,), names_from=word),),
        parts=(PartFacts(kind="scheduler", path=word, summary=word),),
        counters=(Counter(name=word, value=3),),
        lacks=(Lack(what="scaler", why=word, is_proved=False),),
    )
    compared = Comparison(
        against=word, kind="file", matched=1, total=2, missing=(word,),
        brought=(Brought(name=word, in_file=1.0, against=float("nan")),),
    )  # fmt: skip
    taint = Taint(path=word, is_tainted=True, confidence="likely", reasons=(word,))
    taints = Taints(folder=word, codes=("GRD006",), checkpoints=(taint,))
    run = RunFacts(
        program="a.pt", root="/", steps=len(names), asked=len(names), unit="tensor", subject="file",
        seen=Recording(file, compared, taints),
    )  # fmt: skip
    return join(run, {0: []})


@pytest.mark.parametrize("form", ["text", "markdown", "json"])
def test_no_hostile_name_of_a_file_gets_through(form: str) -> None:
    shown = reporter(form)(described(HOSTILE, HOSTILE, f"{HOSTILE}.weight"))
    unsafe = {
        each
        for each in shown
        if each != "\n" and unicodedata.category(each) in ("Cc", "Cf", "Cs", "Cn", "Zl", "Zp")
    }
    assert not unsafe
    shown.encode("utf-8")


def test_a_row_of_markdown_has_as_many_cells_as_its_heading() -> None:
    shown = reporter("markdown")(described("a | b", "stem.weight", "head | x.weight"))
    for table in re.findall(r"(?:^\|.*\n)+", shown, re.MULTILINE):
        cells = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
        assert len(cells) == 1, table


def test_json_holds_every_tensor_and_says_numbers_that_json_has_not() -> None:
    said = json.loads(reporter("json")(described("w", "stem.weight", "head.weight")))
    assert [each["name"] for each in said["checkpoint"]["tensors"]] == [
        "stem.weight",
        "head.weight",
    ]
    assert said["comparison"]["brought"][0]["against"] == "nan"
    assert said["taints"]["checkpoints"][0]["is_tainted"] is True


def test_the_table_of_modules_stays_short_and_counts_everything() -> None:
    names = [f"m{at}.weight" for at in range(100)]
    (table,) = [each for each in sections(described("w", *names).run.seen) if each.title == "model"]
    assert len(table.rows) == MOST_ROWS
    assert sum(int(row[1]) for row in table.rows) == 100


def test_modules_are_told_apart_as_deep_as_the_table_has_room() -> None:
    names = [f"net.{part}.{at}.weight" for part in ("stem", "head") for at in range(3)]
    (table,) = [each for each in sections(described("w", *names).run.seen) if each.title == "model"]
    assert [row[0] for row in table.rows] == [name.removesuffix(".weight") for name in names]


@pytest.mark.parametrize(
    ("nbytes", "said"), [(1023, "1023 B"), (1024, "1.0 KiB"), (5 << 30, "5.0 GiB")]
)
def test_bytes_are_said_in_units_of_1024(nbytes: int, said: str) -> None:
    assert size(nbytes) == said


def test_a_report_on_a_program_has_no_such_section(report: Report) -> None:
    assert sections(report.run.seen) == ()


def test_values_are_mean_and_deviation_over_all_elements_of_a_module() -> None:
    torch.manual_seed(0)
    parts = [torch.randn(50, dtype=torch.float64) + 3, torch.randn(200, dtype=torch.float64) * 2]
    tensors = tuple(
        TensorFacts(
            name=f"head.{name}",
            part="model",
            shape=tuple(each.shape),
            dtype="float64",
            nbytes=each.nbytes,
            mean=each.mean().item(),
            deviation=each.std(correction=0).item(),
        )
        for name, each in zip(("bias", "weight"), parts, strict=True)
    )
    file = CheckpointFile(path="a", format="torch", writer="w", nbytes=1, tensors=tensors)
    (table,) = [each for each in sections(Recording(file)) if each.title == "model"]
    whole = torch.cat(parts)
    assert table.columns[5] == "values"
    assert table.rows[0][5] == f"{whole.mean():.2g} ± {whole.std(correction=0):.2g}"


def test_a_file_without_a_model_says_so() -> None:
    file = CheckpointFile(path="a", format="torch", writer="w", nbytes=1, tensors=())
    assert ("model", "none") in sections(Recording(file))[0].rows
