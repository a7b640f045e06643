"""What is believed of run times, shared by the threads that answer requests."""

import threading

from sqlalchemy import Connection

from nodewise.core.db.forecasts import Forecaster
from nodewise.core.ports import Predict


class SharedBeliefs:
    """A `Forecaster` for several threads: one at a time asks it, and fits anew when something was learned."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._forecaster = Forecaster()

    def predict(self, connection: Connection) -> Predict:
        """By all that was learned until now."""
        with self._lock:
            return self._forecaster.current(connection).predict
