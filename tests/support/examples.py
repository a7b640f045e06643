"""How many examples a property is tried on: fewer by default than one would like, any number on demand."""

import os
from typing import Final

SHARE: Final = float(os.environ.get("NODEWISE_EXAMPLES", "0.25"))
"""Of the numbers that stand in the tests. `NODEWISE_EXAMPLES=4 make test` looks sixteen times as long as the default."""
_LEAST: Final = 5


def examples(number: int) -> int:
    """`number` of examples, or the share of them that this run has time for."""
    return max(_LEAST, round(number * SHARE))
