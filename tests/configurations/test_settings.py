"""Settings are typed, and what is wrong in the file is said with the key and the way out."""

import re
from pathlib import Path

import pytest

from stepscope.configurations.settings import Settings, chosen, load
from stepscope.core import Findings, Rule, Severity, rule
from stepscope.evidence.gradients import Gradients
from stepscope.evidence.intent import Intent


def made(code: str, name: str) -> Rule:
    def judge(_: Gradients, *, tolerance: float = 0.03, least: int = 2) -> Findings:
        del tolerance, least
        return ()

    judge.__name__ = name
    return rule(code, Severity.ERROR)(judge)


RULES = (made("FRZ001", "frozen_by_zero_lr"), made("LOS003", "at_chance"))

COMPLETE = """\
select = ["FRZ", "LOS003"]
ignore = [{ code = "FRZ001", reason = "on purpose" }]

[intent]
frozen = ["backbone"]
losses = { loss_cls = 1.0, loss_aux = 1 }
classes = 80

[options.LOS003]
tolerance = 1
"""
UNDERSTOOD = {
    "intent": Intent(frozen=("backbone",), losses={"loss_cls": 1.0, "loss_aux": 1.0}, classes=80),
    "select": ("FRZ", "LOS003"),
    "options": {"LOS003": {"tolerance": 1}},
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a" / "b")
    return tmp_path


def understood(settings: Settings) -> dict[str, object]:
    return {name: getattr(settings, name) for name in UNDERSTOOD}


def test_without_a_file_all_defaults_hold() -> None:
    assert load(None, RULES) == Settings()


def test_our_own_file_is_found_from_below(folder: Path) -> None:
    (folder / "stepscope.toml").write_text(COMPLETE)
    settings = load(None, RULES)
    assert understood(settings) == UNDERSTOOD
    assert settings.file == str(folder / "stepscope.toml")


def test_the_table_of_a_pyproject_is_read_like_our_own_file(folder: Path) -> None:
    nested = COMPLETE.replace("[intent]", "[tool.stepscope.intent]")
    nested = nested.replace("[options.", "[tool.stepscope.options.")
    (folder / "pyproject.toml").write_text(f"[tool.stepscope]\n{nested}")
    assert understood(load(None, RULES)) == UNDERSTOOD


def test_the_nearest_file_wins_and_a_pyproject_without_our_table_is_passed_by(
    folder: Path,
) -> None:
    (folder / "stepscope.toml").write_text("[intent]\nclasses = 1\n")
    (folder / "a" / "pyproject.toml").write_text("[tool.other]\nx = 1\n")
    assert load(None, RULES).intent.classes == 1
    (folder / "a" / "pyproject.toml").write_text("[tool.stepscope.intent]\nclasses = 2\n")
    assert load(None, RULES).intent.classes == 2
    (folder / "a" / "stepscope.toml").write_text("[intent]\nclasses = 3\n")
    assert load(None, RULES).intent.classes == 3


def test_an_empty_file_of_our_own_ends_the_search(folder: Path) -> None:
    (folder / "stepscope.toml").write_text("[intent]\nclasses = 1\n")
    (folder / "a" / "stepscope.toml").write_text("")
    assert load(None, RULES).intent.classes is None


def test_a_named_file_stands_in_the_place_of_those_found(folder: Path) -> None:
    (folder / "stepscope.toml").write_text("[intent]\nclasses = 1\n")
    named = folder / "other.toml"
    named.write_text("[intent]\nclasses = 9\n")
    assert load(named, RULES).intent.classes == 9


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[intent]\nfrozn = []", "intent.frozn: unknown key; the nearest is 'frozen'"),
        ("[intents]\nfrozen = []", "intents: unknown key; the nearest is 'intent'"),
        ("qqqq = 1", "qqqq: unknown key; known are intent, select, ignore, options"),
        ("frozen = []", "frozen: belongs into the table [intent]"),
        (
            "[intent]\nfrozen = 'backbone'",
            "intent.frozen: expected a list, found 'backbone'",
        ),
        (
            "[intent]\nfrozen = [1]",
            "intent.frozen[0]: expected a text in quotes, found 1",
        ),
        (
            "[intent]\nclasses = 'eighty'",
            "intent.classes: expected a whole number, found 'eighty'",
        ),
        ("intent = 3", "intent: expected a table, found 3"),
        ("select = 'FRZ'", "select: expected a list, found 'FRZ'"),
        ("ignore = ['FRZ001']", "ignore[0]: expected a table, found 'FRZ001'"),
        ("ignore = [{ code = 'FRZ001' }]", "ignore[0]: has no 'reason', which it needs"),
        ("[options.FRZ002]", "no rule has the code 'FRZ002'; the nearest is FRZ001"),
        ("[options.LOS003]\ntolerence = 1.0", "the nearest is 'tolerance'"),
        (
            "[options.LOS003]\nleast = 2.5",
            "options.LOS003.least: expected a value like 2, found 2.5",
        ),
        ("[options.LOS003]\nleast = true", "expected a value like 2, found True"),
        (
            "[intent]\nlosses = { cls = '1' }",
            "intent.losses: expected a number, found {'cls': '1'}",
        ),
        ("[intent", "is not valid TOML: "),
    ],
)
def test_what_is_wrong_is_said_with_file_key_and_way_out(
    folder: Path, text: str, sentence: str
) -> None:
    file = folder / "stepscope.toml"
    file.write_text(text)
    with pytest.raises(ValueError, match=re.escape(sentence)) as mistake:
        load(None, RULES)
    assert str(mistake.value).startswith(str(file))
    assert "\n" not in str(mistake.value)


def test_in_a_pyproject_keys_are_named_with_their_whole_path(folder: Path) -> None:
    (folder / "pyproject.toml").write_text("[tool.stepscope.intent]\nclases = 1\n")
    with pytest.raises(ValueError, match=r"tool\.stepscope\.intent\.clases: unknown key"):
        load(None, RULES)


def test_a_file_that_is_no_text_is_named(folder: Path) -> None:
    file = folder / "binary.toml"
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match=r"binary\.toml is not UTF-8 text"):
        load(file, RULES)


def test_a_named_pyproject_without_our_table_is_a_mistake(folder: Path) -> None:
    file = folder / "pyproject.toml"
    file.write_text("[project]\nname = 'x'\n")
    with pytest.raises(ValueError, match=r"has no \[tool\.stepscope\] table"):
        load(file, RULES)


def test_the_command_line_replaces_what_is_selected_and_adds_to_what_is_ignored(
    folder: Path,
) -> None:
    (folder / "stepscope.toml").write_text(COMPLETE)
    settings = load(None, RULES)
    by_file = chosen(settings, RULES, (), ())
    assert [each.code for each in by_file.rules] == ["FRZ001", "LOS003"]
    asked = chosen(settings, RULES, ("LOS,FRZ001", "LOS"), ("LOS003=random labels = ours",))
    assert [each.code for each in asked.rules] == ["FRZ001", "LOS003"]
    assert asked.ignored == {"FRZ001": "on purpose", "LOS003": "random labels = ours"}
    assert [each.code for each in chosen(settings, RULES, ("LOS",), ()).rules] == ["LOS003"]


def test_an_unknown_code_in_the_file_is_said_with_the_file(folder: Path) -> None:
    (folder / "stepscope.toml").write_text("select = ['FRX']")
    with pytest.raises(ValueError, match=r"stepscope\.toml: no rule has the code 'FRX'"):
        chosen(load(None, RULES), RULES, (), ())
