"""The node agent: runs the tasks of one node, each in a process of its own, and reports what became of them."""
