"""Fetching: right bytes or one clear sentence, whatever the server, the archive or another process does.

The server is a real one on 127.0.0.1; no other address is asked. Set BERT_GLUE_TEST_DATA to a folder with downloads/,
glue_data/ and checkpoints/ for the tests on real files.
"""
import bz2
import hashlib
import io
import json
import os
import random
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests

from common import UserError
from common.files import process_space
from common.inputs import download, glue
from common.inputs.checkpoint import BERT_MINI, get_checkpoint
from common.running import processes
from common.studies.tasks import TASKS, Task

ROOT = Path(__file__).parent.parent
BODY = b"".join(b"%04d\n" % number for number in range(1, 1001))
BODY_SHA256 = "0c8a974ea37ffb56f429319a6495265ed4f5d38ba7740392bce26ab9f5084eb4"
TAMPERED = BODY.replace(b"0500", b"0600")

CONFIG = (b'{"vocab_size": 6, "hidden_size": 4, "num_hidden_layers": 2, "num_attention_heads": 2, '
          b'"intermediate_size": 8, "max_position_embeddings": 16, "type_vocab_size": 2}')
CHECKPOINT = {"bert_config.json": CONFIG, "vocab.txt": b"[PAD]\n[UNK]\n[CLS]\n[SEP]\nhello\nworld\n",
              "bert_model.ckpt.index": b"index", "bert_model.ckpt.data-00000-of-00001": b"weights"}
CHECKPOINT_DIGEST = "1f949ee42b46efd0049fcd1c11d2db1f55a6e4d49747ca53cadc00c44b079909"
"""From the shell: sha256sum bert_config.json vocab.txt bert_model.ckpt.index bert_model.ckpt.data* | sha256sum"""


# -- a server whose every fault is asked for

class Server(ThreadingHTTPServer):
    daemon_threads = True
    most_requests = 100

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server_port}"
        self.answers = {}
        self.requests = []
        self.stop = threading.Event()

    def handle_error(self, *_):
        pass  # a client that hangs up is part of the test


class Handler(BaseHTTPRequestHandler):
    timeout = 10

    def do_GET(self):
        self.server.requests.append((self.path, dict(self.headers)))
        answers = self.server.answers.get(self.path, [status(404)])
        number = sum(path == self.path for path, _ in self.server.requests)
        assert len(self.server.requests) < self.server.most_requests
        answers[min(number, len(answers)) - 1](self)

    def reply(self, code, body=b"", **headers):
        self.send_response(code)
        for name, value in {"Content_Length": len(body), **headers}.items():
            if value is not None:
                self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def whole(body=BODY, etag='"1"', **headers):
    """A good server: ranges, If-Range and ETag as RFC 9110 has them."""
    def answer(handler):
        asked = handler.headers.get("Range")
        if asked and handler.headers.get("If-Range") == etag:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            handler.reply(206, body[start:], ETag=etag, Content_Range=f"bytes {start}-{len(body) - 1}/{len(body)}")
        else:
            handler.reply(200, body, ETag=etag, **headers)
    return answer


def cut(offset, body=BODY, etag='"1"'):
    """Announces the whole body, sends its beginning and hangs up."""
    return lambda handler: handler.reply(200, body[:offset], Content_Length=len(body), ETag=etag)


def reset(handler):
    handler.reply(200, BODY[:1000], Content_Length=len(BODY))
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()


def stall(offset, body=BODY):
    def answer(handler):
        handler.reply(200, body[:offset], Content_Length=len(body), ETag='"1"')
        handler.server.stop.wait(8)
    return answer


def status(code, **headers):
    return lambda handler: handler.reply(code, b"no", **headers)


def part(content_range, body=BODY[2000:], etag='"1"'):
    return lambda handler: handler.reply(206, body, Content_Range=content_range, ETag=etag)


@pytest.fixture
def server():
    with Server() as running:
        threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield running
        running.stop.set()
        running.shutdown()


@pytest.fixture(autouse=True)
def surroundings(monkeypatch):
    """Short waits, and nothing taken from the environment of whoever runs the tests."""
    for name in ("BERT_GLUE_MIRROR", "BERT_GLUE_OFFLINE", "BERT_GLUE_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setattr(download, "_unreachable", set())
    monkeypatch.setattr(download, "BACKOFF_SECONDS", 0.01)
    monkeypatch.setattr(download, "LONGEST_WAIT_SECONDS", 0.1)
    monkeypatch.setattr(download, "CHUNK_BYTES", 1)


@pytest.fixture
def cache(tmp_path):
    (tmp_path / "cache").mkdir()
    return tmp_path / "cache"


def get(server, cache, *answers, sha256=BODY_SHA256, size=5000):
    server.answers["/file.zip"] = answers
    return download.download(download.Source(f"{server.address}/file.zip", sha256, size), cache)


def files_in(folder):
    """The files below a folder, lock files left out."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*")
                  if path.is_file() and path.parent.name != "locks")


def ask_for(name, server):
    return [headers.get(name) for _, headers in server.requests]


def error_of(call, *args, **kwargs):
    """The one sentence that a call fails with."""
    with pytest.raises(UserError) as raised:
        call(*args, **kwargs)
    sentence = str(raised.value)
    assert sentence and "\n" not in sentence and "Traceback" not in sentence
    return sentence


def in_processes(code, count, cache, **environment):
    """What `count` processes print that run the code at once."""
    script = ("import sys; from pathlib import Path; from common.inputs import checkpoint, download, glue; "
              "cache = Path(sys.argv[1]); " + code)
    processes = [subprocess.Popen([sys.executable, "-c", script, str(cache)], cwd=ROOT, text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={**os.environ, **environment})
                 for _ in range(count)]
    return [process.communicate(timeout=20)[0].strip() for process in processes]


# -- downloads

def test_a_file_is_fetched_once(server, cache):
    first = get(server, cache, whole())
    assert first.read_bytes() == BODY
    assert get(server, cache, whole()) == first
    assert len(server.requests) == 1
    assert ask_for("Accept-Encoding", server) == ["identity"] and ask_for("Range", server) == [None]
    assert files_in(cache) == ["downloads/0c8a974ea37ffb56-file.zip"]


def test_an_address_without_digest_is_fetched_once(server, cache):
    assert get(server, cache, whole(), sha256=None, size=None) == get(server, cache, whole(), sha256=None, size=None)
    assert len(server.requests) == 1


@pytest.mark.parametrize("offset", [1, 2, 499, 500, 2500, 4095, 4096, 4097, 4998, 4999])
def test_a_download_cut_anywhere_goes_on_there(server, cache, offset):
    assert get(server, cache, cut(offset), whole()).read_bytes() == BODY
    assert ask_for("Range", server) == [None, f"bytes={offset}-"]
    assert ask_for("If-Range", server) == [None, '"1"']
    assert files_in(cache) == ["downloads/0c8a974ea37ffb56-file.zip"]


def test_a_killed_download_goes_on_in_the_next_process(server, cache):
    large = BODY * 40
    server.answers["/file.zip"] = [stall(150_000, large), whole(large)]
    code = (f"from common.inputs import checkpoint, download, glue; from pathlib import Path; download.CHUNK_BYTES = 1000; "
            f"download.download(download.Source('{server.address}/file.zip', None), Path({str(cache)!r}))")
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    wait_until(lambda: any(path.stat().st_size > 100_000 for path in cache.glob("downloads/*.part")))
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    kept = next(cache.glob("downloads/*.part")).stat().st_size
    assert get(server, cache, *server.answers["/file.zip"], sha256=None, size=None).read_bytes() == large
    assert ask_for("Range", server) == [None, f"bytes={kept}-"]


def wait_until(condition):
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize("second", [
    pytest.param([lambda handler: handler.reply(200, BODY)], id="ignores the range"),
    pytest.param([whole(etag='"2"')], id="file changed"),
    pytest.param([part("bytes 0-4999/5000", BODY), whole()], id="range from 0"),
    pytest.param([part("bytes 1999-4999/5000"), whole()], id="range one early"),
    pytest.param([part("bytes 2000-4998/5000", BODY[2000:4999]), whole()], id="range one short"),
    pytest.param([part("bytes 2000-4999/*"), whole()], id="length unknown"),
    pytest.param([part("nonsense"), whole()], id="no range"),
    pytest.param([lambda handler: (status(416) if "Range" in handler.headers else whole())(handler)],
                 id="range refused"),
    pytest.param([part("bytes 2000-4999/5000", TAMPERED[2000:]), whole()], id="other bytes, same ETag"),
    pytest.param([status(503), whole()], id="busy"),
    pytest.param([status(429, Retry_After="0"), whole()], id="too many requests"),
    pytest.param([reset, whole()], id="reset"),
])
def test_a_resumed_download_has_the_right_bytes(server, cache, second):
    assert get(server, cache, cut(2000), *second).read_bytes() == BODY
    assert ask_for("Range", server)[:2] == [None, "bytes=2000-"]
    assert not list(cache.rglob("*.part*"))


@pytest.mark.parametrize("etag", [None, 'W/"1"'], ids=["no ETag", "weak ETag"])
def test_nothing_is_resumed_without_a_strong_etag(server, cache, etag):
    assert get(server, cache, cut(2000, etag=etag), whole()).read_bytes() == BODY
    assert ask_for("Range", server) == [None, None]


def test_bytes_of_two_versions_are_never_joined(server, cache):
    new = BODY.replace(b"0001", b"9999").replace(b"1000", b"8888")
    answers = [cut(2000), part("bytes 2000-4999/5000", new[2000:], etag='"2"'), whole(new, etag='"2"')]
    assert get(server, cache, *answers, sha256=None, size=None).read_bytes() == new
    assert ask_for("Range", server) == [None, "bytes=2000-", None]


def circle(handler):
    handler.reply(302, Location="/file.zip")


@pytest.mark.parametrize("answer, requests_made, reason", [
    (status(404), 1, "the server answered with status 404"),
    (status(403), 1, "the server answered with status 403"),
    (status(503), 5, "the server answered with status 503"),
    (status(503, Retry_After="99999"), 5, "the server answered with status 503"),
    (status(429, Retry_After="Wed, 21 Oct 2099 07:28:00 GMT"), 5, "the server answered with status 429"),
    (status(416), 5, "the server answered with status 416"),
    (whole(b"<!doctype html>Log in", Content_Type="text/html; charset=utf-8"), 1,
     "an HTML page came instead of the file"),
    (whole(Content_Encoding="gzip"), 1, "it comes compressed although that was not asked for"),
    (whole(BODY[:-1]), 1, "it has 4999 bytes there, but the official file has 5000"),
    (whole(BODY + b"x"), 1, "it has 5001 bytes there, but the official file has 5000"),
    (whole(BODY + b"x", Content_Length=None), 1, "more than 5000 bytes came"),
    (whole(BODY[:-1], etag=None, Content_Length=None), 5, "only 4999 of 5000 bytes came"),
    (whole(TAMPERED), 1, "its SHA-256 is not the official one"),
    (part("bytes 0-4999/5000", BODY), 5, "the server answered with another part of the file than was asked for"),
    (cut(0), 5, "there is no connection"),
    (cut(2000, etag=None), 5, "the connection stalled or broke off after 2000 bytes"),
    (reset, 5, "the connection"),
    (circle, 31, "it is redirected in circles"),
    (lambda handler: handler.reply(302, Location="file:///etc/passwd"), 1, "that is no valid http or https address"),
    (lambda handler: handler.reply(302, Location="http://[::1/x"), 1, "that is no valid http or https address"),
    (lambda handler: handler.wfile.write(b"SSH-2.0-OpenSSH\r\n"), 5, "there is no connection"),
])
def test_a_hopeless_download_ends_in_one_sentence(server, cache, answer, requests_made, reason):
    sentence = error_of(get, server, cache, answer)
    assert sentence.startswith(f"file.zip cannot be fetched from {server.address}/file.zip: {reason}")
    assert sentence.endswith("; give it with --checkpoint FILE, or set BERT_GLUE_MIRROR to the folder or address where it is")
    assert len(server.requests) == requests_made
    assert not (cache / "downloads" / "0c8a974ea37ffb56-file.zip").exists()
    assert all(path.stat().st_size <= 5000 for path in cache.rglob("*.part"))


def test_a_stalled_download_goes_on(server, cache, monkeypatch):
    monkeypatch.setattr(download, "STALL_SECONDS", 0.3)
    assert get(server, cache, stall(2000), whole()).read_bytes() == BODY
    assert ask_for("Range", server)[:2] == [None, "bytes=2000-"]


def test_a_download_that_always_stalls_ends(server, cache, monkeypatch):
    monkeypatch.setattr(download, "STALL_SECONDS", 0.2)
    assert "the connection stalled or broke off after " in error_of(get, server, cache, stall(2000))
    assert len(server.requests) == 5
    monkeypatch.setattr(download, "STALL_SECONDS", 0.1)
    assert "the server does not answer" in error_of(get, server, cache, lambda handler: handler.server.stop.wait(8))


def test_a_tampered_file_is_moved_away_and_never_resumed(server, cache):
    error_of(get, server, cache, whole(TAMPERED))
    assert files_in(cache) == ["downloads/0c8a974ea37ffb56-file.zip.bad"]
    server.requests.clear()
    assert get(server, cache, whole()).read_bytes() == BODY
    assert ask_for("Range", server) == [None]


def test_a_file_that_was_damaged_in_the_cache_is_fetched_again(server, cache):
    get(server, cache, whole()).write_bytes(TAMPERED)
    assert get(server, cache, whole()).read_bytes() == BODY
    assert len(server.requests) == 2


def test_a_busy_server_is_given_the_time_that_it_asks_for_within_bounds(server, cache, monkeypatch):
    waits = []
    monkeypatch.setattr(download.time, "sleep", waits.append)
    monkeypatch.setattr(download, "LONGEST_WAIT_SECONDS", 30)
    monkeypatch.setattr(download, "BACKOFF_SECONDS", 0.5)
    get(server, cache, status(503, Retry_After="7"), status(429, Retry_After="3600"), status(500), status(502), whole())
    assert waits == [7, 30, 2.0, 4.0]


def test_a_redirect_is_followed(server, cache):
    server.answers["/elsewhere"] = [whole()]
    assert get(server, cache, lambda handler: handler.reply(302, Location="/elsewhere")).read_bytes() == BODY


def redirect_from_https(monkeypatch, server):
    """Lets every https address answer with a redirect to the local server."""
    plain = requests.adapters.HTTPAdapter.send

    def send(self, request, **options):
        if request.url.startswith("http:"):
            return plain(self, request, **options)
        response = requests.Response()
        response.status_code, response.url, response.request = 302, request.url, request
        response.headers["Location"] = f"{server.address}/file.zip"
        response.raw = io.BytesIO()
        return response

    monkeypatch.setattr("requests.adapters.HTTPAdapter.send", send)


def test_a_file_without_digest_is_not_redirected_from_https_to_http(server, cache, monkeypatch):
    redirect_from_https(monkeypatch, server)
    server.answers["/file.zip"] = [whole()]
    sentence = error_of(download.download, download.Source("https://127.0.0.1/file.zip", None), cache)
    assert "it is redirected from https to an insecure address" in sentence
    assert server.requests == []


def test_a_file_with_a_digest_may_be_redirected_from_https_to_http(server, cache, monkeypatch):
    redirect_from_https(monkeypatch, server)
    server.answers["/file.zip"] = [whole(TAMPERED), whole()]
    source = download.Source("https://127.0.0.1/file.zip", BODY_SHA256, 5000)
    assert "its SHA-256 is not the official one" in error_of(download.download, source, cache)
    assert download.download(source, cache).read_bytes() == BODY


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://x/y", "http://",
                                 "http://127.0.0.1:99999/x", "http://[::1/x", "http://\u2000/x"])
def test_addresses_that_are_none(cache, url):
    error_of(download.download, download.Source(url, None), cache)
    error_of(get_checkpoint, url, cache)
    assert [name for name in files_in(cache) if not name.endswith(".part")] == []


def test_no_network(cache):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/a/CoLA.zip"
        sentence = error_of(download.download, download.Source(url, BODY_SHA256, 5000), cache, "--glue-dir X")
    assert sentence == (f"CoLA.zip cannot be fetched from {url}: there is no connection; give it with --glue-dir X, or "
                        "set BERT_GLUE_MIRROR to the folder or address where it is")


def test_offline(server, cache, monkeypatch):
    monkeypatch.setenv("BERT_GLUE_OFFLINE", "1")
    assert error_of(get, server, cache, whole()) == (
        f"file.zip cannot be fetched from {server.address}/file.zip: BERT_GLUE_OFFLINE forbids it; give it with --checkpoint "
        "FILE, or set BERT_GLUE_MIRROR to the folder or address where it is")
    assert server.requests == []
    monkeypatch.setenv("BERT_GLUE_OFFLINE", "0")
    path = get(server, cache, whole())
    monkeypatch.setenv("BERT_GLUE_OFFLINE", "1")
    assert get(server, cache) == path


def test_a_mirror_has_the_official_file_names(server, cache, monkeypatch):
    monkeypatch.setenv("BERT_GLUE_MIRROR", f"{server.address}/glue/")
    server.answers["/glue/a_b.tsv"] = [whole()]
    path = download.download(download.Source("https://firebasestorage.googleapis.com/v0/o/data%2Fa_b.tsv?alt=media&token=x",
                                             BODY_SHA256, 5000), cache)
    assert path.read_bytes() == BODY
    assert [asked for asked, _ in server.requests] == ["/glue/a_b.tsv"]


def test_a_mirror_is_not_asked_for_a_file_without_digest(server, cache, monkeypatch):
    monkeypatch.setenv("BERT_GLUE_MIRROR", "http://127.0.0.1:9/")
    assert get(server, cache, whole(), sha256=None, size=None).read_bytes() == BODY


def test_a_mirror_need_not_hold_everything(server, cache, monkeypatch, capsys):
    monkeypatch.setenv("BERT_GLUE_MIRROR", f"{server.address}/mirror")
    assert get(server, cache, whole()).read_bytes() == BODY
    assert [asked for asked, _ in server.requests] == ["/mirror/file.zip", "/file.zip"]
    assert capsys.readouterr().err == (
        f"fetching file.zip from {server.address}/mirror/file.zip\n"
        f"note: file.zip cannot be fetched from {server.address}/mirror/file.zip: the server answered with status 404; trying "
        f"{server.address}/file.zip\nfetching file.zip from {server.address}/file.zip\n")


@pytest.mark.parametrize("content, requests_made", [(BODY, 0), (TAMPERED, 1), (None, 1)], ids=["good", "tampered", "missing"])
@pytest.mark.parametrize("form", ["{}", "{}/", "file://{}"])
def test_a_mirror_may_be_a_folder(server, tmp_path, cache, monkeypatch, content, requests_made, form):
    folder = tmp_path / "my files"
    folder.mkdir()
    if content:
        (folder / "file.zip").write_bytes(content)
    monkeypatch.setenv("BERT_GLUE_MIRROR", form.format(str(folder).replace(" ", "%20") if "://" in form else folder))
    assert get(server, cache, whole()).read_bytes() == BODY
    assert len(server.requests) == requests_made
    assert files_in(cache) == ["downloads/0c8a974ea37ffb56-file.zip"]


def test_a_mirror_folder_serves_without_a_network(server, tmp_path, cache, monkeypatch):
    (tmp_path / "file.zip").write_bytes(BODY)
    monkeypatch.setenv("BERT_GLUE_OFFLINE", "1")
    monkeypatch.setenv("BERT_GLUE_MIRROR", str(tmp_path / "none"))
    assert error_of(get, server, cache, whole()) == (
        f"file.zip cannot be fetched from {tmp_path}/none/file.zip: there is no such file, nor from {server.address}/file.zip: "
        "BERT_GLUE_OFFLINE forbids it; give it with --checkpoint FILE, or set BERT_GLUE_MIRROR to the folder or address where "
        "it is")
    monkeypatch.setenv("BERT_GLUE_MIRROR", str(tmp_path))
    assert get(server, cache, whole()).read_bytes() == BODY
    assert server.requests == []


def test_a_mirror_is_not_trusted(server, cache, monkeypatch):
    monkeypatch.setenv("BERT_GLUE_MIRROR", server.address)
    server.answers["/x.zip"] = [whole(TAMPERED)]
    sentence = error_of(download.download, download.Source(f"{server.address}/none/x.zip", BODY_SHA256, 5000), cache)
    assert "its SHA-256 is not the official one" in sentence


# -- several addresses of one file

def nothing_listens():
    """An address at which no connection is made."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{unused.getsockname()[1]}"


def test_addresses_are_tried_in_order_until_one_has_the_right_bytes(server, cache, monkeypatch, capsys):
    """Refused, silent, wrong bytes, then good: one line for each that failed."""
    monkeypatch.setattr(download, "STALL_SECONDS", 0.1)
    server.answers |= {"/refused/x.zip": [status(403)], "/silent/x.zip": [lambda handler: handler.server.stop.wait(8)],
                       "/wrong/x.zip": [whole(TAMPERED)], "/good/x-clean.zip": [whole()], "/never/x.zip": [whole()]}
    places = [f"{server.address}/{name}" for name in ("refused/x.zip", "silent/x.zip", "wrong/x.zip", "good/x-clean.zip",
                                                      "never/x.zip")]
    path = download.download(download.Source(places[0], BODY_SHA256, 5000, tuple(places[1:])), cache)
    assert path.read_bytes() == BODY
    assert [asked for asked, _ in server.requests] == ["/refused/x.zip", *5 * ["/silent/x.zip"], "/wrong/x.zip",
                                                      "/good/x-clean.zip"]
    notes = [line for line in capsys.readouterr().err.splitlines() if line.startswith("note: ")]
    assert notes == [
        f"note: x.zip cannot be fetched from {places[0]}: the server answered with status 403; trying {places[1]}",
        f"note: x.zip cannot be fetched from {places[1]}: the server does not answer; trying {places[2]}",
        f"note: x.zip cannot be fetched from {places[2]}: its SHA-256 is not the official one; trying {places[3]}"]


def test_the_last_sentence_names_every_address(server, cache):
    server.answers["/b.zip"] = [whole(TAMPERED)]
    sentence = error_of(download.download, download.Source(f"{server.address}/a.zip", BODY_SHA256, 5000,
                                                           (f"{server.address}/b.zip",)), cache)
    assert sentence == (f"a.zip cannot be fetched from {server.address}/a.zip: the server answered with status 404, nor from "
                        f"{server.address}/b.zip: its SHA-256 is not the official one; give it with --checkpoint FILE, or set "
                        "BERT_GLUE_MIRROR to the folder or address where it is")


def test_a_beginning_from_one_address_is_continued_at_another_only_with_its_etag(server, cache):
    server.answers |= {"/a": [cut(2000, etag='"a"')], "/b": [whole(etag='"b"')]}
    source = download.Source(f"{server.address}/a", BODY_SHA256, 5000, (f"{server.address}/b",))
    server.answers["/a"] = [cut(2000, etag='"a"'), status(404)]
    assert download.download(source, cache).read_bytes() == BODY
    assert ask_for("Range", server) == [None, "bytes=2000-", "bytes=2000-"]


def test_a_host_that_does_not_answer_is_not_asked_again(cache, monkeypatch):
    """Without a network nine tasks fail about as fast as one."""
    waits = []
    monkeypatch.setattr(download.time, "sleep", waits.append)
    monkeypatch.setattr(download, "BACKOFF_SECONDS", 0.5)
    first, second = nothing_listens(), nothing_listens()
    for address in (f"{first}/a", f"{first}/b", f"{second}/c", f"{second}/d", f"{first}/e"):
        assert "there is no connection" in error_of(download.download, download.Source(address, BODY_SHA256), cache)
    assert waits == [0.5, 1.0]


def test_a_name_that_is_not_known_is_no_connection(cache):
    sentence = error_of(download.download, download.Source("http://no-such-host.invalid/a", BODY_SHA256), cache)
    assert sentence.startswith("a cannot be fetched from http://no-such-host.invalid/a: there is no connection; ")


def test_what_may_be_secret_in_an_address_is_not_shown(server, cache, monkeypatch):
    host = server.address.removeprefix("http://")
    monkeypatch.setenv("BERT_GLUE_MIRROR", f"http://user:canary@{host}")
    assert "canary" not in error_of(get, server, cache, status(404))
    monkeypatch.delenv("BERT_GLUE_MIRROR")
    assert "canary" not in error_of(get_checkpoint, f"http://user:canary@{host}/x.zip?token=canary", cache)


def test_processes_at_once_fetch_a_file_once(server, cache):
    def slow(handler):
        time.sleep(1)
        whole()(handler)

    server.answers["/file.zip"] = [slow]
    printed = in_processes(f"print(download.download(download.Source('{server.address}/file.zip', '{BODY_SHA256}', 5000), "
                           "cache))", 3, cache)
    assert printed == [str(cache / "downloads" / "0c8a974ea37ffb56-file.zip")] * 3
    assert len(server.requests) == 1


def test_a_full_disk_is_told(server, cache, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device", str(cache / "x"))

    monkeypatch.setattr(download.os, "fsync", full)
    assert "No space left on device" in error_of(get, server, cache, whole())


# -- the cache folder

def test_the_cache_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("BERT_GLUE_CACHE", str(tmp_path / "a" / "b"))
    assert download.cache_dir() == tmp_path / "a" / "b" and (tmp_path / "a" / "b").is_dir()
    monkeypatch.delenv("BERT_GLUE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert download.cache_dir().name == "bert-glue" and tmp_path in download.cache_dir().parents


def test_a_cache_folder_that_cannot_be(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("BERT_GLUE_CACHE", str(tmp_path / "file" / "cache"))
    assert error_of(download.cache_dir) == (f"the cache folder {tmp_path}/file/cache cannot be written (Not a directory); "
                                         "make it writable or name another with BERT_GLUE_CACHE")


def test_importing_loads_nothing_heavy():
    code = "import sys, common.inputs.glue; print({'tensorflow', 'numpy', 'requests', 'tqdm'} & {*sys.modules})"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True).stdout == "set()\n"


# -- checkpoints

def make_zip(path, members, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content, **options)
    return path


def make_folder(folder, members=CHECKPOINT):
    folder.mkdir(parents=True)
    for name, content in members.items():
        (folder / name).write_bytes(content)
    return folder


def test_the_same_content_has_one_digest_however_it_comes(tmp_path, cache):
    make_folder(tmp_path / "nested" / "model")
    places = [make_zip(tmp_path / "root.zip", CHECKPOINT),
              make_zip(tmp_path / "below.zip", {f"x/{name}": content for name, content in CHECKPOINT.items()}),
              make_folder(tmp_path / "plain.v1"), tmp_path / "nested"]
    checkpoints = [get_checkpoint(str(place), cache) for place in places]
    assert [checkpoint.digest for checkpoint in checkpoints] == [CHECKPOINT_DIGEST] * 4
    assert [checkpoint.name for checkpoint in checkpoints] == ["root", "below", "plain.v1", "nested"]
    assert [checkpoint.archive_sha256 is None for checkpoint in checkpoints] == [False, False, True, True]
    for checkpoint in checkpoints:
        assert checkpoint.vocab.read_bytes() == CHECKPOINT["vocab.txt"]
        assert Path(f"{checkpoint.weights}.index").read_bytes() == b"index"
        assert not checkpoint.is_google_release


def test_the_row_for_the_store(tmp_path, cache):
    row = get_checkpoint(str(make_zip(tmp_path / "tiny.zip", CHECKPOINT)), cache).row()
    assert len(row.pop("archive_sha256")) == 64
    assert row == {"digest": CHECKPOINT_DIGEST, "name": "tiny", "layers": 2, "hidden_size": 4, "heads": 2,
                   "vocabulary": 6, "lower_case": 1}


def test_another_content_has_another_digest(tmp_path, cache):
    other = make_folder(tmp_path / "other", CHECKPOINT | {"bert_model.ckpt.index": b"Index"})
    assert get_checkpoint(str(other), cache).digest != CHECKPOINT_DIGEST


def test_an_archive_is_unpacked_once(tmp_path, cache, monkeypatch):
    where = str(make_zip(tmp_path / "x.zip", CHECKPOINT))
    first = get_checkpoint(where, cache)
    assert files_in(first.folder) == ["bert_config.json", "bert_model.ckpt.data-00000-of-00001",
                                      "bert_model.ckpt.index", "manifest.json", "vocab.txt"]
    monkeypatch.setattr("common.inputs.checkpoint.unpack", None)
    assert get_checkpoint(where, cache) == first


@pytest.mark.parametrize("name", ["bert_model.ckpt.data-00000-of-00001", "vocab.txt", "manifest.json"])
@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"")], ids=["lost", "emptied"])
def test_a_damaged_cache_is_repaired(tmp_path, cache, name, damage):
    where = str(make_zip(tmp_path / "x.zip", CHECKPOINT))
    folder = get_checkpoint(where, cache).folder
    damage(folder / name)
    get_checkpoint(where, cache)
    assert {name: (folder / name).read_bytes() for name in CHECKPOINT} == CHECKPOINT


def test_a_folder_of_the_user_is_read_each_time(tmp_path, cache):
    folder = make_folder(tmp_path / "mine")
    assert get_checkpoint(str(folder), cache).digest == CHECKPOINT_DIGEST
    (folder / "bert_model.ckpt.index").write_bytes(b"Index")
    assert get_checkpoint(str(folder), cache).digest != CHECKPOINT_DIGEST


def test_a_leftover_of_a_killed_process_does_no_harm(tmp_path, cache):
    where = str(make_zip(tmp_path / "x.zip", CHECKPOINT))
    folder = get_checkpoint(where, cache).folder
    dead = subprocess.Popen(["true"])
    dead.wait()
    leftover = folder.rename(folder.with_name(f".{folder.name}.{dead.pid}-0-{process_space()}.new"))
    (leftover / "vocab.txt").write_bytes(b"half")
    assert get_checkpoint(where, cache).vocab.read_bytes() == CHECKPOINT["vocab.txt"]
    assert not leftover.exists()


def test_processes_at_once_unpack_well(tmp_path, cache):
    where = str(make_zip(tmp_path / "x.zip", CHECKPOINT))
    assert in_processes(f"print(checkpoint.get_checkpoint({where!r}, cache).digest)", 3, cache) == [CHECKPOINT_DIGEST] * 3


def test_a_checkpoint_from_an_address(server, tmp_path, cache):
    server.answers["/models/tiny.zip"] = [whole(make_zip(tmp_path / "x.zip", CHECKPOINT).read_bytes())]
    url = f"{server.address}/models/tiny.zip"
    checkpoints = [get_checkpoint(url, cache), get_checkpoint(url, cache)]
    assert [(checkpoint.name, checkpoint.digest) for checkpoint in checkpoints] == [("tiny", CHECKPOINT_DIGEST)] * 2
    assert len(server.requests) == 1
    pinned = get_checkpoint(f"{url}#sha256={checkpoints[0].archive_sha256}", cache)
    assert pinned == checkpoints[0] and len(server.requests) == 1


def test_a_pinned_address_gives_these_bytes_or_none(server, tmp_path, cache):
    server.answers["/x.zip"] = [whole(make_zip(tmp_path / "x.zip", CHECKPOINT).read_bytes())]
    sentence = error_of(get_checkpoint, f"{server.address}/x.zip#sha256={'0' * 64}", cache)
    assert "its SHA-256 is not the official one" in sentence
    sentence = error_of(get_checkpoint, f"{server.address}/x.zip#md5=1", cache)
    assert "only #sha256= and 64 hexadecimal digits" in sentence


def test_a_bad_archive_from_an_address_is_not_kept(server, tmp_path, cache):
    good = make_zip(tmp_path / "x.zip", CHECKPOINT).read_bytes()
    server.answers["/x.zip"] = [whole(good[:-50]), whole(good)]
    assert "damaged or no zip file" in error_of(get_checkpoint, f"{server.address}/x.zip", cache)
    assert get_checkpoint(f"{server.address}/x.zip", cache).digest == CHECKPOINT_DIGEST


def test_googles_release_is_the_default(server, tmp_path, cache, monkeypatch):
    archive = make_zip(tmp_path / "x.zip", CHECKPOINT)
    sha256 = get_checkpoint(str(archive), tmp_path / "other_cache").archive_sha256
    monkeypatch.setattr("common.inputs.checkpoint.BERT_MINI", download.Source(BERT_MINI.url, sha256))
    monkeypatch.setenv("BERT_GLUE_MIRROR", server.address)
    server.answers["/uncased_L-4_H-256_A-4.zip"] = [whole(archive.read_bytes())]
    checkpoint = get_checkpoint(None, cache)
    assert checkpoint.name == "uncased_L-4_H-256_A-4" and checkpoint.is_google_release
    monkeypatch.setenv("BERT_GLUE_OFFLINE", "1")
    assert get_checkpoint(None, cache) == checkpoint
    assert get_checkpoint(BERT_MINI.url, cache) == checkpoint
    assert len(server.requests) == 1


def test_googles_release_offline(cache, monkeypatch):
    monkeypatch.setenv("BERT_GLUE_OFFLINE", "1")
    assert error_of(get_checkpoint, None, cache) == (
        "uncased_L-4_H-256_A-4.zip cannot be fetched from https://storage.googleapis.com/bert_models/2020_02_20/"
        "uncased_L-4_H-256_A-4.zip: BERT_GLUE_OFFLINE forbids it; give it with --checkpoint FILE, or set BERT_GLUE_MIRROR to the "
        "folder or address where it is")


@pytest.mark.parametrize("change, reason", [
    ({"vocab_size": 7}, "its vocab.txt has 6 lines, but its vocab_size is 7"),
    ({"vocab_size": None}, "its bert_config.json needs a whole number of at least 1 as vocab_size"),
    ({"hidden_size": "4"}, "its bert_config.json needs a whole number of at least 1 as hidden_size"),
    ({"num_hidden_layers": True}, "its bert_config.json needs a whole number of at least 1 as num_hidden_layers"),
    ({"num_attention_heads": 0}, "its bert_config.json needs a whole number of at least 1 as num_attention_heads"),
    ({"intermediate_size": 8.5}, "its bert_config.json needs a whole number of at least 1 as intermediate_size"),
    ({"hidden_size": 5}, "its hidden_size 5 is not a multiple of its 2 attention heads"),
])
def test_a_configuration_that_cannot_be(tmp_path, cache, change, reason):
    config = json.dumps(json.loads(CONFIG) | change).encode()
    expected = "the checkpoint {} cannot be used: {}; name another with --checkpoint"
    archive = str(make_zip(tmp_path / "x.zip", CHECKPOINT | {"bert_config.json": config}))
    assert error_of(get_checkpoint, archive, cache) == expected.format(archive, reason)
    folder = str(make_folder(tmp_path / "x", CHECKPOINT | {"bert_config.json": config}))
    assert error_of(get_checkpoint, folder, cache) == expected.format(folder, reason)
    assert files_in(cache) == []


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b"{", b"[" * 100_000])
def test_a_configuration_that_is_none(tmp_path, cache, content):
    folder = make_folder(tmp_path / "x", CHECKPOINT | {"bert_config.json": content})
    assert "its bert_config.json is not a JSON object" in error_of(get_checkpoint, str(folder), cache)


@pytest.mark.parametrize("special", ["[PAD]", "[UNK]", "[CLS]", "[SEP]"])
def test_a_vocabulary_without_a_special_token(tmp_path, cache, special):
    words = CHECKPOINT["vocab.txt"].replace(special.encode(), b"word")
    folder = make_folder(tmp_path / "x", CHECKPOINT | {"vocab.txt": words})
    assert f"its vocab.txt has no {special};" in error_of(get_checkpoint, str(folder), cache)


@pytest.mark.parametrize("name", CHECKPOINT)
def test_a_missing_file_is_named(tmp_path, cache, name):
    members = {other: content for other, content in CHECKPOINT.items() if other != name}
    decoys = {"a/b/" + name: b"too deep", "__MACOSX/" + name: b"", "._" + name: b""}
    archive = make_zip(tmp_path / "x.zip", members | decoys)
    assert f"it has no {name};" in error_of(get_checkpoint, str(archive), cache)
    assert f"it has no {name};" in error_of(get_checkpoint, str(make_folder(tmp_path / "x", members)), cache)
    assert files_in(cache) == []


def test_places_without_a_checkpoint(tmp_path, cache):
    assert error_of(get_checkpoint, str(tmp_path / "none"), cache) == (
        f"there is no checkpoint at {tmp_path}/none; --checkpoint takes a zip file, a folder, or the http(s) address "
        "of a zip file")
    os.mkfifo(tmp_path / "pipe")
    assert "there is no checkpoint" in error_of(get_checkpoint, str(tmp_path / "pipe"), cache)
    make_folder(tmp_path / "two" / "a")
    make_folder(tmp_path / "two" / "b")
    assert "holds 2 checkpoints" in error_of(get_checkpoint, str(tmp_path / "two"), cache)


# -- archives

def with_member(name, content=b"", *, attributes=0o100644, method=zipfile.ZIP_DEFLATED, lie=0):
    """Adds a crafted member to an archive that is good without it or replaces the good one of that name."""
    def craft(path):
        with zipfile.ZipFile(path, "w") as archive:
            for good, good_content in CHECKPOINT.items():
                if good != name:
                    archive.writestr(good, good_content)
            member = zipfile.ZipInfo(name)
            member.external_attr = attributes << 16
            archive.writestr(member, content, method)
            member.file_size += lie
    return craft


def encrypted(path):
    make_zip(path, CHECKPOINT)
    data = bytearray(path.read_bytes())
    data[6] |= 1  # the first local header's flags
    data[data.index(b"PK\x01\x02") + 8] |= 1  # and those of its central entry
    path.write_bytes(data)


def doubled(path):
    with pytest.warns(UserWarning), zipfile.ZipFile(path, "w") as archive:
        for name in (*CHECKPOINT, "vocab.txt"):
            archive.writestr(name, CHECKPOINT[name])


VOCAB = CHECKPOINT["vocab.txt"]


@pytest.mark.parametrize("craft, reason", [
    pytest.param(with_member("../vocab.txt", VOCAB), "its member '../vocab.txt' points outside of it", id="escape"),
    pytest.param(with_member("../../evil", b"x"), "its member '../../evil' points outside of it", id="deep escape"),
    pytest.param(with_member("a/../../evil"), "its member 'a/../../evil' points outside of it", id="inner escape"),
    pytest.param(with_member("..\\evil"), r"its member '..\\evil' points outside of it", id="backslash"),
    pytest.param(with_member("/tmp/evil"), "its member '/tmp/evil' points outside of it", id="absolute"),
    pytest.param(with_member("C:/evil"), "its member 'C:/evil' points outside of it", id="drive"),
    pytest.param(with_member("vocab.txt", b"/etc/passwd", attributes=0o120777), "its vocab.txt is a link or device",
                 id="symlink"),
    pytest.param(with_member("vocab.txt", VOCAB, attributes=0o010644), "its vocab.txt is a link or device", id="pipe"),
    pytest.param(with_member("vocab.txt", VOCAB, method=zipfile.ZIP_BZIP2),
                 "its vocab.txt is compressed by a method other", id="method"),
    pytest.param(with_member("vocab.txt", bytes(3_000_000)), "its vocab.txt would grow to 102", id="bomb"),
    pytest.param(with_member("vocab.txt", VOCAB, lie=-1), "is damaged or no zip file", id="shorter than it is"),
    pytest.param(with_member("vocab.txt", VOCAB, lie=1), "is damaged or no zip file", id="longer than it is"),
    pytest.param(with_member("a/vocab.txt"), "it has vocab.txt twice", id="duplicate below"),
    pytest.param(doubled, "it has vocab.txt twice", id="duplicate"),
    pytest.param(encrypted, "its bert_config.json is encrypted", id="encrypted"),
    pytest.param(lambda path: make_zip(path, CHECKPOINT | {str(n): b"" for n in range(997)}),
                 "it has 1001 members, more than 1000", id="many members"),
    pytest.param(lambda path: make_zip(path, {}), "it has no bert_config.json", id="empty archive"),
    pytest.param(lambda path: path.write_bytes(b""), "is damaged or no zip file", id="empty file"),
    pytest.param(lambda path: path.write_bytes(bz2.compress(BODY)), "is damaged or no zip file", id="other format"),
    pytest.param(lambda path: path.write_bytes(b"version https://git-lfs.github.com/spec/v1\n"),
                 "is damaged or no zip file", id="git-lfs pointer"),
])
def test_an_archive_that_must_not_be_used(tmp_path, cache, craft, reason):
    archive = tmp_path / "place" / "x.zip"
    archive.parent.mkdir()
    craft(archive)
    sentence = error_of(get_checkpoint, str(archive), cache)
    assert sentence.startswith(f"the archive {archive} ") and reason in sentence
    assert files_in(cache) == []
    assert files_in(tmp_path) == ["place/x.zip"]


def test_names_after_which_nothing_may_follow(tmp_path, cache):
    archive = make_zip(tmp_path / "x.zip", CHECKPOINT | {"vocab.txt_evil": b""})
    archive.write_bytes(archive.read_bytes().replace(b"vocab.txt_evil", b"vocab.txt\0evil"))
    assert "points outside of it" in error_of(get_checkpoint, str(archive), cache)


def test_archives_that_are_too_large(tmp_path, cache, monkeypatch):
    monkeypatch.setattr("common.inputs.archives.MAX_TOTAL_BYTES", 100)
    archive = make_zip(tmp_path / "x.zip", CHECKPOINT)
    assert "its files would take more than" in error_of(get_checkpoint, str(archive), cache)


def test_a_torn_archive_is_never_used(tmp_path, cache):
    good = make_zip(tmp_path / "x.zip", CHECKPOINT).read_bytes()
    for length in range(0, len(good), 7):
        (tmp_path / "torn.zip").write_bytes(good[:length])
        assert "is damaged or no zip file" in error_of(get_checkpoint, str(tmp_path / "torn.zip"), cache)
    assert files_in(cache) == []


def test_an_archive_with_a_wrong_byte_is_refused_or_gives_the_right_content(tmp_path, cache):
    good = make_zip(tmp_path / "x.zip", CHECKPOINT).read_bytes()
    chance = random.Random(0)
    refused = 0
    for _ in range(120):
        bad = bytearray(good)
        bad[chance.randrange(len(bad))] ^= 1 << chance.randrange(8)
        (tmp_path / "bad.zip").write_bytes(bad)
        try:
            assert get_checkpoint(str(tmp_path / "bad.zip"), cache).digest == CHECKPOINT_DIGEST
        except UserError:
            refused += 1
    assert refused > 60
    assert {path.name for path in tmp_path.iterdir()} == {"cache", "x.zip", "bad.zip"}


# -- GLUE

def offer(monkeypatch, server, task, name, body):
    """Lets the local mirror stand for the official address of a task's archive."""
    source = download.Source(f"https://example.org/glue/{name}", hashlib.sha256(body).hexdigest(), len(body))
    monkeypatch.setitem(glue.SOURCES, task, (source,))
    monkeypatch.setenv("BERT_GLUE_MIRROR", server.address)
    server.answers[f"/{name}"] = [whole(body)]


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


MNLI = {"MNLI/": b"", "MNLI/train.tsv": b"train", "MNLI/dev_matched.tsv": b"matched",
        "MNLI/dev_mismatched.tsv": b"mismatched", "MNLI/test_matched.tsv": b"test",
        "MNLI/original/dev_matched.tsv": b"other", "MNLI/README.txt": b"",
        "__MACOSX/MNLI/._train.tsv": b"", "__MACOSX/train.tsv": b"", "MNLI/._train.tsv": b""}


def test_a_task_is_fetched_once(server, tmp_path, cache, monkeypatch):
    offer(monkeypatch, server, "MNLI", "MNLI.zip", make_zip(tmp_path / "x.zip", MNLI).read_bytes())
    folder = glue.get_glue_folder(TASKS["MNLI"], None, cache)
    assert contents(folder) == {"train.tsv": b"train", "dev_matched.tsv": b"matched",
                                "dev_mismatched.tsv": b"mismatched", "test_matched.tsv": b"test"}
    monkeypatch.setenv("BERT_GLUE_OFFLINE", "1")
    assert glue.get_glue_folder(TASKS["MNLI"], None, cache) == folder
    assert len(server.requests) == 1
    assert folder.parent == cache / "glue" and len(folder.name) == len("MNLI-") + 12


def test_snli_gets_the_usual_names(server, tmp_path, cache, monkeypatch):
    members = {f"snli_1.0/snli_1.0_{name}.txt": name.encode() for name in ("train", "dev", "test")}
    members |= {"snli_1.0/snli_1.0_dev.jsonl": b"", "snli_1.0/Icon\r": b""}
    body = make_zip(tmp_path / "x.zip", members).read_bytes()
    offer(monkeypatch, server, "SNLI", "snli_1.0.zip", body)
    assert contents(glue.get_glue_folder(TASKS["SNLI"], None, cache)) == {
        "train.tsv": b"train", "dev.tsv": b"dev", "test.tsv": b"test"}


def test_a_task_whose_archive_lacks_a_split(server, tmp_path, cache, monkeypatch):
    body = make_zip(tmp_path / "x.zip", {"RTE/train.tsv": b"", "RTE/test.tsv": b""}).read_bytes()
    offer(monkeypatch, server, "RTE", "RTE.zip", body)
    assert "it has no dev.tsv" in error_of(glue.get_glue_folder, TASKS["RTE"], None, cache)
    assert not list(cache.glob("glue/*"))


def test_a_task_offline(cache, monkeypatch):
    monkeypatch.setenv("BERT_GLUE_OFFLINE", "1")
    assert error_of(glue.get_glue_folder, TASKS["CoLA"], None, cache) == (
        "CoLA.zip cannot be fetched from https://dl.fbaipublicfiles.com/glue/data/CoLA.zip: BERT_GLUE_OFFLINE forbids it; give "
        "it with --glue-dir FOLDER, or set BERT_GLUE_MIRROR to the folder or address where it is")


def test_a_task_without_an_address(cache):
    with pytest.raises(UserError) as caught:
        glue.get_glue_folder(Task("SciTail", (0, 1), 2, ("entails", "neutral"), 23596, {"dev": 1304}), None, cache)
    assert str(caught.value) == ("SciTail has no address to fetch it from; give a folder that has it with --glue-dir FOLDER")


def test_every_task_has_pinned_sources():
    names = {task: [source.name for source in sources] for task, sources in glue.SOURCES.items()}
    assert names == {
        "CoLA": ["CoLA.zip"], "SST-2": ["SST-2.zip"], "QQP": ["QQP-clean.zip"], "STS-B": ["STS-B.zip"], "MNLI": ["MNLI.zip"],
        "SNLI": ["snli_1.0.zip"], "QNLI": ["QNLIv2.zip"], "RTE": ["RTE.zip"], "WNLI": ["WNLI.zip"],
        "MRPC": ["msr_paraphrase_train.txt", "msr_paraphrase_test.txt", "mrpc_dev_ids.tsv"]}
    assert set(names) == set(TASKS)
    assert all(len(source.sha256) == 64 and source.size and source.url.startswith("https://")
               for sources in glue.SOURCES.values() for source in sources)


def test_mrpc_is_divided_by_the_ids(tmp_path):
    header = b"\xef\xbb\xbfQuality\t#1 ID\t#2 ID\t#1 String\t#2 String\n"
    (tmp_path / "train").write_bytes(header + b'1\t10\t11\tA "\tB\n0\t20\t21\tC\tD\n1\t11\t10\tE\tF\n0\t30\t31\tG\tH\n')
    (tmp_path / "test").write_bytes(header + b"1\t40\t41\tI\tJ\n0\t50\t51\tK\tL\n")
    (tmp_path / "ids").write_bytes(b"30\t31\n10\t11\n")
    glue._divide_mrpc(tmp_path / "train", tmp_path / "test", tmp_path / "ids", make_folder(tmp_path / "MRPC", {}))
    assert contents(tmp_path / "MRPC") == {
        "train.tsv": b"Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n0\t20\t21\tC\tD\n1\t11\t10\tE\tF\n",
        "dev.tsv": b'Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n1\t10\t11\tA "\tB\n0\t30\t31\tG\tH\n',
        "test.tsv": b"index\t#1 ID\t#2 ID\t#1 String\t#2 String\n0\t40\t41\tI\tJ\n1\t50\t51\tK\tL\n"}


def test_a_folder_of_the_user(tmp_path, cache):
    for task in ("RTE", "WNLI"):
        make_folder(tmp_path / "glue" / task, {"train.tsv": b"", "dev.tsv": b""})
    make_folder(tmp_path / "glue" / "QNLI", {"dev.tsv": b""})
    make_folder(tmp_path / "glue" / "SNLI", {"snli_1.0_train.txt": b"", "dev.tsv": b""})
    folder = str(tmp_path / "glue")
    assert glue.get_glue_folder(TASKS["RTE"], folder, cache) == tmp_path / "glue" / "RTE"
    assert glue.get_glue_folder(TASKS["SNLI"], folder, cache) == tmp_path / "glue" / "SNLI"
    assert error_of(glue.get_glue_folder, TASKS["QNLI"], folder, cache) == (
        f"missing split train.tsv in {folder}/QNLI (complete tasks there: SNLI, RTE, WNLI); add the file (train.tsv, "
        "train.tsv.gz, train-*.parquet, train.arrow or train.jsonl), or leave --glue-dir out to fetch them")
    assert error_of(glue.get_glue_folder, TASKS["MRPC"], folder + "x", cache) == (
        f"there is no folder {folder}x; --glue-dir takes a folder with a subfolder for each GLUE task")
    assert files_in(cache) == []


# -- files by hand and remedies: what a message tells the user to do works

MSR = {"msr_paraphrase_train.txt": b"\xef\xbb\xbfQuality\t#1 ID\t#2 ID\t#1 String\t#2 String\n1\t10\t11\tA\tB\n0\t20\t21\tC\tD\n",
       "msr_paraphrase_test.txt": b"\xef\xbb\xbfQuality\t#1 ID\t#2 ID\t#1 String\t#2 String\n1\t40\t41\tI\tJ\n",
       "mrpc_dev_ids.tsv": b"20\t21\n"}
DIVIDED = {"train.tsv": b"Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n1\t10\t11\tA\tB\n",
           "dev.tsv": b"Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n0\t20\t21\tC\tD\n",
           "test.tsv": b"index\t#1 ID\t#2 ID\t#1 String\t#2 String\n0\t40\t41\tI\tJ\n"}


@pytest.fixture
def msr(server, monkeypatch):
    """Small files of Microsoft's as the official ones; the server has all of them but the ids."""
    sources = [download.Source(f"{server.address}/{name}", hashlib.sha256(body).hexdigest(), len(body))
               for name, body in MSR.items()]
    monkeypatch.setitem(glue.SOURCES, "MRPC", tuple(sources))
    server.answers |= {f"/{name}": [whole(body)] for name, body in MSR.items() if name != "mrpc_dev_ids.tsv"}
    return sources


def get_mrpc(glue_dir, cache):
    return contents(glue.get_glue_folder(TASKS["MRPC"], glue_dir and str(glue_dir), cache))


@pytest.mark.parametrize("place", [".", "MRPC", "mrpc"])
def test_the_remedies_for_a_file_that_cannot_be_fetched(msr, server, tmp_path, cache, monkeypatch, place):
    assert error_of(get_mrpc, None, cache).endswith(
        "; give it with --glue-dir FOLDER, or set BERT_GLUE_MIRROR to the folder or address where it is")
    (tmp_path / "mine" / place).mkdir(parents=True)
    (tmp_path / "mine" / place / "mrpc_dev_ids.tsv").write_bytes(MSR["mrpc_dev_ids.tsv"])
    assert get_mrpc(tmp_path / "mine", tmp_path / "first cache") == DIVIDED  # --glue-dir
    monkeypatch.setenv("BERT_GLUE_MIRROR", str(tmp_path / "mine" / place))
    assert get_mrpc(None, tmp_path / "second cache") == DIVIDED  # a folder
    server.answers["/mirror/mrpc_dev_ids.tsv"] = [whole(MSR["mrpc_dev_ids.tsv"])]
    monkeypatch.setenv("BERT_GLUE_MIRROR", f"{server.address}/mirror")
    assert get_mrpc(None, tmp_path / "third cache") == DIVIDED  # an address


def test_microsofts_files_by_hand_need_no_network(msr, server, tmp_path, cache, monkeypatch):
    monkeypatch.setenv("BERT_GLUE_OFFLINE", "1")
    make_folder(tmp_path / "mine", MSR)
    assert get_mrpc(tmp_path / "mine", cache) == DIVIDED
    assert server.requests == []


def test_an_altered_official_file_is_refused_and_removing_it_helps(msr, server, tmp_path, cache):
    folder = make_folder(tmp_path / "mine", MSR | {"msr_paraphrase_test.txt": b"altered"})
    assert error_of(get_mrpc, folder, cache) == (
        f"MRPC is not in {folder} (complete tasks there: none), and {folder}/msr_paraphrase_test.txt is not the official file: "
        "its SHA-256 is another; fetch it again, or remove it")
    (folder / "msr_paraphrase_test.txt").unlink()
    assert get_mrpc(folder, cache) == DIVIDED


def test_an_official_archive_by_hand_is_unpacked(server, tmp_path, cache, monkeypatch):
    body = make_zip(tmp_path / "x.zip", MNLI).read_bytes()
    offer(monkeypatch, server, "MNLI", "MNLI.zip", body)
    folder = make_folder(tmp_path / "mine", {"MNLI.zip": body})
    assert contents(glue.get_glue_folder(TASKS["MNLI"], str(folder), cache))["train.tsv"] == b"train"
    assert server.requests == []


def test_tasks_that_are_not_in_the_folder_are_fetched(server, tmp_path, cache, monkeypatch, capsys):
    """The usual folder of GLUE has no SNLI."""
    offer(monkeypatch, server, "SNLI", "snli_1.0.zip", make_zip(tmp_path / "x.zip", {
        f"snli_1.0/snli_1.0_{name}.txt": name.encode() for name in ("train", "dev", "test")}).read_bytes())
    folder = make_folder(tmp_path / "glue" / "RTE", {"train.tsv": b"", "dev.tsv": b""}).parent
    assert glue.get_glue_folder(TASKS["RTE"], str(folder), cache) == folder / "RTE"
    assert capsys.readouterr().err == ""
    for _ in range(2):  # from the cache it is said, too
        assert contents(glue.get_glue_folder(TASKS["SNLI"], str(folder), cache))["dev.tsv"] == b"dev"
        assert capsys.readouterr().err.endswith(f"note: SNLI is not in {folder}; its official files are used\n")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")
def test_a_folder_that_may_not_be_read(server):
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        (Path(folder) / "glue" / "MRPC").mkdir(parents=True)
        (Path(folder) / "glue").chmod(0o700)
        code = f"""if True:
            import os
            from pathlib import Path
            from common import UserError
            from common.inputs.glue import get_glue_folder
            from common.studies.tasks import TASKS
            os.setgroups([]), os.setgid(65534), os.setuid(65534)
            try:
                get_glue_folder(TASKS["MRPC"], {folder + "/glue"!r}, Path("/tmp"))
            except UserError as error:
                print(error)"""
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == (f"{folder}/glue cannot be read (Permission denied); fix that or give another folder with --glue-dir\n"
                           ), done.stderr


@pytest.mark.parametrize("name", ["dev.tsv", "dev.tsv.gz", "validation-00000-of-00001.parquet", "validation.arrow",
                                  "validation.jsonl"])
def test_the_remedies_for_a_missing_split(server, tmp_path, cache, monkeypatch, name):
    folder = make_folder(tmp_path / "glue" / "RTE", {"train.tsv": b""}).parent
    sentence = error_of(glue.get_glue_folder, TASKS["RTE"], str(folder), cache)
    assert "add the file (dev.tsv, dev.tsv.gz, validation-*.parquet, validation.arrow or validation.jsonl), or leave" in sentence
    (folder / "RTE" / name).touch()
    assert glue.get_glue_folder(TASKS["RTE"], str(folder), cache) == folder / "RTE"
    offer(monkeypatch, server, "RTE", "RTE.zip", make_zip(tmp_path / "x.zip", {
        "RTE/train.tsv": b"train", "RTE/dev.tsv": b"dev"}).read_bytes())
    assert contents(glue.get_glue_folder(TASKS["RTE"], None, cache)) == {"train.tsv": b"train", "dev.tsv": b"dev"}


def test_a_checkpoint_that_cannot_be_fetched_can_be_given_as_a_file(server, tmp_path, cache):
    archive = make_zip(tmp_path / "x.zip", CHECKPOINT)
    assert "give it with --checkpoint FILE" in error_of(get_checkpoint, f"{server.address}/x.zip", cache)
    assert get_checkpoint(str(archive), cache).digest == CHECKPOINT_DIGEST


def test_looking_for_a_folder_fetches_nothing(server, tmp_path, cache, monkeypatch):
    offer(monkeypatch, server, "RTE", "RTE.zip", make_zip(tmp_path / "x.zip", {
        "RTE/train.tsv": b"train", "RTE/dev.tsv": b"dev"}).read_bytes())
    assert glue.find_glue_folder(TASKS["RTE"], None, cache) is None
    assert server.requests == []
    folder = glue.get_glue_folder(TASKS["RTE"], None, cache)
    assert glue.find_glue_folder(TASKS["RTE"], None, cache) == folder


# -- a full disk, a cache of two users

def test_a_full_cache_disk_is_one_sentence(server, tmp_path, cache, monkeypatch):
    def full(source, target, *_):
        raise OSError(28, "No space left on device")

    archive = make_zip(tmp_path / "x.zip", CHECKPOINT)
    monkeypatch.setattr("common.inputs.archives.shutil.copyfileobj", full)
    sentence = error_of(get_checkpoint, str(archive), cache)
    assert re.fullmatch(f"{cache}/checkpoints/[0-9a-f]{{64}} cannot be read or written \\(No space left on device\\); free some "
                        "space, or name another cache folder with BERT_GLUE_CACHE", sentence)
    assert files_in(cache) == []


def test_tokens_on_a_full_disk_are_one_sentence(tmp_path, cache, monkeypatch):
    """A real limit of 4 kB for each file, as the system reports it."""
    (tmp_path / "vocab.txt").write_text("\n".join(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "b")) + "\n")
    code = f"""if True:
        import resource, signal
        from pathlib import Path
        import numpy as np
        from common import UserError
        from common.inputs import tokens
        from common.inputs.reading import Examples, GlueData
        from common.studies.tasks import TASKS
        tokens.encode_texts = lambda texts, *_: ([[2, 4, 3]] * len(texts), [3] * len(texts))
        data = GlueData(TASKS["CoLA"], {{"train": Examples([1] * 1000, [("a",)] * 1000)}}, "digest")
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        try:
            tokens.get_tokens(data, tokens.Encoding(Path({str(tmp_path)!r}) / "vocab.txt", 128), Path({str(cache)!r}))
        except UserError as error:
            print(error)"""
    printed = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True).stdout
    assert printed.startswith(f"{cache}/tokens/CoLA-") and printed.count("\n") == 1
    assert printed.endswith("cannot be read or written (File too large); fix that, or name another cache folder with "
                            "BERT_GLUE_CACHE\n")


def test_a_cache_that_cannot_be_written_ends_the_call_and_is_no_failure_of_a_run(tmp_path):
    with pytest.raises(UserError) as raised, download.disk_errors_told():
        raise OSError(28, "No space left on device", "/cache/weights/x.npz")
    assert processes._describe(raised.value) == (
        "place", "no run can be trained here: /cache/weights/x.npz cannot be read or written (No space left on device); free "
        "some space, or name another cache folder with BERT_GLUE_CACHE")
    assert processes._describe(UserError("no file"))[0] == "error"


def test_a_full_disk_while_a_file_is_fetched_names_the_file(server, cache, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tqdm.tqdm.update", full)
    assert error_of(get, server, cache, whole()).startswith(
        f"{cache}/downloads/0c8a974ea37ffb56-file.zip.part cannot be read or written (No space left on device); free some space")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as two users")
@pytest.mark.parametrize("umask, outcome", [
    (0o022, f"fetched {CHECKPOINT_DIGEST}"),
    (0o077, "cannot be read or written (Permission denied); fix that, or name another cache folder with BERT_GLUE_CACHE")])
def test_a_cache_of_another_user_works_or_says_what_to_do(server, monkeypatch, umask, outcome):
    """What the first user fetched and unpacked, the second can use, if the first lets others read."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        archive = make_zip(Path(folder) / "x.zip", CHECKPOINT)
        archive.chmod(0o644)
        server.answers["/file.zip"] = [whole()]
        code = f"""if True:
            import os, sys
            from pathlib import Path
            from common import UserError
            from common.inputs import checkpoint, download
            cache = Path(sys.argv[1])
            "".encode("utf-8-sig")  # loads the codec while this process may still read Python's own files
            os.umask({umask})
            if sys.argv[2] == "second":
                os.setgroups([]), os.setgid(65534), os.setuid(65534)
            try:
                download.download(download.Source("{server.address}/file.zip", "{BODY_SHA256}", 5000), cache)
                print("fetched", checkpoint.get_checkpoint({str(archive)!r}, cache).digest)
            except UserError as error:
                print(error)"""
        cache = Path(folder) / "cache"
        cache.mkdir()
        run = [subprocess.run([sys.executable, "-c", code, str(cache), who], cwd=ROOT, capture_output=True, text=True)
               for who in ("first", "second")]
        assert run[0].stdout == f"fetched {CHECKPOINT_DIGEST}\n", run[0].stderr
        assert run[1].stdout.endswith(outcome + "\n"), run[1].stderr
        assert len(server.requests) == 1


# -- real files

@pytest.fixture
def real():
    folder = os.environ.get("BERT_GLUE_TEST_DATA")
    if not folder:
        pytest.skip("BERT_GLUE_TEST_DATA names no folder with downloads/, glue_data/ and checkpoints/")
    return Path(folder)


def test_mrpc_from_the_official_bytes(real, server, cache, monkeypatch):
    for path in (real / "downloads").iterdir():
        server.answers[f"/{path.name}"] = [whole(path.read_bytes())]
    monkeypatch.setenv("BERT_GLUE_MIRROR", server.address)
    monkeypatch.setattr(download, "CHUNK_BYTES", 1 << 16)
    folder = glue.get_glue_folder(TASKS["MRPC"], None, cache)
    files = contents(folder)
    assert {name: content.count(b"\n") - 1 for name, content in files.items()} == {
        "train.tsv": 3668, "dev.tsv": 408, "test.tsv": 1725}
    assert files == contents(real / "glue_data" / "MRPC")
    assert glue.get_glue_folder(TASKS["MRPC"], None, cache) == folder
    assert len(server.requests) == 3


def test_a_real_checkpoint_is_found_again_in_no_time(real, cache):
    archive = str(real / "checkpoints" / "minilm_L-6_H-384_A-12.zip")
    first = get_checkpoint(archive, cache)
    began = time.monotonic()
    assert get_checkpoint(archive, cache) == first
    assert time.monotonic() - began < 1
    assert first.archive_sha256 == "4b156b15c65aadcf46fdac54df3029e3f832a0b18c542aca8c91c8cb7d8b79fd"
    assert (first.row()["layers"], first.row()["hidden_size"], first.row()["vocabulary"]) == (6, 384, 30522)
    assert get_checkpoint(str(first.folder), cache).digest == first.digest
