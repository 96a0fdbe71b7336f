"""What a person names is understood, or refused with what would be."""

import re
from pathlib import Path
from typing import Any

import pytest

from stepscope_systems.rgbt_detection.prediction.options import Options, source_of
from tests.stepscope_systems.rgbt_detection.prediction.stand_in import (
    filmed,
    infrared,
    saved,
    visible,
)

BOX = (10, 20, 30, 50)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    return {
        "visible": saved(tmp_path / "visible" / "a.png", visible()),
        "infrared": saved(tmp_path / "infrared" / "a.png", infrared(BOX)),
        "film": filmed(tmp_path / "film.mkv", [infrared(BOX)] * 2),
        "folder": tmp_path,
    }


@pytest.mark.parametrize(
    ("named", "missing", "count", "is_video"),
    [
        ({"visible": "visible", "infrared": "infrared"}, None, 1, False),
        ({"visible": "visible"}, "infrared", 1, False),
        ({"infrared": "infrared"}, "visible", 1, False),
        ({"folder": "folder"}, None, 1, False),
        ({"folder": "folder"}, "infrared", 1, False),
        ({"visible": "film", "infrared": "film"}, None, 2, True),
        ({"infrared": "film"}, "visible", 2, True),
    ],
)
def test_images_folders_and_videos_are_told_apart(
    files: dict[str, Path],
    named: dict[str, str],
    missing: str | None,
    count: int,
    *,
    is_video: bool,
) -> None:
    options = Options(
        output=files["folder"] / "out",
        missing=missing,
        **{option: files[file] for option, file in named.items()},
    )
    source = source_of(options)
    assert source.is_video == is_video
    assert len(list(source.moments())) == count


@pytest.mark.parametrize(
    ("named", "missing", "said"),
    [
        ({}, None, "neither image was given; expected --infrared and --visible, or --missing and"),
        ({"visible": "visible"}, None, "--visible was given; expected --infrared and --visible"),
        ({"visible": "visible", "infrared": "infrared"}, "infrared",
         "--visible and --infrared was given with --missing infrared; expected --visible"),
        ({"infrared": "infrared"}, "infrared",
         "--infrared was given with --missing infrared; expected --visible"),
        ({"visible": "visible", "folder": "folder"}, None,
         "both --folder and --visible were given; expected one of the two"),
        ({"visible": "visible", "infrared": "film"}, None,
         "a.png and film.mkv are an image and a video; expected two of a kind"),
    ],
)  # fmt: skip
def test_what_contradicts_itself_is_refused_with_what_is_expected(
    files: dict[str, Path], named: dict[str, str], missing: str | None, said: str
) -> None:
    options = Options(
        output=files["folder"] / "out",
        missing=missing,
        **{option: files[file] for option, file in named.items()},
    )
    with pytest.raises(ValueError, match=re.escape(said)):
        source_of(options)


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ({"batch": 0}, "--batch is 0; expected 1 or more"),
        ({"batch": -1}, "--batch is -1; expected 1 or more"),
        ({"minimum_score": 7.0}, "--score is 7; expected 0 to 1"),
        ({"minimum_score": -0.1}, "--score is -0.1; expected 0 to 1"),
    ],
)
def test_numbers_by_which_nothing_would_be_found_are_refused(
    tmp_path: Path, numbers: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        Options(output=tmp_path, **numbers)
