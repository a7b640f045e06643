"""The policies that come with Nodewise, one a file. Pure; found by the entry points `nodewise.policies`."""
