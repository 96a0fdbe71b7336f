"""What of a model is frozen, tuned and trained, stage by stage."""

from stepscope.freezing.plans.applied import AppliedPlan
from stepscope.freezing.plans.files import read_plan
from stepscope.freezing.plans.plan import Plan, Stage

__all__ = ["AppliedPlan", "Plan", "Stage", "read_plan"]
