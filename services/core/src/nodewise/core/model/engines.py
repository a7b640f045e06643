"""What can run the tasks of a run, by the names that requests, rows and settings have for it."""

from typing import Final, Literal

EngineName = Literal["agents", "kubernetes", "kubeflow"]

AGENTS: Final = "agents"
"""A process of ours on every node."""
KUBERNETES: Final = "kubernetes"
"""Jobs of a Kubernetes cluster, made by a carrier that speaks for all of its nodes."""
KUBEFLOW: Final = "kubeflow"
"""Kubeflow Pipelines, which is given whole runs."""

REPORTING: Final = (AGENTS, KUBERNETES)
"""Engines whose nodes report by heartbeat, and whose tasks get their nodes one by one, when they are ready."""
