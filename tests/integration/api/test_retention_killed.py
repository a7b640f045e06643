"""Retention in a process that is killed with SIGKILL, again and again, in the middle of rows and in the middle of the store."""

import random
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from sqlalchemy import Engine

from tests.support.retention import Kept
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[3]
RUNS = 40
_PROGRAM = """
import sys
from datetime import datetime
from sqlalchemy import create_engine
from tests.support.retention import Kept
Kept(create_engine(sys.argv[1]), sys.argv[2], now=datetime.fromisoformat(sys.argv[3])).prune()
"""


def test_killed_anywhere_it_loses_nothing_and_is_finished_by_the_next(engine: Engine, store_url: str) -> None:
    kept = Kept(engine, store_url)
    kept.node()
    for _ in range(RUNS):
        kept.run([kept.content(tree=True, shared=b"both"), kept.content()])
    stays = kept.run([kept.content(tree=True, shared=b"both")], ended=timedelta(days=1))
    kept.age()
    rng, content = random.Random(16), len(kept.stored())
    for left in (rng.randrange(20, RUNS), rng.randrange(2, 20)):
        killed_at(kept, lambda: len(kept.ids("runs")), left)
    for left in (rng.randrange(content // 2, content), rng.randrange(10, content // 2)):
        killed_at(kept, lambda: len(kept.stored()), left)
    kept.prune()
    assert kept.ids("runs") == {stays}
    assert kept.stored() == kept.needed()
    assert list((kept.folder / "tmp").iterdir()) == []


def killed_at(kept: Kept, count: Callable[[], int], left: int) -> None:
    """Let a process prune until so many are left, and kill it; it was not finished, and nothing is missing."""
    url = kept.engine.url.render_as_string(hide_password=False)
    process = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, url, kept.url, kept.now.isoformat()], cwd=ROOT, stderr=subprocess.PIPE
    )  # fmt: skip
    try:
        come = lambda: count() <= left or process.poll() is not None  # noqa: E731
        wait_until(come, 60, "retention to come so far", every=0.002)
    finally:
        process.kill()
        _, said = process.communicate()
    assert process.returncode == -9, said.decode()
    kept.check_whole()
