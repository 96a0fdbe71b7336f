"""A checkpoint holds values that no training left there on purpose.

## What it proves
Error: weights, their average or the optimizer's state hold nan or inf. Warning: inside a tensor,
whole pages of the file (4096 bytes) are zero, while the numbers on either side of them are not.

## Why it matters
One nan in a weight makes every output nan, and one in an optimizer's moments spreads at the first
step after a resume. Pages of zeros are what a copy that was cut short, or a disk that lost a write,
leaves: the file loads, and scores a little worse.

## What to do
Take the last checkpoint that is finite, and look for the step that broke it (`stepscope check`
names the first module that is not finite). Compare a file with holes with its source, by checksum.

## Limits
Masks are meant to hold inf: a tensor whose finite elements are all 0, or whose name says mask or
bias table, is left alone, and so is a single inf (a best score, the range of a quantiser). Zeros
that begin and end with rows of a tensor (padding in an embedding, pruned rows), or that go on
beside a page, are not taken for a hole. A file that cannot be read at all is an error of the
command (exit code 2), not a finding.

## Sources
- The 4096 bytes: the block size of ext4 and XFS, and the page size of x86
  (https://docs.kernel.org/filesystems/ext4/blocks.html).
"""

import math
import re

from stepscope.core import Finding, Findings, NotJudged, Place, Severity, Watch, rule
from stepscope.evidence.checkpoint_file import CheckpointFile, TensorFacts

MEANT = re.compile(r"mask|attn_bias|attention_bias|min_val|max_val|best_", re.IGNORECASE)
PARTS = ("model", "ema", "optimizer")
SHOWN = 3


@rule("CKP007", Severity.ERROR)
def corrupt_file(file: CheckpointFile) -> Findings:
    if not file.tensors:
        raise NotJudged("the file holds no tensor")
    for part in PARTS:
        tensors = [each for each in file.tensors if each.part == part]
        broken = [each for each in tensors if each.non_finite and not _is_meant(each)]
        if broken:
            yield _not_finite(file, part, broken, len(tensors))
    holed = [each for each in file.tensors if each.hole]
    if holed:
        names = ", ".join(f"{each.name} ({each.hole} bytes)" for each in holed[:SHOWN])
        yield Finding(
            subject=f"{len(holed)} of {len(file.model)} tensors of {file.path}",
            message="are zero from the beginning of a page of the file to the end of one",
            measured=names + (", ..." if len(holed) > SHOWN else ""),
            expected="no run of zeros that follows the pages of the file",
            at=Place(parameter=holed[0].name),
            severity=Severity.WARNING,
        )


def _not_finite(file: CheckpointFile, part: str, broken: list[TensorFacts], total: int) -> Finding:
    names = ", ".join(
        f"{each.name} ({each.non_finite} of {each.elements})" for each in broken[:SHOWN]
    )
    word = {"model": "weights", "ema": "averaged weights", "optimizer": "optimizer state"}[part]
    return Finding(
        subject=f"{word} of {file.path}",
        message=f"{len(broken)} of {total} tensors hold nan or inf",
        measured=names + (", ..." if len(broken) > SHOWN else ""),
        expected="finite numbers",
        at=Place(parameter=broken[0].name),
    )


def _is_meant(tensor: TensorFacts) -> bool:
    if MEANT.search(tensor.name):
        return True
    if tensor.elements == 1:
        return tensor.value is not None and math.isinf(tensor.value)
    # A mask to be added: some elements -inf, and all that are finite 0.
    return tensor.smallest == 0 == tensor.largest


def fails_when_a_weight_holds_a_nan(watch: Watch) -> None:
    watch.saw(_saved(_tensor("head.weight", non_finite=1)))


def fails_when_the_optimizer_holds_one(watch: Watch) -> None:
    watch.saw(_saved(_tensor("optimizer.state.0.exp_avg", non_finite=1, part="optimizer")))


def fails_with_a_warning_when_pages_of_the_file_are_zero(watch: Watch) -> None:
    watch.saw(_saved(_tensor("head.weight", hole=4096)))


def passes_when_all_is_finite(watch: Watch) -> None:
    watch.saw(_saved(_tensor("head.weight")))


def passes_when_a_mask_holds_inf(watch: Watch) -> None:
    watch.saw(_saved(_tensor("text.causal", non_finite=6, smallest=0.0, largest=0.0)))


def passes_when_a_single_best_score_is_inf(watch: Watch) -> None:
    watch.saw(_saved(_tensor("patience", shape=(), non_finite=1, value=math.inf)))


def skips_when_there_is_no_tensor(watch: Watch) -> None:
    watch.saw(_saved())


def _saved(*tensors: TensorFacts) -> CheckpointFile:
    return CheckpointFile(
        path="last.pth", format="torch", writer="torch.save", nbytes=100, tensors=tensors
    )


def _tensor(
    name: str,
    *,
    part: str = "model",
    shape: tuple[int, ...] = (64, 64),
    non_finite: int = 0,
    hole: int = 0,
    smallest: float = -1.0,
    largest: float = 1.0,
    value: float | None = None,
) -> TensorFacts:
    return TensorFacts(
        name=name, part=part, shape=shape, dtype="float32", nbytes=16384, non_finite=non_finite,
        hole=hole, smallest=smallest, largest=largest, value=value,
    )  # fmt: skip
