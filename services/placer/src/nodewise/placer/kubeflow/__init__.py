"""Early binding: a run of the engine `kubeflow` is placed as a whole, then handed to KFP, once."""
