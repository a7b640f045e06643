"""`python -m nodewise.monitor`: watch the nodes and serve on NODEWISE_HOST:NODEWISE_PORT until SIGTERM."""

import signal

import uvicorn

from nodewise.core.process import calm_ticks
from nodewise.core.settings import read_settings
from nodewise.core.telemetry import configure_logging
from nodewise.monitor.app import create_monitor
from nodewise.monitor.wiring import Monitor

_GRACE_SECONDS = 2


class _Server(uvicorn.Server):
    async def main_loop(self) -> None:
        await calm_ticks(self.on_tick)


def main() -> None:
    """Watch and serve until SIGTERM or SIGINT; both end it cleanly, with exit code 0."""
    settings = read_settings()
    configure_logging(settings, "monitor")
    config = uvicorn.Config(
        create_monitor(Monitor.connect(settings)),
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
    _Server(config).run()


if __name__ == "__main__":
    main()
