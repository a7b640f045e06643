"""Pipelines that the acceptance tests submit. Small on purpose: each shows one thing."""

# ruff: noqa: PLC0415, PTH123 (a task travels as the source of its function)
from nodewise.sdk import Dataset, In, Out, Resources, pipeline, task

TINY = Resources(cpu=0.1, memory="64Mi")
SMALL = Resources(cpu=0.5, memory="64Mi")


@task(resources=SMALL)
def number(value: int) -> int:
    print(f"number {value}")
    return value


@task(resources=SMALL)
def write(lines: int, data: Out[Dataset]):
    data.metadata["lines"] = lines
    with open(data.path, "w") as file:
        file.writelines(f"{n}\n" for n in range(lines))


@task(resources=SMALL)
def count(data: In[Dataset]) -> int:
    with open(data.path) as file:
        return sum(1 for _ in file)


@task(resources=SMALL)
def add(a: int, b: int, c: int = 0) -> int:
    return a + b + c


@task(resources=SMALL)
def shout(word: str):
    print(word)
    raise ValueError(f"no {word} today")


@task(resources=SMALL, retries=2)
def flaky(marker: str) -> int:
    """Fails until it has run twice."""
    import pathlib

    seen = pathlib.Path(marker)
    runs = len(seen.read_text()) if seen.exists() else 0
    seen.write_text("x" * (runs + 1))
    if runs < 2:
        raise RuntimeError(f"run {runs + 1} fails")
    return runs + 1


@task(resources=SMALL)
def once(folder: str, name: str, seconds: float) -> str:
    """Leaves a file per time it was started, works for a while, and leaves another at its end."""
    import pathlib
    import time
    import uuid

    here = pathlib.Path(folder)
    (here / f"started-{name}-{uuid.uuid4().hex}").touch()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.05)
    (here / f"ended-{name}-{uuid.uuid4().hex}").touch()
    return name


@task(resources=SMALL)
def told(folder: str, data: Out[Dataset]) -> int:
    """Say that it has begun, and end once it is told to."""
    import pathlib
    import time

    here = pathlib.Path(folder)
    (here / "begun").touch()
    while not (here / "go").exists():
        time.sleep(0.05)
    with open(data.path, "w") as file:
        file.write("made at last")
    return 1


@task(resources=TINY)
def tick(n: int) -> int:
    return n


@task(resources=SMALL)
def same(x: float) -> float:
    return x


@pipeline(name="astronomic")
def astronomic():
    """A constant that Postgres gives back as an integer of 67 bits."""
    same(x=1e20)


@pipeline(name="fan")
def fan(lines: int = 10):
    """Fan-out and fan-in over parameters and an artifact; `c` keeps its default."""
    start = number(value=lines)
    data = write(lines=start.output)
    left = count(data=data.data)
    right = number(value=3)
    add(a=left.output, b=right.output)


@pipeline(name="half-broken")
def half_broken():
    """One branch fails, the other goes on."""
    bad = shout(word="luck")
    add(a=1, b=2).after(bad)
    good = number(value=1)
    add(a=good.output, b=2)


@pipeline(name="second-wind")
def second_wind(marker: str):
    flaky(marker=marker)


@pipeline(name="patient")
def patient(folder: str, seconds: float = 1.0):
    """Three in a row, with traces of each start and end."""
    first = once(folder=folder, name="first", seconds=seconds)
    second = once(folder=folder, name="second", seconds=seconds).after(first)
    once(folder=folder, name="third", seconds=seconds).after(second)


@pipeline(name="until-told")
def until_told(folder: str):
    """Goes on until a file `go` is in that folder, which its node and whoever tells it share."""
    told(folder=folder)


@pipeline(name="burst")
def burst():
    """Fifty tasks of a tenth of a core at once."""
    for n in range(50):
        tick(n=n)


@pipeline(name="needs-much")
def needs_much():
    number(value=1).with_resources(Resources(cpu=512))


@pipeline(name="elsewhere")
def elsewhere(folder: str):
    once(folder=folder, name="there", seconds=0.0).on_node("extra")


@task(resources=TINY)
def tell(when: str) -> str:
    return when


@task(resources=TINY)
def twice(word: str, when: str) -> str:
    if word != when:
        raise ValueError(f"{word} is not {when}")
    return f"{when} {when}"


@pipeline
def kicked_off():
    told = tell(when="{{$.pipeline_job_schedule_time_utc}}")
    twice(word=told, when="{{$.pipeline_job_schedule_time_utc}}")
