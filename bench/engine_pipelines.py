"""What `bench.engine` runs: written with KFP alone, so that `kfp.local` can run it, too."""

from kfp import dsl

component = dsl.component(base_image="python:3.11", install_kfp_package=False)


@component
def numbers(n: int) -> list:
    return list(range(n))


@component
def square(x: int) -> int:
    return x * x


@component
def total(xs: list) -> int:
    return int(sum(xs))  # kfp.local gives numbers of a list as doubles


@component
def say(text: str) -> str:
    return text


@component
def finish(text: str) -> str:
    return text


@component
def nap(seconds: float) -> float:
    import time  # noqa: PLC0415 - a component is a function of its own

    time.sleep(seconds)
    return seconds


@dsl.pipeline(name="fan-out-and-in")
def fan_out_and_in(n: int = 3):
    """A loop over three items, collected, a branch on the sum, and an exit handler."""
    last = finish(text="done")
    with dsl.ExitHandler(last):
        with dsl.ParallelFor([1, 2, 3]) as x:
            squared = square(x=x)
        summed = total(xs=dsl.Collected(squared.output))
        with dsl.If(summed.output > n):
            say(text="large")
        with dsl.Else():
            say(text="small")


@dsl.pipeline(name="eight-naps")
def eight_naps():
    """Eight tasks of a second each that need nothing of each other."""
    for _ in range(8):
        nap(seconds=1.0).set_cpu_request("100m").set_memory_request("64Mi")
