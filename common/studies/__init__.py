"""What is asked: the tasks, the configuration of a run and its hash, studies and their conditions, and what a run is called.

Imports nothing of the other rooms. Hands out `Study`, `Condition`, `RunConfig`, `TASKS`, `get_task` and the names of runs.
"""
