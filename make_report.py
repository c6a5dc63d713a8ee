"""Turns the results store into a report: REPORT.md and its figures, from the store alone.

    python make_report.py

The same store gives the same bytes. The store is only read, also while a study is still training.
"""
import argparse
import sys
from pathlib import Path

from common.cli import address, guarded
from common.demo import FOLDER as DEMO


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
                                     epilog="exit status: 0 the report is written; 2 a flag, a file or the store needs fixing",
                                     allow_abbrev=False)
    parser.add_argument("--db", type=address, metavar="FILE|URL", help="the results store (default: results.db)")
    parser.add_argument("--out", metavar="FILE.md",
                        help="the report; its figures go to figures/ beside it (default: REPORT.md)")
    parser.add_argument("--html", action="store_true",
                        help="write the report as one self-contained page, too: REPORT.html, figures within")
    parser.add_argument("--demo", action="store_true", help="as --db demo/results.db --out demo/REPORT.md")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Writes the report from the command line; returns the exit status."""
    parser = build_parser()
    options = parser.parse_args(arguments)
    if options.demo and (options.db or options.out):
        parser.error("--demo has its own store and report; leave out --db and --out")
    folder = DEMO if options.demo else Path()
    return guarded(lambda: _write(options.db or str(folder / "results.db"), Path(options.out or folder / "REPORT.md"),
                                  options.html), options.debug)


def _write(db: str, out: Path, html: bool) -> int:
    from common.report import build_report, draw_figures, write_report
    from common.store.store import Store

    store = Store(db, create=False)
    try:
        text, figures = build_report(store)
    finally:
        store.close()
    write_report(text, draw_figures(figures), out, html=html)
    print(f"the report is in {out}" + (f", its {len(figures)} figures in {out.parent / 'figures'}" if figures else "")
          + (f", the page in {out.with_suffix('.html')}" if html else ""))
    return 0


if __name__ == "__main__":
    sys.exit(main())
