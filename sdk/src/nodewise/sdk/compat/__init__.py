"""The authoring interfaces of other systems, for scripts that already exist."""
