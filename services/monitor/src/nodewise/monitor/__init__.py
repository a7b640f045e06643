"""The monitor: folds what the nodes are doing into one view of the cluster, with the time of every figure."""
