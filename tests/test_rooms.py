"""The rooms of `common/`: imports run one way, and what is light stays light."""
import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ("files", "studies", "inputs", "training", "store", "report", "running", "demo", "cli")
"""From the bottom up: a room imports only those before it, and itself."""


def where_imports() -> list[tuple[str, str, str]]:
    """(file, its room, a room that it imports), also of imports within functions."""
    found = []
    for path in sorted((ROOT / "common").rglob("*.py")):
        parts = path.relative_to(ROOT / "common").with_suffix("").parts
        for node in ast.walk(ast.parse(path.read_text())):
            names = [node.module] if isinstance(node, ast.ImportFrom) and node.module else \
                [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module == "common":
                names = [f"common.{alias.name}" for alias in node.names]
            found += [("/".join(parts), parts[0], name.split(".")[1]) for name in names
                      if name.startswith("common.") and name.split(".")[1] in ROOMS]
    return found


def test_imports_run_one_way():
    imports = where_imports()
    assert len(imports) > 100
    assert [(file, room) for file, own, room in imports if own in ROOMS and ROOMS.index(room) > ROOMS.index(own)] == []


def test_the_public_names_are_there_and_importing_the_package_costs_nothing():
    heavy = ("tensorflow", "numpy", "sqlalchemy", "requests", "tqdm")
    code = (f"import sys, common; print([name for name in {heavy} if name in sys.modules]); "
            "from common import Condition, Study; print([name for name in sys.modules if name == 'numpy']); "
            "from common import load_classifier, run_study; print('tensorflow' in sys.modules, run_study.__name__)")
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n[]\nFalse run_study\n"
    with pytest.raises(ImportError, match="cannot import name 'nothing' from 'common'"):
        exec("from common import nothing")


@pytest.mark.parametrize("module", ["common.cli", "common.store.store", "common.report", "common.running.driver",
                                    "common.training.run"])
def test_tensorflow_is_not_imported_with(module):
    code = f"import sys, {module}; print('tensorflow' in sys.modules, 'official' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "False False\n"
