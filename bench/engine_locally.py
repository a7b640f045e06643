"""Runs in a process of its own: one pipeline under `kfp.local`, and how long it took."""

import sys
import time
import warnings


def main(name: str) -> None:
    """Print the seconds from the call of the pipeline to its end, and nothing else on the last line."""
    warnings.simplefilter("ignore")
    from kfp import local  # noqa: PLC0415 - what is imported here is not part of what is timed

    from bench import engine_pipelines  # noqa: PLC0415

    local.init(runner=local.SubprocessRunner(use_venv=False), raise_on_error=True)
    start = time.perf_counter()
    getattr(engine_pipelines, name)()
    print(time.perf_counter() - start)


if __name__ == "__main__":
    main(sys.argv[1])
