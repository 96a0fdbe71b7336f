"""The torch-function mode that sees every operation of the program, above autograd."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

Seen = Callable[[Callable[..., Any], tuple[Any, ...], dict[str, Any], Any], None]


class Following(TorchFunctionMode):
    """Calls what was called, and then shows it to `seen`.

    It is put on before the program begins, so it lies below every mode of the program. It stays
    on the stack of its thread only: what other threads compute is not followed.
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
        """Begin."""
        torch._C._push_on_torch_function_stack(self)

    def take_off(self) -> None:
        """End for good, wherever on the stack it lies by now."""
        self._over = True  # while one of its own calls is under way it is on no stack
        self._lift()

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Be off the stack for a while: a backward may run long and need not be followed."""
        above = self._lift()
        try:
            yield
        finally:
            if above is not None and not self._over:
                deep = min(above, torch._C._len_torch_function_stack())
                tops = [torch._C._pop_torch_function_stack() for _ in range(deep)]
                for mode in (self, *reversed(tops)):
                    torch._C._push_on_torch_function_stack(mode)

    def _lift(self) -> int | None:
        """Take it from the stack; return how many lay above it, None where it was not there."""
        above: list[Any] = []
        found = False
        while not found and torch._C._len_torch_function_stack():
            top = torch._C._pop_torch_function_stack()
            found = top is self
            if not found:
                above.append(top)
        for mode in reversed(above):
            torch._C._push_on_torch_function_stack(mode)
        return len(above) if found else None
