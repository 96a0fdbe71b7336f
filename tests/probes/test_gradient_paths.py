"""Every way to cut a gradient, and every healthy pattern that looks like one."""

import copy
import warnings
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from stepscope.core import Recording, Severity, judge
from stepscope.evidence.gradient_paths import Cut, CutKind, CutRole, GradientPaths
from stepscope.rules.gradients.amplified_gradient import amplified_gradient
from stepscope.rules.gradients.checkpoint_drops_gradient import checkpoint_drops_gradient
from stepscope.rules.gradients.cut_by_detach import cut_by_detach
from stepscope.rules.gradients.cut_by_no_grad import cut_by_no_grad
from stepscope.rules.gradients.no_path_to_loss import no_path_to_loss
from stepscope.rules.gradients.partial_cut import partial_cut
from stepscope.rules.gradients.zero_gradient import zero_gradient
from stepscope.session import record_example

RULES = (
    no_path_to_loss, cut_by_no_grad, partial_cut, cut_by_detach, zero_gradient,
    amplified_gradient, checkpoint_drops_gradient,
)  # fmt: skip
STEPS = 3


class Squared(torch.autograd.Function):
    @staticmethod
    def forward(ctx, a, b):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN205
        ctx.save_for_backward(a)
        return a * a * b

    @staticmethod
    def backward(ctx, g):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN205
        (a,) = ctx.saved_tensors
        return 2 * a * g, None


class Net(nn.Module):
    """A backbone, a side branch and a head, joined by one of many forwards."""

    def __init__(self, forward: Callable[["Net", Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.join = forward
        self.backbone = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.Linear(16, 16))
        self.branch = nn.Linear(8, 16)
        self.head = nn.Linear(16, 4)
        self.register_buffer("queue", torch.randn(16, 16))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.join(self, self.backbone(x), x))


def scores(f: Tensor) -> Tensor:
    return torch.softmax(f @ f.t() / 4, -1)


def no_grad(net: Net, f: Tensor, x: Tensor) -> Tensor:
    with torch.no_grad():
        a = scores(f)
    return a @ net.branch(x)


def no_grad_partly(net: Net, f: Tensor, x: Tensor) -> Tensor:
    with torch.no_grad():
        a = scores(f)
    return a @ f + net.branch(x)


def in_place(net: Net, f: Tensor, x: Tensor) -> Tensor:
    a = torch.zeros(len(x), len(x))
    with torch.no_grad():
        computed = scores(f)
        for i in range(len(x)):
            a[i] = computed[i]
    return a @ net.branch(x)


def into_a_view(net: Net, f: Tensor, x: Tensor) -> Tensor:
    a = torch.zeros(2, len(x), len(x))
    row = a[0]
    with torch.no_grad():
        row.copy_(scores(f))
    return a.sum(0) @ net.branch(x)


def out_argument(net: Net, f: Tensor, x: Tensor) -> Tensor:
    a = torch.empty(len(x), len(x))
    with torch.no_grad():
        torch.mm(f, f.t(), out=a)
    return a @ net.branch(x)


@torch.no_grad()
def decorated_scores(f: Tensor) -> Tensor:
    return scores(f)


def decorated(net: Net, f: Tensor, x: Tensor) -> Tensor:
    return decorated_scores(f) @ net.branch(x)


def switched_off(net: Net, f: Tensor, x: Tensor) -> Tensor:
    torch.set_grad_enabled(False)
    a = scores(f)
    torch.set_grad_enabled(True)
    return a @ net.branch(x)


def inference(net: Net, f: Tensor, x: Tensor) -> Tensor:
    with torch.inference_mode():
        a = scores(f)
    return a.clone() @ net.branch(x)


def data(net: Net, f: Tensor, x: Tensor) -> Tensor:
    return scores(f.data) @ net.branch(x)


def detached(net: Net, f: Tensor, x: Tensor) -> Tensor:
    return scores(f.detach()) @ net.branch(x)


def through_numpy(net: Net, f: Tensor, x: Tensor) -> Tensor:
    return torch.from_numpy(scores(f).detach().numpy()) @ net.branch(x)


def item(net: Net, f: Tensor, x: Tensor) -> Tensor:
    return net.branch(x) * f.mean().item()


def plain(net: Net, f: Tensor, x: Tensor) -> Tensor:
    return f + net.branch(x)


def straight_through(net: Net, f: Tensor, x: Tensor) -> Tensor:
    return f + (torch.round(f) - f).detach() + net.branch(x)


def reentrant(net: Net, f: Tensor, x: Tensor) -> Tensor:
    return f + checkpoint(net.branch, f[:, :8] + x, use_reentrant=True)


def not_reentrant(net: Net, f: Tensor, x: Tensor) -> Tensor:
    return f + checkpoint(net.branch, x, use_reentrant=False)


def custom_function(net: Net, f: Tensor, x: Tensor) -> Tensor:
    return Squared.apply(f, torch.ones(())) + net.branch(x)


def queue(net: Net, f: Tensor, x: Tensor) -> Tensor:
    with torch.no_grad():
        net.queue[:4] = f[:4]
    return f @ net.queue.clone().detach() + net.branch(x)


Program = Callable[[object], None]


def program(
    forward: Callable[[Net, Tensor, Tensor], Tensor] = plain,
    loss_of: Callable[[Net, Net, Tensor, Tensor, Tensor], Tensor] | None = None,
    after: Callable[[Net, Net], None] | None = None,
) -> Program:
    def run(_: object) -> None:
        net = Net(forward)
        teacher = copy.deepcopy(net)
        optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
        for _step in range(STEPS):
            x, y = torch.randn(8, 8), torch.randint(0, 4, (8,))
            out = net(x)
            loss = functional.cross_entropy(out, y)
            if loss_of is not None:
                loss = loss_of(net, teacher, x, out, loss)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if after is not None:
                after(net, teacher)

    return run


def observe(run: Program) -> tuple[GradientPaths, Recording]:
    recording = record_example(run)
    found = recording.get(GradientPaths)
    assert found is not None
    return found, recording


def only_cut(run: Program) -> Cut:
    paths, _ = observe(run)
    (cut,) = paths.cuts
    return cut


BACKBONE = 6  # parameters


@pytest.mark.parametrize(
    ("forward", "kind", "operation"),
    [
        (no_grad, CutKind.NO_GRAD, "matmul"),
        (in_place, CutKind.NO_GRAD, "matmul"),
        (into_a_view, CutKind.NO_GRAD, "matmul"),
        (out_argument, CutKind.NO_GRAD, "mm"),
        (decorated, CutKind.NO_GRAD, "matmul"),
        (switched_off, CutKind.NO_GRAD, "matmul"),
        (inference, CutKind.NO_GRAD, "matmul"),
        (data, CutKind.DETACH, "data"),
        (detached, CutKind.DETACH, "detach"),
    ],
)
def test_a_cut_that_leaves_no_other_path_names_its_dead_parameters(
    forward: Callable[[Net, Tensor, Tensor], Tensor], kind: CutKind, operation: str
) -> None:
    cut = only_cut(program(forward))
    assert (cut.kind, cut.role, cut.operation) == (kind, CutRole.FEATURE, operation)
    assert len(cut.dead) == BACKBONE
    assert all(name.startswith("backbone") for name in cut.dead)
    assert cut.steps == STEPS


@pytest.mark.parametrize("forward", [through_numpy, item])
def test_a_value_that_leaves_torch_is_an_escape(
    forward: Callable[[Net, Tensor, Tensor], Tensor],
) -> None:
    cut = only_cut(program(forward))
    assert cut.kind is CutKind.ESCAPE
    assert len(cut.dead) == BACKBONE


def test_a_region_is_the_line_of_the_with_statement() -> None:
    cut = only_cut(program(no_grad))
    first = no_grad.__code__.co_firstlineno
    assert cut.region is not None
    assert cut.region.line == first + 1
    assert cut.at.line == scores.__code__.co_firstlineno + 1
    assert [at.line for at in cut.enters] == [first + 3]


def test_a_region_is_the_function_that_was_decorated() -> None:
    cut = only_cut(program(decorated))
    assert cut.region is not None
    assert cut.region.function == "decorated_scores"


def test_a_partial_cut_is_proved_by_forward_mode_and_difference() -> None:
    cut = only_cut(program(no_grad_partly))
    assert (cut.role, cut.dead) == (CutRole.FEATURE, ())
    assert cut.proof is not None, cut.not_proved
    assert cut.proof.forward == pytest.approx(cut.proof.difference, rel=1e-6)
    assert abs(cut.proof.reverse - cut.proof.difference) > 0.01 * abs(cut.proof.difference)


def test_a_partial_cut_never_blames_the_parameters() -> None:
    _, recording = observe(program(no_grad_partly))
    (outcome,) = judge([partial_cut], recording)
    (finding,) = outcome.findings
    assert outcome.severity(finding) is Severity.WARNING
    assert "in `no_grad_partly`, from `matmul` on, gets no gradient" in finding.message
    assert "keep another path" in finding.message
    assert "backbone" not in finding.subject + finding.message


def ema_target(net: Net, teacher: Net, x: Tensor, out: Tensor, loss: Tensor) -> Tensor:
    with torch.no_grad():
        target = teacher(x).softmax(-1)
    return loss + functional.kl_div(out.log_softmax(-1), target, reduction="batchmean")


def ema_update(net: Net, teacher: Net) -> None:
    with torch.no_grad():
        for slow, fast in zip(teacher.parameters(), net.parameters(), strict=True):
            slow.mul_(0.9).add_(fast, alpha=0.1)


def metric(net: Net, teacher: Net, x: Tensor, out: Tensor, loss: Tensor) -> Tensor:
    with torch.no_grad():
        (out.softmax(-1) * out.log_softmax(-1)).sum(-1).mean().item()
    return loss


def fixmatch(net: Net, teacher: Net, x: Tensor, out: Tensor, loss: Tensor) -> Tensor:
    with torch.no_grad():
        p = net(x + 0.1).softmax(-1)
        mask = (p.max(-1).values > 0.3).float()
    unlabelled = functional.cross_entropy(out, p.argmax(-1), reduction="none")
    return loss + (unlabelled * mask).mean() + functional.mse_loss(out.softmax(-1), p)


def simsiam(net: Net, teacher: Net, x: Tensor, out: Tensor, loss: Tensor) -> Tensor:
    return loss - functional.cosine_similarity(net(x + 0.1), out.detach(), dim=-1).mean()


def self_weighted(net: Net, teacher: Net, x: Tensor, out: Tensor, loss: Tensor) -> Tensor:
    return loss * (1 / loss.detach())


def actor_critic(net: Net, teacher: Net, x: Tensor, out: Tensor, loss: Tensor) -> Tensor:
    value = out[:, 3]
    return -(out.log_softmax(-1)[:, 0] * (1 - value.detach())).mean() + (1 - value).square().mean()


def penalised(net: Net, teacher: Net, x: Tensor, out: Tensor, loss: Tensor) -> Tensor:
    (slope,) = torch.autograd.grad(loss, net.head.weight, create_graph=True)
    return loss + slope.square().sum()


HEALTHY = {
    "plain": program(),
    "straight-through": program(straight_through),
    "re-entrant checkpoint": program(reentrant),
    "checkpoint": program(not_reentrant),
    "custom function": program(custom_function),
    "queue": program(queue),
    "ema": program(loss_of=ema_target, after=ema_update),
    "metric": program(loss_of=metric),
    "fixmatch": program(loss_of=fixmatch),
    "simsiam": program(loss_of=simsiam),
    "self-weighted loss": program(loss_of=self_weighted),
    "actor-critic": program(loss_of=actor_critic),
    "gradient penalty": program(loss_of=penalised),
}


@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_pattern_is_silent(name: str) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*checkpoint.*")
        paths, recording = observe(HEALTHY[name])
    assert paths.unreached == ()
    loud = [
        finding
        for outcome in judge(RULES, recording)
        for finding in outcome.findings
        if outcome.severity(finding) is not Severity.NOTE
    ]
    assert loud == []


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("straight-through", CutRole.STRAIGHT_THROUGH),
        ("fixmatch", CutRole.TARGET),
        ("simsiam", CutRole.WEIGHT),
        ("self-weighted loss", CutRole.WEIGHT),
        ("actor-critic", CutRole.WEIGHT),
    ],
)
def test_a_healthy_cut_is_recognised_by_what_its_value_is_for(name: str, role: CutRole) -> None:
    assert {cut.role for cut in observe(HEALTHY[name])[0].cuts} == {role}


def test_a_parameter_reached_in_any_step_is_not_dead() -> None:
    def run(_: object) -> None:
        layers = nn.ModuleList(nn.Linear(4, 4) for _ in range(3))
        optimizer = torch.optim.SGD(layers.parameters(), lr=0.1)
        for step in range(2):
            optimizer.zero_grad()
            layers[step](torch.randn(2, 4)).sum().backward()
            optimizer.step()

    assert observe(run)[0].unreached == ("2.weight", "2.bias")


def test_a_lookup_inside_the_mode_stack_of_the_program_is_left_in_place() -> None:
    depth = torch._C._len_torch_function_stack()
    with torch.device("cpu"):
        record_example(program())
        assert torch._C._len_torch_function_stack() == depth + 1
    assert torch._C._len_torch_function_stack() == depth


def test_values_are_let_go_with_their_tensors() -> None:
    from stepscope.probes import values

    record_example(program())
    assert values._table.held == {}


def test_tensors_are_saved_and_copied_without_a_trace() -> None:
    kept: dict[str, object] = {}

    def run(_: object) -> None:
        model = nn.Linear(2, 2)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        out = model(torch.ones(1, 2))
        out.sum().backward()
        kept.update(vars(out.detach()), **vars(out), **vars(model.weight))
        optimizer.step()

    record_example(run)
    assert kept == {}


class Brighter(nn.Module):
    """An augmentation: a module without parameters, called before the model."""

    def forward(self, image: Tensor) -> Tensor:
        return image * 1.1


def test_what_an_augmentation_made_is_an_input_of_the_model() -> None:
    class Scorer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(8, 1)

        def forward(self, visible: list[Tensor], infrared: list[Tensor]) -> Tensor:
            return self.layer(torch.stack(visible)).mean() + 0 * len(infrared)

    def program(_: object) -> None:
        model, brighter = Scorer(), Brighter()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(STEPS):
            visible, infrared = ([brighter(torch.rand(3, 8))] for _ in range(2))
            model(visible, infrared).backward()
            optimizer.step()
            optimizer.zero_grad()

    found, _ = observe(program)
    assert {each.name: each.reaches_loss for each in found.inputs} == {
        "visible": True,
        "infrared": False,
    }
