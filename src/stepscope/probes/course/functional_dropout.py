"""Where the class of a module drops activations whatever its mode, read from its source."""

import ast
import functools
import inspect
import textwrap
from collections.abc import Hashable, Iterator

from stepscope.core import Place
from stepscope.probes.source_lines import MACHINERY, kind_of_file

TRAINING_AT = 2  # `dropout(input, p, training)`; without it, it drops
DROPOUTS = (
    "dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout",
)  # fmt: skip
ATTENTION = "scaled_dot_product_attention"  # `dropout_p` acts in whichever mode


@functools.cache
def dropouts_without_mode(kind: Hashable) -> tuple[tuple[str, Place], ...]:
    """Return the calls, and their lines, of a class and the classes above it but torch's own.

    A call is meant that is given no `training`, or `True`; of an attention, a `dropout_p` that is
    a number other than 0 or an attribute: a variable may depend on the mode.
    """
    assert isinstance(kind, type)
    return tuple(each for base in kind.__mro__ for each in _in_class(base))


def _in_class(kind: type) -> Iterator[tuple[str, Place]]:
    try:
        file = inspect.getsourcefile(kind)
        if file is None or kind_of_file(file) == MACHINERY:
            return
        lines, first = inspect.getsourcelines(kind)
        tree = ast.parse(textwrap.dedent("".join(lines)))
    except (OSError, TypeError, SyntaxError, IndentationError):
        return  # made without a file: in a notebook, by exec
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _drops(node):
            at = Place(file=file, line=first + node.lineno - 1, function=kind.__qualname__)
            yield ast.unparse(node.func), at


def _drops(call: ast.Call) -> bool:
    function = call.func
    if isinstance(function, ast.Attribute):
        name, is_own = function.attr, _is_self(function.value)
    else:
        name, is_own = (function.id, False) if isinstance(function, ast.Name) else ("", True)
    named = {each.arg: each.value for each in call.keywords}
    if is_own or None in named or any(isinstance(each, ast.Starred) for each in call.args):
        return False  # `self.dropout(x)` is a module, and asks for its own mode
    if name == ATTENTION:
        return _is_fixed(named.get("dropout_p"))
    if name not in DROPOUTS or isinstance(function, ast.Name):
        return False  # a bare name may be anything
    training = named.get("training", call.args[TRAINING_AT] if call.args[TRAINING_AT:] else None)
    return training is None or (isinstance(training, ast.Constant) and training.value is True)


def _is_self(value: ast.expr) -> bool:
    return isinstance(value, ast.Name) and value.id in ("self", "cls")


def _is_fixed(value: ast.expr | None) -> bool:
    if isinstance(value, ast.Constant):
        return bool(value.value)
    return isinstance(value, ast.Attribute) and _is_self(value.value)
