"""What is kept of a program's arguments tells no secret, and all that is none."""

from pathlib import Path

import pytest

from stepscope.recordings.entries import Header
from stepscope.recordings.folder import begin
from stepscope.recordings.secrets import is_secret, masked


@pytest.mark.parametrize(
    "name",
    [
        "--wandb-key",
        "--wandb_api_key",
        "--hfToken",
        "--hub.token",
        "-token",
        "+logger.password",
        "--db-password-file",
        "AWS_SECRET_ACCESS_KEY",
        "--APIKey",
        "--pass-word",
    ],
)
def test_names_of_secrets_are_known(name: str) -> None:
    assert is_secret(name)


@pytest.mark.parametrize(
    "name",
    ["--lr", "--key-dim", "--num-tokens", "--token-dropout", "--monkey", "--keypoints", "--k", "-"],
)
def test_names_of_other_things_are_left_alone(name: str) -> None:
    assert not is_secret(name)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (["--token", "abc", "--lr", "1"], ["--token", "***", "--lr", "1"]),
        (["--token=a=b", "x"], ["--token=***", "x"]),
        (["--token="], ["--token=***"]),
        (["--env", "WANDB_API_KEY=abc"], ["--env", "WANDB_API_KEY=***"]),
        (["model.key=abc\ndef"], ["model.key=***"]),
        (["--use-token", "--lr", "1"], ["--use-token", "--lr", "1"]),  # a flag
        (["token", "abc"], ["token", "abc"]),  # no option: a command, or a word
        (["--data", "s3://me:abc@host/x"], ["--data", "s3://me:***@host/x"]),
        (["https://host:80/a@b"], ["https://host:80/a@b"]),
        (["--token", "--token", "abc"], ["--token", "--token", "***"]),
    ],
)
def test_values_of_secrets_are_left_out_and_nothing_else(given: list[str], kept: list[str]) -> None:
    assert masked(given) == tuple(kept)


def test_a_secret_is_in_no_file_of_a_run(tmp_path: Path) -> None:
    run = begin(tmp_path, "train.py", ["--wandb-key", "abcdef", "--lr", "1"])
    text = (run.path / Header.FILE).read_text()
    assert "abcdef" not in text
    assert '"--wandb-key","***","--lr","1"' in text
