"""The report's templates: strict about what is missing, and foreign text stays inert."""
import pytest
from jinja2 import DictLoader, UndefinedError

from common.report import templates
from common.report.page import Markdown
from common.report.templates import join_words, list_contents, say, table


@pytest.fixture
def show(monkeypatch):
    """Renders a text as a template."""
    def render(text, **values):
        environment = templates._environment(plain=False).overlay(loader=DictLoader({"x.md.j2": text}))
        monkeypatch.setattr(templates, "_environment", lambda plain: environment)
        return templates.render("x", **values)
    return render


def test_a_value_is_escaped_unless_it_is_our_own_markdown(show):
    assert show("{{ name }}, {{ ours }}", name="<b>*x*</b>", ours=Markdown("*x*")) == r"&lt;b&gt;\*x\*&lt;/b&gt;, *x*"
    assert show("{{ name ~ ours }}", name="", ours=Markdown("*x*")) == r"\*x\*"


def test_an_undefined_name_and_none_are_errors(show):
    with pytest.raises(UndefinedError, match="'missing' is undefined"):
        show("{{ missing }}")
    with pytest.raises(ValueError, match="a template shows None"):
        show("{{ nothing }}", nothing=None)


def test_a_table_leaves_out_columns_without_any_value_and_escapes_the_rest():
    rows = [{"size": 2, "score": Markdown("**70.1**"), "old": None, "note": "a|b"},
            {"size": 8, "score": None, "old": None, "note": "c"}]
    assert table(rows, {"batch size": "size", "accuracy": "score", "2020": "old", "note": "note"}).splitlines() == [
        "| batch size   | accuracy   | note   |", "|--------------|------------|--------|",
        r"| 2            | **70.1**   | a\|b   |", "| 8            | -          | c      |"]


def test_words_in_a_row():
    assert [join_words(words) for words in (["a"], ["a", "b"], ["a", "b", "c*"])] == ["a", "a and b", r"a, b and c\*"]


def test_contents_have_two_levels():
    text = '## <a id="a"></a>A\n\ntext\n\n### <a id="a-b"></a>B\n\n#### <a id="c"></a>C\n'
    assert list_contents(text) == "- [A](#a)\n  - [B](#a-b)"


def test_a_sentence_in_a_picture_is_plain_text():
    cells = [{"size": 2, "rate": 2e-5, "score": Markdown("72.8 ± 1.5 (n = 4)")}] * 2
    values = {"cells": cells, "group": type("Group", (), {"task": "<MRPC>", "title_without_task": "mini_x"})}
    assert " with three runs or more on &lt;MRPC&gt; (mini_x), the best" in say("best_cell", **values)
    plain = say("best_cell", plain=True, **values)
    assert " with three runs or more on <MRPC> (mini_x), the best mean is that of batch 2 at 2e-5: 72.8 ± 1.5 (n = 4);" in plain
