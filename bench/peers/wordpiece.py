#!/usr/bin/env python3
"""WordPiece on one core: Pare's library beside the `tokenizers` package, in turns.

    python3 bench/peers/wordpiece.py build/libpare.so DIRECTORY TEXT [--rounds N]

DIRECTORY has a tokenizer.json, TEXT (plain or gzip) gives the lines. Each round encodes all lines with
Pare, one call a line, and with the package's encode_batch and encode_batch_fast (which leaves offsets
out), as one batch without threads. Prints medians, and the median of the ratios with its quartiles."""

import argparse
import ctypes
import gzip
import os
import statistics
import time
from pathlib import Path

os.environ["TOKENIZERS_PARALLELISM"] = "false"
from tokenizers import Tokenizer  # noqa: E402


class Pieces(ctypes.Structure):
    _fields_ = [("ids", ctypes.c_void_p), ("begins", ctypes.c_void_p), ("ends", ctypes.c_void_p),
                ("count", ctypes.c_size_t), ("capacity", ctypes.c_size_t)]


class Pare:
    """`kind` is the middle of the names of its functions, `path` what its loader takes."""

    def __init__(self, library, kind, path):
        self.library = ctypes.CDLL(library)
        self.library.pare_error_message.restype = ctypes.c_char_p
        self.tokenizer = ctypes.c_void_p()
        if self.library[f"pare_{kind}_load"](str(path).encode(), ctypes.byref(self.tokenizer)):
            raise SystemExit(self.library.pare_error_message().decode())
        self.encode = self.library[f"pare_{kind}_encode"]
        self.encode.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_void_p]
        self.pieces = Pieces()

    def run(self, lines):
        pieces, total = ctypes.byref(self.pieces), 0
        for line in lines:
            self.pieces.count = 0
            if self.encode(self.tokenizer, line, len(line), pieces):
                raise SystemExit(self.library.pare_error_message().decode())
            total += self.pieces.count
        return total


def timed(function):
    begin = time.perf_counter()
    count = function()
    return time.perf_counter() - begin, count


def compare(kind, path_of):
    """`path_of` makes of DIRECTORY what Pare's loader of this kind takes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("library")
    parser.add_argument("directory", type=Path)
    parser.add_argument("text", type=Path)
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    opener = gzip.open if arguments.text.suffix == ".gz" else open
    with opener(arguments.text, "rb") as file:
        lines = file.read().split(b"\n")
    texts = [line.decode(errors="replace") for line in lines]
    size = sum(map(len, lines))
    pare = Pare(os.path.abspath(arguments.library), kind, path_of(arguments.directory))
    package = Tokenizer.from_file(str(arguments.directory / "tokenizer.json"))
    package.no_truncation()
    package.no_padding()
    sides = {
        "pare": lambda: pare.run(lines),
        "encode_batch": lambda: sum(map(len, package.encode_batch(texts, add_special_tokens=False))),
        "encode_batch_fast": lambda: sum(map(len, package.encode_batch_fast(texts, add_special_tokens=False))),
    }
    times = {name: [] for name in sides}
    for _ in range(arguments.rounds):
        counts = set()
        for name, side in sides.items():
            seconds, count = timed(side)
            times[name].append(seconds)
            counts.add(count)
        assert len(counts) == 1, counts
    for name in sides:
        median = statistics.median(times[name])
        ratios = [other / own for other, own in zip(times[name], times["pare"])]
        low, middle, high = statistics.quantiles(ratios, n=4)
        print(f"{name:18} {1000 * median:8.1f} ms {size / median / 1e6:7.1f} MB/s   "
              f"{middle:5.2f} times Pare's time ({low:.2f} to {high:.2f})")


if __name__ == "__main__":
    compare("wordpiece", lambda directory: directory)
