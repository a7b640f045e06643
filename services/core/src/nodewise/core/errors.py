"""Every error that Nodewise raises on purpose.

NodewiseError
├── IllegalTransition       a life was asked to go where its table does not lead
├── InvalidPipeline         the IR breaks a rule; carries the path in the IR
│   └── UnsupportedFeature  the IR is legal, but this is not supported (yet)
├── InvalidParameters       a run's parameters do not fit its pipeline
├── UnresolvedInput         a finished task did not leave what the next one needs
├── InvalidTrigger          a schedule's cron expression, time zone or interval is none; carries the field
├── InvalidOptions          a plug-in's options break a rule; carries the place in them
├── UnknownName             no policy, strategy, run, node ... of that name; carries the known ones
├── Unplannable             a planning problem has tasks that no node can run
├── Conflict                the request contradicts what is stored
├── JobUnreadable           what lies where a job should is none, or another attempt's
├── StoreError              the artifact store
│   ├── ArtifactMissing
│   ├── ArtifactTooLarge
│   └── StoreFull
└── Unavailable             Postgres, Redis or the store does not answer now; trying again may help
"""

from collections.abc import Sequence


class NodewiseError(Exception):
    """Root of the tree. `str()` of any of these is one clear line for a person."""


class IllegalTransition(NodewiseError):
    """A (state, event) pair that the lifecycle table does not have."""

    def __init__(self, *, subject: str, state: str, event: str) -> None:
        self.subject = subject
        self.state = state
        self.event = event
        super().__init__(f"a {subject} that is {state} cannot {event}")


class InvalidPipeline(NodewiseError):
    """A rule that the IR breaks. `path` is dotted, from the root of the IR."""

    def __init__(self, path: str, rule: str) -> None:
        self.path = path
        self.rule = rule
        super().__init__(f"{path}: {rule}")


class UnsupportedFeature(InvalidPipeline):
    """Legal IR that Nodewise does not run yet. `advice` says what to do instead."""

    def __init__(self, path: str, feature: str, advice: str) -> None:
        self.feature = feature
        self.advice = advice
        super().__init__(path, f"{feature} is not supported yet; {advice}")


class InvalidParameters(NodewiseError):
    """A run parameter that is missing, unknown or of the wrong type."""

    def __init__(self, parameter: str, rule: str) -> None:
        self.parameter = parameter
        self.rule = rule
        super().__init__(f"parameter {parameter!r}: {rule}")


class InvalidTrigger(NodewiseError):
    """A cron expression, time zone or interval that is none. `field` is its name in a request."""

    def __init__(self, field: str, rule: str) -> None:
        self.field = field
        self.rule = rule
        super().__init__(f"{field}: {rule}")


class InvalidOptions(NodewiseError):
    """Options of a policy or strategy that do not say what they should. `path` is dotted, from their root."""

    def __init__(self, subject: str, path: str, rule: str) -> None:
        self.subject = subject
        self.path = path
        self.rule = rule
        super().__init__(f"options of {subject}: {path}: {rule}")


class UnresolvedInput(NodewiseError):
    """A finished task did not leave what another one needs, or left another type."""

    def __init__(self, task: str, input_name: str, rule: str) -> None:
        self.task = task
        self.input_name = input_name
        self.rule = rule
        super().__init__(f"task {task!r}, input {input_name!r}: {rule}")


class TooMuchText(UnresolvedInput):
    """Placeholders would make a text of so many characters that it is no value any more."""

    def __init__(self, rule: str) -> None:
        super().__init__("", "", rule)
        self.args = (rule,)


class UnknownName(NodewiseError):
    """Nothing of that kind has that name."""

    def __init__(self, kind: str, name: str, known: Sequence[str] = ()) -> None:
        self.kind = kind
        self.name = name
        self.known = tuple(known)
        hint = f"; known: {', '.join(known)}" if known else ""
        super().__init__(f"no {kind} named {name!r}{hint}")


class Conflict(NodewiseError):
    """The request contradicts what is stored (a key used twice, a run already ended)."""


class JobUnreadable(NodewiseError):
    """What the store has at the address of a job is no job, or that of another attempt."""

    def __init__(self, why: str) -> None:
        self.why = why
        super().__init__(f"the job cannot be read: {why}")


class StoreError(NodewiseError):
    """The artifact store refused or failed."""


class ArtifactMissing(StoreError):
    """Nothing is stored at that address."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        super().__init__(f"nothing is stored at {uri}")


class ArtifactTooLarge(StoreError):
    """More bytes were offered than allowed."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        super().__init__(f"larger than the limit of {limit_bytes} bytes")


class StoreFull(StoreError):
    """No space is left where the artifacts live."""


class Unavailable(NodewiseError):
    """A server that we need does not answer now."""


class Unplannable(NodewiseError):
    """Tasks of a problem that no node can run. `tasks` are their names as `pipeline/task`."""

    def __init__(self, tasks: Sequence[str]) -> None:
        self.tasks = tuple(tasks)
        shown = ", ".join(self.tasks[:5]) + (" ..." if len(self.tasks) > 5 else "")
        super().__init__(f"no node can run {shown}")
