"""Queries per second of a service: 1 to 8 threads that share the vectors, compared with gensim, and over HTTP.

    python bench/peers/service.py [--words N] [--dim D] [--seconds S]

The client's threads run in this process too; over HTTP each keeps its connection.
"""

from __future__ import annotations

import argparse
import http.client
import json
import threading
import time
from collections.abc import Callable
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import parse_qs, urlsplit

import machine
import numpy as np

from fastembed import Vectors

THREADS = (1, 2, 4, 8)


def rate(ask: Callable[[int], object], threads: int, seconds: float) -> float:
    """Return the total number of calls per second of some threads."""
    end = time.perf_counter() + seconds
    calls = [0] * threads

    def work(number: int) -> None:
        while time.perf_counter() < end:
            ask(number + threads * calls[number])
            calls[number] += 1

    running = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    return sum(calls) / seconds


class Handler(BaseHTTPRequestHandler):
    """Answers ``GET /neighbors?word=w`` as the page ``docs/howto/service.md`` does."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def __init__(self, vectors: Vectors, *arguments: object) -> None:
        self.vectors = vectors
        super().__init__(*arguments)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        """Answer a query."""
        word = parse_qs(urlsplit(self.path).query)["word"][0]
        body = json.dumps(self.vectors.most_similar(word)).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the name of the base class
        """Write no log."""


def over_http(address: tuple[str, int]) -> Callable[[int], object]:
    """Return a function that queries a server; each thread has its own connection."""
    own = threading.local()

    def ask(number: int) -> object:
        if not hasattr(own, "connection"):
            own.connection = http.client.HTTPConnection(*address)
        own.connection.request("GET", f"/neighbors?word=w{number}")
        return json.loads(own.connection.getresponse().read())

    return ask


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--words", type=int, default=34_000)
    parser.add_argument("--dim", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=3.0)
    arguments = parser.parse_args()
    machine.reject_other_blas_kernels()
    machine.print_facts("Queries per second", "gensim")
    matrix = np.random.default_rng(0).standard_normal((arguments.words, arguments.dim), np.float32)
    with TemporaryDirectory() as folder:
        path = Path(folder, "vectors.safetensors")
        Vectors([f"w{number}" for number in range(arguments.words)], matrix).save(path)
        vectors = Vectors.load(path)
        keyed = vectors.to_gensim()
        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, vectors))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        contestants: dict[str, Callable[[int], object]] = {
            "`Vectors.most_similar`": lambda number: vectors.most_similar(f"w{number % arguments.words}"),
            "gensim": lambda number: keyed.most_similar(f"w{number % arguments.words}"),
            "over HTTP": over_http(server.server_address[:2]),  # type: ignore[arg-type]
        }
        for ask in contestants.values():
            ask(0)
        print(f"\n| threads of the client | {' | '.join(contestants)} |\n|{'---|' * (len(contestants) + 1)}")
        for threads in THREADS:
            rates = [rate(ask, threads, arguments.seconds) for ask in contestants.values()]
            print(f"| {threads} | {' | '.join(f'{found:,.0f}' for found in rates)} |", flush=True)
        server.shutdown()


if __name__ == "__main__":
    main()
