"""What a newcomer can meet, as one line that also says what to do."""

from nodewise.core.errors import NodewiseError


class StackError(NodewiseError):
    """The stack cannot do what it was asked; `advice` is the next step for a person."""

    def __init__(self, problem: str, advice: str) -> None:
        self.problem = problem
        self.advice = advice
        super().__init__(f"{problem}; {advice}")


class CannotStart(StackError):
    """A process ended, or did not answer in time, when it was started for the first time."""

    def __init__(self, name: str, reason: str, *, log: str, last_line: str) -> None:
        self.name = name
        self.reason = reason
        said = f" (its last line: {last_line})" if last_line else ""
        super().__init__(f"{name} cannot start: {reason}{said}", f"read {log}, then try `nodewise doctor`")
