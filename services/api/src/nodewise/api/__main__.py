"""`python -m nodewise.api`: serve on NODEWISE_HOST:NODEWISE_PORT until SIGTERM."""

import signal
import sys
from types import FrameType

import uvicorn

from nodewise.api.app import create_api
from nodewise.api.choice import unknown_default
from nodewise.api.scheduling.ticker import Ticker
from nodewise.api.wiring import Services
from nodewise.core.process import calm_ticks, keep_what_is_loaded
from nodewise.core.settings import read_settings
from nodewise.core.telemetry import configure_logging

_GRACE_SECONDS = 3
"""How long requests under way may still take after SIGTERM."""


class _Server(uvicorn.Server):
    """Ends the event streams at once when it is told to stop; they would not end by themselves."""

    def __init__(self, config: uvicorn.Config, services: Services) -> None:
        super().__init__(config)
        self._services = services

    async def main_loop(self) -> None:
        await calm_ticks(self.on_tick)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._services.stopping.set()
        super().handle_exit(sig, frame)


def main() -> None:
    """Serve until SIGTERM or SIGINT; both end it cleanly, with exit code 0."""
    settings = read_settings()
    configure_logging(settings, "api")
    if problem := unknown_default(settings):
        sys.exit(problem)
    services = Services.connect(settings)
    config = uvicorn.Config(
        create_api(settings, services, loops=[Ticker(services).loop()]),
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    # Uvicorn raises the signal again when it is done; the exit code is to say that all went well.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    keep_what_is_loaded()
    _Server(config, services).run()


if __name__ == "__main__":
    main()
