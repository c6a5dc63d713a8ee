"""The GLUE tasks: one row for each, and nothing about a task is written anywhere else.

Formats, counts and metrics follow Wang et al. 2018, "GLUE" (arXiv 1804.07461), and for SNLI Bowman et al. 2015
(arXiv 1508.05326).
"""
from dataclasses import dataclass, field
from difflib import get_close_matches

from common import UserError

METRICS = ("accuracy", "f1", "matthews", "pearson", "spearman")


@dataclass(frozen=True)
class TestSet:
    """A set without labels, whose predictions the GLUE server scores."""

    file: str
    """The file in the task's folder, or beside it."""
    upload: str
    """Name of the file that the server takes."""
    rows: int
    optional: bool = False
    """Whether the set may be missing: the archives of GLUE do not hold it."""


@dataclass(frozen=True)
class Task:
    """One task: where its columns are, what its labels mean and how many rows the official files hold."""

    name: str
    """The folder of the task below the GLUE folder, e.g. `MRPC`."""
    texts: tuple
    """The one or two text columns: names from the header, or positions where the file has no header."""
    label: str | int
    """The column of the label."""
    labels: tuple[str, ...] | None
    """The classes in the order of their numbers, as the files spell them; None for a regression on 0..5."""
    train_rows: int
    """Rows of the official training file that carry a label."""
    evaluation_rows: dict
    """Evaluation set -> its official number of rows. The set `dev` is the file `dev.tsv`."""
    metric: str = "accuracy"
    """The main metric, the one that figures show."""
    f1: str = "macro"
    """`binary` (F1 of class 1, as GLUE reports for MRPC and QQP) or `macro` (unweighted mean over classes)."""
    columns: int | None = None
    """Number of columns where there is no header to count them."""
    unlabelled: str | None = None
    """A label that stands for "no label": such rows are left out (SNLI's `-`)."""
    skip_broken: bool = False
    """Leave rows with missing fields out, as TensorFlow Datasets does for QQP; elsewhere they are errors."""
    aliases: dict = field(default_factory=dict)
    """Other file names under which a set is published: set -> file name."""
    tests: tuple[TestSet, ...] = ()
    """What the GLUE server scores; nothing for SNLI, which is no task of GLUE."""
    test_texts: tuple[str, ...] | None = None
    """The text columns of the test sets, where they are called otherwise."""

    @property
    def is_regression(self) -> bool:
        return self.labels is None

    @property
    def outputs(self) -> int:
        """Width of the classification head."""
        return 1 if self.labels is None else len(self.labels)


_BINARY = ("0", "1")
_NLI = ("contradiction", "entailment", "neutral")
_ENTAILMENT = ("entailment", "not_entailment")
_PAIR = ("sentence1", "sentence2")


def _test(upload: str, rows: int) -> tuple[TestSet]:
    return (TestSet("test.tsv", upload, rows),)


_MNLI_TESTS = (TestSet("test_matched.tsv", "MNLI-m.tsv", 9796), TestSet("test_mismatched.tsv", "MNLI-mm.tsv", 9847),
               TestSet("../diagnostic/diagnostic.tsv", "AX.tsv", 1104, optional=True))

TASKS = {
    task.name: task
    for task in (
        Task("CoLA", (3,), 1, _BINARY, 8551, {"dev": 1043}, metric="matthews", columns=4,
             tests=_test("CoLA.tsv", 1063), test_texts=("sentence",)),
        Task("SST-2", ("sentence",), "label", _BINARY, 67349, {"dev": 872}, tests=_test("SST-2.tsv", 1821)),
        Task("MRPC", ("#1 String", "#2 String"), "Quality", _BINARY, 3668, {"dev": 408}, f1="binary",
             tests=_test("MRPC.tsv", 1725)),
        Task("QQP", ("question1", "question2"), "is_duplicate", _BINARY, 363846, {"dev": 40430}, f1="binary",
             skip_broken=True, tests=_test("QQP.tsv", 390965)),
        Task("STS-B", _PAIR, "score", None, 5749, {"dev": 1500}, metric="pearson",
             tests=_test("STS-B.tsv", 1379)),
        Task("MNLI", _PAIR, "gold_label", _NLI, 392702, {"dev_matched": 9815, "dev_mismatched": 9832},
             tests=_MNLI_TESTS),
        Task("SNLI", _PAIR, "gold_label", _NLI, 549367, {"dev": 9842}, unlabelled="-",
             aliases={"train": "snli_1.0_train.txt", "dev": "snli_1.0_dev.txt"}),
        Task("QNLI", ("question", "sentence"), "label", _ENTAILMENT, 104743, {"dev": 5463},
             tests=_test("QNLI.tsv", 5463)),
        Task("RTE", _PAIR, "label", _ENTAILMENT, 2490, {"dev": 277}, tests=_test("RTE.tsv", 3000)),
        Task("WNLI", _PAIR, "label", _BINARY, 635, {"dev": 71}, tests=_test("WNLI.tsv", 146)),
    )
}


OTHER_NAMES = {"MNLI-m": "MNLI", "MNLI-mm": "MNLI"}
"""One training run serves both dev sets of MNLI, so they are one task here."""


def get_task(name: str) -> Task:
    """The task of this name.

    Raises:
      UserError: no task is called so; the sentence lists those there are.
    """
    name = OTHER_NAMES.get(name, name)
    if name in TASKS:
        return TASKS[name]
    near = get_close_matches(name.upper(), [known.upper() for known in TASKS], n=1, cutoff=0.4)
    guess = next((f" Did you mean {known}?" for known in TASKS if near and known.upper() == near[0]), "")
    raise UserError(f"there is no task {name!r}.{guess} Tasks: {', '.join(TASKS)}")
