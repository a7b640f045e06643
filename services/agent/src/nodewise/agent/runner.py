"""The task's own process: `python -m nodewise.agent.runner task.json`.

Or `--wait AGENT_PID`, to be told of the task later, or `--fork AGENT_PID`, to make such ones on request (see `spares`).

Calls one function of a user's module through KFP's executor and writes what came of it beside `task.json`. Every
import here is paid by every task, so there are few, and none of Nodewise.
"""

import json
import os
import sys
import time
from types import ModuleType, TracebackType
from typing import Any, NoReturn

MODULE_NAME = "component"
NICENESS = 5
"""A busy node must still be able to say that it lives. All tasks have it, so none is slower than another."""
_ADOPTION_SECONDS = 5.0
_NOT_FLUSHED = 120
"""Python's own exit code where output is lost."""
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def main(task_path: str) -> int:
    """Run the task that the file describes.

    Returns:
        The exit code: 0, or 1 after an exception; a `SystemExit` of the user's passes through.
    """
    task = _read(task_path)
    _bind_to(task["agent_pid"])
    return _run(task)


def wait(agent_pid: int) -> int:
    """Load what every task needs, then run the one that the agent tells of; without one, end when the agent does."""
    _bind_to(agent_pid)
    from kfp.dsl.executor import Executor  # noqa: F401, PLC0415 - only loaded

    return _when_told()


def _when_told() -> int:
    told = sys.stdin.buffer.read()
    if not told:
        return 0
    order = json.loads(told)
    _become(order)
    return _run(_read(order["task"]))


def serve(agent_pid: int) -> int:
    """Load what every task needs once, then fork a waiting runner for each socket that the agent sends; end with the agent.

    Each says its number on its socket. When the agent has noted it and says so, the process between them ends: the runner
    becomes the agent's own child (which must adopt orphans), says that, too, and waits on the socket for its task.
    """
    _bind_to(agent_pid, adopt=False)
    import gc  # noqa: PLC0415
    import socket  # noqa: PLC0415

    from kfp.dsl.executor import Executor  # noqa: F401, PLC0415 - only loaded

    gc.freeze()
    with socket.socket(fileno=os.dup(0)) as control:
        control.send(b"!")
        while True:
            asked, sockets, _, _ = socket.recv_fds(control, 1, 1)
            if not asked:
                return 0
            between = os.fork()
            if between == 0:
                if os.fork():
                    os.read(sockets[0], 1)
                    os._exit(0)
                control.close()
                return _born(agent_pid, sockets[0])
            os.waitpid(between, 0)
            os.close(sockets[0])


def _born(agent_pid: int, own: int) -> int:
    os.setsid()
    os.dup2(own, 0)
    os.close(own)
    between, deadline = os.getppid(), time.monotonic() + _ADOPTION_SECONDS
    os.write(0, b"%d\n" % os.getpid())
    while os.getppid() == between != agent_pid and time.monotonic() < deadline:
        time.sleep(0.0005)
    _bind_to(agent_pid, nicer=0)
    os.write(0, b"!")
    return _when_told()


def _become(order: dict[str, Any]) -> None:
    """Be as if started for the task: in its folder, with its environment, and what is said goes to its log."""
    before = os.getcwd()  # noqa: PTH109 - pathlib is an import
    os.environ.clear()
    os.environ.update(order["env"])
    os.chdir(order["cwd"])
    sys.path[:] = [order["cwd"] if path == before else path for path in sys.path]
    sys.argv[1:] = [order["task"]]
    log = os.open(order["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for target, source in ((0, nothing), (1, log), (2, log)):
        os.dup2(source, target)
    os.close(log)
    os.close(nothing)
    time.tzset()


def _read(task_path: str) -> dict[str, Any]:
    with open(task_path, encoding="utf-8") as file:  # noqa: PTH123 - pathlib is an import
        task: dict[str, Any] = json.load(file)
    return task


def _run(task: dict[str, Any]) -> int:
    _stay_on(task["cores"])
    try:
        _execute(task)
    except Exception as error:
        _report(error, task)
        return 1
    finally:
        _leave_peak(task["peak_path"])
    return 0


def _bind_to(agent_pid: int, *, nicer: int = NICENESS, adopt: bool = True) -> None:
    """Yield to the agent and to servers beside it, and end with the agent (Linux)."""
    import signal  # noqa: PLC0415

    os.nice(nicer)
    # Whatever the agent was started from, and however far it was when it started us.
    for number in (signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if not sys.platform.startswith("linux"):
        return
    import ctypes  # noqa: PLC0415

    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
    # Orphans among its descendants come back to it, so that they are counted and ended with it.
    libc.prctl(_PR_SET_CHILD_SUBREAPER, int(adopt))
    if os.getppid() != agent_pid:
        os._exit(1)


def _stay_on(cores: list[int]) -> None:
    """Use these cores of the machine only (Linux)."""
    if cores and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores)


def _execute(task: dict[str, Any]) -> None:
    from kfp.dsl.executor import Executor  # noqa: PLC0415

    module = _load(task["source_path"])
    function = getattr(module, task["function"], None)
    if function is None:
        raise AttributeError(f"the component's source has no function {task['function']!r}")
    executor_input = task["executor_input"]
    _restore_numbers(function, executor_input["inputs"]["parameterValues"])
    Executor(executor_input=executor_input, function_to_execute=function).execute()


def _load(path: str) -> ModuleType:
    """The user's module. It stays a file, so that tracebacks and `inspect` find its lines."""
    from importlib.util import module_from_spec, spec_from_file_location  # noqa: PLC0415

    spec = spec_from_file_location(MODULE_NAME, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"not a Python module: {path}")
    module = module_from_spec(spec)
    sys.modules[MODULE_NAME] = module
    spec.loader.exec_module(module)
    return module


def _restore_numbers(function: Any, values: dict[str, Any]) -> None:
    """Make 3.0 an int again where the function wants one, and 3 a float: protobuf knows only doubles, JSON only numbers."""
    function = getattr(function, "python_func", function)
    for name, annotation in getattr(function, "__annotations__", {}).items():
        value = values.get(name)
        if _wants(annotation, int):
            if isinstance(value, float) and value.is_integer():
                values[name] = int(value)
        elif _wants(annotation, float) and type(value) is int:
            values[name] = float(value)


def _wants(annotation: Any, kind: type) -> bool:
    words = str(annotation).replace("[", " ").replace("]", " ").replace(",", " ").split()
    return annotation is kind or kind.__name__ in words


def _leave_peak(path: str) -> None:
    """Tell the agent the peak of our memory: it looks only a few times a second."""
    try:
        # Not `ru_maxrss`: that one starts from the peak of the process that forked us.
        with open("/proc/self/status", encoding="ascii") as status:  # noqa: PTH123
            peak = next(line.split()[1] for line in status if line.startswith("VmHWM:"))
        with open(path, "w", encoding="ascii") as file:  # noqa: PTH123
            file.write(peak)
    except (OSError, StopIteration):
        return


def _report(error: Exception, task: dict[str, Any]) -> None:
    """Print the traceback from the user's own lines on, and leave its last line for the agent."""
    import traceback  # noqa: PLC0415

    trace = _own_part(error.__traceback__, task["source_path"])
    sys.stdout.flush()
    traceback.print_exception(type(error), error, trace)
    line = traceback.format_exception_only(type(error), error)[-1].strip()
    with open(task["error_path"], "w", encoding="utf-8", errors="replace") as file:  # noqa: PTH123
        file.write(line)


def _own_part(trace: TracebackType | None, source_path: str) -> TracebackType | None:
    part = trace
    while part is not None and part.tb_frame.f_code.co_filename != source_path:
        part = part.tb_next
    return part or trace


def _leave(code: object) -> NoReturn:
    """End as Python does, in the same order, but for taking KFP and all else apart: that takes longer than a short task.

    Threads are waited for, exit handlers run (Python's and C's), the user's module is taken apart (what it left open is
    written, what has a `__del__` is told), output is flushed. Where threads are left (daemons), Python ends itself: it
    knows how to hold them.

    Args:
        code: As `SystemExit` has it.
    """
    import atexit  # noqa: PLC0415
    import ctypes  # noqa: PLC0415
    import gc  # noqa: PLC0415

    if threading := sys.modules.get("threading"):
        threading._shutdown()
    if len(sys._current_frames()) > 1:
        sys.exit(code)  # type: ignore[arg-type]
    if code is not None and not isinstance(code, int):
        _complain(str(code))
    number = code if isinstance(code, int) else int(code is not None)
    atexit._run_exitfuncs()
    if module := sys.modules.pop(MODULE_NAME, None):
        vars(module).clear()
        del module
        gc.collect()
    if not _flushed():
        number = _NOT_FLUSHED
    # Without the interpreter's lock: an exit handler in C may wait for a thread of its own that calls into Python.
    ctypes.CDLL(None).exit(number & 0xFF)
    raise AssertionError


def _flushed() -> bool:
    well = True
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None and not getattr(stream, "closed", False):
                stream.flush()
        except Exception as error:
            well = False
            if stream is sys.stdout:
                _complain(f"Exception ignored in: {stream!r}\n{type(error).__name__}: {error}")
    return well


def _complain(text: str) -> None:
    if sys.stderr is None:
        os.write(2, f"{text}\n".encode())
    else:
        sys.stderr.write(f"{text}\n")


def _main() -> object:
    modes = {"--wait": wait, "--fork": serve}
    try:
        return modes[sys.argv[1]](int(sys.argv[2])) if sys.argv[1] in modes else main(sys.argv[1])
    except SystemExit as end:
        return end.code


if __name__ == "__main__":
    _leave(_main())
