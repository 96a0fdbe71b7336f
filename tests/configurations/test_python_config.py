"""Configurations in Python, read without running them."""

from pathlib import Path

import pytest

from stepscope.configurations.python_config import Unknown, read_config


@pytest.fixture
def written(tmp_path: Path) -> Path:
    return tmp_path / "config.py"


def test_values_are_read_as_running_the_file_would_give_them(written: Path) -> None:
    text = (
        "lr = 2e-4 * 8 / 16\nsizes = [1, 2] * 2 + [3]\nname = 'a' + 'b'\nsign = -lr\n"
        "common = dict(type='X', n=1)\n"
        "model = dict(backbone=dict(**common, depth=50), **{'k': [lr]})\n"
        "model['neck'] = dict(n=sizes[1])\nlast = sizes[-1]\nflag: bool = True\n"
    )
    written.write_text(text)
    expected: dict[str, object] = {}
    exec(text, expected)  # noqa: S102 - the oracle, of our own text
    del expected["__builtins__"], expected["__annotations__"]
    assert read_config(written).values == expected


def test_nothing_of_the_file_is_run(written: Path, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    written.write_text(
        f"import os\nx = os.system('touch {canary}')\nopen({str(canary)!r}, 'w')\n"
        f"y = dict(a=__import__('os').system('touch {canary}'))\n"
        "z = [1] * 10**12\nw = 'a' * 10**9\n"
    )
    read = read_config(written)
    assert not canary.exists()
    assert isinstance(read.values["x"], Unknown)
    assert isinstance(read.values["z"], Unknown)
    assert isinstance(read.values["w"], Unknown)
    assert [each.line for each in read.unread] == [3]


def test_bases_are_merged_key_by_key(written: Path, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("model = dict(a=dict(x=1, y=2), b=1)\nlr = 1")
    written.write_text("_base_ = './a.py'\nmodel = dict(a=dict(x=3), c=4)")
    assert read_config(written).values == {
        "model": {"a": {"x": 3, "y": 2}, "b": 1, "c": 4},
        "lr": 1,
    }
    written.write_text("_base_ = ['a.py']\nmodel = dict(a=dict(_delete_=True, x=3))")
    assert read_config(written).values["model"]["a"] == {"x": 3}


def test_an_overwritten_name_is_told_with_what_is_lost(written: Path) -> None:
    written.write_text("model = dict(a=dict(x=1), b=2)\n\nmodel = dict(b=3)\n")
    (found,) = read_config(written).overwritten
    assert (found.name, found.line, found.by_line, found.lost) == ("model", 1, 3, ("a.x",))
    written.write_text("model = dict(a=1)\nmodel = dict(**model, b=3)\n")
    assert not read_config(written).overwritten


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = (", "not valid Python"),
        ("_base_ = 'nothing.py'", "cannot be read: No such file"),
        ("_base_ = 'config.py'", "inherits from itself"),
        ("x = " + "(" * 5000 + ")" * 5000, "not valid Python"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_clear_error(
    written: Path, text: str, message: str
) -> None:
    written.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_config(written)


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    "text",
    [
        "a = [0]\n" + "a = a + a\n" * 60,
        "a = 3\n" + "a = a * a\n" * 60,
        "a = dict()\n" + "a = dict(x=a, y=a)\n" * 60,
        "a = dict()\na['a'] = a\n",
        "a = 'x' * 10 * 100000 * 100000\n",
    ],
)
def test_a_value_that_would_grow_without_bound_is_unknown(tmp_path: Path, text: str) -> None:
    path = tmp_path / "growing.py"
    path.write_text(text)

    assert "Unknown" in repr(read_config(path).values["a"])


@pytest.mark.corpus
def test_bases_are_merged_as_mmengine_merges_them(tmp_path: Path) -> None:
    mmengine = pytest.importorskip("mmengine.config")
    (tmp_path / "base.py").write_text("model = dict(a=dict(x=1, y=2), b=dict(z=3))\nlr = 1\n")
    path = tmp_path / "config.py"
    path.write_text("_base_ = ['base.py']\nmodel = dict(a=dict(x=5), b=dict(_delete_=True, w=4))\n")

    theirs = mmengine.Config.fromfile(str(path))
    assert read_config(path).values == {"model": theirs.model.to_dict(), "lr": theirs.lr}
