"""Plans that are written down: the table `[freeze]` of a file, or a file of their own."""

from pathlib import Path

from stepscope.configurations.files import read_table
from stepscope.configurations.table import Table
from stepscope.freezing.plans.plan import Plan, Stage

HEADING = "freeze"


def read_plan(path: Path | str) -> Plan:
    """Read a plan from TOML, YAML or JSON.

    ```toml
    [freeze]
    frozen = ["backbone"]
    tuned = { neck = 0.05 }
    stages = [{ frozen = ["neck"], until_epoch = 2 }]
    ```

    Raises:
        ValueError: the file cannot be read, or holds what no plan has.
    """
    path = Path(path)
    values = read_table(path)
    inside = values.get(HEADING)
    heading = ""
    if isinstance(inside, dict):
        values, heading = inside, f"{HEADING}."
    table = Table(path, heading)
    table.expect_keys(values, Plan.__struct_fields__)
    stages = values.get("stages")
    for number, stage in enumerate(stages if isinstance(stages, list) else ()):
        if isinstance(stage, dict):
            table.expect_keys(stage, Stage.__struct_fields__, under=f"stages[{number}]")
    return table.typed(values, Plan)
