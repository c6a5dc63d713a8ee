"""What the documents show is run: every query with its rows, and a task and a study added by their words."""
import itertools
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import stand_in
from test_commands import ask

from common.demo import write_checkpoint
from common.inputs.checkpoint import BERT_MINI
from common.inputs.glue import SOURCES
from common.store.schema import datasets, evaluations, runs, studies
from common.studies.tasks import TASKS

ROOT = Path(__file__).parent.parent


def code(document, language):
    """The blocks of a language in a document."""
    return re.findall(rf"^```{language}\n(.*?)^```$", (ROOT / document).read_text(), re.MULTILINE | re.DOTALL)


def queries(document):
    """Name -> statement."""
    parts = re.findall(r"^-- (.*?)$\n(.*?);$", code(document, "sql")[0], re.MULTILINE | re.DOTALL)
    return dict(parts)


@pytest.fixture
def base(fill):
    """results.db with runs of two checkpoints: run 1 to 6 of `mini`, 7 and 8 of `strong`, 9 on other rows, 10 and 11 without
    a score."""
    mini, strong = fill.checkpoint("mini", "1" * 64), fill.checkpoint("strong", "2" * 64)
    eight = fill.plan("bs_mrpc", mini, "MRPC", asked=4, batch_size=8)
    two = fill.plan("bs_mrpc", mini, "MRPC", asked=1, batch_size=2, peak_learning_rate=1e-4)
    low = fill.plan("bs_mrpc", mini, "MRPC", asked=1, batch_size=2)
    other = fill.plan("lr_mnli", strong, "MRPC", asked=2, batch_size=8)
    for instance, score in enumerate((0.70, 0.72, 0.74)):
        fill.finish(eight, instance, score)
    fill.finish(two, 0, 0.71)
    fill.finish(low, 0, 0.6838, collapsed=1)
    fill.finish(eight, 3, 0.9)
    fill.finish(other, 0, 0.80)
    fill.finish(other, 1, 0.82)
    fill.insert(datasets, digest="f" * 64, set_name="dev", task="RTE", row_count=5, official_rows=277, majority=0.6)
    quick = fill.plan("quick", mini, "RTE", asked=1, batch_size=8)
    with fill.store.writing() as connection:
        connection.exec_driver_sql("UPDATE configs SET data = ? WHERE hash = ?", ("f" * 64, quick.hash))
    run = fill.insert(runs, config=quick.hash, instance=0, status="done", training_seconds=3600.0)
    fill.insert(evaluations, run=run, **stand_in.make_evaluation(0.6, row_count=5))
    fill.insert(runs, config=quick.hash, instance=1, status="failed", error="out of memory")
    fill.insert(studies, study="all", config=two.hash, instances=1)
    curve = [(1, "validation", "accuracy", step, step / 435, value) for step, value in ((435, 0.6), (870, 0.7))]
    connection = sqlite3.connect("results.db")
    connection.executemany("INSERT INTO measurements (run, split, metric, step, epoch, value) VALUES (?, ?, ?, ?, ?, ?)", curve)
    for run, predicted in ((7, b"10"), (8, b"00")):
        connection.execute("INSERT INTO outputs VALUES (?, 'dev', 1, ?, '')", (run, predicted))
    connection.execute("INSERT INTO labels VALUES (?, 'dev', 1, ?)", (stand_in.DATA, b"11"))
    connection.execute("UPDATE runs SET training_seconds = 200 WHERE id = 2")
    connection.execute("UPDATE runs SET set_aside = 'fan was broken' WHERE id = 6")
    connection.commit()
    yield connection, {"eight": eight.hash}
    connection.close()


ROWS = {
    "mean score by batch size": [
        ("mini", "MRPC", 2, 2e-5, 1, 0.6838, None), ("mini", "MRPC", 2, 1e-4, 1, 0.71, None),
        ("mini", "MRPC", 8, 2e-5, 3, 0.72, 0.02), ("mini", "RTE", 8, 2e-5, 1, 0.6, None),
        ("strong", "MRPC", 8, 2e-5, 2, 0.81, 0.014142)],
    "best learning rate for each batch size": [
        ("mini", "MRPC", "dev", 2, 1e-4, 1, 0.71), ("mini", "MRPC", "dev", 8, 2e-5, 3, 0.72),
        ("mini", "RTE", "dev", 8, 2e-5, 1, 0.6), ("strong", "MRPC", "dev", 8, 2e-5, 2, 0.81)],
    "learning curve of one run": [(1.0, "accuracy", 0.6), (2.0, "accuracy", 0.7)],
    "runs slower than the median of their configuration by a tenth": [(2, 200.0, 102.0)],
    "rows of an evaluation set that no run gets right": [("MRPC", "dev", 2, 1, 2)],
    "what is missing": [("bs_mrpc", "MRPC", 8, 2e-5, 1)],
    "what failed, and why": [(10, "RTE", 8, 1, "out of memory")],
    "two checkpoints compared": [("MRPC", "dev", 8, 2e-5, 0.72, 0.81, 0.09)],
    "collapsed runs: one class for every row": [(5, "mini", "MRPC", "dev", 2, 0.6838)],
    "hours of training by study": [("all", 1, 0.0), ("bs_mrpc", 6, 0.2), ("lr_mnli", 2, 0.1), ("quick", 1, 1.0)],
    "scores that are not over the official rows": [(9, "RTE", "dev", 5, 277)],
    "what was left out": [(6, "eight", 3, "fan was broken")],
}
LEAVE_OUT = "leave a run out, with a reason: the views skip it, the report counts it, and the next call trains it again"


def rounded(rows):
    return [tuple(round(value, 6) if isinstance(value, float) else value for value in row) for row in rows]


def test_every_query_gives_its_rows(base):
    connection, hashes = base
    shown = queries("docs/queries.md")
    assert list(shown) == [*list(ROWS)[:-1], LEAVE_OUT, list(ROWS)[-1]]
    for name, rows in ROWS.items():
        rows = [tuple(hashes.get(value, value) for value in row) for row in rows]
        assert rounded(connection.execute(shown[name]).fetchall()) == rows, name


def test_a_run_is_left_out_by_hand(base):
    connection, _ = base
    assert connection.execute(queries("docs/queries.md")[LEAVE_OUT]).rowcount == 1
    assert connection.execute("select instance from results where checkpoint = 'strong'").fetchall() == [(1,)]
    assert (7, "machine was overheating") in [(row[0], row[3]) for row in connection.execute(
        queries("docs/queries.md")["what was left out"])]


def test_the_page_about_stores_shows_some_of_them():
    every = queries("docs/queries.md")
    shown = queries("docs/stores.md")
    assert len(shown) == 3
    assert shown.items() <= every.items()


@pytest.mark.tensorflow
@pytest.mark.slow
def test_a_task_and_a_study_are_added_by_the_words_of_the_document(tmp_path):
    row, study, notebook = code("docs/extending.md", "python")
    for name in ("common", "exp_allglue.py"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    table, first = tmp_path / "common" / "studies" / "tasks.py", '        Task("CoLA"'
    table.write_text(table.read_text().replace(first, f"        {row.strip()}\n{first}"))
    (tmp_path / "exp_lr_scitail.py").write_text(study)
    (tmp_path / "glue" / "SciTail").mkdir(parents=True)
    for name, rows in (("train", 40), ("dev", 20)):
        lines = [f"a trader sold the house .\t{('a trader', 'the mayor')[number % 2]}\t{('entails', 'neutral')[number % 2]}\n"
                 for number in range(rows)]
        (tmp_path / "glue" / "SciTail" / f"scitail_1.0_{name}.tsv").write_text("".join(lines))
    (tmp_path / "checkpoint").mkdir()
    write_checkpoint(tmp_path / "checkpoint")

    def call(script, *arguments):
        given = ["--glue-dir", "glue", "--checkpoint", "checkpoint/demo_L-2_H-64_A-2.zip", "--allow-other-rows", *arguments]
        return subprocess.run([sys.executable, script, *given], cwd=tmp_path, capture_output=True, text=True, timeout=300,
                              env=os.environ | {"BERT_GLUE_CACHE": str(tmp_path / "cache")})

    plan = call("exp_lr_scitail.py", "--dry-run")
    assert "12 runs would be trained" in plan.stdout, plan.stderr
    done = call("exp_lr_scitail.py", "--instances", "1", "--rates", "1e-3")
    assert done.returncode == 0, done.stderr
    assert ask(tmp_path / "results.db", "select task, evaluation_set, row_count, batch_size from results") == [
        ("SciTail", "dev", 20, 32)]
    assert ask(tmp_path / "results.db", "select distinct study from studies") == [("lr_scitail",)]
    assert call("exp_allglue.py", "--tasks", "SciTail", "--dry-run").returncode == 0

    done = subprocess.run([sys.executable, "-"], input=notebook, cwd=tmp_path, capture_output=True, text=True, timeout=300,
                          env=os.environ | {"BERT_GLUE_CACHE": str(tmp_path / "cache")})
    assert done.stdout == "2 runs of the study are in results.db\n[]\n", done.stderr
    assert ask(tmp_path / "results.db", "select dropout, count(*) from results where config in (select hash from configs "
               "where json like '%\"warmup\":0.2%') group by 1 order by 1") == [(0.0, 1), (0.1, 1)]
    assert len(list((tmp_path / "models").iterdir())) == 2


def test_the_scripts_for_clusters_can_be_read_by_python():
    scripts = code("docs/running.md", "python")
    assert [re.match('"""(\\w+[.]py)', script)[1] for script in scripts] == ["on_slurm.py", "on_kubernetes.py"]
    for script in scripts:
        compile(script, "script", "exec")


PAGES = sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))
DOCUMENTS = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", *PAGES]


def anchors(path):
    """What a link may name behind # in a Markdown file: its headings as GitHub names them, and anchors of its own."""
    text = re.sub(r"^```.*?^```$", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {*(re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings),
            *re.findall(r'<a id="([^"]+)"', text)}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document):
    path = ROOT / document
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", path.read_text()):
        there = path.parent / target if target else path
        assert there.exists(), target
        assert not anchor or anchor in anchors(there), f"{target}#{anchor}"


def test_every_page_is_reached_from_the_readme():
    linked = {target.split("#")[0] for target in re.findall(r"\]\(([^)]+)\)", (ROOT / "README.md").read_text())}
    assert [document for document in DOCUMENTS[1:] if document not in linked] == []


def table(document, heading):
    """The rows below a table's first line."""
    lines = (ROOT / document).read_text().splitlines()
    below = lines[lines.index(heading) + 2:]
    return [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in
            itertools.takewhile(lambda line: line.startswith("|"), below)]


def test_the_page_about_inputs_lists_every_address_and_size():
    files = [(task, address, f"{source.size:,}") for task, sources in SOURCES.items() for source in sources
             for address in (source.url, *source.others)]
    assert table("docs/inputs.md", "| what | address | bytes |") == [("BERT-mini", BERT_MINI.url, ""), *files]
    assert f"All of GLUE is {sum(source.size for each in SOURCES.values() for source in each) / 1e6:.0f} MB" in (
        ROOT / "docs/inputs.md").read_text()


def test_every_package_has_a_reason():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    every = [*project["dependencies"], *itertools.chain(*project["optional-dependencies"].values())]
    said = " ".join(row[-2] for heading in ("| package | what it does here |", "| extra | package | what it does here |")
                    for row in table("docs/packages.md", heading)).replace(",", "").split()
    assert sorted(re.match(r"[\w-]+", word)[0] for word in said if not word.startswith("(")) == sorted(
        re.match(r"[\w-]+", requirement)[0] for requirement in every)


def test_troubleshooting_quotes_what_the_program_says():
    source = "".join(re.sub(r'"\s*\n\s*f?"', "", path.read_text()) for path in (ROOT / "common").rglob("*.py"))
    quoted = re.findall(r'\*"(.*?)"\*', (ROOT / "docs/troubleshooting.md").read_text())
    assert len(quoted) > 6
    assert [words for words in quoted if words not in source] == []


SCORES = """select batch_size, avg(score) from results where checkpoint = ? and task = ? and epochs = 5 and dtype = 'float32'
    and dropout = 0.1 and peak_learning_rate = 2e-5 and steps is null and limit_train is ? group by batch_size"""
ONE_CELL = """select avg(score) from results where task = 'SNLI' and limit_train = 4000 and epochs = 5 and batch_size = ?
    and peak_learning_rate = ? and dropout = 0.1 and steps is null"""
PLAIN = """select task, score from results where checkpoint = 'standin_uncased_L-4_H-256_A-4' and epochs = 4
    and peak_learning_rate = 2e-5 and limit_train is null and instance = 0"""
TUNED = """select batch_size, avg(score) from results where checkpoint = 'minilm_L-6_H-384_A-12' and task = 'MRPC' and epochs = 5
    and dropout = 0.1 and steps is null and peak_learning_rate = iif(batch_size = 2, 2e-5, 8e-5) group by batch_size"""
BY_RATE = """select batch_size, peak_learning_rate, avg(score) from results where task = ? and evaluation_set = ?
    and limit_train is ? and epochs = 5 and steps is null and dropout = 0.1 and checkpoint = 'standin_uncased_L-4_H-256_A-4'
    group by 1, 2"""
WHY = {"because of dropout in training": "undecided", "because as many epochs are more steps": "supported",
       "because the rate does not grow in proportion to the batch size": "supported",
       "because the rate does not grow with the square root of the batch size": "supported",
       "because one rate does not suit every batch size": "undecided"}


def test_the_readme_says_what_the_committed_store_and_report_say():
    """Where this fails after runs were added, those lines of README.md are to be written again."""
    text, report = ((ROOT / name).read_text() for name in ("README.md", "REPORT.md"))
    connection = sqlite3.connect(f"file:{ROOT / 'results.db'}?mode=ro", uri=True)
    mini = "standin_uncased_L-4_H-256_A-4"
    scores, minilm, four, small = ({size: f"{100 * score:.1f} %" for size, score in connection.execute(SCORES, data)} for data in
                             ((mini, "MRPC", None), ("minilm_L-6_H-384_A-12", "MRPC", None),
                              ("minilm_first-4_L-4_H-384_A-12", "MRPC", None), (mini, "SNLI", 4000)))
    best = [f"{100 * connection.execute(ONE_CELL, cell).fetchone()[0]:.1f} %" for cell in
            ((64, 2e-4), (128, 3e-4), (8, 8e-5), (64, 1.2e-3), (128, 1.2e-3))]
    plain = dict(connection.execute(PLAIN))
    tuned = {size: f"{100 * score:.1f} %" for size, score in connection.execute(TUNED)}
    mnli, snli, part = ({(size, rate): 100 * score for size, rate, score in connection.execute(BY_RATE, data)} for data in
                  (("MNLI", "dev_matched", None), ("SNLI", "dev", 4000), ("MNLI", "dev_matched", 4000)))
    connection.close()
    assert [max((cell for cell in mnli if cell[0] == size), key=mnli.get) for size in (64, 128)] == [(64, 2e-4), (128, 2e-4)]
    assert f"both batch sizes score best at 2e-4: 64 has {mnli[64, 2e-4]:.1f} % ({mnli[64, 1e-4]:.1f} % at\n  1e-4)" in text
    assert f"128 has {mnli[128, 2e-4]:.1f} % ({mnli[128, 1e-4]:.1f} % at 1e-4). That a larger batch needs a larger rate" in text
    assert sorted(plain) == sorted(TASKS)
    assert f"{100 * plain['SST-2']:.1f} % on SST-2, {100 * plain['SNLI']:.1f} % on\n  SNLI; MRPC, RTE and WNLI stay" in text
    assert "- Not above the majority class by more than two standard errors of the set (MRPC, RTE, WNLI)." in report
    assert f"4,000 rows of MNLI ({part[2, 2e-5]:.1f} % and {part[64, 2e-5]:.1f} %) the same four end it, or nearly\n" in text
    reasons = r"(more steps|in proportion|square root|one rate)[^(]* [(]36 runs; [^;()]*; ((?:also|[*]+supp[a-z*]+) with [^()]*)"
    both = f"with {mini} on SNLI and on MNLI"
    assert dict(re.findall(reasons, report)) == {**dict.fromkeys(("more steps", "in proportion", "square root"), f"also {both}"),
                                                 "one rate": f"**supported** {both}"}
    assert "**Why?** Five reasons were tested on MRPC (minilm_L-6_H-384_A-12) by" in report
    assert "With MiniLM-L6 on MRPC the first three end it (**supported**, each); with the best of four rates" in text
    assert f" {tuned[2]} at batch size 2, {tuned[8]} at 8, {tuned[16]} at 16, {tuned[32]} at 32 and {tuned[64]} at 64" in text
    assert re.search(r"best rate of each +" + "".join(
        rf"[|] {score[:4]} ± \d[.]\d [(]n = 4, at {2 if size == 2 else 8}e-5[)] +" for size, score in tuned.items()), report)
    assert re.search(rf"as many epochs are more steps +[|] MRPC, {mini} +[|] 37 runs .*[*][*]undecided", report)
    assert "With the stand-in on MRPC, whose scores lie close to the majority class, equal steps are **undecided**, too." in text
    assert "Dropout\n  is **undecided** wherever its runs are all in." in text
    assert [each for each in re.findall(r"because of dropout in training +[|] [^|]*[|] [0-9]+ runs .*?[*][*](.*?)[*][*]", report)
            if each != "undecided"] == []
    for place in ("SNLI, standin_uncased_L-4_H-256_A-4, first 4000 training rows +[|] 41", "MRPC, minilm_L-6_H-384_A-12 +[|] 40"):
        assert re.search(rf"because of dropout in training +[|] {place} runs .*[*][*]undecided", report)
    assert re.search(r"because of dropout in training +[|] MNLI dev_matched, .*[|] 40 runs .*[*][*]undecided", report)
    assert f"4,000 rows of SNLI ({small[2]} at batch size 2, {small[64]} at 64)" in text
    assert f"2e-5 (**supported**): {scores[2]} at batch size 2, {scores[8]} at 8, {scores[64]} at 64.\n" in text
    assert f"twice as large (**supported**): {minilm[2]}, {minilm[8]} and {minilm[64]}. With the first four" in text
    assert f"(minilm_first-4) accuracy is {four[2]}, {four[8]} and {four[64]} (**supported**).\n" in text
    assert "points) and with minilm_first-4_L-4_H-384_A-12 (20 runs; −0.95 [" in report
    assert "is also **supported** with minilm_L-6_H-384_A-12 (20 runs; −1.15 [" in report  # twice -0.54, the slope before it
    assert f"batch 64 is best at 2e-4\n  ({best[0]})" in text and f"batch 128 at 3e-4 ({best[1]})" in text
    assert f"at 1.2e-3 they have {best[3]} and {best[4]}.".replace(" % and", " and") in text
    assert f"best combination on SNLI is batch 8 at 8e-5 ({best[2]})" in text and "**batch 8 at 8e-5**" in report
    assert [max((cell for cell in snli if cell[0] == size), key=snli.get) for size in (64, 128)] == [(64, 2e-4), (128, 3e-4)]
    said = dict(re.findall(r"^[|] ([^|]*?) +[|] [*][*]([a-z ]+)[*][*]", report, re.MULTILINE))
    assert "On MNLI (32 runs) the best peak rate is **2e-4 at batch 64**: " in report
    assert "best at peak rate 1e-4 is **undecided** (**contradicted** on SNLI); that batch size 128 is best at peak rate 1e-4 " \
           "or 2e-4 is **undecided**; that a larger batch needs a larger rate is **supported** (+" in report
    assert "points for each doubling of both batch size and rate; also on SNLI).\n" in report
    assert said["smaller batch sizes reach the better accuracy (the original)"] == "supported"
    assert {reason: said[f"small batches do better {reason} (an open question of the original)"] for reason in WHY} == WHY
    assert said["the head's initial values add to the spread between runs (Dodge et al. 2020)"] == "supported"
    assert said["data order and dropout masks add to the spread between runs (Dodge et al. 2020)"] == "undecided"
    assert "masks do is **undecided** (**supported** on SNLI)." in report
