"""Runs on the workers of a Dask cluster: the executor, the members of the cluster, what a worker does, local workers.

Importing it raises a `UserError` where Dask, which is an extra, is not installed.
"""
import importlib.util

from common import UserError

if importlib.util.find_spec("distributed") is None:
    raise UserError("--cluster needs the package distributed (Dask), which is not installed; install it with `make .venv/all`")
