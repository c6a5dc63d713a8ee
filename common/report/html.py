"""The report as one self-contained HTML page: figures within it, no script, nothing fetched from anywhere."""
import base64
import re

ANCHOR = re.compile(r'<a id="[a-z0-9-]+">|</a>')
"""The only HTML that the report's Markdown holds; whatever else looks like HTML is shown as text."""
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""What a browser may load for the page: nothing but what is in it."""
STYLE = """
:root { color-scheme: light dark; --line: #8885; --soft: #8882; }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; font: 1rem/1.55 system-ui, sans-serif; }
h1, h2, h3, h4 { line-height: 1.25; margin: 2em 0 0.6em; }
h1 { margin-top: 0; } h2 { border-bottom: 1px solid var(--line); padding-bottom: 0.2em; }
.scroll { overflow-x: auto; margin: 1em 0; }
table { border-collapse: collapse; font-size: 0.9rem; font-variant-numeric: tabular-nums; }
th, td { border: 1px solid var(--line); padding: 0.3em 0.6em; text-align: left; vertical-align: top; }
th { background: var(--soft); }
td { min-width: 3em; }
img { max-width: 100%; height: auto; background: white; }
pre { overflow-x: auto; padding: 0.8em; background: var(--soft); line-height: 1.3; }
blockquote { margin: 1em 0; padding: 0.1em 1em; border-left: 0.3em solid #c60; background: var(--soft); }
"""


def to_html(text: str, figures: dict[str, bytes]) -> str:
    """The page of `build_report` as HTML.

    Args:
      text: its Markdown.
      figures: its pictures, file name below `figures/` -> PNG.
    """
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark").enable("table")
    parser.add_render_rule("table_open", lambda *_: '<div class="scroll"><table>\n')
    parser.add_render_rule("table_close", lambda *_: "</table></div>\n")
    blocks = parser.parse(text)
    for token in (token for block in blocks for token in (block, *(block.children or ()))):
        if token.type in ("html_inline", "html_block") and not ANCHOR.fullmatch(token.content):
            token.type = "text"
        elif token.type == "image":
            picture = figures[str(token.attrs["src"]).removeprefix("figures/")]
            token.attrs["src"] = "data:image/png;base64," + base64.b64encode(picture).decode()
    body = parser.renderer.render(blocks, parser.options, {})
    title = re.sub("<[^>]*>", "", body.split("</h1>")[0])
    return (f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
            f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>{title}</title>\n'
            f"<style>{STYLE}</style>\n</head>\n<body>\n{body}</body>\n</html>\n")
