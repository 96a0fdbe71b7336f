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
        ValueError: the file cannot be read, holds what no plan has, or says nothing.
    """
    path = Path(path)
    values = read_table(path)
    table = Table(path, "")
    if HEADING in values:
        inside = values[HEADING]
        if not isinstance(inside, dict):
            raise table.mistake(HEADING, f"expected a table, found {inside!r}")
        values, table = inside, Table(path, f"{HEADING}.")
        table.expect_keys(values, Plan.__struct_fields__)
    else:
        table.expect_keys(values, (*Plan.__struct_fields__, HEADING))
    stages = values.get("stages")
    for number, stage in enumerate(stages if isinstance(stages, list) else ()):
        if isinstance(stage, dict):
            table.expect_keys(stage, Stage.__struct_fields__, under=f"stages[{number}]")
    plan = table.typed(values, Plan)
    if plan == Plan():
        raise ValueError(f"{path} says nothing; expected frozen, tuned, norm or stages")
    return plan
