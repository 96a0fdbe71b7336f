"""The torch-function mode that sees every operation of the program, above autograd."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._device import DeviceContext

Seen = Callable[[Callable[..., Any], tuple[Any, ...], dict[str, Any], Any], None]


class Following(TorchFunctionMode):
    """Calls what was called, and then shows it to `seen`.

    It lies below every mode of the program, but for `set_default_device`, which insists on
    the lowest place. It stays on the stack of its thread only: what other threads compute is not
    followed.
    """

    def __init__(self, seen: Seen) -> None:
        super().__init__()
        self._seen = seen
        self._over = False

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        output = func(*args, **kwargs)
        if not self._over:
            self._seen(func, args, kwargs, output)
        return output

    def put_on(self) -> None:
        """Begin, or go on."""
        if self._over:
            return
        above = _popped()
        if above and _insists_on_the_bottom(above[-1]):
            torch._C._push_on_torch_function_stack(above.pop())
        torch._C._push_on_torch_function_stack(self)
        _push(above)

    def lift(self) -> bool:
        """Take it from the stack, wherever it lies; tell whether it was there.

        While one of its own calls is under way it is on no stack.
        """
        above = _popped()
        found = self in above
        _push([mode for mode in above if mode is not self])
        return found

    def take_off(self) -> None:
        """End for good."""
        self._over = True
        self.lift()

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Be off the stack for a while: a backward may run long and need not be followed."""
        lifted = self.lift()
        try:
            yield
        finally:
            if lifted:
                self.put_on()


def _insists_on_the_bottom(mode: Any) -> bool:
    """Tell `set_default_device` from `with torch.device(...)`, which leaves from the top."""
    return isinstance(mode, DeviceContext) and "old_device" in vars(mode)


def _popped() -> list[Any]:
    """Empty the stack; return what was on it, top first."""
    return [
        torch._C._pop_torch_function_stack() for _ in range(torch._C._len_torch_function_stack())
    ]


def _push(modes: list[Any]) -> None:
    for mode in reversed(modes):
        torch._C._push_on_torch_function_stack(mode)
