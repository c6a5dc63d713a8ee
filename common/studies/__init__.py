"""The questions: the tasks, the configuration of a run and its hash, studies and their conditions, and the names of runs.

Imports no other room. Gives `Study`, `Condition`, `RunConfig`, `TASKS`, `get_task` and the names of runs to other rooms.
"""
