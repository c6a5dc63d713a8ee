"""The training of a run: from a `Job` to a `RunResult`, and the saved classifier.

May import `studies` and `inputs`. `job`, `run`, `artifacts` and `environment` are light; what imports TensorFlow at the top
(`trainer`, `model`, `unpadded`, `masks`) is imported by them when a run begins, and by no other room.
"""
