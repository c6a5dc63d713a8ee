"""Fine-tuning studies of BERT on GLUE: the parts that the experiment scripts share.

    from common import Condition, Study, run_study, load_classifier

are the names for other programs and notebooks; the rest may move. Importing any module here does no work: no file is read, no
database opened and no TensorFlow loaded until a function needs it.
"""
import importlib
from pathlib import Path

PACKAGE = Path(__file__).parent
"""The folder of this package, all rooms of it."""


class UserError(Exception):
    """Something that the user must fix: one sentence saying what is wrong and what to do (exit status 2)."""


class Terminated(BaseException):
    """The process was asked to end (SIGTERM)."""


PUBLIC = {"Condition": "common.studies.study", "Study": "common.studies.study", "run_study": "common.running.study_run",
          "load_classifier": "common.training.classifier"}
"""Public name -> its module, which is imported when the name is used (PEP 562)."""


def __getattr__(name: str):
    if name not in PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(PUBLIC[name]), name)
