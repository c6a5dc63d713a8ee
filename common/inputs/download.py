"""Downloads: a file from a mirror or one of its official addresses into the cache; whole and verified, or not at all.

    downloads/   files as they came; `.part` is one under way, `.bad` one whose digest was wrong
    locks/       one for each entry of the cache; the kernel frees a lock when its process dies
"""
import contextlib
import errno
import hashlib
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urljoin, urlsplit
from urllib.request import url2pathname

from common import UserError
from common.files import errors_name, file_lock, new_file, put_in_place, sha256_of

TRIES = 5
"""How often a file is asked for at one address."""
CONNECT_TRIES = 3
"""The same where no server answers; only once after another host did not answer either."""
BACKOFF_SECONDS = 0.5
"""Wait after the first failure; it doubles with each one."""
LONGEST_WAIT_SECONDS = 30
"""Longest Retry-After of a server that is obeyed."""
CONNECT_SECONDS = 5
STALL_SECONDS = 30
"""A connection that delivers nothing for this long is closed."""
CHUNK_BYTES = 1 << 16
"""Bytes read at a time; at most this much is lost where a connection breaks off."""
PROGRESS_BYTES = 5_000_000
"""Larger downloads show a progress line."""
MAX_BYTES = 4 << 30
"""Largest download."""


@contextlib.contextmanager
def disk_errors_told() -> Iterator[None]:
    """Turns what the operating system says about files of the cache into one sentence."""
    try:
        yield
    except OSError as error:
        remedy = "free some space" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "fix that"
        raise UserError(f"{error.filename or 'a file of the cache'} cannot be read or written ({error.strerror or error}); "
                        f"{remedy}, or name another cache folder with BERT_GLUE_CACHE") from error


# -- the cache

def cache_dir() -> Path:
    """The cache folder: `BERT_GLUE_CACHE`, else the user's cache folder of this system; made where it is missing.

    Raises:
      UserError: nothing can be written there.
    """
    from platformdirs import user_cache_path

    folder = Path(os.environ.get("BERT_GLUE_CACHE") or user_cache_path("bert-glue")).expanduser()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(f"the cache folder {folder} cannot be written ({error.strerror}); make it writable or name "
                        "another with BERT_GLUE_CACHE") from None
    return folder


# -- downloads

@dataclass(frozen=True)
class Source:
    """A file to fetch: its addresses, which are tried in this order, and what it must be."""

    url: str
    sha256: str | None
    """SHA-256 of the whole file; None: not known, any content is accepted."""
    size: int | None = None
    """Size in bytes, where it is published."""
    others: tuple[str, ...] = ()
    """Other addresses of the same bytes."""

    @property
    def name(self) -> str:
        return file_name(self.url)

    @property
    def names(self) -> list[str]:
        """The names under which a folder may hold it."""
        return list(dict.fromkeys(map(file_name, (self.url, *self.others))))


class _Failed(Exception):
    """A failed attempt to fetch a file: why, whether to try again, and how long the server wants us to wait."""

    def __init__(self, reason: str, *, final: bool = False, wait: float | None = None, unreachable: bool = False):
        super().__init__(reason)
        self.final = final
        self.wait = wait
        self.unreachable = unreachable


class NotFetched(Exception):
    """A file that is not here would have to be fetched, but `without_fetching` is at work."""


_may_fetch = True


@contextlib.contextmanager
def without_fetching() -> Iterator[None]:
    """Raises `NotFetched` where a file would be fetched: a plan must not download what it is asked about."""
    global _may_fetch
    _may_fetch = False
    try:
        yield
    finally:
        _may_fetch = True


_unreachable: set[str] = set()
"""Hosts that did not answer this process: they are not asked again."""


@disk_errors_told()
def download(source: Source, cache: Path, by_hand: str = "--checkpoint FILE") -> Path:
    """A file from the cache, or fetched into it; an interrupted download continues where it stopped.

    A file with a known digest is looked for at BERT_GLUE_MIRROR first, if that is set: its content is checked.

    Args:
      by_hand: the flag by which the user can give the file, for the error message.

    Raises:
      UserError: the file cannot be fetched; the sentence names every address that was tried, and the other ways to give it.
    """
    key = source.sha256 or hashlib.sha256(source.url.encode()).hexdigest()
    path = cache / "downloads" / f"{key[:16]}-{re.sub(r'[^A-Za-z0-9._-]', '_', source.name)[-80:]}"
    if _is_good(path, source):
        return path
    if not _may_fetch:
        raise NotFetched(source.name)
    with file_lock(path):
        if not _is_good(path, source):
            if path.exists():
                _move_away(path, path)
            _fetch_anywhere(source, path, by_hand)
    return path


def _is_good(path: Path, source: Source) -> bool:
    return path.exists() and source.sha256 in (None, sha256_of(path))


def _fetch_anywhere(source: Source, path: Path, by_hand: str) -> None:
    """Fetches a file from the first address that has it."""
    addresses = _addresses(source)
    reasons: list[str] = []
    forbidden = [address for address in addresses if is_offline() and not _is_local(address)]
    for address in addresses:
        if address in forbidden:
            continue
        if reasons:
            print(f"note: {source.name} cannot be fetched from {reasons[-1]}; trying {shown(address)}", file=sys.stderr)
        try:
            _fetch(address, path, source)
            return
        except _Failed as failed:
            reasons.append(f"{shown(address)}: {failed}")
    if forbidden:
        reasons.append(f"{', '.join(map(shown, forbidden))}: BERT_GLUE_OFFLINE forbids it")
    raise UserError(f"{source.name} cannot be fetched from {', nor from '.join(reasons)}; give it with {by_hand}, or set "
                    "BERT_GLUE_MIRROR to the folder or address where it is")


def _addresses(source: Source) -> list[str]:
    mirror = os.environ.get("BERT_GLUE_MIRROR", "").rstrip("/")
    return [f"{mirror}/{name}" for name in source.names if mirror and source.sha256] + [source.url, *source.others]


def is_offline() -> bool:
    """Whether the user forbids the network."""
    return os.environ.get("BERT_GLUE_OFFLINE", "0") not in ("", "0")


def _fetch(address: str, path: Path, source: Source) -> None:
    """Copies or downloads the file.

    Raises:
      _Failed: it cannot be had there.
    """
    if _is_local(address) and source.sha256:
        _copy(Path(url2pathname(address.removeprefix("file://")) if address.startswith("file://") else address), path, source)
    elif not re.match("https?://", address, re.IGNORECASE):
        raise _Failed("only http and https addresses are fetched", final=True)
    else:
        _download(address, path, source)


def _is_local(address: str) -> bool:
    return address.startswith("file://") or "://" not in address


def _copy(place: Path, path: Path, source: Source) -> None:
    place = place.expanduser()
    if not place.is_file():
        raise _Failed("there is no such file", final=True)
    with new_file(path) as new:
        shutil.copyfile(place, new)
        if sha256_of(new) != source.sha256:
            raise _Failed("its SHA-256 is not the official one", final=True)


def _download(address: str, path: Path, source: Source) -> None:
    """Fetches the file in up to `TRIES` attempts, or raises the last one's `_Failed`."""
    import requests

    host = urlsplit(address).netloc
    if host in _unreachable:
        raise _Failed("there is no connection", final=True)
    print(f"fetching {source.name} from {shown(address)}", file=sys.stderr)
    part = path.with_name(f"{path.name}.part")
    with requests.Session() as session:
        if not source.sha256:
            session.hooks["response"].append(_refuse_downgrade)
        for attempt in range(1, TRIES + 1):
            try:
                resumed = _receive(session, address, part, source.size)
                if source.sha256 and sha256_of(part) != source.sha256:
                    _move_away(part, path)
                    raise _Failed("its SHA-256 is not the official one", final=not resumed)
                put_in_place(part, path)
                _etag_of(part).unlink(missing_ok=True)
                return
            except _Failed as failed:
                tries = TRIES if not failed.unreachable else 1 if _unreachable else CONNECT_TRIES
                if failed.final or attempt >= tries:
                    if failed.unreachable:
                        _unreachable.add(host)
                    raise
                backoff = BACKOFF_SECONDS * 2 ** (attempt - 1)
                time.sleep(backoff if failed.wait is None else min(failed.wait, LONGEST_WAIT_SECONDS))


def _receive(session, address: str, part: Path, size: int | None) -> bool:
    """One attempt: adds to `part` what is missing. Returns whether an earlier attempt had begun it."""
    import requests

    start = part.stat().st_size if part.exists() and _etag_of(part).exists() else 0
    headers = {"Accept-Encoding": "identity"}
    if start:
        headers |= {"Range": f"bytes={start}-", "If-Range": _etag_of(part).read_text("latin-1")}
    try:
        with session.get(address, headers=headers, stream=True, timeout=(CONNECT_SECONDS, STALL_SECONDS)) as response:
            _check_status(response, part)
            resumes = response.status_code == 206
            total = _check_range(response, start, part) if resumes else _begin(response, part)
            if size is not None and total not in (None, size):
                _discard(part)
                raise _Failed(f"it has {total} bytes there, but the official file has {size}", final=True)
            _append(response, part, size if total is None else total)
    except (requests.RequestException, ValueError) as error:
        raise _explain(error, part) from None
    return resumes


def _append(response, part: Path, expected: int | None) -> None:
    """Writes the body to the end of `part`, up to the expected length of the whole file."""
    from tqdm import tqdm

    quiet = None if expected and expected > PROGRESS_BYTES else True  # None: quiet where stderr is no terminal
    with (errors_name(part), open(part, "ab") as file,
          tqdm(desc=file_name(response.url), total=expected, initial=file.tell(), unit="B", unit_scale=True, disable=quiet)
          as progress):
        for chunk in response.iter_content(CHUNK_BYTES):
            if file.tell() + len(chunk) > (expected or MAX_BYTES):
                _discard(part)
                raise _Failed(f"more than {expected or MAX_BYTES} bytes came", final=True)
            file.write(chunk)
            progress.update(len(chunk))
        if expected is not None and file.tell() < expected:
            raise _Failed(f"only {file.tell()} of {expected} bytes came")


def _begin(response, part: Path) -> int | None:
    """Starts `part` from scratch for a whole body; returns the length that the server announces."""
    _discard(part)
    part.touch()
    etag = response.headers.get("ETag", "")
    if etag.startswith('"'):  # a weak one (W/"...") says nothing about bytes
        _etag_of(part).write_text(etag, "latin-1")
    length = response.headers.get("Content-Length", "")
    return int(length) if length.isascii() and length.isdigit() else None


def _check_status(response, part: Path) -> None:
    code = response.status_code
    if code not in (200, 206):
        if code == 416:  # the file is not as long as our beginning of it
            _discard(part)
        wait = response.headers.get("Retry-After", "")
        raise _Failed(f"the server answered with status {code}", final=code < 500 and code not in (408, 416, 429),
                      wait=int(wait) if re.fullmatch("[0-9]{1,9}", wait) else None)
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise _Failed("it comes compressed although that was not asked for", final=True)
    if response.headers.get("Content-Type", "").startswith("text/html"):
        raise _Failed("an HTML page came instead of the file", final=True)


def _check_range(response, start: int, part: Path) -> int:
    """The length of the whole file, once the answer proves to be the missing rest of it."""
    found = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", response.headers.get("Content-Range", ""))
    first, last, total = map(int, found.groups()) if found else (0, 0, 0)
    etag = _etag_of(part)
    same = etag.exists() and response.headers.get("ETag") in (None, etag.read_text("latin-1"))
    if not (start and same and first == start and last == total - 1):
        _discard(part)
        raise _Failed("the server answered with another part of the file than was asked for")
    return total


def _refuse_downgrade(response, **_kwargs) -> None:
    target = urljoin(response.url, response.headers.get("Location", ""))
    if response.is_redirect and response.url.startswith("https:") and not target.startswith("https:"):
        raise _Failed("it is redirected from https to an insecure address", final=True)


def _explain(error: Exception, part: Path) -> _Failed:
    """Plain words for an exception of requests."""
    import requests

    if isinstance(error, requests.exceptions.SSLError):
        return _Failed("its certificate cannot be verified", final=True)
    if isinstance(error, requests.TooManyRedirects):
        return _Failed("it is redirected in circles", final=True)
    if _is_unreachable(error):
        return _Failed("there is no connection", unreachable=True)
    if isinstance(error, requests.Timeout):
        return _Failed("the server does not answer")
    if isinstance(error, ValueError):
        return _Failed("that is no valid http or https address", final=True)
    received = part.stat().st_size if part.exists() else 0
    if received:
        return _Failed(f"the connection stalled or broke off after {received} bytes")
    return _Failed("there is no connection")


def _is_unreachable(error: Exception) -> bool:
    """Whether no connection was made: the name is not known, no server listens, or none answers."""
    import requests
    from urllib3.exceptions import NewConnectionError

    reason = getattr(error.args[0], "reason", None) if error.args else None
    reason = getattr(reason, "original_error", reason)  # of a proxy that is not there
    return isinstance(error, requests.ConnectTimeout) or isinstance(reason, NewConnectionError)


def _etag_of(part: Path) -> Path:
    return part.with_name(f"{part.name}.etag")


def _discard(part: Path) -> None:
    _etag_of(part).unlink(missing_ok=True)  # first: without it nothing is resumed, wherever we are stopped
    part.unlink(missing_ok=True)


def _move_away(file: Path, path: Path) -> None:
    _etag_of(file).unlink(missing_ok=True)
    file.replace(path.with_name(f"{path.name}.bad"))


def file_name(url: str) -> str:
    """The last part of the address's path: `mrpc_dev_ids.tsv` for .../o/data%2Fmrpc_dev_ids.tsv?alt=media."""
    try:
        return PurePosixPath(unquote(urlsplit(url).path)).name or "file"
    except ValueError:
        raise UserError(f"{url} is not a valid address") from None


def shown(url: str) -> str:
    """The address without what may be secret: user, password and query."""
    return re.sub(r"//[^/@]*@", "//", url.partition("?")[0])
