"""Who runs a study: from what is missing to recorded runs, in processes here or on a cluster.

May import all rooms but `report`. Hands out `run_study` and `StudyRun`, which the command line and notebooks call.
"""
