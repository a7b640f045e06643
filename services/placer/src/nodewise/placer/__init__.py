"""Maps admitted tasks to nodes with a strategy, books their capacity, hands them to the engine."""
