"""Why a task waits and what would change that, derived from what is stored and from the cluster as it is. Pure."""
