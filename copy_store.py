"""Copies a results store into another, or merges two: results.db into PostgreSQL and back, or the runs of two machines.

    python copy_store.py results.db postgresql+psycopg://anna@host/results
    python copy_store.py other_machine.db results.db

TO gets every run of FROM that it lacks, all of them or none; FROM is only read. A run that both have finished with the same
measurements is one run. Where they differ, TO keeps its own, and the run is listed with both scores. To settle that, set the
wrong one aside in its store (docs/stores.md) and copy that store into the other.
"""
import argparse
import sys
from pathlib import Path

from common import UserError
from common.cli import address, guarded


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
                                     epilog="exit status: 0 all of FROM is in TO; 1 all but the runs that differ; 2 something "
                                            "to fix, and nothing was copied", allow_abbrev=False)
    parser.add_argument("source", type=address, metavar="FROM", help="the store to copy: a file, or a database URL of SQLAlchemy")
    parser.add_argument("target", type=address, metavar="TO", help="the store that it is added to; created if it is missing")
    parser.add_argument("--dry-run", action="store_true", help="show what would be copied, and stop")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Copies from the command line; returns the exit status."""
    options = build_parser().parse_args(arguments)
    return guarded(lambda: _run(options), options.debug, stopped="TO has all of FROM or nothing of it; call again to copy it")


def _run(options) -> int:
    if Path(options.source).resolve() == Path(options.target).resolve():
        raise UserError("FROM and TO are the same store; name two")
    name, found = (_compare if options.dry_run else _copy)(options.source, options.target)
    _print(name, found, options.dry_run)
    return 1 if found.differing else 0


def _copy(source: str, target: str):
    """Name of TO, and what was copied."""
    from sqlalchemy.exc import IntegrityError

    from_name, content = _read(source, "FROM")
    store = _open(target, "TO", create=True)
    try:
        return store.name, store.add(content)
    except IntegrityError as error:
        raise UserError(f"rows of the results store {from_name} are missing or inconsistent "
                        f"({str(error.orig).splitlines()[0]}); restore a copy of it") from error
    finally:
        store.close()


def _compare(source: str, target: str):
    """Name of TO, and what would be copied."""
    from common.store.connection import NoStore
    from common.store.merging import compare

    _, content = _read(source, "FROM")
    try:
        name, other = _read(target, "TO")
    except NoStore:
        name, other = "TO, which will be created", {}
    return name, compare(content, other)


def _read(address: str, flag: str):
    """Name and content of a store."""
    store = _open(address, flag, create=False)
    try:
        return store.name, store.read_all()
    finally:
        store.close()


def _open(address: str, flag: str, create: bool):
    from common.store.store import Store

    return Store(address, create=create, flag=flag)


def _print(name: str, found, dry_run: bool) -> None:
    """One line about what was copied, and one for each run that differs."""
    from common.store.merging import is_finished
    from common.studies.names import name_run

    finished = sum(map(is_finished, found.added))
    print(f"{name}: {finished} finished and {len(found.added) - finished} unfinished runs {'would be ' if dry_run else ''}added, "
          f"{len(found.there)} are there already, {len(found.differing)} differ"
          + (f"; {len(found.set_aside)} of those there {'would be ' if dry_run else 'were '}set aside as in FROM"
             if found.set_aside else "")
          + (f"; {len(found.predicted)} of those there {'would get' if dry_run else 'got'} their predictions of rows"
             if found.predicted else ""))
    for difference in found.differing:
        print(f"differs: {name_run(difference.config, difference.instance)}: {_show(difference.scores)}", file=sys.stderr)


def _show(scores: dict) -> str:
    if all(ours == theirs for ours, theirs in scores.values()):
        return "the same scores, other measurements"
    return "; ".join(f"{name} {'no score' if ours is None else ours} in FROM, {'no score' if theirs is None else theirs} in TO"
                     for name, (ours, theirs) in scores.items())


if __name__ == "__main__":
    sys.exit(main())
