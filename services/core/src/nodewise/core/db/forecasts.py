"""What is believed now, from the record: loaded and fitted once per version of what was learned."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, Engine

from nodewise.core.db.engine import reading
from nodewise.core.db.queries.estimates import beliefs_version, load_beliefs
from nodewise.core.estimates.forecast import predictor
from nodewise.core.estimates.learning import Beliefs, Model, fit
from nodewise.core.ports import Predict

_CHEAP_SECONDS: Final = 0.05
"""A fit that takes no longer is repeated whenever something was learned."""
_HURRIED_REST_SECONDS: Final = 1.0
"""Between two fits of who decides while tasks wait for it: a chain of short tasks must not wait for one at each step."""
_REST: Final = 20
"""A longer one is repeated after so many times as long, so that it costs at most 5 % of a busy process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """A fitted model, and its run times as decisions ask for them."""

    model: Model
    predict: Predict


class Forecaster:
    """Keeps the latest forecast of one process. Mutable; not for several threads at once.

    Between two fits it rests `rest_seconds` at least. `clock` gives seconds that never go back.
    """

    def __init__(self, *, rest_seconds: float = 0.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._rest = rest_seconds
        self._clock = clock
        self._rest_until = -math.inf
        self._loaded = False
        self._version: datetime | None = None
        self._forecast = _of(Beliefs())

    def current(self, connection: Connection) -> Forecast:
        """The forecast by what was learned until now; until a little before, where so much was that a fit takes long.

        One cheap query while nothing is learned.
        """
        started = self._clock()
        if started < self._rest_until:
            return self._forecast
        # The version comes first: what is learned between the two queries is loaded once more, never missed.
        version = beliefs_version(connection)
        if version != self._version:
            self._forecast = _of(load_beliefs(connection))
            self._version = version
            took = self._clock() - started
            self._rest_until = started + max(self._rest, took * _REST if took > _CHEAP_SECONDS else 0)
        self._loaded = True
        return self._forecast

    def latest(self, connection: Connection) -> Forecast:
        """As it was when `current` or `catch_up` was last called; nothing is asked or fitted but the first time."""
        return self._forecast if self._loaded else self.current(connection)

    def catch_up(self, database: Engine) -> None:
        """Learn what there is to learn. For who decides by the `latest`, once it has decided."""
        if self._clock() >= self._rest_until:
            with reading(database) as connection:
                self.current(connection)


def hurried() -> Forecaster:
    """For who decides by the `latest` while tasks wait for it: what a task taught counts about a second later."""
    return Forecaster(rest_seconds=_HURRIED_REST_SECONDS)


def _of(beliefs: Beliefs) -> Forecast:
    model = fit(beliefs)
    return Forecast(model=model, predict=predictor(model))
