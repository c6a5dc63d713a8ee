"""The report as HTML: one file that loads nothing, and text from the store stays text."""
import re
from html.parser import HTMLParser
from pathlib import Path

from test_report import GOOGLE

import make_report
from common.report.html import SCRIPT, to_html

VOID = ("meta", "img", "br", "hr")
"""Tags without an end."""


class Reader(HTMLParser):
    """Collects what a browser would act upon, and whether tags are balanced."""

    def __init__(self, page):
        super().__init__()
        self.page = page
        self.tags, self.links, self.anchors, self.text, self._open = set(), [], [], "", []
        self.feed(page)
        assert self._open == []

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        attributes = dict(attributes)
        assert not [name for name in attributes if name.startswith("on")]
        self.links += [attributes[name] for name in ("href", "src") if name in attributes]
        self.anchors += [attributes["id"]] if "id" in attributes else []
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag):
        assert tag in VOID or self._open.pop() == tag

    def handle_data(self, data):
        self.text += data


def page() -> str:
    assert make_report.main(["--html"]) == 0
    return Path("REPORT.html").read_text()


def test_one_page_with_all_of_the_report(fill, capsys):
    checkpoint = fill.checkpoint("uncased_L-4_H-256_A-4", GOOGLE)
    fill.cell(checkpoint, 2, [316, 315, 312, 313])
    fill.cell(checkpoint, 8, [310, 311, 312, 313])
    found = Reader(page())
    assert capsys.readouterr().out == ("the report is in REPORT.md, its 3 figures in figures, the page in REPORT.html\n")
    assert found.tags <= {"html", "head", "meta", "title", "style", "script", "body", "nav", "main", "h1", "h2", "h3", "h4", "p",
                          "ul", "li", "a", "div", "details", "summary", "table", "thead", "tbody", "tr", "th", "td", "strong",
                          "em", "code", "img", "blockquote"}
    assert Path("REPORT.html").read_text().count("<script>") == 1 and SCRIPT in Path("REPORT.html").read_text()
    pictures = [link for link in found.links if link.startswith("data:image/png;base64,iVBORw0KGgo")]
    assert len(pictures) == 4  # one of them opens the page, too
    inner = [link[1:] for link in found.links if link.startswith("#")]
    assert inner and set(inner) <= set(found.anchors)
    others = set(found.links) - set(pictures) - {f"#{name}" for name in inner}
    assert all(link.startswith("https://") for link in others)  # the references
    assert "76.96" not in found.text and "77.0 ± 0.7" in found.text and "Definitions" in found.text
    text = Path("REPORT.md").read_text()
    assert text.count("\n| ") - text.count("\n| ---") == len(re.findall("<tr>", page()))


def test_the_same_bytes_each_time(fill):
    fill.cell(fill.checkpoint(), 2, [290, 291])
    assert page() == page()


def test_foreign_text_stays_text(fill):
    config = fill.cell(fill.checkpoint("<script>alert(1)</script>|`x`"), 2, [290])
    fill.run(config, 1, status="failed", error="![x](http://evil/x.png)\n<img src=x onerror=alert(1)> <a id=\"y\">")
    fill.run(config, 2, 0.7, set_aside="</td></table> [x](javascript:alert) <style>*{}</style>")
    found = Reader(page())
    assert page().count("<script") == 1 and not [
        link for link in found.links if not link.startswith("data:") and ("evil" in link or "javascript" in link)]
    assert "<script>alert(1)</script>|`x`" in found.text
    assert '<img src=x onerror=alert(1)> <a id="y">' in found.text
    assert "</td></table> [x](javascript:alert) <style>*{}</style>" in found.text
    assert "y" not in found.anchors


def test_html_that_slipped_into_the_markdown_is_shown_and_not_obeyed():
    found = Reader(to_html('# T\n\n<a id="fine"></a>a <b onclick="x()">bold</b>\n\n<script>alert(1)</script>\n', {}))
    assert found.anchors == ["fine"] and "b" not in found.tags and found.page.count("<script") == 1
    assert '<b onclick="x()">bold</b>' in found.text and "<script>alert(1)</script>" in found.text


def test_no_page_unless_asked_for(fill):
    fill.cell(fill.checkpoint(), 2, [290])
    assert make_report.main([]) == 0
    assert not Path("REPORT.html").exists()
