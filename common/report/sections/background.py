"""What stands around the studies: the verdicts in one table, the input, the machines, the recipe, the words, the sources."""
import dataclasses
from collections import Counter

from common.report.page import Page, count, escape, short, show_percent
from common.report.published import GOOGLE_ARCHIVE, REFERENCES
from common.report.results import Results, is_official
from common.studies.config import RunConfig

STAND_IN = "stand-in, not Google's release: its numbers say nothing about the published model"
DEMO = "the demo's sample, not pre-trained: its numbers say nothing at all"


def is_demo(checkpoint) -> bool:
    return checkpoint.name.startswith("demo")


def is_google_release(checkpoint) -> bool:
    return checkpoint.archive_sha256 == GOOGLE_ARCHIVE


def say_origin(checkpoint) -> str:
    if is_google_release(checkpoint):
        return "Google's release of 2020-02-20"
    return DEMO if is_demo(checkpoint) else STAND_IN


def write_input(page: Page, results: Results) -> None:
    """Checkpoints and data sets, each with its digest."""
    page.heading("Checkpoints and data", "input")
    finished = Counter(results.configs[run.config].checkpoint for run in results.finished())
    page.table(["checkpoint", "layers x hidden", "heads", "vocabulary", "SHA-256", "what it is", "finished runs"],
               [[escape(row.name), f"{row.layers} x {row.hidden_size}", str(row.heads), str(row.vocabulary),
                 f"archive {escape(row.archive_sha256)}" if row.archive_sha256 else f"content {escape(row.digest)}",
                 say_origin(row), str(finished[row.digest])] for row in results.checkpoints.values()])
    page.text("Google's release is known by the digest of its archive; a checkpoint that was given as a folder has "
              "none and counts as a stand-in.")
    page.table(["task", "set", "rows", "official rows", "majority class, %", "SHA-256 of all its sets"],
               [[escape(row.task), escape(row.set_name),
                 str(row.row_count) if is_official(row) else f"**{row.row_count}**",
                 str(row.official_rows), show_percent(row.majority), short(row.digest)] for row in results.datasets])
    if not all(map(is_official, results.datasets)):
        page.text("**Bold: not the rows of the official file.** Scores on such a set compare with no published value.")


def write_machines(page: Page, results: Results) -> None:
    """Hardware and software of the finished runs."""
    page.heading("Hardware and software", "machines")
    used = Counter(run.environment for run in results.finished() if run.environment)
    if not used:
        page.text("No run is finished.")
        return
    rows = [[escape(row.processor), str(row.cores), str(row.threads), escape(row.platform), escape(row.python),
             escape(row.tensorflow), escape(row.tf_models), escape(row.numpy), escape(row.code or "unknown"),
             str(used[digest])] for digest, row in results.environments.items() if used[digest]]
    page.table(["processor", "cores", "threads of a run", "platform", "Python", "TensorFlow", "Model Garden", "NumPy",
                "code", "finished runs"], sorted(rows))
    page.text(f"{count(len(rows), 'environment')}. A + behind the code's revision: files differed from it. A "
              "comparison that mixes environments says so.")


def write_summary(page: Page, verdicts: list[list[str]]) -> None:
    """Every verdict of the page in one table."""
    page.heading("What the original concluded, and what these runs say", "summary")
    if not verdicts:
        page.text("The store holds no study that tests it.")
        return
    page.table(["conclusion or question", "checkpoint", "scored on", "runs", "these runs say", "how"], verdicts)
    page.text("The published numbers are those of Google's BERT-mini, and a verdict on a stand-in is about that stand-in only. "
              "*Undecided* says that so many runs cannot tell.")


def write_recipe(page: Page) -> None:
    """What every run does, from the defaults of the configuration."""
    usual = {spec.name: spec.default for spec in dataclasses.fields(RunConfig)}
    page.heading("Recipe", "recipe")
    page.text("The recipe of the original, and of every run here. What a study varies, its section says; a heading names "
              "whatever else differs.")
    page.table(["setting", "value"], [
        ["input", f"at most {usual['max_length']} WordPiece tokens with [CLS] and [SEP]; pairs are truncated longest first"],
        ["split", f"the official training rows, shuffled once: {100 * (1 - usual['validation']):g} % to train on, "
                  f"{100 * usual['validation']:g} % for validation; the official dev set is the evaluation set"],
        ["head", "dropout, then one dense layer on the pooled output, truncated normal 0.02"],
        ["dropout", f"{usual['dropout']:g} for hidden states, attention weights and head"],
        ["optimizer", f"AdamW of Model Garden: beta1 {usual['beta_1']:g}, beta2 {usual['beta_2']:g}, epsilon "
                      f"{usual['epsilon']:g}, weight decay {usual['weight_decay']:g} except LayerNorm and biases, gradient "
                      f"clipped to global norm {usual['clip_norm']:g}"],
        ["schedule", f"linear warm-up over the first {100 * usual['warmup']:g} % of the steps, then linear decay to "
                     f"{usual['end_learning_rate']:g}, counted from the first step; *peak* is the rate that the warm-up aims at"],
        ["steps of an epoch", "floor(training rows / batch size); reshuffled every epoch, the remainder dropped"],
        ["validation", "after every epoch: the main metric and the loss"],
        ["instances", "differ in the initial values of the head"],
        ["number format", usual["dtype"]]])


def write_definitions(page: Page) -> None:
    page.heading("Definitions", "definitions")
    page.items([
        "**Accuracy**: share of the rows whose class is predicted. **F1**: of class 1 for MRPC and QQP, as GLUE "
        "reports it; the unweighted mean over classes elsewhere.",
        "**Evaluation set**: GLUE's official dev set, every row of it; how many is said beside each result. The "
        "original calls it the evaluation set, too.",
        "**Validation**: 5 % of the official training rows, split off before training and scored after every epoch.",
        "**Instance**: one training run of a configuration. The instances differ in the initial values of the "
        "classification head only, unless a heading says otherwise.",
        "**n**: the runs that a mean rests on, of those asked for.",
        "**±**: half of the 95 % interval of the mean over the instances, by Student's t. At n = 4 it covers 95 %, "
        "where a percentile bootstrap covers 81 %. It speaks of other instances on the same rows, not of other rows.",
        "**Sampling error** of an evaluation set: sqrt(p (1 - p) / N) for accuracy p on N rows, how far p is from the "
        "accuracy on all such text. It is common to all runs on that set, and no number of instances makes it smaller.",
        "**Majority class**: the accuracy of always naming the most frequent class of the set. A score that is not "
        "above it tells nothing of the model.",
        "**Collapsed**: a run that predicts one class for every row. It counts in its mean, and is counted beside it.",
        "**Diverged**: a run whose loss is no longer finite. It has no score and is in no mean; it is counted.",
        "**Failed**: a run that ended with an error. It has no score; it is counted. It is tried again at the "
        "next call, after three failures with `--retry-failed` only.",
        "**Set aside**: a run that somebody left out by hand, with a reason. It is in no mean; it is counted.",
        "**Training time**: the optimizer steps of one run, without start-up and evaluation, by the clock. Runs stand side "
        "by side, and whatever else the machine did lengthens it.",
    ])


def write_references(page: Page) -> None:
    page.heading("References", "references")
    page.items(REFERENCES)
