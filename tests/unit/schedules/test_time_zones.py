"""Time zones are known on machines that have no files of them, such as slim images."""

import os
import subprocess
import sys

PROGRAM = "from zoneinfo import ZoneInfo; print(ZoneInfo('Europe/Berlin').key)"


def test_zones_are_known_without_the_systems_files() -> None:
    env = {**os.environ, "PYTHONTZPATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=env, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "Europe/Berlin\n"), done.stderr
