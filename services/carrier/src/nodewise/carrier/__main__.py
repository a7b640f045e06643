"""`python -m nodewise.carrier`; with `check`, says whether it could work, and changes nothing."""

import sys

from nodewise.agent.joining import CannotJoin
from nodewise.carrier.check import findings
from nodewise.carrier.worker import NotConfigured, main
from nodewise.core.findings import Level
from nodewise.core.settings import Settings, read_settings


def check(settings: Settings) -> int:
    """Print what is well and what is not; the exit code."""
    found = list(findings(settings))
    for one in found:
        sys.stdout.write(f"{one.line()}\n")
    return 1 if any(one.level is Level.FAIL for one in found) else 0


def run() -> int:
    """The exit code."""
    settings = read_settings()
    if sys.argv[1:] == ["check"]:
        return check(settings)
    try:
        main(settings)
    except (NotConfigured, CannotJoin) as error:
        sys.stderr.write(f"nodewise.carrier: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(run())
