"""Configurations that a program loads by OmegaConf, Hydra, yacs or MMEngine."""

import functools
import inspect
import sys
from collections.abc import Callable, Iterable
from types import FrameType, ModuleType
from typing import Any

from stepscope.core import Place
from stepscope.probes.configurations.asking import is_own
from stepscope.probes.configurations.book import Book
from stepscope.probes.configurations.contents import content, leaves
from stepscope.probes.configurations.defaults import changed_leaves
from stepscope.probes.imports import when_imported
from stepscope.probes.live_run import LiveRun
from stepscope.probes.source_lines import PROGRAM, kind_of, place_of

OMEGACONF, YACS, MMENGINE = "omegaconf.DictConfig", "yacs.CfgNode", "mmengine.Config"
Call = Callable[..., Any]


class Libraries:
    """Tells a book of what lines of the program make; libraries make and copy for themselves."""

    def __init__(self, book: Book, run: LiveRun) -> None:
        """Wait for each to be imported."""
        self._book = book
        self._run = run
        when_imported(run, "omegaconf.omegaconf", self._omegaconf)
        when_imported(run, "hydra.core.utils", self._hydra)
        when_imported(run, "hydra.compose", self._compose)
        when_imported(run, "yacs.config", self._yacs)
        when_imported(run, "mmengine.config.config", self._mmengine)

    def _omegaconf(self, module: ModuleType) -> None:
        owner = module.OmegaConf
        for name in ("create", "from_cli", "from_dotlist", "load", "structured"):
            self._patch(owner, name, self._around_making(OMEGACONF))
        for name in ("merge", "unsafe_merge"):
            self._patch(owner, name, self._around_merging)
        for name in ("masked_copy", "to_container", "to_object"):
            self._patch(owner, name, self._around_copying)
        self._patch(owner, "select", self._around_selecting)

    def _hydra(self, module: ModuleType) -> None:
        self._patch(module, "run_job", self._around_job)

    def _compose(self, module: ModuleType) -> None:
        self._patch(module, "compose", self._around_making(OMEGACONF))

    def _yacs(self, module: ModuleType) -> None:
        for name in ("clone", "load_cfg"):
            self._patch(module.CfgNode, name, self._around_making(YACS))
        for name in ("merge_from_file", "merge_from_list", "merge_from_other_cfg", "freeze"):
            self._patch(module.CfgNode, name, self._around_changing(YACS))

    def _mmengine(self, module: ModuleType) -> None:
        for name in ("fromfile", "fromstring"):
            self._patch(module.Config, name, self._around_making(MMENGINE))
        self._patch(module.Config, "__init__", self._around_init)
        self._patch(module.Config, "merge_from_dict", self._around_changing(MMENGINE))

    def _patch(self, owner: Any, name: str, around: Callable[[Call], Call]) -> None:
        if hasattr(owner, name):  # not every version has each
            self._run.patch(owner, name, around, is_inert=True)

    def _around_making(self, kind: str) -> Callable[[Call], Call]:
        def around(make: Call) -> Call:
            def observed(*args: Any, **kwargs: Any) -> Any:
                frame = sys._getframe(1)
                self._handed_on(args, frame)
                made = make(*args, **kwargs)
                self._made(kind, made, frame, lambda: ())
                return made

            return observed

        return around

    def _around_merging(self, merge: Call) -> Call:
        def observed(*args: Any, **kwargs: Any) -> Any:
            frame = sys._getframe(1)
            self._handed_on(args, frame)
            made = merge(*args, **kwargs)
            first = made if not args or isinstance(args[0], dict | list) else args[0]
            self._made(OMEGACONF, made, frame, lambda: changed_leaves(leaves(first), made))
            return made

        return observed

    def _around_copying(self, copied: Call) -> Call:
        def observed(*args: Any, **kwargs: Any) -> Any:
            self._handed_on(args, sys._getframe(1))
            return copied(*args, **kwargs)

        return observed

    def _around_selecting(self, select: Call) -> Call:
        def observed(cfg: Any, key: str, *args: Any, **kwargs: Any) -> Any:
            value = select(cfg, key, *args, **kwargs)
            if self._book.knows(cfg) and not self._book.is_deaf():
                frame = sys._getframe(1)
                with self._book.attending():
                    self._book.read(cfg, key, value, frame)
            return value

        return observed

    def _around_changing(self, kind: str) -> Callable[[Call], Call]:
        """Watch a method that changes a configuration, for what is given to it."""

        def around(change: Call) -> Call:
            def observed(config: Any, *args: Any, **kwargs: Any) -> Any:
                frame = sys._getframe(1)
                before: dict[str, Any] | None = None
                if self._book.knows(config) or self._is_of_program(frame):
                    with self._book.attending():
                        before = leaves(config)
                result = change(config, *args, **kwargs)
                self._made(
                    kind,
                    config,
                    frame,
                    lambda: () if before is None else changed_leaves(before, config),
                )
                return result

            return observed

        return around

    def _around_init(self, make: Call) -> Call:
        def observed(config: Any, *args: Any, **kwargs: Any) -> None:
            make(config, *args, **kwargs)
            self._made(MMENGINE, config, sys._getframe(1), lambda: ())

        return observed

    def _around_job(self, run_job: Call) -> Call:
        """Watch what Hydra hands to the program's main function."""

        def observed(task_function: Call, *args: Any, **kwargs: Any) -> Any:
            @functools.wraps(task_function)
            def told(config: Any) -> Any:
                with self._book.attending():
                    code = getattr(inspect.unwrap(task_function), "__code__", None)
                    at = Place() if code is None else place_of(code, code.co_firstlineno)
                    self._book.begin(config, OMEGACONF, at, given=_overrides())
                return task_function(config)

            return run_job(told, *args, **kwargs)

        return observed

    def _handed_on(self, tables: tuple[Any, ...], frame: FrameType) -> None:
        if self._book.is_deaf():
            return
        for each in tables:
            if self._book.knows(each):
                with self._book.attending():
                    self._book.read_whole(each, frame)

    def _made(
        self, kind: str, made: object, frame: FrameType, given: Callable[[], Iterable[str]]
    ) -> None:
        if not self._is_of_program(frame) or content(made) is None:
            return
        with self._book.attending():
            self._book.begin(made, kind, place_of(frame.f_code, frame.f_lineno), given=given())

    def _is_of_program(self, frame: FrameType) -> bool:
        return (
            kind_of(frame.f_code) == PROGRAM
            and not is_own(frame)  # wherever the library is installed
            and not self._book.is_deaf()
        )


def _overrides() -> list[str]:
    """Return what the command line of Hydra sets: of "+model.dim=3" the key."""
    config = sys.modules["hydra.core.hydra_config"].HydraConfig.get()
    return [each.lstrip("+~").partition("=")[0] for each in config.overrides.task]
