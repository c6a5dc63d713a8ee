"""What the benchmark makes of its measurements."""
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "bench"))

import contestant  # noqa: E402
import large  # noqa: E402
import scaling  # noqa: E402
import scheduling  # noqa: E402
import speed  # noqa: E402

MACHINE = {"processor": "Zen 4", "cores": 2, "platform": "Linux", "tensorflow": "2.20.0"}


def test_work_of_a_row():
    """One layer, hidden 2, inner 8, 10 tokens: 2 x 10 x (4 x 4 + 2 x 16) + 4 x 100 x 2 = 1760 forward, three times in all."""
    bert = {"hidden_size": 2, "intermediate_size": 8, "num_hidden_layers": 1}
    assert speed.useful_gflop(bert, np.array([10, 10])) == pytest.approx(3 * 1760 / 1e9)


def test_ratios_are_of_whole_epochs_and_of_medians():
    seconds = {"ours": {"2": [[0.01, 0.001], [0.01, 0.001], [9.0, 9.0]], "8": [[0.005, 0.001]] * 3},
               "fixed": {"2": [[0.04, 0.004]] * 3, "8": [[0.045, 0.009]] * 3}}
    result = {"name": "AMD EPYC (Zen 4)", "machine": MACHINE, "rows": 256, "repeats": 3, "peak_gflops": 200.0,
              "useful_gflop_of_a_row": 1.0, "seconds": seconds}
    other = result | {"name": "AMD EPYC (Zen 5)", "seconds": seconds | {"single": {"2": [[0.02, 0.002]], "8": [[0.01, 0.002]]}}}
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in speed.write_page([result, other]).splitlines()]
    assert ["peer", "AMD EPYC (Zen 4), 2 cores", "AMD EPYC (Zen 5), 2 cores", "goal"] in lines
    assert ["Hugging Face, padding to 128", "6.00", "6.00", "7.0"] in lines  # the geometric mean of 4 and 9
    assert ["Hugging Face, dynamic padding, a run for each core", "", "2.00", "3.4"] in lines
    assert lines.count(["this project", "2", "100", "35.3", "35.3 to 35037.0", "50", "1.00"]) == 2


def test_the_numbers_of_two_machines_lie_side_by_side():
    assert speed.file_name("AMD EPYC (Zen 3)", 2) == "speed-amd-epyc-zen-3-2-cores.json"
    assert speed.file_name("Intel(R) Xeon(R) CPU @ 2.20GHz", 16) == "speed-intel-r-xeon-r-cpu-2-20ghz-16-cores.json"


def test_peers_get_the_same_rows(tmp_path):
    np.savez(tmp_path / "rows.npz", **{"dev/ids": np.array([2, 7, 3, 8, 3, 2, 9, 3]), "dev/ends": np.array([0, 5, 8]),
                                       "dev/firsts": np.array([3, 3]), "dev/labels": np.array([1, 0])})
    rows = contestant.Rows(tmp_path, "dev")
    assert rows.encode(0) == {"input_ids": [2, 7, 3, 8, 3], "token_type_ids": [0, 0, 0, 1, 1], "label": 1}
    padded = rows.padded([1, 0])
    assert padded["ids"].shape == (2, 128)
    assert padded["ids"][:, :6].tolist() == [[2, 9, 3, 0, 0, 0], [2, 7, 3, 8, 3, 0]]
    assert padded["mask"].sum(axis=1).tolist() == [3, 5]
    assert padded["types"][:, :6].tolist() == [[0, 0, 0, 0, 0, 0], [0, 0, 0, 1, 1, 0]]
    assert padded["labels"].tolist() == [0, 1]


def test_workers_are_idle_only_while_there_is_more_to_train():
    """Two workers: 0 to 4 and 6 to 9 seconds, 0 to 5 and 5 to 8; from 0 to the last begin at 6 they lack 2 of 12 seconds."""
    notes = {"runs": [["a", 0, 10.0, 14.0], ["a", 1, 10.0, 15.0], ["b", 0, 15.0, 18.0], ["b", 1, 16.0, 19.0]],
             "beats": [0.01, 0.02], "ended": 19.5}
    work = scheduling.describe_work(notes, 2)
    assert work["busy"] == pytest.approx(10 / 12)
    assert work["runs a second while busy"] == pytest.approx(4 / 6)
    assert (work["from the first to the last run"], work["recorded after the last run"]) == (9.0, 0.5)
    assert (work["heartbeats"], work["heartbeat"]) == (2, 0.02)


def test_the_table_of_the_scheduling_benchmark_tells_what_was_found():
    store = {"dry run, nothing there": 1.26, "planned, from the call to the first run": 1.4, "runs a second": 151.2,
             "dry run, all there": 1.5, "second call, nothing to do": 1.7, "busy": 0.987, "runs a second while busy": 81.0,
             "recorded after the last run": 0.2, "heartbeats": 6, "heartbeat": 0.0123}
    race = {"seconds": 61.4, "trained by each": [5100, 4901], "runs": 10_000, "recorded": 9_999, "trained twice": 1}
    page = scheduling.write_table({"machine": MACHINE, "configurations": 500, "instances": 20, "workers": 500, "seconds": 6,
                                   "stores": {"SQLite": store, "PostgreSQL": store | {"heartbeat": None}}, "race": race})
    assert page.startswith("# 10,000 runs, 500 workers: what driver and store take\n")
    rows = {row.split("|")[1].strip(): [cell.strip() for cell in row.split("|")[2:4]] for row in page.splitlines() if "|" in row}
    assert rows["runs recorded a second, when they take no time"] == ["151", "151"]
    assert rows["share of the workers' time busy, runs of 6 s, until the last run begins"] == ["98.7%", "98.7%"]
    assert rows["seconds of the slowest heartbeat"] == ["0.012", ""]
    assert page.endswith("10,000 runs in\n61 s, of which one driver trained 5,100 and the other 4,901. Trained twice: 1.\n"
                         "Recorded: 9,999.\n")


def test_efficiency_is_against_the_fewest_workers_of_the_same_way():
    page = scaling.write_table({("processes", 1): [40.0, 41.0, 90.0], ("processes", 2): [25.0, 20.5, 20.0],
                                ("Dask", 2): [30.0] * 3, ("Dask", 4): [16.0, 20.0, 12.0]}, runs=4, rows=300)
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line.startswith("|")]
    assert cells[2:] == [["processes", "1", "41.0", "40.0 to 90.0", "1.00"], ["processes", "2", "20.5", "20.0 to 25.0", "1.00"],
                         ["Dask", "2", "30.0", "30.0 to 30.0", "1.00"], ["Dask", "4", "16.0", "12.0 to 20.0", "0.94"]]


def test_made_up_rows_have_the_columns_and_lengths_of_real_ones_and_some_new_words():
    real = [["0", "a b", "c d e", "yes"], ["1", "f", "g", "no"]]
    rows = [line.rstrip("\n").split("\t") for line in large.make_rows(real, [1, 2], 300)]
    assert {(row[0], row[3], len(row[1].split()), len(row[2].split())) for row in rows} == {("0", "yes", 2, 3), ("1", "no", 1, 1)}
    words = {word for row in rows for column in (1, 2) for word in row[column].split()}
    assert {word for word in words if len(word) == 1} == set("abcdefg")
    assert 0 < len([word for word in words if len(word) > 1]) < 20
    assert rows == [line.rstrip("\n").split("\t") for line in large.make_rows(real, [1, 2], 300)]
