"""The strategies that come with Nodewise, one a file. Pure; found by the entry points `nodewise.strategies`."""
