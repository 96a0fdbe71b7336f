"""A file is written whole or not at all."""

from pathlib import Path

import pytest

from stepscope.core.whole_file import draft_of, write_whole


def test_a_file_is_replaced_and_nothing_left_beside_it(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b"longer than what comes")
    write_whole(tmp_path / "a.json", b"new")
    assert [each.name for each in tmp_path.iterdir()] == ["a.json"]
    assert (tmp_path / "a.json").read_bytes() == b"new"


def test_what_was_there_stays_where_the_file_cannot_be_written(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b"old")
    draft_of(path).mkdir()  # where the new content would be written first
    with pytest.raises(OSError, match="directory"):
        write_whole(path, b"new")
    assert path.read_bytes() == b"old"


def test_a_link_to_nothing_yet_is_followed_and_kept(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to("there")
    write_whole(link, b"new")
    assert link.is_symlink()
    assert (tmp_path / "there").read_bytes() == b"new"
