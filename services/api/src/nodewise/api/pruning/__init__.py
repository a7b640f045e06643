"""Retention: what ended long ago goes, step by step, with all that only it had in the artifact store."""
