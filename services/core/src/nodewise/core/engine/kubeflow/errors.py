"""What can go wrong between us and KFP.

NodewiseError
├── Unavailable
│   ├── KfpUnavailable        down, slow, 5xx, or something else answers; says whether the request may have had its effect
│   └── SubmissionUncertain   a run may or may not be there; ask again later, post nothing
├── KfpRefused                KFP answered that it will not; trying again does not help
│   └── KfpUnauthorized       it does not know us, or does not let us
└── PlacementConflict         the pipeline's own constraints and the chosen nodes contradict
"""

from datetime import datetime

from nodewise.core.errors import NodewiseError, Unavailable


class KfpUnavailable(Unavailable):
    """KFP does not answer as KFP does. `uncertain`: the request may have had its effect all the same."""

    def __init__(self, request: str, problem: str, *, uncertain: bool) -> None:
        self.request = request
        self.problem = problem
        self.uncertain = uncertain
        super().__init__(f"Kubeflow Pipelines is not available: {request}: {problem}")


class SubmissionUncertain(Unavailable):
    """A post of this run was not answered, and KFP does not show the run yet. Not before `until` is another post safe."""

    def __init__(self, run_id: str, until: datetime) -> None:
        self.run_id = run_id
        self.until = until
        super().__init__(
            f"run {run_id} may be on its way into Kubeflow Pipelines; it is not posted again before {until:%H:%M:%S} UTC"
        )


class KfpRefused(NodewiseError):
    """KFP refused. `status` is HTTP's, `message` KFP's own."""

    def __init__(self, request: str, status: int, message: str) -> None:
        self.request = request
        self.status = status
        self.message = message
        super().__init__(f"Kubeflow Pipelines refused {request} ({status}): {message}")


class KfpUnauthorized(KfpRefused):
    """The token, cookie or account is missing, wrong or not allowed to."""


class PlacementConflict(NodewiseError):
    """The nodes chosen for a task are not among those that its pipeline allows. `path` is dotted, in the platform section."""

    def __init__(self, path: str, rule: str) -> None:
        self.path = path
        self.rule = rule
        super().__init__(f"{path}: {rule}")
