"""The report as one self-contained HTML page: figures within it, nothing fetched from anywhere."""
import base64
import hashlib
import re

OURS = re.compile(r'<a id="[a-z0-9-]+">|</a>|<details><summary>[^<>&]*</summary>\n?|</details>\n?')
"""The only HTML that the report's Markdown holds; whatever else looks like HTML is shown as text."""
SCRIPT = """
function reveal() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  for (let part = target; part; part = part.parentElement) if (part.tagName === "DETAILS") part.open = true;
  if (target) target.scrollIntoView();
}
addEventListener("hashchange", reveal);
addEventListener("DOMContentLoaded", reveal);
addEventListener("click", event => { if (event.target.closest('a[href^="#"]')) setTimeout(reveal); });
"""
"""Opens the folded parts that a link leads into."""
POLICY = ("default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-"
          + base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode() + "'")
"""What a browser may load for the page: nothing but what is in it, and no script but the one above."""
STYLE = """
:root { color-scheme: light dark; --line: #8885; --soft: #8882; --page: light-dark(#fff, #1b1b1b); }
html { scroll-padding-top: 1rem; }
body { display: grid; grid-template-columns: 15rem minmax(0, 60rem); gap: 2.5rem; margin: 0 auto; max-width: 80rem;
       padding: 0 1rem; background: var(--page); font: 1rem/1.55 system-ui, sans-serif; }
nav { position: sticky; top: 0; align-self: start; max-height: 100vh; overflow-y: auto; padding: 2rem 0; font-size: 0.85rem; }
nav a { display: block; padding: 0.15rem 0; text-decoration: none; }
nav a.level-3 { padding-left: 1em; }
main { min-width: 0; padding: 2rem 0; overflow-wrap: break-word; }
h1, h2, h3, h4 { line-height: 1.25; margin: 2em 0 0.6em; }
h1 { margin-top: 0; } h2 { border-bottom: 1px solid var(--line); padding-bottom: 0.2em; }
.scroll { overflow-x: auto; margin: 1em 0; }
table { border-collapse: collapse; font-size: 0.9rem; font-variant-numeric: tabular-nums; }
th, td { border: 1px solid var(--line); padding: 0.3em 0.6em; text-align: left; vertical-align: top; overflow-wrap: normal; }
th { background: var(--soft); }
td { min-width: 3em; }
img { max-width: 100%; height: auto; background: white; }
details { margin: 1em 0; padding-left: 0.8em; border-left: 0.2em solid var(--line); }
summary { cursor: pointer; font-weight: 600; }
pre { overflow-x: auto; padding: 0.8em; background: var(--soft); line-height: 1.3; }
blockquote { margin: 1em 0; padding: 0.1em 1em; border-left: 0.3em solid #c60; background: var(--soft); }
@media (max-width: 62rem) {
  html { scroll-padding-top: 3.5rem; }
  body { display: block; }
  nav { display: flex; gap: 1.2em; overflow-x: auto; margin: 0 -1rem; padding: 0.5rem 1rem; white-space: nowrap;
        background: var(--page); border-bottom: 1px solid var(--line); z-index: 1; }
  nav a.level-3 { display: none; }
}
"""


def to_html(text: str, figures: dict[str, bytes]) -> str:
    """The page of `build_report` as HTML.

    Args:
      text: its Markdown.
      figures: its pictures, file name below `figures/` -> PNG.
    """
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark").enable("table")
    parser.add_render_rule("table_open", lambda *_: '<div class="scroll" tabindex="0"><table>\n')
    parser.add_render_rule("table_close", lambda *_: "</table></div>\n")
    blocks = parser.parse(text)
    for token in (token for block in blocks for token in (block, *(block.children or ()))):
        if token.type in ("html_inline", "html_block") and not OURS.fullmatch(token.content):
            token.type = "text"
        elif token.type == "image":
            picture = figures[str(token.attrs["src"]).removeprefix("figures/")]
            token.attrs["src"] = "data:image/png;base64," + base64.b64encode(picture).decode()
    body = parser.renderer.render(blocks, parser.options, {})
    title = re.sub("<[^>]*>", "", body.split("</h1>")[0])
    return (f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
            f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>{title}</title>\n'
            f"<style>{STYLE}</style>\n<script>{SCRIPT}</script>\n</head>\n<body>\n{_write_navigation(body)}"
            f"<main>\n{body}</main>\n</body>\n</html>\n")


def _write_navigation(body: str) -> str:
    """Links to the headings of two levels, for a place that stays while the page scrolls."""
    headings = re.findall(r'<h([23])><a id="([a-z0-9-]+)"></a>(.*?)</h\1>', body)
    links = [f'<a class="level-{level}" href="#{anchor}">{title}</a>\n' for level, anchor, title in headings]
    return f'<nav aria-label="Contents">\n{"".join(links)}</nav>\n' if links else ""
