"""Writing tasks and pipelines as plain typed functions. Nothing here imports kfp before a pipeline is compiled."""
