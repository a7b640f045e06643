"""What a carrier counts."""

from typing import Final

from prometheus_client import Counter

MADE: Final = Counter("nodewise_carrier_jobs_made_total", "Jobs that were made.")
ENDS: Final = Counter(
    "nodewise_carrier_ends_total", "Attempts that ended, by state and reason.", ["state", "reason"]
)
LOOKS: Final = Counter("nodewise_carrier_looks_total", "Looks at the cluster, by outcome.", ["outcome"])
