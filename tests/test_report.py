"""The report on small stores, filled row by row: literal lines of REPORT.md, and pictures that are there."""
import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import stand_in

import make_report
from common.report import build_report
from common.report.page import escape
from common.report.protocol import CLAIMS
from common.store.schema import checkpoints, configs, datasets, environments, evaluations, measurements, runs, studies
from common.store.store import Store, _config_row

ROOT = Path(__file__).parent.parent
GOOGLE = "5f087a0c6c73aed0b0a13f9a99dade56bece97d0594b713195821e031266fae9"
SIZES = (2, 8, 16, 32, 64)
SMALLER = "smaller batch sizes reach the better accuracy"
FINISHED = "2027-01-01T00:00:00+00:00"
STEPS = {2: 8710, 8: 2175, 16: 1085, 32: 540, 64: 270}


class Filler:
    """Writes rows into a store as finished runs would have."""

    def __init__(self, path):
        self.store = Store(path)
        self.insert(environments, **stand_in.ENVIRONMENT_ROW)
        for row in stand_in.DATA_ROWS:
            self.insert(datasets, **row)

    def insert(self, table, **values):
        with self.store.writing() as connection:
            return connection.execute(table.insert().values(**values)).inserted_primary_key[0]

    def checkpoint(self, name="mini", archive_sha256="a" * 64):
        digest = hashlib.sha256(f"{name} {archive_sha256}".encode()).hexdigest()
        self.insert(checkpoints, **stand_in.CHECKPOINT_ROW
                    | {"digest": digest, "name": name, "archive_sha256": archive_sha256})
        return digest

    def cell(self, checkpoint, batch_size, correct, asked=4, **settings):
        """A configuration with one finished run for each number of correct rows, of the 408."""
        config = stand_in.make_config(checkpoint=checkpoint, batch_size=batch_size, **settings)
        self.insert(configs, **_config_row(config))
        self.insert(studies, study="bs_mrpc", config=config.hash, instances=asked)
        for instance, rows in enumerate(correct):
            self.run(config, instance, rows / 408)
        return config

    def run(self, config, instance, score=None, status="done", collapsed=0, validation=(0.70, 0.75), **values):
        if status in ("done", "diverged"):
            values = {"training_seconds": 102.0, "environment": stand_in.ENVIRONMENT, "finished_at": FINISHED} | values
        run = self.insert(runs, config=config.hash, instance=instance, status=status, **values)
        if score is not None:
            self.insert(evaluations, run=run, **stand_in.make_evaluation(score, collapsed=collapsed))
            for epoch, value in enumerate(validation, 1):
                self.insert(measurements, run=run, split="validation", metric="accuracy", epoch=epoch, value=value,
                            step=epoch * STEPS[config.batch_size] // len(validation))


@pytest.fixture
def fill(tmp_path, monkeypatch):
    """A filler of `results.db` in the working folder."""
    monkeypatch.chdir(tmp_path)
    filler = Filler("results.db")
    yield filler
    filler.store.close()


def report() -> str:
    """The page; no figure is drawn, which takes longer than the rest."""
    store = Store("results.db", create=False)
    try:
        return build_report(store)[0]
    finally:
        store.close()


def written_report() -> str:
    """The page as it is written, with its figures in their folder."""
    assert make_report.main([]) == 0
    return Path("REPORT.md").read_text()


def row(text: str, *cells) -> list[str]:
    """Cells of the one table row that begins with these."""
    tables = [[cell.strip() for cell in line.split(" |")] for line in text.replace("\n| ", "\n").splitlines()]
    (found,) = [each[:-1] for each in tables if tuple(each[:len(cells)]) == cells]
    return found


def test_a_study_of_one_checkpoint(fill):
    checkpoint = fill.checkpoint("uncased_L-4_H-256_A-4", GOOGLE)
    for size, correct in zip(SIZES, ([316, 315, 312, 313], [312, 310, 314, 311], [309, 310, 307, 311],
                                     [306, 305, 303, 307], [301, 303, 300, 302]), strict=True):
        fill.cell(checkpoint, size, correct)
    text = report()
    # batch 2: mean 314 of 408, s = 1.825742, t(3; 0.975) = 3.182446: half = 3.182446 s / 2 = 2.905 of 408
    # 102 seconds by the clock, one thread: 1.7 core-minutes; 8710 steps of 2 rows in them
    assert row(text, "2") == ["2", "77.0 ± 0.7 (n = 4)", "80.0 ± 0.0", "75.0 ± 0.0", "8710", "171†; 1.7†", "77.0; 82.1"]
    assert row(text, "8")[1:2] + row(text, "8")[-1:] == ["76.4 ± 0.7 (n = 4)", "77.25; 81.3"]
    assert row(text, "64")[1:2] + row(text, "64")[-1:] == ["73.9 ± 0.5 (n = 4)", "73.9; 76.0"]
    assert "- Complete: 20 of 20 runs are finished." in text
    assert ("- Every run is scored on all 408 rows. The majority class is 68.4 % of them; the standard error that comes from so "
            "few rows is 2.1 points at 75.6 %.") in text
    assert row(text, f'<a id="claim-batch-size"></a>{SMALLER}') == [
        f'<a id="claim-batch-size"></a>{SMALLER}', "MRPC, uncased_L-4_H-256_A-4", "20 runs", "−0.62 [−0.75, −0.48]", "< 0.001",
        "**supported**"]
    assert row(text, "uncased_L-4_H-256_A-4", "4 x 256, 4 heads, 30522 word pieces")[-2:] == [
        "Google's release of 2020-02-20", "20"]
    assert "304 of 400 rows, where the evaluation set has 408" in text
    assert "This is a sample" not in text and "These runs differ" not in text


def test_the_page_opens_with_the_answer_its_figure_and_a_line_for_each_claim(fill):
    checkpoint = fill.checkpoint()
    text = written_report()
    assert "The store holds no study that tests anything yet." in text
    assert row(text, f"{SMALLER} (the original)")[1:] == ["no runs", "[how](#claim-batch-size)"]
    for size, correct in ((2, [310, 312, 311, 313]), (8, [306, 307, 305, 306]), (16, [303, 304, 303, 304]),
                          (32, [300, 302, 301, 301]), (64, [298, 299, 300, 299])):
        fill.cell(checkpoint, size, correct)
    text = written_report()
    opening = text.split("## Contents")[0]
    # slope of 311.5, 306, 303.5, 301, 299 of 408 on 1, 3, 4, 5, 6: -37.3 / 14.8 = -2.520 of 408 = -0.618 points;
    # residuals 12 + 1.18 on 18 degrees of freedom: half = 2.1009 sqrt(0.732 / 59.2) = 0.2336 of 408 = 0.057 points
    assert ("- **Smaller batches do better** on MRPC (20 runs) at one peak rate, 2e-5: accuracy changes by −0.62 "
            "[95 % interval −0.67 to −0.56] points with each doubling of the batch size.") in opening
    assert "Where the answer names no checkpoint, it is mini. This is a stand-in, not Google's release: its numbers" in opening
    assert ("the best mean is that of **batch 2 at 2e-5**: 76.3 ± 0.5 (n = 4); the last is batch 64 at 2e-5: 73.3 ± 0.3 (n = 4)."
            ) in opening
    assert row(opening, f"{SMALLER} (the original)")[1:] == [
        "**supported**", "−0.62 [−0.67, −0.56] points for each doubling of the batch size", "MRPC: 20 runs",
        "[how](#claim-batch-size)"]
    (figure,) = [name for name in os.listdir("figures") if name.endswith("-dev.png")]
    assert f"](figures/{figure})" in opening
    assert len([line for line in opening.splitlines() if line.startswith("| ")]) == 1 + len(CLAIMS)
    assert text.index('id="summary"') < text.index('id="batch-size"') < text.index('id="input"') < text.index('id="recipe"')
    assert row(text, "schedule")[1].startswith("linear warm-up over the first 10 % of the steps, then linear decay to 0")
    assert row(text, "split")[1].startswith("the official training rows, shuffled once: 95 % to train on, 5 % for validation")
    assert row(text, "optimizer")[1] == ("AdamW of Model Garden: beta1 0.9, beta2 0.999, epsilon 1e-06, weight decay 0.01 except "
                                         "LayerNorm and biases, gradient clipped to global norm 1")


@pytest.mark.parametrize(("other", "sentence", "outcome"), [
    ([(size, [316 - size] * 4) for size in SIZES], "do better is also **supported** with second (20 runs; −",
     "**supported** (also with second)"),
    ([(size, [250 + size] * 4) for size in SIZES], "do better is **contradicted** with second (20 runs; +",
     "**supported** (**contradicted** with second)"),
    ([(size, [316 - size] * 3) for size in SIZES], None, "**supported**")])
def test_the_first_screen_says_whether_another_checkpoint_agrees(fill, other, sentence, outcome):
    checkpoint, second = fill.checkpoint(), fill.checkpoint("second", "b" * 64)
    for size, correct in ((2, [310, 312, 311, 313, 312]), (8, [306, 307, 305, 306]), (16, [303, 304, 303, 304]),
                          (32, [300, 302, 301, 301]), (64, [298, 299, 300, 299])):
        fill.cell(checkpoint, size, correct)
    for size, correct in other:
        fill.cell(second, size, [right + number for number, right in enumerate(correct)])
    opening = report().split("## Contents")[0]
    assert row(opening, f"{SMALLER} (the original)")[1] == outcome
    assert "second" not in opening if sentence is None else sentence in opening


def test_checkpoints_that_agree_share_a_sentence_and_those_that_do_not_come_last(fill):
    for digest, name, slope in (("a", "mini", -2), ("b", "second", 1), ("c", "third", -1), ("d", "fourth", -1)):
        checkpoint = fill.checkpoint(name, digest * 64)
        for place, size in enumerate(SIZES):
            fill.cell(checkpoint, size, [310 + 3 * slope * place + number for number in range(5 if name == "mini" else 4)])
    opening = report().split("## Contents")[0]
    assert row(opening, f"{SMALLER} (the original)")[1] == (
        "**supported** (also with fourth and with third; **contradicted** with second)")
    said = re.sub(r" [(][^)]*[)]", "", opening)
    assert ("That smaller batches do better is also **supported** with fourth and with third. "
            "That smaller batches do better is **contradicted** with second.\n") in said


def test_pictures_are_linked_relatively_with_alternative_text_and_are_the_same_each_time(fill):
    checkpoint = fill.checkpoint()
    fill.cell(checkpoint, 2, [280, 285])
    fill.cell(checkpoint, 8, [281, 283])
    text = written_report()
    names = sorted(os.listdir("figures"))
    assert [name.split("-", 2)[-1] for name in names] == ["mini-dev.png", "mini-validation.png", "dependencies.png"]
    assert f"![Evaluation accuracy, % against batch size, mini](figures/{names[0]})" in text
    pictures = {name: Path("figures", name).read_bytes() for name in names}
    assert all(picture.startswith(b"\x89PNG") and b"matplotlib" not in picture for picture in pictures.values())
    assert written_report() == text
    assert {name: Path("figures", name).read_bytes() for name in names} == pictures
    assert sorted(os.listdir()) == ["REPORT.md", "figures", "results.db"]


def test_a_study_with_nothing_in_the_store(fill):
    assert "The store holds nothing of this study; `python exp_bs_mrpc.py --instances 4` fills it." in written_report()
    assert os.listdir("figures") == ["dependencies.png"]


def test_a_partly_run_study_says_what_is_missing(fill):
    checkpoint = fill.checkpoint()
    fill.cell(checkpoint, 2, [290])
    fill.run(fill.cell(checkpoint, 8, []), 0, status="pending")
    text = report()
    assert ("- **Not complete: 1 of 8 runs are finished** (batch 2: 1 of 4; batch 8: 0 of 4). `python exp_bs_mrpc.py "
            "--instances 4` with this checkpoint and these settings trains the rest.") in text
    assert row(text, "2")[1:4] == ["71.1 (n = 1 of 4)", "80.0", "75.0"]
    assert row(text, "8")[1:6] == ["- (n = 0 of 4)", "-", "-", "-", "-"]
    assert row(text, f'<a id="claim-batch-size"></a>{SMALLER}')[1:] == [
        "MRPC, mini", "1 of 20 runs", "**so far**: 1 of 20 planned runs are in"]
    assert f"{SMALLER} (the original)" in text and "do not say yet whether smaller batches do better" in text


def test_a_planned_study_without_a_finished_run_has_no_figure(fill):
    fill.cell(fill.checkpoint(), 2, [])
    assert "- **Not complete: 0 of 4 runs are finished** (batch 2: 0 of 4)" in written_report()
    assert os.listdir("figures") == ["dependencies.png"]


def test_runs_that_diverged_failed_collapsed_or_were_set_aside_are_counted(fill):
    config = fill.cell(fill.checkpoint(), 2, [300, 302], asked=5)
    fill.run(config, 2, status="diverged")
    fill.run(config, 3, 279 / 408, collapsed=1)
    fill.run(config, 4, status="failed", error="out of memory")
    fill.run(config, 5, 408 / 408, set_aside="fan was broken")
    text = report()
    assert row(text, "2")[:2] == ["2", "72.0 ± 7.8 (n = 3 of 5, 1 collapsed, 1 diverged)"]
    assert "- 1 run diverged and has no score (batch 2: 1)." in text
    assert "- 1 run failed (batch 2: 1): out of memory, 1 run." in text
    assert "- 1 run set aside by hand (batch 2: 1): fan was broken, 1 run." in text
    assert "- Collapsed runs (batch 2: 1 of 3, mean of the others 73.8)." in text
    assert "- **Not complete: 4 of 5 runs are finished** (batch 2: 4 of 5)." in text


def test_a_study_whose_runs_all_diverged_has_no_number(fill):
    config = fill.cell(fill.checkpoint(), 2, [], asked=2)
    for instance in range(2):
        fill.run(config, instance, status="diverged")
    text = report()
    assert row(text, "2") == ["2", "- (n = 0 of 2, 2 diverged)", "77.0; 82.1"]
    assert "- Complete: 2 of 2 runs are finished." in text


def test_scores_equal_to_the_majority_class_are_called_uninformative(fill):
    checkpoint = fill.checkpoint()
    fill.cell(checkpoint, 2, [279, 279])
    fill.cell(checkpoint, 8, [279, 290, 284])
    fill.cell(checkpoint, 16, [279, 291, 280])
    fill.cell(checkpoint, 32, [300, 301, 300])
    text = report()
    assert "- **Uninformative** (batch 2): every score equals the majority class." in text
    assert "- Not above the majority class at this n (batch 8; batch 16): the mean's interval reaches it." in text



def test_checkpoints_are_never_mixed_and_stand_ins_are_labelled(fill):
    fill.cell(fill.checkpoint("mini"), 2, [290, 290])
    fill.cell(fill.checkpoint("uncased_L-4_H-256_A-4", GOOGLE), 2, [310, 312])
    text = written_report()
    assert text.index('"></a>uncased_L-4_H-256_A-4\n') < text.index('"></a>mini\n')  # the release is the stronger evidence
    first, second = text.split('"></a>mini\n')
    assert row(first, "2")[1] == "76.0, 76.5 (n = 2 of 4)" and row(second, "2")[1] == "71.1, 71.1 (n = 2 of 4)"
    assert ("Checkpoint: a stand-in, not Google's release: its numbers say nothing about the published model. MRPC, "
            "5 epochs, peak learning rate 2e-5.") in second
    assert "Checkpoint: Google's release of 2020-02-20. MRPC" in first
    assert len(os.listdir("figures")) == 5
    assert first.rsplit("\n", 2)[-2].startswith("<details>") or "<details><summary>The same study" in first


def test_checkpoints_of_one_name_are_told_apart_by_digest(fill):
    first, second = fill.checkpoint("mini", "a" * 64), fill.checkpoint("mini", None)
    fill.cell(first, 2, [290])
    fill.cell(second, 2, [291])
    text = report()
    assert f"></a>mini {first[:8]}\n" in text and f"></a>mini {second[:8]}\n" in text
    assert f"content {second[:12]}" in text


def test_limited_rows_and_other_settings_stand_apart_without_published_values(fill):
    checkpoint = fill.checkpoint()
    fill.cell(checkpoint, 2, [290, 292])
    fill.cell(checkpoint, 2, [280, 282], limit_train=500, dtype="bfloat16")
    whole, quick = report().split('"></a>mini, bfloat16, first 500 training rows\n')
    assert row(whole, "2")[1] == "71.1, 71.6 (n = 2 of 4)" and len(row(whole, "2")) == 7
    assert row(quick, "2")[1] == "68.6, 69.1 (n = 2 of 4)" and len(row(quick, "2")) == 6
    assert "The published values belong to other settings or other rows and are left out here." in quick


def test_mixed_environments_are_named(fill):
    fill.insert(environments, **stand_in.ENVIRONMENT_ROW | {"digest": "f" * 64, "threads": 2, "code": "def+"})
    config = fill.cell(fill.checkpoint(), 2, [290, 291])
    fill.run(config, 2, 292 / 408, environment="f" * 64)
    text = report()
    assert ("- These runs differ in threads of a run (1, 2 runs; 2, 1 run), code (revision abc, 2 runs; revision "
            "def+, 1 run)."
            ) in text
    assert row(text, "Zen 5, 2 cores, 2 threads a run")[-2:] == ["1", "def+ (1)"]


def test_revisions_of_the_same_code_are_not_mixed(fill):
    for letter, code in (("f", "def"), ("9", "789+")):
        fill.insert(environments, **stand_in.ENVIRONMENT_ROW | {"digest": letter * 64, "code": code, "code_digest": "1" * 64})
    config = fill.cell(fill.checkpoint(), 2, [])
    for instance, letter in enumerate("f9"):
        fill.run(config, instance, 292 / 408, environment=letter * 64)
    text = report()
    assert "These runs differ" not in text
    assert row(text, "Zen 5, 2 cores, 1 thread a run")[-1] == "789+ (1), def (1)"


def test_evaluations_on_other_rows_are_called_out(fill):
    config = fill.cell(fill.checkpoint(), 2, [290])
    run = fill.insert(runs, config=config.hash, instance=1, status="done")
    fill.insert(evaluations, run=run, **stand_in.make_evaluation(0.8, row_count=400))
    assert "- **1 run scored on another number of rows than the 408 of the set: the numbers below do not" in report()


def test_the_demo_is_labelled_at_the_top(fill):
    fill.cell(fill.checkpoint("demo_L-2_H-64_A-2"), 2, [290])
    assert report().splitlines()[2].startswith("> **This is a sample and no result.** The store holds runs of the demo")


def test_foreign_text_is_inert(fill):
    config = fill.cell(fill.checkpoint("<script>|`x`"), 2, [290])
    fill.run(config, 1, status="failed", error="![x](http://evil)\n# heading | _a_")
    fill.run(config, 2, 0.7, set_aside="</td> [x](javascript:alert) $x$")
    text = written_report()
    assert "<script" not in text and "`x`" not in text.replace("\\`x\\`", "") and "</td" not in text
    assert "## " + '<a id="batch-size-' in text and "></a>&lt;script&gt;\\|\\`x\\`\n" in text
    assert r"\!\[x\]\(http&#58;//evil\) \# heading \| \_a\_" in text
    assert r"&lt;/td&gt; \[x\]\(javascript:alert\) \$x\$" in text
    assert all(set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-_.") for name in os.listdir("figures"))


def test_escaped_text_is_short_and_on_one_line():
    assert escape("uncased_L-4_H-256_A-4") == "uncased_L-4_H-256_A-4"
    assert escape("a\n\n- b\x00\u202e c & www.x@y") == "a - b c &amp; www&#46;x&#64;y"
    assert escape("x" * 1000) == "x" * 197 + "..."


def test_the_old_report_stays_whole_when_writing_fails(fill, monkeypatch, capsys):
    fill.cell(fill.checkpoint(), 2, [290])
    Path("REPORT.md").write_text("old")

    def fail(descriptor):
        raise OSError(28, "No space left on device", "REPORT.md")

    monkeypatch.setattr(os, "fsync", fail)
    assert make_report.main([]) == 2
    assert capsys.readouterr().err == ("error: the report cannot be written to REPORT.md: No space left on device; "
                                       "fix that or name another place with --out\n")
    assert Path("REPORT.md").read_text() == "old"
    assert os.listdir("figures") == [] and sorted(os.listdir()) == ["REPORT.md", "figures", "results.db"]


@pytest.mark.parametrize(("point", "picture"), [(1, b"old"), (2, b"new")])
def test_killed_between_two_files_leaves_each_old_or_new(tmp_path, point, picture):
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures/a.png").write_bytes(b"old")
    (tmp_path / "REPORT.md").write_text("old")
    code = f"""if True:
        import os, pathlib
        from common.report import write_report
        calls, replace = [], pathlib.Path.replace
        def dying(self, target):
            calls.append(target)
            os.kill(os.getpid(), 9) if len(calls) == {point} else replace(self, target)
        pathlib.Path.replace = dying
        write_report("new", {{"a.png": b"new"}}, pathlib.Path("REPORT.md"))"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert done.returncode == -9
    assert (tmp_path / "figures/a.png").read_bytes() == picture
    assert (tmp_path / "REPORT.md").read_text() == "old"


@pytest.mark.parametrize(("arguments", "message"), [
    (["--db", "none.db"], "error: there is no results store at none.db; run one of the exp_*.py scripts first or name"),
    (["--out", "nowhere/REPORT.md"], "error: the folder of the report nowhere/REPORT.md does not exist; create it"),
    (["--out", "results.db"], "error: the report is Markdown; name a file that ends in .md with --out, not results.db"),
    (["--demo"], "error: there is no results store at demo/results.db"),
])
def test_what_the_user_must_mend_is_said_in_one_line(fill, arguments, message, capsys):
    assert make_report.main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith(message) and error.count("\n") == 1
    assert os.listdir() == ["results.db"]


@pytest.mark.parametrize("arguments", [["--demo", "--out", "x.md"], ["--outt", "x.md"], ["--d"], ["results.db"]])
def test_unknown_arguments_are_refused(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        make_report.main(arguments)
    assert stopped.value.code == 2


def test_demo_writes_into_its_folder_only(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("demo").mkdir()
    filler = Filler("demo/results.db")
    filler.cell(filler.checkpoint("demo_L-2_H-64_A-2"), 2, [290])
    filler.store.close()
    assert make_report.main(["--demo"]) == 0
    assert capsys.readouterr().out == "the report is in demo/REPORT.md, its 3 figures in demo/figures\n"
    assert os.listdir() == ["demo"] and sorted(os.listdir("demo")) == ["REPORT.md", "figures", "results.db"]


def test_nothing_heavy_is_imported_for_help_and_no_tensorflow_for_a_report(fill):
    fill.cell(fill.checkpoint(), 2, [290])
    for arguments, heavy in ((["--help"], ["tensorflow", "matplotlib", "scipy", "sqlalchemy", "numpy"]),
                             ([], ["tensorflow"])):
        code = f"""import sys, make_report
try: make_report.main({arguments})
except SystemExit: pass
print([name for name in {heavy} if name in sys.modules])"""
        done = subprocess.run([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": str(ROOT)},
                              capture_output=True, text=True, check=True)
        assert done.stdout.splitlines()[-1] == "[]"


def test_as_many_rows_as_the_official_ones_are_not_official(fill):
    """The digest decides where it is known: such a set is bold, and nothing published stands beside its scores."""
    altered = "f" * 64
    checkpoint = fill.checkpoint()
    fill.cell(checkpoint, 2, [290, 300])
    assert "**Bold: not the rows of the official file.**" not in report()
    for data in stand_in.DATA_ROWS:
        fill.insert(datasets, **data | {"digest": altered})
    fill.cell(checkpoint, 2, [280, 282], data=altered)
    text = report()
    assert row(text, "MRPC", "train", "**3668**") and row(text, "MRPC", "dev", "**408**")
    assert "**Bold: not the rows of the official file.**" in text
    assert "The published values belong to other settings or other rows and are left out here." in text
