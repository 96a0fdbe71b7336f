"""Checkpoints: files asked for and read, how states fit, and what became of them."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from stepscope.core import Outcome, Recording, Severity, Status, judge
from stepscope.evidence.checkpoints import Checkpoints, Load
from stepscope.evidence.environment import Ending, Run
from stepscope.evidence.intent import Intent
from stepscope.probes.checkpoints.loads import CheckpointsProbe
from stepscope.probes.observation import Observation
from stepscope.rules.checkpoint.missing_checkpoint import missing_checkpoint
from stepscope.rules.checkpoint.partial_load import partial_load

Program = Callable[[], object]


def seen(program: Program) -> Checkpoints:
    """Run a program under the probe alone, to its end."""
    with Observation([CheckpointsProbe], steps=1000) as observation:
        program()
    assert not observation.run.faults
    (found,) = (each for each in observation.evidence if isinstance(each, Checkpoints))
    return found


def step(model: nn.Module) -> None:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(torch.ones(3, 4)).sum().backward()
    optimizer.step()


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))


def shifted(model: nn.Module) -> dict[str, torch.Tensor]:
    return {key: value + 1 for key, value in model.state_dict().items()}


def only_load(program: Program) -> Load:
    (load,) = seen(program).loads
    return load


def test_a_path_that_was_asked_for_is_kept_with_its_line_and_its_option(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, gone = tmp_path / "here.pth", tmp_path / "gone.pth"
    here.touch()
    monkeypatch.setattr(sys, "argv", ["train.py", f"--init-from={gone}", "--resume", str(here)])
    line = test_a_path_that_was_asked_for_is_kept_with_its_line_and_its_option.__code__

    found = seen(lambda: (here.exists(), gone.is_file(), (tmp_path / "data.csv").exists()))

    told = {Path(t.path).name: (t.existed, t.loaded, t.option) for t in found.tried}
    assert told == {
        "here.pth": (True, False, "--resume"),
        "gone.pth": (False, False, "--init-from"),
    }
    assert all(t.named_on_command_line and t.by_program for t in found.tried)
    assert {t.at.file for t in found.tried} == {line.co_filename}


def test_a_file_that_is_read_is_followed_to_the_module_under_new_names(tmp_path: Path) -> None:
    model, path = network(), tmp_path / "stage1"
    torch.save({"model": {f"x.{k}": v for k, v in shifted(model).items()}}, path)

    def program() -> None:
        state = torch.load(path)["model"]
        model.load_state_dict({key.removeprefix("x."): value for key, value in state.items()})

    assert only_load(program).path == str(path)


def test_a_state_that_was_never_in_a_file_has_no_path(tmp_path: Path) -> None:
    model, path = network(), tmp_path / "other.pth"
    torch.save(shifted(model), path)

    def program() -> None:
        torch.load(path)
        model.load_state_dict(shifted(model))

    assert only_load(program).path == ""


def test_safetensors_are_seen_by_either_way_of_reading(tmp_path: Path) -> None:
    model, path = network(), tmp_path / "a.safetensors"
    save_file(shifted(model), path)

    def program() -> None:
        import safetensors.torch

        model.load_state_dict(safetensors.torch.load_file(path))

    assert only_load(program).path == str(path)
    with Observation([CheckpointsProbe], steps=1):
        import safetensors

        with safetensors.safe_open(path, framework="pt") as file:
            assert set(file.keys()) == set(model.state_dict())
    assert safetensors.safe_open is safe_open, "put back when the recording ends"


def test_safetensors_imported_by_the_program_are_watched_and_not_imported_for_it() -> None:
    program = """
import sys
from stepscope.probes.checkpoints.loads import CheckpointsProbe
from stepscope.probes.observation import Observation
observation = Observation([CheckpointsProbe], steps=1)
with observation:
    assert "safetensors" not in sys.modules
    import torch
    from safetensors.torch import load_file, save_file
    save_file({"a": torch.ones(2)}, sys.argv[1])
    load_file(sys.argv[1])
(found,) = observation.evidence
assert [(t.path, t.loaded) for t in found.tried] == [(sys.argv[1], True)], found
assert len(sys.meta_path) == len({id(finder) for finder in sys.meta_path})
"""
    with_file = str(Path(__file__).parent / "never.safetensors")
    assert not Path(with_file).exists()
    try:
        subprocess.run([sys.executable, "-c", program, with_file], check=True)
    finally:
        Path(with_file).unlink(missing_ok=True)


@pytest.mark.parametrize("strict", [True, False])
def test_loading_is_bit_for_bit_what_it_is_without_an_observer(
    tmp_path: Path, *, strict: bool
) -> None:
    path = tmp_path / "a.pth"
    plain, observed = network(), network()
    torch.save({**shifted(plain), **({} if strict else {"more": torch.ones(1)})}, path)
    told = plain.load_state_dict(torch.load(path), strict=strict)
    random = torch.get_rng_state()

    answers = []
    seen(lambda: answers.append(observed.load_state_dict(torch.load(path), strict=strict)))

    assert answers == [told]
    assert torch.equal(torch.get_rng_state(), random)
    for key, value in plain.state_dict().items():
        assert torch.equal(value, observed.state_dict()[key])


def test_exceptions_pass_unchanged_and_weights_only_is_left_alone(tmp_path: Path) -> None:
    class Unsafe:
        pass

    Unsafe.__qualname__ = "Unsafe"
    globals()["Unsafe"] = Unsafe
    torn, unsafe = tmp_path / "torn.pth", tmp_path / "unsafe.pth"
    torn.write_bytes(b"no checkpoint")
    torch.save(Unsafe(), unsafe)
    for path in (torn, unsafe, tmp_path / "gone.pth"):
        with pytest.raises(Exception) as plain:  # noqa: PT011 - whatever torch raises
            torch.load(path)
        with pytest.raises(plain.type) as observed:
            seen(lambda path=path: torch.load(path))
        assert str(observed.value) == str(plain.value)
    with pytest.raises(TypeError, match="Expected state_dict to be dict-like"):
        seen(lambda: network().load_state_dict([1, 2]))


def test_counts_agree_with_what_torch_returns() -> None:
    model = network()
    state = shifted(model)
    del state["2.bias"]
    state["extra"] = torch.ones(1)

    load = only_load(lambda: model.load_state_dict(state, strict=False))

    assert (load.matched, load.total, load.in_file) == (8, 9, 9)
    assert (load.missing, load.unexpected) == (("2.bias",), ("extra",))
    assert load.total_bytes - load.matched_bytes == model[2].bias.nbytes
    assert load.changed == 8


def test_other_shapes_are_recorded_although_torch_raises() -> None:
    model = network()
    state = {**shifted(model), "2.weight": torch.ones(80, 4)}

    def program() -> None:
        with pytest.raises(RuntimeError, match="size mismatch"):
            model.load_state_dict(state, strict=False)

    load = only_load(program)
    assert load.mismatched == ("2.weight: (80, 4) in the file, (2, 4) in the model",)
    assert load.raised
    assert load.matched == 8


@pytest.mark.parametrize(
    ("rename", "repair"),
    [
        (lambda state: {f"module.{k}": v for k, v in state.items()}, "strip 'module.'"),
        (lambda state: {f"a.b.{k}": v for k, v in state.items()}, "strip 'a.b.'"),
        (lambda state: {"model": state, "epoch": 1}, "load its entry 'model'"),
        (
            lambda state: {"state_dict": {f"_orig_mod.{k}": v for k, v in state.items()}},
            "load its entry 'state_dict' and strip '_orig_mod.'",
        ),
    ],
)
def test_the_repair_of_names_is_found(
    rename: Callable[[dict[str, torch.Tensor]], dict[str, object]], repair: str
) -> None:
    model = network()
    state = rename(shifted(model))
    load = only_load(lambda: model.load_state_dict(state, strict=False))
    assert (load.matched, load.prefix, load.prefix_matched) == (0, repair, 9)


def test_a_hook_that_renames_keys_counts_as_matching() -> None:
    model = network()
    state = {f"old.{key}": value for key, value in shifted(model).items()}

    def rename(_: nn.Module, given: dict[str, torch.Tensor], *_rest: object) -> None:
        for key in list(given):
            given[key.removeprefix("old.")] = given.pop(key)

    model.register_load_state_dict_pre_hook(rename)
    load = only_load(lambda: model.load_state_dict(state))
    assert (load.matched, load.unexpected, load.missing) == (9, (), ())


def test_what_a_layer_fills_in_itself_has_not_matched() -> None:
    model = network()
    load = only_load(lambda: model.load_state_dict({"x": torch.ones(1)}, strict=False))
    assert load.matched == 0
    assert "1.num_batches_tracked" not in load.missing, "torch says so; hence this test"


def test_a_missing_prefix_is_proposed() -> None:
    model = nn.ModuleDict({"backbone": network(), "head": nn.Linear(2, 2)})
    state = shifted(model["backbone"])
    load = only_load(lambda: model.load_state_dict(state, strict=False))
    assert (load.prefix, load.prefix_matched) == ("prepend 'backbone.'", 9)


def test_only_the_outermost_load_counts_and_only_before_the_first_step() -> None:
    class Wrapper(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(4, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.inner(x)

        def _load_from_state_dict(self, state: dict[str, torch.Tensor], *rest: object) -> None:
            self.inner.load_state_dict({k.removeprefix("inner."): v for k, v in state.items()})

    model = Wrapper()

    def program() -> None:
        model.load_state_dict(shifted(model), strict=False)
        step(model)
        model.load_state_dict(shifted(model), strict=False)

    assert only_load(program).module == ""


def test_what_an_initialiser_wrote_over_is_named_with_its_line() -> None:
    model = network()

    def program() -> None:
        model.load_state_dict(shifted(model))
        model[2].reset_parameters()
        step(model)

    load = only_load(program)
    assert load.reinitialised == ("2.weight", "2.bias")
    assert load.reinitialised_bytes == model[2].weight.nbytes + model[2].bias.nbytes
    assert load.reinitialised_at is not None
    assert load.reinitialised_at.line == program.__code__.co_firstlineno + 2


def test_a_second_load_makes_good_what_an_initialiser_wrote() -> None:
    model = network()
    state = shifted(model)

    def program() -> None:
        model.load_state_dict(state)
        nn.init.zeros_(model[2].weight)
        model.load_state_dict(state)
        step(model)

    assert all(not load.reinitialised for load in seen(program).loads)


def test_a_load_of_the_same_values_changes_nothing_and_others_do() -> None:
    model = network().eval()  # in training mode the forward moves the running statistics
    same = {key: value.clone() for key, value in model.state_dict().items()}

    def program() -> None:
        model.load_state_dict(same)
        model.load_state_dict({**same, "2.bias": same["2.bias"] + 1})
        step(model)

    first, second = seen(program).loads
    assert (first.changed, second.changed) == (0, 1)
    assert len(second.equal_at_start) == 8


def test_assigned_tensors_are_followed_and_the_old_ones_freed() -> None:
    model = nn.Linear(4, 2, device="meta")
    state = {"weight": torch.ones(2, 4), "bias": torch.ones(2)}
    load = only_load(lambda: model.load_state_dict(state, assign=True))
    assert (load.matched, load.changed) == (2, 2)


def test_a_resume_tells_settings_before_after_and_at_the_first_step(tmp_path: Path) -> None:
    model, path = nn.Linear(4, 2), tmp_path / "last.pt"
    old = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.5)
    model(torch.ones(3, 4)).sum().backward()
    old.step()
    torch.save({"optimizer": old.state_dict()}, path)
    new = torch.optim.AdamW(model.parameters(), lr=1e-5, weight_decay=0.5)

    def program() -> None:
        new.load_state_dict(torch.load(path)["optimizer"])
        model(torch.ones(3, 4)).sum().backward()
        new.step()

    (load,) = seen(program).optimizer_loads
    assert load.path == str(path)
    (number,) = load.numbers
    assert (number.name, number.before, number.after, number.at_start) == (
        "lr of group 0", 1e-5, 1e-3, 1e-3,
    )  # fmt: skip


def test_a_number_that_a_load_replaced_is_read_before_and_after() -> None:
    model = nn.Linear(4, 2)
    model.logit_scale = nn.Parameter(torch.tensor(4.5))

    def program() -> None:
        model.load_state_dict({**model.state_dict(), "logit_scale": torch.tensor(2.5)})
        model.logit_scale.data.fill_(4.5)
        step(model)

    (number,) = only_load(program).numbers
    assert (number.before, number.after, number.at_start) == (4.5, 2.5, 4.5)


def verdict(found: Checkpoints, intent: Intent | None = None) -> dict[str, set[Severity]]:
    run = Run(program="train.py", steps=3, asked=3, ending=Ending.RECORDED)
    recording = Recording(run, found, *([intent] if intent else []))
    outcomes: tuple[Outcome, ...] = judge([missing_checkpoint, partial_load], recording)
    assert all(each.status is not Status.CRASHED for each in outcomes)
    return {o.rule.code: {o.severity(f) for f in o.findings} for o in outcomes if o.findings}


def test_what_is_healthy_gets_a_note_at_most(tmp_path: Path) -> None:
    model = nn.ModuleDict({"backbone": network(), "head": nn.Linear(4, 90)})
    path = tmp_path / "backbone.pth"
    torch.save({f"backbone.{k}": v for k, v in shifted(model["backbone"]).items()}, path)

    def program() -> None:
        assert not (tmp_path / "out" / "best.pth").exists()
        model.load_state_dict(torch.load(path), strict=False)

    assert verdict(seen(program)) == {"CKP002": {Severity.NOTE}}


def test_the_declared_checkpoint_may_be_a_path_a_glob_or_a_folder(tmp_path: Path) -> None:
    model, path = network(), tmp_path / "runs" / "stage1" / "best_epoch8.pth"
    path.parent.mkdir(parents=True)
    torch.save(shifted(model), path)
    found = seen(lambda: model.load_state_dict(torch.load(path)))
    for declared in (str(path), "best_*.pth", "./runs/stage1", "stage1/best_epoch8.pth"):
        assert verdict(found, Intent(checkpoint=declared)) == {}
    assert verdict(found, Intent(checkpoint="stage2.pth")) == {"CKP001": {Severity.ERROR}}
