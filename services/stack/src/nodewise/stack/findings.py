"""What the doctor says: values, which portions of others use as well."""

from nodewise.core.findings import Finding, Level, fail, ok, warn

__all__ = ["Finding", "Level", "fail", "ok", "warn"]
