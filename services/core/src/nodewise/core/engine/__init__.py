"""Engines: what carries a placed task to where it runs, one module each. Found by the entry points `nodewise.engines`."""
