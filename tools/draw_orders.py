"""Draws the payment order's state diagram (Mermaid) from its table; run it to mend docs/payments.md."""

import re
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from payment_core.orders import FINAL, TABLE, OrderState  # noqa: E402 - the script runs from any folder

PAGE: Final = ROOT / "docs" / "payments.md"
BLOCK: Final = re.compile(r"```mermaid\nstateDiagram-v2\n.*?```\n", re.DOTALL)


def diagram() -> str:
    """Return the diagram: every row of the table, in its order; steps between the same two states share an arrow."""
    arrows: dict[tuple[OrderState, OrderState], list[str]] = {}
    for (state, step), after in TABLE.items():
        arrows.setdefault((state, after), []).append(step.value)
    lines = ["```mermaid", "stateDiagram-v2", "    [*] --> created: somebody wants to pay"]
    lines += [f"    {old.value} --> {new.value}: {', '.join(steps)}" for (old, new), steps in arrows.items()]
    lines += [f"    {state.value} --> [*]" for state in OrderState if state in FINAL]
    return "\n".join([*lines, "```", ""])


def mend(page: str) -> str:
    """Return the page with the diagram of this table."""
    return BLOCK.sub(lambda _match: diagram(), page, count=1)


if __name__ == "__main__":
    PAGE.write_text(mend(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
