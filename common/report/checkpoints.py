"""What a checkpoint, a row of the store, is: Google's release, a stand-in or the demo's."""
import sqlalchemy as sa

from common.report.published import GOOGLE_ARCHIVE

STAND_IN = "a stand-in, not Google's release: its numbers say nothing about the published model"
DEMO = "the demo's sample, not pre-trained: its numbers say nothing at all"


def is_demo(checkpoint: sa.Row) -> bool:
    return checkpoint.name.startswith("demo")


def is_google_release(checkpoint: sa.Row) -> bool:
    """Whether it is the published model, by the digest of its archive."""
    return checkpoint.archive_sha256 == GOOGLE_ARCHIVE


def say_origin(checkpoint: sa.Row) -> str:
    if is_google_release(checkpoint):
        return "Google's release of 2020-02-20"
    return DEMO if is_demo(checkpoint) else STAND_IN
