"""What every worker process needs, imported once by the server that they are forked from.

Importing TensorFlow starts no threads, which a fork would lose. Its runtime is set up in the worker.
"""
import gc
import os

from common.training.environment import choose_tensorflow_options, environment_row

choose_tensorflow_options()
environment_row(1)  # remembers the digest of the code as it is now, when it is imported
_errors = os.dup(2)
_silence = os.open(os.devnull, os.O_WRONLY)
os.dup2(_silence, 2)
gc.disable()  # it would look through all modules again and again: a quarter of the time that the imports take
try:
    import scipy.stats  # noqa: F401
    import sklearn.metrics  # noqa: F401
    from official.nlp.tools import tokenization  # noqa: F401

    import common.training.trainer  # noqa: F401
finally:
    gc.freeze()  # nor is it to look through them in every worker
    gc.enable()
    os.dup2(_errors, 2)
    os.close(_errors)
    os.close(_silence)
