"""What Prometheus sees of the recorder."""

from typing import Final

from prometheus_client import Counter, Histogram

HEARTBEATS: Final = Counter("nodewise_heartbeats_total", "Heartbeats read, by fate.", ["fate"])
REFUSED: Final = Counter(
    "nodewise_node_messages_refused_total",
    "Messages in the name of nodes that are not believed, and reports of other nodes' attempts, by reason.",
    ["reason"],
)
MOVES: Final = Counter("nodewise_task_moves_total", "Task transitions that the recorder made.", ["event"])
ENDED_RUNS: Final = Counter("nodewise_runs_ended_total", "Runs that reached a final state.")
LOST: Final = Counter("nodewise_attempts_lost_total", "Attempts that were lost.")
GONE: Final = Counter("nodewise_nodes_gone_total", "Nodes that fell silent.")
LAG: Final = Histogram(
    "nodewise_heartbeat_lag_seconds",
    "From the sending of a heartbeat (node's clock) to its reading (ours).",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
APPLY: Final = Histogram("nodewise_heartbeat_seconds", "Duration of applying a heartbeat.")
