"""The recorder's part of the engine `kubeflow`: which nodes there are, and what became of the runs that KFP has."""
