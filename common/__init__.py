"""Fine-tuning studies of BERT on GLUE: the parts that the experiment scripts share.

Importing any module here does no work: no file is read, no database opened and no TensorFlow loaded until a function
needs it.
"""


from pathlib import Path

PACKAGE = Path(__file__).parent
"""The folder of this package, all rooms of it."""


class UserError(Exception):
    """Something that the user must mend: one sentence saying what is wrong and what to do (exit status 2)."""


class Terminated(BaseException):
    """The process was asked to end (SIGTERM)."""
