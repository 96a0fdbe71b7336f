"""What stands in a cell of a notebook is named as the notebook shows it."""

import sys
from types import SimpleNamespace

import pytest

from stepscope.core import Place
from stepscope.probes.notebook import SESSION, cell_of, notebook
from stepscope.probes.source_lines import PROGRAM, kind_of_file, place_of

INVENTED = "/home/me/ipykernel_7/1234.py"


def in_third_cell(name: str) -> tuple[str, str] | None:
    """Answer as IPython does."""
    return ("Cell", "In[3]") if name == INVENTED else None


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch) -> None:
    running = SimpleNamespace(compile=SimpleNamespace(format_code_name=in_third_cell))
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: running))


@pytest.mark.usefixtures("shell")
def test_a_line_of_a_cell_is_named_by_the_cell_and_others_by_their_file() -> None:
    cell = compile("1", INVENTED, "exec")
    assert place_of(cell, 1) == Place(file="Cell In[3]", line=1, function="<module>")
    assert cell_of("/home/me/model.py") == "/home/me/model.py"


def test_without_a_shell_files_are_what_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    assert cell_of(INVENTED) == INVENTED
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: None))
    assert cell_of(INVENTED) == INVENTED


@pytest.mark.usefixtures("shell")
def test_a_kernel_has_the_name_of_its_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SESSION, raising=False)
    assert notebook() == ""  # a shell in a terminal
    monkeypatch.setitem(sys.modules, "ipykernel", SimpleNamespace())
    assert notebook() == "notebook"
    monkeypatch.setenv(SESSION, "/home/me/study.ipynb")
    assert notebook() == "study.ipynb"


@pytest.mark.parametrize("file", ["<ipython-input-3-89ab>", "<stdin>", "<python-input-0>"])
def test_what_is_typed_into_a_shell_is_the_program(file: str) -> None:
    assert kind_of_file(file) == PROGRAM
