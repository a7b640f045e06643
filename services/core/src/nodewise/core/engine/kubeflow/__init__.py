"""The engine of Kubeflow Pipelines: all leaf tasks of a run are placed in its IR at admission, KFP runs the DAG.

`placement` edits the IR; `submission` makes one KFP run of one of ours, whatever breaks in between; `following` reads
what became of it. Nothing here writes rows: who calls it does.
"""
