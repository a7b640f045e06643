"""What tasks and attempts say of the predictions that they were placed by."""

from typing import Final

from pydantic import BaseModel, Field

from nodewise.core.estimates.learning import Basis


class Predicted(BaseModel):
    """What was believed of a run time and a peak of memory on the chosen node, when it was chosen.

    Null: unknown, or placed by a release that did not say it.
    """

    predicted_seconds: float | None = Field(description="The median.")
    predicted_low: float | None = Field(description="Seconds; the outcome lies within low..high ...")
    predicted_high: float | None
    prediction_level: float | None = Field(description="... with this probability.")
    prediction_basis: Basis | None = Field(
        description="prior: effort and node facts only; pooled: also other pairs of task class and node class; "
        "learned: also runs of this very pair."
    )
    prediction_samples: int | None = Field(description="Runs of this very pair seen before.")
    predicted_memory_mib: float | None = Field(description="Expected peak of memory, the median.")
    predicted_memory_low: float | None
    predicted_memory_high: float | None


PREDICTED: Final[dict[str, object]] = {
    "predicted_seconds": 4.1,
    "predicted_low": 3.4,
    "predicted_high": 4.9,
    "prediction_level": 0.8,
    "prediction_basis": "learned",
    "prediction_samples": 12,
    "predicted_memory_mib": 301.5,
    "predicted_memory_low": 262.0,
    "predicted_memory_high": 347.0,
}
"""An example of these fields."""
