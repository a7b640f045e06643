"""The runner ends itself, faster than Python would. Whatever a task leaves to its end must come out as from Python."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ENDS = {
    "a file left open": "global kept; kept = open('left', 'w'); kept.write('words')",
    "a file in a cycle": "c = type('C', (), {})(); c.me = c; c.file = open('left', 'w'); c.file.write('words')",
    "an object that is told": """
    class Told:
        def __del__(self): print('told')
    global kept; kept = Told()
    """,
    "an exit handler": "import atexit; atexit.register(print, 'handled')",
    "a finalizer": """
    import weakref
    class Kept: pass
    global kept; kept = Kept(); weakref.finalize(kept, print, 'finalized')
    """,
    "a folder for the time being": "import tempfile; global kept; kept = tempfile.TemporaryDirectory(dir='.')",
    "a thread at work": """
    import threading
    ready = threading.Event()
    threading.Thread(target=lambda: (ready.wait(0.2), print('worked'))).start()
    """,
    "a pool": """
    from concurrent.futures import ThreadPoolExecutor
    global kept; kept = ThreadPoolExecutor(1); kept.submit(print, 'worked')
    """,
    "a daemon that waits": """
    import threading
    threading.Thread(target=threading.Event().wait, daemon=True).start()
    print('said', end='')
    """,
    "a daemon that never rests": """
    import threading
    global count; count = 0
    def work():
        global count
        while True: count += 1
    threading.Thread(target=work, daemon=True).start()
    """,
    "a child": "import subprocess; subprocess.run(['echo', 'child'], check=True)",
    "a process": "import multiprocessing; one = multiprocessing.Process(target=print, args=('other',)); one.start(); one.join()",
    "half a line": "print('half', end='')",
    "half a line from C": "import ctypes; ctypes.CDLL(None).printf(b'from C')",
    "a log": "import logging; logging.basicConfig(filename='left'); logging.warning('logged')",
    "an exit": "import sys; sys.exit()",
    "an exit code": "import sys; sys.exit(3)",
    "a large exit code": "import sys; sys.exit(259)",
    "a negative exit code": "import sys; sys.exit(-1)",
    "an exit that is true": "import sys; sys.exit(True)",
    "an exit with words": "import sys; sys.exit('for a reason')",
    "an exit with an object": "import sys; sys.exit({})",
    "an exit from a handler": "import atexit, os; atexit.register(os._exit, 5)",
    "output that is closed": "import sys; sys.stdout.close()",
    "output that is something else": "import sys; sys.stdout = type('Own', (), {'write': len, '__repr__': lambda own: 'own'})()",
    "words for nobody": "import sys; sys.stderr = None; sys.exit('for a reason')",
    "output that is gone": "import sys; sys.stdout = None",
    "a full disk": "import os; os.dup2(os.open('/dev/full', os.O_WRONLY), 1); print('lost')",
}


@pytest.mark.parametrize("body", [pytest.param(body, id=name) for name, body in ENDS.items()])
def test_a_task_ends_as_it_would_in_a_python_of_its_own(body: str, tmp_path: Path) -> None:
    lines = body.strip("\n").split("\n")
    indented = "\n".join(line if line.startswith("    ") else f"    {line}" for line in lines)
    source = f"def step():\n{indented}\n"
    ours = [sys.executable, "-m", "nodewise.agent.runner", str(task(tmp_path / "task", source))]
    pythons = [sys.executable, "-c", f"{source}\nstep()"]
    assert ended(tmp_path / "ours", ours) == ended(tmp_path / "pythons", pythons)


def ended(folder: Path, words: list[str]) -> tuple[int, str, str, dict[str, str]]:
    """Exit code, what was said, and what lies in the folder."""
    folder.mkdir()
    env = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    done = subprocess.run(
        words,
        cwd=folder,
        env=env | {"_KFP_RUNTIME": "true"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    errors = "\n".join(line for line in done.stderr.splitlines() if "Deprecat" not in line)
    return done.returncode, done.stdout, errors, {file.name: file.read_text() for file in folder.iterdir()}


def task(folder: Path, source: str) -> Path:
    folder.mkdir()
    (folder / "component.py").write_text(source)
    outputs = {"outputFile": str(folder / "outputs" / "metadata.json")}
    order = {
        "agent_pid": os.getpid(),
        "cores": [],
        "peak_path": str(folder / "peak"),
        "error_path": str(folder / "error"),
        "source_path": str(folder / "component.py"),
        "function": "step",
        "executor_input": {"inputs": {"parameterValues": {}}, "outputs": outputs},
    }
    path = folder / "task.json"
    path.write_text(json.dumps(order))
    return path
