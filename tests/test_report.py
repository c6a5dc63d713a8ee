"""The report on small stores, filled row by row: literal lines of REPORT.md, and pictures that are there."""
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
import stand_in

import make_report
from common.report.page import escape
from common.store.schema import checkpoints, configs, datasets, environments, evaluations, measurements, runs, studies
from common.store.store import Store, _config_row

ROOT = Path(__file__).parent.parent
GOOGLE = "5f087a0c6c73aed0b0a13f9a99dade56bece97d0594b713195821e031266fae9"
SIZES = (2, 8, 16, 32, 64)
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
            values = {"training_seconds": 102.0, "environment": stand_in.ENVIRONMENT} | values
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
    assert row(text, "2") == ["2", "4 of 4", "77.0 ± 0.7", "80.0 ± 0.0", "75.0 ± 0.0", "8710", "1m42s", "0", "0",
                              "77.0", "82.1"]
    assert row(text, "8")[2:3] + row(text, "8")[-2:] == ["76.4 ± 0.7", "77.25", "81.3"]
    assert row(text, "64")[2:3] + row(text, "64")[-2:] == ["73.9 ± 0.5", "73.9", "76.0"]
    assert "- Complete: 20 of 20 runs are finished." in text
    assert ("- Every run is scored on all 408 rows. Majority class 68.4 %; sampling error of the set 2.1 points at "
            "75.6 %.") in text
    assert row(text, "uncased_L-4_H-256_A-4", "evaluation (dev)")[2:] == [
        "20", "-0.62 [-0.75, -0.48], p < 0.001", "+3.06 [+2.37, +3.75], p < 0.001", "**supported**"]
    assert row(text, "uncased_L-4_H-256_A-4", "4 x 256")[-2:] == ["Google's release of 2020-02-20", "20"]
    assert "304 of 400 rows, where the evaluation set has 408" in text
    assert "This is a sample" not in text and "mixes" not in text.replace("A comparison that mixes", "")


def test_the_summary_has_every_verdict_and_the_recipe_its_settings(fill):
    checkpoint = fill.checkpoint()
    assert "The store holds no study that tests it." in report()
    for size, correct in ((2, [310, 312, 311, 313]), (8, [306, 307, 305, 306]), (32, [300, 302, 301, 301])):
        fill.cell(checkpoint, size, correct)
    text = report()
    assert row(text, "best accuracy at smaller batch sizes") == [
        "best accuracy at smaller batch sizes", "mini", "MRPC dev", "12", "**supported**", "[test](#batch-size-conclusion)"]
    assert text.index('id="summary"') < text.index('id="input"') < text.index('id="recipe"') < text.index('id="batch-size"')
    assert row(text, "schedule")[1].startswith("linear warm-up over the first 10 % of the steps, then linear decay to 0")
    assert row(text, "split")[1].startswith("the official training rows, shuffled once: 95 % to train on, 5 % for validation")


def test_pictures_are_linked_relatively_with_alternative_text_and_are_the_same_each_time(fill):
    checkpoint = fill.checkpoint()
    fill.cell(checkpoint, 2, [280, 285])
    fill.cell(checkpoint, 8, [281, 283])
    text = report()
    names = sorted(os.listdir("figures"))
    assert [name.split("-", 2)[2] for name in names] == ["mini-dev.png", "mini-validation.png"]
    assert f"![Evaluation accuracy, % against batch size, mini](figures/{names[0]})" in text
    pictures = {name: Path("figures", name).read_bytes() for name in names}
    assert all(picture.startswith(b"\x89PNG") and b"matplotlib" not in picture for picture in pictures.values())
    assert report() == text
    assert {name: Path("figures", name).read_bytes() for name in names} == pictures
    assert sorted(os.listdir()) == ["REPORT.md", "figures", "results.db"]


def test_a_study_with_nothing_in_the_store(fill):
    assert "The store holds nothing of this study; `python exp_bs_mrpc.py --instances 4` fills it." in report()
    assert not Path("figures").exists()


def test_a_partly_run_study_says_what_is_missing(fill):
    checkpoint = fill.checkpoint()
    fill.cell(checkpoint, 2, [290])
    fill.run(fill.cell(checkpoint, 8, []), 0, status="pending")
    text = report()
    assert ("- **Not complete: 1 of 8 runs are finished** (batch 2: 1 of 4; batch 8: 0 of 4). `python exp_bs_mrpc.py "
            "--instances 4` with this checkpoint and settings trains the rest.") in text
    assert row(text, "2")[1:5] == ["1 of 4", "71.1", "80.0", "75.0"]
    assert row(text, "8")[1:7] == ["0 of 4", "-", "-", "-", "-", "-"]
    assert row(text, "mini", "evaluation (dev)")[2:5] == ["1", "-", "-"]
    assert "(so far: 1 of 8 runs)" in text


def test_a_planned_study_without_a_finished_run_has_no_figure(fill):
    fill.cell(fill.checkpoint(), 2, [])
    assert "- **Not complete: 0 of 4 runs are finished** (batch 2: 0 of 4)" in report()
    assert not Path("figures").exists()


def test_runs_that_diverged_failed_collapsed_or_were_set_aside_are_counted(fill):
    config = fill.cell(fill.checkpoint(), 2, [300, 302], asked=5)
    fill.run(config, 2, status="diverged")
    fill.run(config, 3, 279 / 408, collapsed=1)
    fill.run(config, 4, status="failed", error="out of memory")
    fill.run(config, 5, 408 / 408, set_aside="fan was broken")
    text = report()
    assert row(text, "2")[:3] + row(text, "2")[7:9] == ["2", "3 of 5", "72.0 ± 7.8", "1", "1"]
    assert "- 1 run diverged: no score, in no mean (batch 2: 1)." in text
    assert "- 1 run failed (batch 2: 1): out of memory, 1 run." in text
    assert "- 1 run set aside by hand (batch 2: 1): fan was broken, 1 run." in text
    assert "- Collapsed runs (batch 2: 1 of 3, mean of the others 73.8)." in text
    assert "- **Not complete: 4 of 5 runs are finished** (batch 2: 4 of 5)." in text


def test_a_study_whose_runs_all_diverged_has_no_number(fill):
    config = fill.cell(fill.checkpoint(), 2, [], asked=2)
    for instance in range(2):
        fill.run(config, instance, status="diverged")
    text = report()
    assert row(text, "2")[:9] == ["2", "0 of 2", "-", "-", "-", "-", "-", "0", "2"]
    assert row(text, "mini", "evaluation (dev)")[2:5] == ["0", "-", "-"]
    assert "- Complete: 2 of 2 runs are finished." in text


def test_scores_equal_to_the_majority_class_are_called_uninformative(fill):
    checkpoint = fill.checkpoint()
    fill.cell(checkpoint, 2, [279, 279])
    fill.cell(checkpoint, 8, [279, 290])
    fill.cell(checkpoint, 16, [279, 291])
    fill.cell(checkpoint, 32, [300, 301, 300])
    text = report()
    assert "- **Uninformative** (batch 2): every score equals the majority class." in text
    assert "- Not above the majority class at this n (batch 8; batch 16): the mean's interval reaches it." in text
    assert row(text, "mini", "evaluation (dev)")[-1].startswith("**contradicted**")


def test_no_verdict_where_nothing_is_above_the_majority_class(fill):
    checkpoint = fill.checkpoint()
    for size, correct in ((2, 279), (8, 275), (16, 271)):
        fill.cell(checkpoint, size, [correct, correct + 1, correct - 1, correct])
    assert row(report(), "mini", "evaluation (dev)")[2:] == [
        "12", "-0.63 [-0.76, -0.50], p < 0.001", "+1.96 [+1.61, +2.31], p < 0.001",
        "**undecided**: no batch size has an interval above the majority class"]


def test_checkpoints_are_never_mixed_and_stand_ins_are_labelled(fill):
    fill.cell(fill.checkpoint("mini"), 2, [290, 290])
    fill.cell(fill.checkpoint("uncased_L-4_H-256_A-4", GOOGLE), 2, [310, 312])
    text = report()
    assert text.index('"></a>mini\n') < text.index('"></a>uncased_L-4_H-256_A-4\n')
    first, second = text.split('"></a>uncased_L-4_H-256_A-4\n')
    assert row(first, "2")[2] == "71.1 ± 0.0" and row(second, "2")[2] == "76.2 ± 3.1"
    assert ("Checkpoint: stand-in, not Google's release: its numbers say nothing about the published model. MRPC, "
            "5 epochs, peak learning rate 2e-05.") in first
    assert "Checkpoint: Google's release of 2020-02-20. MRPC" in second
    assert len(os.listdir("figures")) == 4


def test_checkpoints_of_one_name_are_told_apart_by_digest(fill):
    first, second = fill.checkpoint("mini", "a" * 64), fill.checkpoint("mini", None)
    fill.cell(first, 2, [290])
    fill.cell(second, 2, [291])
    text = report()
    assert f"></a>mini {first[:8]}\n" in text and f"></a>mini {second[:8]}\n" in text
    assert f"content {second}" in text


def test_quick_looks_and_other_settings_stand_apart_without_published_values(fill):
    checkpoint = fill.checkpoint()
    fill.cell(checkpoint, 2, [290, 292])
    fill.cell(checkpoint, 2, [280, 282], limit_train=500, dtype="bfloat16")
    whole, quick = report().split('"></a>mini, bfloat16, quick look at the first 500 training rows\n')
    assert row(whole, "2")[2] == "71.3 ± 3.1" and len(row(whole, "2")) == 11
    assert row(quick, "2")[2] == "68.9 ± 3.1" and len(row(quick, "2")) == 9
    assert "The published values belong to other settings or other rows and are left out here." in quick


def test_mixed_environments_are_named(fill):
    fill.insert(environments, **stand_in.ENVIRONMENT_ROW | {"digest": "f" * 64, "threads": 2, "code": "def+"})
    config = fill.cell(fill.checkpoint(), 2, [290, 291])
    fill.run(config, 2, 292 / 408, environment="f" * 64)
    text = report()
    assert ("- This comparison mixes threads of a run (1, 2 runs; 2, 1 run), code revision (abc, 2 runs; def+, 1 run)."
            ) in text
    assert row(text, "Zen 5", "2", "2")[-2:] == ["def+", "1"]


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
    text = report()
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
                                       "mend that or name another place with --out\n")
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
    assert capsys.readouterr().out == "the report is in demo/REPORT.md, its 2 figures in demo/figures\n"
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
