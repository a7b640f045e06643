"""What strategies are asked with, whether tasks are placed one by one or a run is bound as a whole."""

from collections.abc import Mapping
from datetime import datetime
from random import Random
from typing import Protocol

from sqlalchemy import Connection

from nodewise.core.db.forecasts import Forecast
from nodewise.core.db.queries.placements import previous_node
from nodewise.core.db.queries.situation import load_running
from nodewise.core.ports import Strategy
from nodewise.core.settings import Settings
from nodewise.placer.live import LiveTasks
from nodewise.placer.mapping import MappingContext


class Asks(Protocol):
    """Who asks: what it was wired with."""

    @property
    def strategies(self) -> Mapping[str, Strategy]: ...
    @property
    def options(self) -> Mapping[str, Mapping[str, object]]: ...
    @property
    def rng(self) -> Random: ...
    @property
    def settings(self) -> Settings: ...


def mapping_context(
    asks: Asks, connection: Connection, forecast: Forecast, *, now: datetime, live: LiveTasks | None = None
) -> MappingContext:
    """For all decisions of this transaction. `live`: of the look that it is a part of, if there are others."""
    live = live or LiveTasks()
    return MappingContext(
        strategies=asks.strategies,
        now=now,
        rng=asks.rng,
        previous_node=previous_node(connection),
        predict=forecast.predict,
        running=live.seen(lambda: load_running(connection), now=now),
        link_mib_per_s=asks.settings.link_mib_per_s,
        options=asks.options,
        costs_told=True,
    )
