"""What waits for a module acts once, when the module is whole, and is in nobody's way."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from stepscope.importing import AfterImport


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return a folder that modules are imported from."""
    monkeypatch.syspath_prepend(tmp_path)
    before, finders = set(sys.modules), list(sys.meta_path)
    yield tmp_path
    sys.meta_path[:] = finders
    for name in set(sys.modules) - before:
        del sys.modules[name]


def waiting_for(name: str) -> list[ModuleType]:
    seen: list[ModuleType] = []
    sys.meta_path.insert(0, AfterImport(name, seen.append))
    return seen


def test_it_acts_once_when_the_code_of_the_module_has_run(folder: Path) -> None:
    (folder / "awaited.py").write_text("import other_one\nfirst = 1\nlast = 2\n")
    (folder / "other_one.py").write_text("")
    finders = list(sys.meta_path)
    seen = waiting_for("awaited")
    module = importlib.import_module("awaited")
    assert seen == [module]
    assert module.last == 2
    assert sys.meta_path == finders
    importlib.reload(module)
    assert len(seen) == 1


def test_a_module_of_another_name_is_none_of_its_business(folder: Path) -> None:
    (folder / "awaited_not.py").write_text("")
    seen = waiting_for("awaited")
    assert importlib.import_module("awaited_not").__spec__ is not None
    assert seen == []


def test_where_there_is_no_such_module_the_error_is_pythons(folder: Path) -> None:
    seen = waiting_for("awaited")
    with pytest.raises(ModuleNotFoundError, match="No module named 'awaited'"):
        importlib.import_module("awaited")
    (folder / "awaited.py").write_text("")
    importlib.invalidate_caches()
    assert seen == [importlib.import_module("awaited")]  # it has waited on


def test_a_module_that_raises_is_not_acted_on(folder: Path) -> None:
    (folder / "awaited.py").write_text("raise ValueError('broken')\n")
    seen = waiting_for("awaited")
    with pytest.raises(ValueError, match="broken"):
        importlib.import_module("awaited")
    assert seen == []
