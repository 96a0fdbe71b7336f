"""Files that were made to harm are refused, or read at the cost of a healthy one."""

import random
import resource
import time
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.checkpoint_files.mutating import mutated
from bench.checkpoint_files.samples import hostile, write
from stepscope.checkpoint_files.content import UnreadableCheckpoint
from stepscope.checkpoint_files.reading import read

HARMLESS = {"a far memo, in an archive", "a long frame, in an archive"}  # nothing comes of them
NAMED = {
    "os.system, in an archive": "posix.system",
    "os.system in protocol 5, alone": "posix.system",
    "exec, alone": "builtins.exec",
    "open by name, in an archive": "builtins.open",
    "open as an instance, in an archive": "builtins.open",
    "open as an object, in an archive": "builtins.open",
    "getattr of a harmless class, in an archive": "builtins.getattr",
}


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write(tmp_path_factory.mktemp("samples"))


@pytest.mark.parametrize("name", sorted(hostile(Path("unused"))))
def test_a_hostile_file_is_refused_and_runs_nothing(name: str, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    (tmp_path / "x.pth").write_bytes(hostile(canary)[name])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.monotonic()
    if name in HARMLESS:
        assert read(tmp_path / "x.pth").tree is None
    else:
        with pytest.raises(UnreadableCheckpoint) as refusal:
            read(tmp_path / "x.pth")
        if name in NAMED:
            assert NAMED[name] in refusal.value.globals
    assert not canary.exists()
    assert time.monotonic() - start < 20
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 10**6  # kB


def test_the_name_of_a_global_cannot_write_to_the_terminal(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"\x80\x02cos\n\x1b[2Jsystem\n.")
    with pytest.raises(UnreadableCheckpoint) as refusal:
        read(tmp_path / "x")
    assert refusal.value.globals == (r"os.\x1b[2Jsystem",)
    assert str(refusal.value).isprintable()


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(["torch", "torch, legacy", "safetensors"]), st.integers(0, 2**32))
def test_a_damaged_file_is_read_or_refused_and_nothing_else(
    samples: dict[str, Path], tmp_path_factory: pytest.TempPathFactory, form: str, seed: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged"
    chance = random.Random(seed)  # noqa: S311  # not for secrets
    path.write_bytes(mutated(samples[form].read_bytes(), chance))
    with suppress(UnreadableCheckpoint):
        assert read(path).files == (path,)


@pytest.mark.parametrize("form", ["folder", "DCP", "safetensors, sharded"])
def test_the_samples_are_healthy(form: str, samples: dict[str, Path]) -> None:
    assert form.partition(", ")[0] in read(samples[form]).format
