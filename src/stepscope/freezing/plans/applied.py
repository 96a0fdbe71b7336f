"""A plan in effect on a model, from stage to stage."""

from collections.abc import Iterable, Mapping
from typing import Any

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from stepscope.freezing import modes
from stepscope.freezing.frozen import Frozen
from stepscope.freezing.patterns import Names, longest
from stepscope.freezing.plans.plan import Plan
from stepscope.freezing.plans.resolution import Decision, decide
from stepscope.freezing.plans.schedulers import expect_extensible, follow, peaks
from stepscope.freezing.wrapping import inside_compiled


class AppliedPlan:
    """Holds a model to a plan.

    ```python
    plan = AppliedPlan(read_plan("plan.toml"), model)
    optimizer = torch.optim.AdamW(plan.parameter_groups(lr=1e-4, weight_decay=0.01))
    scheduler = CosineAnnealingLR(optimizer, T_max=100)
    for epoch in range(100):
        plan.advance(epoch=epoch, optimizer=optimizer, scheduler=scheduler)
        ...
    ```

    Make it before the optimizer and before DistributedDataParallel; a plan with stages needs
    `find_unused_parameters=False` and no such wrapper, which waits for gradients of its beginning.
    """

    def __init__(self, plan: Plan, model: nn.Module) -> None:
        """Apply the first stage.

        Raises:
            ValueError: a glob of any stage matches nothing, or two disagree.
            TypeError: the model is wrapped already.
        """
        self.plan = plan
        self.model = model = inside_compiled(model)
        self.stage = 0
        self.decisions = [decide(plan, model, stage) for stage in range(len(plan.stages) + 1)]
        self._options: dict[str, Any] = {}
        self.frozen = self._freeze()
        self._held = self._hold_statistics()

    @property
    def rates_hold(self) -> bool:
        """Whether the multipliers take effect: there are none, or they made the groups."""
        return not self.plan.tuned or bool(self._options)

    def parameter_groups(self, *, lr: float, **options: Any) -> list[dict[str, Any]]:
        """Return the groups of a new optimizer, one for each multiplier, the whole rate first.

        `lr` is the rate of what is not tuned; `options` are those of each group. A group whose
        parameters are all frozen at this stage is empty, and there for the stages that follow: so
        each schedule counts it from its beginning.
        """
        self._options = {"lr": lr, **options}
        groups = {multiplier: self._group(multiplier) for multiplier in self._multipliers()}
        for name, decision in self._trainable(self.stage).items():
            groups[decision.multiplier]["params"].append(self.model.get_parameter(name))
        return list(groups.values())

    def advance(
        self,
        *,
        optimizer: Optimizer,
        scheduler: LRScheduler | Iterable[LRScheduler] | None = None,
        epoch: int | None = None,
        step: int | None = None,
    ) -> bool:
        """Enter the stage that an epoch or an optimizer step belongs to; tell whether it is new.

        What is thawed requires gradients from now on, follows `train()`, and joins the group of
        its multiplier. An optimizer without such a group is given one, and its schedulers too:
        with the rate that they would have given it by now.

        Raises:
            ValueError: the stage ends in the other unit, the base rate cannot be known, the
                schedule gives all groups one rate, or the model has other parameters by now.
            TypeError: a scheduler cannot take another group.
        """
        schedulers = (scheduler,) if isinstance(scheduler, LRScheduler) else tuple(scheduler or ())
        self._expect_multipliers(optimizer, schedulers)
        stage = self.plan.stage_at(epoch, step, since=self.stage)
        if stage == self.stage:
            return False
        before, after = self.decisions[self.stage], self.decisions[stage]
        thawed = {n: each for n, each in self._trainable(stage).items() if before[n].frozen}
        self._expect_names()  # while nothing has changed
        self._expect_groups(optimizer, schedulers, thawed.values())
        self._enter(stage)
        for name in thawed:
            self.model.get_parameter(name).requires_grad = not after[name].frozen
        if self.frozen is not None:
            self.frozen.prune(optimizer)
        self._add(optimizer, schedulers, thawed)
        return True

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs to enter the same stage."""
        return {"stage": self.stage}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Enter the stage of a saved run. Call it before the optimizer is made.

        Raises:
            ValueError: the state names no stage of this plan.
        """
        stage = state.get("stage")
        if not isinstance(stage, int) or not 0 <= stage <= len(self.plan.stages):
            raise ValueError(
                f"the saved plan was in stage {stage!r}; this one has {len(self.plan.stages)}"
            )
        self._enter(stage)

    def undo(self) -> None:
        """Let go of everything, as if no plan had been applied."""
        if self.frozen is not None:
            self.frozen.undo()
            self.frozen = None
        for module in self._held:
            modes.release(module)
        self._held = []

    def _enter(self, stage: int) -> None:
        before, self.stage = self.frozen, stage
        self.frozen = self._freeze()  # first: what stays frozen is let go at no moment
        if before is not None:
            before.undo()

    def _freeze(self) -> Frozen | None:
        decisions = self.decisions[self.stage]
        spared = [name for name, decision in decisions.items() if not decision.frozen]
        if len(spared) == len(decisions):
            return None
        globs = self.plan.frozen_in(self.stage)
        return Frozen(self.model, globs, but=spared, norm=self.plan.norm)

    def _hold_statistics(self) -> list[nn.Module]:
        """Keep the layers in evaluation mode that a glob of `norm` names, frozen or not."""
        norms = self.plan.norm if isinstance(self.plan.norm, dict) else {}
        held: list[nn.Module] = [
            module
            for name, module in self.model.named_modules()
            if isinstance(module, modes.NORMALISATION) and longest(name, (name,), norms) == "eval"
        ]
        for module in held:
            modes.hold(module)
        return held

    def _trainable(self, stage: int) -> dict[str, Decision]:
        """Return what trains, in the order in which the stages have thawed it."""
        found: dict[str, Decision] = {}
        for decisions in self.decisions[: stage + 1]:
            found |= {
                n: each for n, each in decisions.items() if not each.frozen and n not in found
            }
        now = self.decisions[stage]
        return {name: now[name] for name in found if not now[name].frozen}

    def _multipliers(self) -> list[float]:
        """Return those of all stages, 1 first where there is one."""
        found = {
            decision.multiplier
            for decisions in self.decisions
            for decision in decisions.values()
            if not decision.frozen
        }
        return sorted(found, key=lambda multiplier: (multiplier != 1, multiplier))

    def _group(self, multiplier: float) -> dict[str, Any]:
        lr = self._options["lr"] * multiplier
        return {"params": [], **self._options, "lr": lr, "name": _name(multiplier)}

    def _expect_multipliers(
        self, optimizer: Optimizer, schedulers: tuple[LRScheduler, ...]
    ) -> None:
        """Refuse a OneCycleLR or CyclicLR with one `max_lr`, which overwrites every group's."""
        names = {_name(multiplier): multiplier for multiplier in self._multipliers()}
        ours = [names.get(group.get("name", "")) for group in optimizer.param_groups]
        for rates in peaks(optimizer, schedulers):
            highest = {x: rate for x, rate in zip(ours, rates, strict=False) if x and rate}
            if len(highest) > 1 and len(set(highest.values())) == 1:
                wanted = ", ".join(f"{multiplier:g} * max_lr" for multiplier in highest)
                raise ValueError(
                    "the schedule gives every group the same max_lr, and the plan's multipliers do "
                    f"nothing; hand it one for each group: max_lr=[{wanted}]"
                )

    def _expect_names(self) -> None:
        """Refuse a model of which the program has replaced a part by one of other names."""
        missing = self.decisions[self.stage].keys() - Names.of(self.model).parameters.keys()
        if missing:
            raise ValueError(
                f"the model has no {min(missing)!r} any more, which the plan was applied to; after "
                "a part is replaced, call undo() and apply the plan anew"
            )

    def _expect_groups(
        self,
        optimizer: Optimizer,
        schedulers: tuple[LRScheduler, ...],
        thawed: Iterable[Decision],
    ) -> None:
        """Refuse what would fail half-way: a schedule that takes no group, an unknown rate."""
        if not self._options:
            self._options = {"lr": _base_rate(optimizer)} if thawed else {}
        named = {group.get("name") for group in optimizer.param_groups}
        if any(_name(decision.multiplier) not in named for decision in thawed):
            expect_extensible(schedulers)

    def _add(
        self,
        optimizer: Optimizer,
        schedulers: tuple[LRScheduler, ...],
        thawed: Mapping[str, Decision],
    ) -> None:
        held = {id(each) for group in optimizer.param_groups for each in group["params"]}
        named = {group.get("name"): group for group in optimizer.param_groups}
        joining: dict[float, list[nn.Parameter]] = {}
        for name, decision in thawed.items():
            parameter = self.model.get_parameter(name)
            if id(parameter) not in held:
                joining.setdefault(decision.multiplier, []).append(parameter)
        for multiplier, parameters in joining.items():
            group = self._group(multiplier)
            there = named.get(group["name"])
            if there is not None:
                there["params"] += parameters
            else:
                optimizer.add_param_group(group | {"params": parameters})
                follow(optimizer, schedulers)


def _name(multiplier: float) -> str:
    return "trained" if multiplier == 1 else f"tuned x{multiplier:g}"


def _base_rate(optimizer: Optimizer) -> float:
    rate = optimizer.defaults.get("lr")
    if isinstance(rate, int | float) and rate > 0:
        return float(rate)
    raise ValueError(
        "the rate of what is thawed is not known: make the optimizer of `parameter_groups(lr=...)`"
    )
