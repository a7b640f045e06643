"""Does to a running stack what a fault says, and undoes it."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import redis

from tests.acceptance.faults.kinds import Fault, Kind
from tests.support.stack import RunningStack, clean_environment, key_of
from tests.support.tcp_proxy import TcpProxy
from tests.support.waiting import wait_until

PATIENCE = 90.0
_SENTINEL = "chaos:was-here"
_FREEZES = frozenset({Kind.FREEZE_SERVICE, Kind.FREEZE_AGENT, Kind.GIVE_UP_AGENT})
_SIGNALS = {
    Kind.POSTGRES_FAST: signal.SIGINT,
    Kind.POSTGRES_IMMEDIATE: signal.SIGQUIT,
}


class SmallDisk:
    """A file system of its own, small enough to be filled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filler = folder / "filler"

    @classmethod
    @contextmanager
    def mounted(cls, folder: Path, *, mib: int) -> Iterator["SmallDisk | None"]:
        """A tmpfs at `folder`; None where mounting is not allowed."""
        folder.mkdir(parents=True)
        words = ["mount", "-t", "tmpfs", "-o", f"size={mib}m", "tmpfs", str(folder)]
        try:
            done = subprocess.run(words, capture_output=True, check=False)
        except FileNotFoundError:
            yield None
            return
        if done.returncode != 0:
            yield None
            return
        try:
            yield cls(folder)
        finally:
            subprocess.run(["umount", "--lazy", str(folder)], capture_output=True, check=False)

    def fill(self) -> None:
        """Until nothing more fits, not even one block."""
        with self._filler.open("ab", buffering=0) as file:
            for size in (1 << 20, 1 << 12):
                with suppress(OSError):
                    while True:
                        file.write(b"\0" * size)

    def free(self) -> None:
        self._filler.unlink(missing_ok=True)


@dataclass
class Breaker:
    """Hands on a stack. `strike` does what a fault does, `heal` ends it; what heals by itself, `heal` only waits for."""

    stack: RunningStack
    network: TcpProxy
    disk: SmallDisk | None
    _frozen: dict[str, int] = field(default_factory=dict)
    _before: dict[str, int] = field(default_factory=dict)

    def strike(self, fault: Fault) -> None:
        for kinds, hit in self._ways():
            if fault.kind in kinds:
                hit(fault)
                return
        raise AssertionError(f"nobody knows how to do {fault}")

    def _ways(self) -> list[tuple[frozenset[Kind], Callable[[Fault], None]]]:
        return [
            (_FREEZES, self._freeze),
            (frozenset({Kind.NETWORK_CUT}), lambda _: self.network.cut()),
            (frozenset({Kind.NETWORK_SILENT}), lambda _: self.network.silence()),
            (frozenset({Kind.DISK_FULL}), lambda _: self._disk().fill()),
            (frozenset({Kind.VALKEY_EMPTIED}), self._empty_valkey),
            (frozenset(Kind), self._kill),
        ]

    def heal(self, fault: Fault) -> None:
        if fault.kind in _FREEZES:
            self._thaw(fault.victim)
        elif fault.kind in (Kind.NETWORK_CUT, Kind.NETWORK_SILENT):
            self.network.heal()
        elif fault.kind is Kind.DISK_FULL:
            self._disk().free()

    def settled(self, fault: Fault) -> bool:
        """Whether what the supervisor starts again has been started again."""
        before = self._before.get(fault.victim)
        return before is None or self.stack.pid(fault.victim) != before

    def heal_all(self) -> None:
        """Whatever is broken still, for the end of a run that failed half-way."""
        for victim in list(self._frozen):
            self._thaw(victim)
        self.network.heal()
        if self.disk is not None:
            self.disk.free()

    def _disk(self) -> SmallDisk:
        assert self.disk is not None, "the store is on no disk that could be filled"
        return self.disk

    def _kill(self, fault: Fault) -> None:
        self._signal(fault.victim, _SIGNALS.get(fault.kind, signal.SIGKILL))

    def _signal(self, victim: str, number: signal.Signals) -> None:
        """To the process as it is now: one that was killed before is waited for."""
        wait_until(lambda: self._send(victim, number), PATIENCE, f"{victim} to be there")

    def _send(self, victim: str, number: signal.Signals) -> bool:
        pid = self.stack.pid(victim)
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return False
        if number is signal.SIGSTOP:
            self._frozen[victim] = pid
        else:
            self._before[victim] = pid
        return True

    def _freeze(self, fault: Fault) -> None:
        self._signal(fault.victim, signal.SIGSTOP)

    def _thaw(self, victim: str) -> None:
        with suppress(ProcessLookupError):
            os.kill(self._frozen.pop(victim), signal.SIGCONT)

    def _empty_valkey(self, fault: Fault) -> None:
        """Killed, and what it had on disk is gone before it starts again."""
        with suppress(redis.RedisError), redis.Redis.from_url(self.stack.redis_url) as client:
            client.set(_SENTINEL, "1")
        shutil.rmtree(self.stack.home / "valkey" / "appendonlydir", ignore_errors=True)
        self._kill(fault)

    def valkey_forgot(self) -> bool:
        """Whether nothing is left of what stood there before; RedisError while it does not answer."""
        with redis.Redis.from_url(self.stack.redis_url) as client:
            return client.get(_SENTINEL) is None


@contextmanager
def reaching(stack: RunningStack, folder: Path) -> Iterator[TcpProxy]:
    """A further agent, n5, that reaches the broker through a network that can be cut. It sees no other server."""
    broker = urlsplit(stack.redis_url)
    assert broker.hostname
    assert broker.port
    with TcpProxy(broker.hostname, broker.port) as proxy:
        address = stack.redis_url.replace(f":{broker.port}/", f":{proxy.port}/")
        words = [
            sys.executable, "-P", "-m", "nodewise.agent", "--name", "n5", "--millicores", "2000", "--memory-mib", "1024",
            "--node-class", "far", "--work-dir", str(folder / "n5"), "--key-file", str(key_of(stack, "n5", folder)),
        ]  # fmt: skip
        env = clean_environment(
            {"REDIS_URL": address, "NODEWISE_STORE_URL": stack.store_url, "_KFP_RUNTIME": "true"}
        )
        with (folder / "n5.log").open("ab") as log:
            agent = subprocess.Popen(words, env=env, stdout=log, stderr=log, start_new_session=True)
        try:
            yield proxy
        finally:
            proxy.heal()
            agent.terminate()
            try:
                agent.wait(20)
            except subprocess.TimeoutExpired:
                agent.kill()
                agent.wait()
