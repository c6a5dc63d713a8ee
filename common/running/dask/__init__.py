"""Runs on the workers of a Dask cluster: the executor, the members of the cluster, what a worker does, local workers."""
