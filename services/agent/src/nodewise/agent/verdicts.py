"""What is said of an attempt that did not end well. Pure."""

import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from nodewise.agent.supervision import Limits, ProcessEnd, StopCause
from nodewise.core.lifecycle import AttemptState
from nodewise.core.model.decision import ReasonCode

MESSAGE_LIMIT: Final = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    state: AttemptState
    reason: ReasonCode
    message: str


def verdict(end: ProcessEnd, limits: Limits, said: Callable[[], str]) -> Verdict | None:
    """Why it did not end well; None: it did.

    Args:
        end: how its process ended.
        limits: what it was allowed.
        said: what its runner left as its last words (empty: nothing); asked only where they count.
    """
    return _stopped(end, limits) or _of_container(end, limits, said) or _exited(end, said)


def _stopped(end: ProcessEnd, limits: Limits) -> Verdict | None:
    match end.stopped:
        case StopCause.TIMEOUT:
            return _failed(ReasonCode.TIMEOUT, f"ran longer than its timeout of {limits.shown_time}")
        case StopCause.MEMORY:
            return _failed(
                ReasonCode.OUT_OF_MEMORY, f"used {end.used_mib} MiB, limit {limits.memory_mib} MiB"
            )
        case StopCause.CANCELED | StopCause.LEAVING if end.exit_code != 0:
            return Verdict(
                state=AttemptState.CANCELED, reason=ReasonCode.RUN_CANCELED, message="canceled while it ran"
            )
    return None


def _of_container(end: ProcessEnd, limits: Limits, said: Callable[[], str]) -> Verdict | None:
    if end.lost:
        words = said()
        return _failed(ReasonCode.AGENT_ERROR, f"{end.trouble}: {words}" if words else end.trouble or "")
    if end.out_of_memory:
        text = f"ended by the system at its limit of {limits.memory_mib} MiB"
        return _failed(ReasonCode.OUT_OF_MEMORY, text)
    if end.trouble and end.exit_code != 0:
        return _failed(ReasonCode.EXIT_CODE, end.trouble)
    return None


def _exited(end: ProcessEnd, said: Callable[[], str]) -> Verdict | None:
    if end.exit_code == 0:
        return None
    return _failed(ReasonCode.EXIT_CODE, said() or _code(end.exit_code))


def _code(number: int) -> str:
    if number > 0:
        return f"exited with code {number}"
    name = _signal_name(-number)
    hint = " (perhaps by the system, for lack of memory)" if name == "SIGKILL" else ""
    return f"killed by {name}{hint}"


def _failed(reason: ReasonCode, message: str) -> Verdict:
    return Verdict(state=AttemptState.FAILED, reason=reason, message=message)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def one_line(error: Exception) -> str:
    return str(error) or type(error).__name__


def presentable(message: str | None) -> str | None:
    """The text, if any, as every reader can take it."""
    if message is None:
        return None
    return message.replace("\0", "").encode("utf-8", "replace").decode()[:MESSAGE_LIMIT]
