"""What is believed now, from the record: loaded and fitted once per version of what was learned."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from nodewise.core.db.queries.estimates import beliefs_version, load_beliefs
from nodewise.core.estimates.forecast import predictor
from nodewise.core.estimates.learning import Beliefs, Model, fit
from nodewise.core.ports import Predict


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """A fitted model, and its run times as decisions ask for them."""

    model: Model
    predict: Predict


class Forecaster:
    """Keeps the latest forecast of one process. Mutable; not for several threads at once."""

    def __init__(self) -> None:
        self._version: datetime | None = None
        self._forecast = _of(Beliefs())

    def current(self, connection: Connection) -> Forecast:
        """The forecast by all that was learned until now. One cheap query while nothing is learned."""
        # The version comes first: what is learned between the two queries is loaded once more, never missed.
        version = beliefs_version(connection)
        if version != self._version:
            self._forecast = _of(load_beliefs(connection))
            self._version = version
        return self._forecast


def _of(beliefs: Beliefs) -> Forecast:
    model = fit(beliefs)
    return Forecast(model=model, predict=predictor(model))
