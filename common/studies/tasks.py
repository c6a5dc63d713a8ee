"""The GLUE tasks: one row for each, and nothing about a task is written anywhere else.

Formats, counts and metrics follow Wang et al. 2018, "GLUE" (arXiv 1804.07461), and for SNLI Bowman et al. 2015
(arXiv 1508.05326).
"""
import re
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
    hub: str = ""
    """The same set in the files of the Hugging Face hub, where it is not called as the file; relative to the task's folder."""


@dataclass(frozen=True)
class HubForm:
    """A task as it is on the Hugging Face hub, in `nyu-mll/glue` or `stanfordnlp/snli`."""

    name: str
    """Name of its configuration there, which is that of its folder: `sst2`."""
    texts: tuple[str, ...]
    """The text columns there, in our order; the label's column is `label`."""
    labels: dict[str, str] | None = None
    """Classes in the order of their numbers there: name there -> name in GLUE's files; None for a regression."""


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
    """Labelled rows of the official training file."""
    evaluation_rows: dict
    """Evaluation set -> its official number of rows. The set `dev` is the file `dev.tsv`."""
    metric: str = "accuracy"
    """The main metric, the one that figures show."""
    f1: str = "macro"
    """`binary` (F1 of class 1, as GLUE reports for MRPC and QQP) or `macro` (unweighted mean over classes)."""
    columns: int | None = None
    """Number of columns where there is no header to count them."""
    unlabelled: str | None = None
    """The label that means "no label": such rows are left out (SNLI's `-`)."""
    skip_broken: bool = False
    """Leave rows with missing fields out, as TensorFlow Datasets does for QQP; elsewhere they are errors."""
    aliases: dict = field(default_factory=dict)
    """Other file names under which a set is published: set -> file name."""
    tests: tuple[TestSet, ...] = ()
    """What the GLUE server scores; nothing for SNLI, which is not a GLUE task."""
    test_texts: tuple[str, ...] | None = None
    """The text columns of the test sets, where they are called otherwise."""
    extra_columns: int = 0
    """How many more columns than the header a row may have, before the last one (SNLI: labels of four more annotators)."""
    csv_quotes: bool = False
    """Whether the quotes of the official files are doubled, as csv writers do (QQP)."""
    hub: HubForm | None = None
    """The same rows in the files of the Hugging Face hub."""
    digest: str | None = None
    """Digest of the official training and evaluation rows (`common.inputs.reading`), where it is known."""

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
_PREMISE = ("premise", "hypothesis")
_NLI_ON_HUB = {"entailment": "entailment", "neutral": "neutral", "contradiction": "contradiction"}
_ENTAILMENT_ON_HUB = {"entailment": "entailment", "not_entailment": "not_entailment"}


def _test(upload: str, rows: int) -> tuple[TestSet]:
    return (TestSet("test.tsv", upload, rows),)


_MNLI_TESTS = (TestSet("test_matched.tsv", "MNLI-m.tsv", 9796), TestSet("test_mismatched.tsv", "MNLI-mm.tsv", 9847),
               TestSet("../diagnostic/diagnostic.tsv", "AX.tsv", 1104, optional=True, hub="../ax/test"))

TASKS = {
    task.name: task
    for task in (
        Task("CoLA", (3,), 1, _BINARY, 8551, {"dev": 1043}, metric="matthews", columns=4,
             tests=_test("CoLA.tsv", 1063), test_texts=("sentence",),
             hub=HubForm("cola", ("sentence",), {"unacceptable": "0", "acceptable": "1"}),
             digest="d759c278d308d48b1044bdc20be36c19c02390de26558c57db5af7acd720bc5f"),
        Task("SST-2", ("sentence",), "label", _BINARY, 67349, {"dev": 872}, tests=_test("SST-2.tsv", 1821),
             hub=HubForm("sst2", ("sentence",), {"negative": "0", "positive": "1"}),
             digest="c4e56a6029f3008c07bf99610e52bc1a1936bd435f80c952d94da0bdc56c9234"),
        Task("MRPC", ("#1 String", "#2 String"), "Quality", _BINARY, 3668, {"dev": 408}, f1="binary",
             tests=_test("MRPC.tsv", 1725), hub=HubForm("mrpc", _PAIR, {"not_equivalent": "0", "equivalent": "1"}),
             digest="abde22d3446298dcc18754ae983043eaf42eabef626614801d4d3a0fc996ed50"),
        Task("QQP", ("question1", "question2"), "is_duplicate", _BINARY, 363846, {"dev": 40430}, f1="binary",
             skip_broken=True, csv_quotes=True, tests=_test("QQP.tsv", 390965),
             hub=HubForm("qqp", ("question1", "question2"), {"not_duplicate": "0", "duplicate": "1"})),
        Task("STS-B", _PAIR, "score", None, 5749, {"dev": 1500}, metric="pearson",
             tests=_test("STS-B.tsv", 1379), hub=HubForm("stsb", _PAIR),
             digest="5f9d1d6eda42d7f588ff68491806c18398bcd5caa76d231af497c813655f5771"),
        Task("MNLI", _PAIR, "gold_label", _NLI, 392702, {"dev_matched": 9815, "dev_mismatched": 9832},
             tests=_MNLI_TESTS, hub=HubForm("mnli", _PREMISE, _NLI_ON_HUB)),
        Task("SNLI", _PAIR, "gold_label", _NLI, 549367, {"dev": 9842}, unlabelled="-", extra_columns=4,
             aliases={"train": "snli_1.0_train.txt", "dev": "snli_1.0_dev.txt"}, hub=HubForm("snli", _PREMISE, _NLI_ON_HUB)),
        Task("QNLI", ("question", "sentence"), "label", _ENTAILMENT, 104743, {"dev": 5463},
             tests=_test("QNLI.tsv", 5463), hub=HubForm("qnli", ("question", "sentence"), _ENTAILMENT_ON_HUB)),
        Task("RTE", _PAIR, "label", _ENTAILMENT, 2490, {"dev": 277}, tests=_test("RTE.tsv", 3000),
             hub=HubForm("rte", _PAIR, _ENTAILMENT_ON_HUB),
             digest="1f66de2bc49e1f93abda2afa5704f5c142ba56ed398adabe449a97377fe0dd82"),
        Task("WNLI", _PAIR, "label", _BINARY, 635, {"dev": 71}, tests=_test("WNLI.tsv", 146),
             hub=HubForm("wnli", _PAIR, {"not_entailment": "0", "entailment": "1"}),
             digest="188fbc1f4c0ffc5e01c481e70fd616cabe16fabb9e1ce2daeccfe59e58519a11"),
    )
}


OTHER_NAMES = {"mnlim": "MNLI", "mnlimm": "MNLI", "mnlimatched": "MNLI", "mnlimismatched": "MNLI"}
"""One training run serves both dev sets of MNLI, so they are one task here."""


def get_task(name: str) -> Task:
    """The task of this name, in any case and with or without its hyphen: `STS-B`, `sts-b`, `stsb`.

    Raises:
      UserError: there is no such task; the sentence lists the tasks.
    """
    task = find_task(name)
    if task:
        return task
    near = get_close_matches(name.upper(), [known.upper() for known in TASKS], n=1, cutoff=0.4)
    guess = next((f" Did you mean {known}?" for known in TASKS if near and known.upper() == near[0]), "")
    raise UserError(f"there is no task {name!r}.{guess} Tasks: {', '.join(TASKS)}")


def find_task(name: str) -> Task | None:
    """As `get_task`; None where there is no such task."""
    key = _simplify(name)
    return TASKS.get(OTHER_NAMES.get(key) or next((known for known in TASKS if _simplify(known) == key), ""))


def _simplify(name: str) -> str:
    return re.sub("[-_ ]", "", name.lower())


def has_official_rows(task: str, digest: str, rows: int, official: int) -> bool:
    """Whether a set of a task holds the official rows.

    Args:
      task: its name.
      digest: digest of the task's rows; decides where the official one is known.
      rows, official: how many rows the set and the official file have; decide elsewhere.
    """
    known = TASKS[task].digest if task in TASKS else None
    return digest == known if known else rows == official
