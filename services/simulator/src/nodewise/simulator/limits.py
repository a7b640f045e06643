"""What bounds the decisions besides policy, strategy and objective: the settings of the services."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

BATCHES_ADMITTED: Final = 4
"""So many placement batches may be ADMITTED at a time, as in the live stack."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The settings of the live stack, by the names that they have there; a test holds the defaults against it.

    `placements` bounds the search of one plan where no budget of time does: so much that hundreds of plans take seconds.
    `strategy_options` are the users' settings by strategy name.
    """

    ageing: timedelta = timedelta(hours=1)
    placement_batch: int = 100
    planning_horizon: int = 2000
    placements: int = 5_000
    team_shares: Mapping[str, float] = field(default_factory=dict)
    strategy_options: Mapping[str, Mapping[str, object]] = field(default_factory=dict)

    @property
    def max_admitted(self) -> int:
        return BATCHES_ADMITTED * self.placement_batch
