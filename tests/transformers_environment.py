"""An environment of its own with PyTorch and transformers, which the program itself does not need.

It is made once, in a cache folder of the user; BERT_GLUE_TRANSFORMERS names the Python of one that is there already.
"""
import functools
import os
import subprocess
import sys
from pathlib import Path

import pytest
from platformdirs import user_cache_path

from common.files import make_once

TORCH, TRANSFORMERS = "2.13.0", "5.24.0"
CPU_WHEELS = "https://download.pytorch.org/whl/cpu"
PROGRAM = """
import json, sys, torch, transformers
answers = {}
for folder, texts in json.load(sys.stdin).items():
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    firsts, seconds = [row[0] for row in texts], [row[1] for row in texts] if len(texts[0]) == 2 else None
    inputs = tokenizer(firsts, seconds, padding=True, truncation=True, return_tensors="pt")
    with torch.no_grad():
        logits = model(**inputs).logits
    answers[folder] = {"logits": logits.tolist(), "labels": model.config.id2label,
                       "ids": [[number for number, kept in zip(*row) if kept] for row in
                               zip(inputs["input_ids"].tolist(), inputs["attention_mask"].tolist())]}
json.dump(answers, sys.stdout)
"""


def find_python() -> str:
    """The Python of the environment, which is made if it is missing; skips the test where it cannot be made."""
    python, reason = _find_or_make()
    if reason:
        pytest.skip(f"an environment with torch and transformers cannot be made: {reason}")
    return python


@functools.cache
def _find_or_make() -> tuple[str, str]:
    """The Python, and why it is not there."""
    if "BERT_GLUE_TRANSFORMERS" in os.environ:
        return os.environ["BERT_GLUE_TRANSFORMERS"], ""
    folder = user_cache_path("bert-glue-tests") / f"torch-{TORCH}-transformers-{TRANSFORMERS}-py{sys.version_info[1]}"
    ready = folder.with_name(f"{folder.name}.ready")
    ready.parent.mkdir(parents=True, exist_ok=True)
    try:
        make_once(ready, lambda: _make(folder, ready))
    except (OSError, subprocess.SubprocessError) as error:
        return "", str(getattr(error, "stderr", None) or error)[-300:]
    return str(folder / "bin" / "python"), ""


def _make(folder: Path, ready: Path) -> None:
    def run(*words):
        subprocess.run(list(map(str, words)), check=True, capture_output=True, text=True, timeout=900)

    pip = folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--no-compile", "--retries", "1"
    run(sys.executable, "-m", "venv", "--clear", folder)
    try:  # the wheel without CUDA, from wherever this machine finds packages, else from where PyTorch has it
        run(*pip, f"torch=={TORCH}+cpu")
    except subprocess.CalledProcessError:
        run(*pip, f"torch=={TORCH}", "--index-url", CPU_WHEELS)
    run(*pip, f"transformers=={TRANSFORMERS}", "safetensors")
    ready.touch()
