"""Secrets among the arguments of a program: they are nobody's business but its own."""

import itertools
import re
from collections.abc import Iterable, Iterator

MASK = "***"
# What an option is called whose value nobody should read: wherever they stand in its name, ...
NAMES = frozenset(("password", "passwd", "passphrase", "secret", "apikey", "credentials"))
# ... or at its end only: `--key-dim 64` and `--token-dropout 0.1` are no secrets.
LAST_NAMES = frozenset(("key", "token", "auth"))
_OPTION = re.compile(r"(?P<name>[-+~]*[A-Za-z][\w.\-/@]*)(?:=(?P<value>.*))?", re.DOTALL)
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_LOGIN = re.compile(r"(://[^/:@\s]*):[^/@\s]+@")  # https://user:password@host


def masked(arguments: Iterable[str]) -> tuple[str, ...]:
    """Return the arguments, with the values left out of options that are named like secrets.

    >>> masked(["--lr", "1", "--wandb-key=abc", "--hf_token", "abc", "data.api_key=abc"])
    ('--lr', '1', '--wandb-key=***', '--hf_token', '***', 'data.api_key=***')
    """
    return tuple(_masked(list(arguments)))


def _masked(arguments: list[str]) -> Iterator[str]:
    is_value = False
    for argument in arguments:
        option = _OPTION.fullmatch(argument)
        if is_value and not argument.startswith("-"):
            is_value = False
            yield MASK
            continue
        is_value = False
        if option is None or not is_secret(option["name"]):
            yield _LOGIN.sub(rf"\1:{MASK}@", argument)
        elif option["value"] is not None:
            yield f"{option['name']}={MASK}"
        else:
            is_value = argument.startswith("-")
            yield argument


def is_secret(name: str) -> bool:
    """Tell the name of an option, an environment variable or a setting that holds a secret."""
    words = [word.lower() for word in _WORD.findall(name)]
    pairs = {"".join(pair) for pair in itertools.pairwise(words)}  # api-key, pass_word
    return bool(words) and (words[-1] in LAST_NAMES or not NAMES.isdisjoint({*words, *pairs}))
