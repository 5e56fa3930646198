#!/usr/bin/env python3
"""Compares `pare tokenize --json` with the `tokenizers` package (0.23.3), ids, tokens and offsets, on
100,000 lines of real and hostile text:

    python3 tools/golden/check_wordpiece.py build/pare DIRECTORY [TEXT ...]

DIRECTORY has a tokenizer.json; each TEXT (plain or gzip) gives lines as they are and lines in which
characters were inserted, doubled, dropped and changed. Ends with an error at the first difference."""

import argparse
import gzip
import json
import random
import subprocess
import sys
import tempfile
import unicodedata
from pathlib import Path

from tokenizers import Tokenizer

LINES = 100_000
SEED = 20201202
PLANES = [(0x20, 0x7F), (0xA0, 0x250), (0x300, 0x370), (0x370, 0x600), (0x600, 0x1000), (0x1000, 0x2000),
          (0x2000, 0x2C00), (0x2C00, 0x3100), (0x3400, 0x9FFF), (0xA000, 0xD7FF), (0xE000, 0xFFFF),
          (0x10000, 0x12000), (0x16000, 0x17000), (0x1D000, 0x1F000), (0x1F300, 0x1FAFF),
          (0x20000, 0x30000), (0xE0000, 0xE0200), (0x0, 0x10FFFF)]
STRANGE = ["\u0130", "\u0131", "\u03a3", "\u03c2", "\u1e9e", "\ufb01", "\u212a", "\u0344", "\u0f73",
           "\u0340", "\u302e", "\u1d165", "\u1d16d", "\u200d", "\ufe0f", "\u00ad", "\u200b", "\ufeff",
           "\ufffd", "\u2028", "\u2029", "\u0085", "\u00a0", "\u3000", "\u180e", "\x00", "\x01", "\t",
           "\r", "\x0b", "\x0c", "\x1f", "\x7f", "\u0627\u0301", "\u1100\u1161\u11a8", "\uac01", "\u0958",
           "\uf900", "\ufa0e", "\u2f800", "[MASK]", "[CLS]", "[SEP]", "[UNK]", "[PAD]", "[mask]", "[[MASK]",
           "##", "##ing", "\u2047", "\u037e", "\u1fef", "\u08ca\u0898", "\U0001f469\u200d\U0001f4bb",
           "\U0001f1e9\U0001f1ea", "\U0001f44d\U0001f3fd", "\ue000", "\U000f0000", "\U0010ffff", "\u0378"]
BROKEN = [b"\xff", b"\xc3", b"\xe2\x82", b"\xf0\x9f\x98", b"\xed\xa0\x80", b"\xc0\xaf", b"\xe0\x80\x80",
          b"\xf4\x90\x80\x80", b"\xf8\x88\x80\x80\x80", b"\x80", b"\xf0\x9f", b"\xe2\x28\xa1"]


def real_lines(paths):
    lines = []
    for path in paths:
        opener = gzip.open if str(path).endswith(".gz") else open
        with opener(path, "rb") as file:
            lines += [line.rstrip(b"\n") for line in file]
    return lines


def any_character(draw):
    first, last = draw.choice(PLANES)
    code = draw.randint(first, last)
    return chr(code) if not 0xD800 <= code < 0xE000 and code != 10 else "x"


def random_line(draw):
    """Words of characters that lie near each other, with marks and strange ones among them."""
    words = []
    for _ in range(draw.randint(1, 12)):
        first, last = draw.choice(PLANES)
        start = draw.randint(first, last)
        word = ""
        for _ in range(draw.choice([1, 2, 3, 5, 8, 13])):
            code = start + draw.randint(0, 30)
            word += chr(code) if code <= 0x10FFFF and not 0xD800 <= code < 0xE000 and code != 10 else "e"
            if draw.random() < 0.2:
                word += "".join(chr(draw.randint(0x300, 0x36F)) for _ in range(draw.randint(1, 4)))
            if draw.random() < 0.1:
                word += draw.choice(STRANGE)
        words.append(word)
    return draw.choice([" ", " ", "", "\u3000", "-"]).join(words).encode()


def mutated_line(draw, line):
    text = line.decode(errors="replace")
    for _ in range(draw.randint(1, 8)):
        place = draw.randint(0, len(text))
        kind = draw.randint(0, 5)
        if kind == 0:
            text = text[:place] + any_character(draw) + text[place:]
        elif kind == 1:
            text = text[:place] + draw.choice(STRANGE) + text[place:]
        elif kind == 2:
            text = text[:place] + text[place + 1:]
        elif kind == 3:
            text = text[:place] + text[place:place + 5].upper() + text[place + 5:]
        elif kind == 4:
            text = unicodedata.normalize(draw.choice(["NFC", "NFD", "NFKD"]), text)
        else:
            text = text[:place] + chr(draw.randint(0x300, 0x36F)) + text[place:]
    return text.encode()


def broken_line(draw, line):
    for _ in range(draw.randint(1, 5)):
        place = draw.randint(0, len(line))
        line = line[:place] + draw.choice(BROKEN) + line[place:]
    return line


def long_lines(draw):
    yield from (b"a" * n for n in (99, 100, 101, 10_000))
    yield ("e\u0301" * 100).encode()
    yield ("e\u0301" * 101).encode()
    yield ("x" + "\u0301\u0323" * 5000).encode()
    yield "\u4e2d\u56fd".encode() * 5000
    yield "".join(chr(draw.randint(0x300, 0x36F)) for _ in range(10_000)).encode()
    yield "".join(any_character(draw) for _ in range(10_000)).encode()
    yield b"[MASK]" * 1000
    yield b"\xff" * 1000
    yield b""


def every_character():
    """All code points in turn, 64 a line, apart, and within words with accents around them."""
    codes = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000 and c != 10]
    for begin in range(0, len(codes), 64):
        characters = [chr(c) for c in codes[begin:begin + 64]]
        yield " ".join(characters).encode()
        yield "".join("a" + c + "\u0301" for c in characters).encode()


def make_lines(paths):
    draw = random.Random(SEED)
    real = real_lines(paths)
    lines = list(long_lines(draw)) + list(every_character())
    lines += real[:LINES // 3]
    while len(lines) < LINES:
        kind = draw.randint(0, 3)
        if kind and real:
            line = draw.choice(real)
            lines.append(mutated_line(draw, line) if kind < 3 else broken_line(draw, line))
        else:
            lines.append(random_line(draw))
    return [line.replace(b"\n", b" ") for line in lines]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("pare")
    parser.add_argument("directory", type=Path)
    parser.add_argument("texts", nargs="*", type=Path)
    arguments = parser.parse_args()
    tokenizer = Tokenizer.from_file(str(arguments.directory / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    lines = make_lines(arguments.texts)
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"".join(line + b"\n" for line in lines))
        file.flush()
        command = [arguments.pare, "tokenize", arguments.directory, file.name, "--json"]
        output = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    results = output.decode().split("\n")[:-1]
    if len(results) != len(lines):
        sys.exit(f"{len(lines)} lines, but {len(results)} results")
    pieces = 0
    for number, (line, result) in enumerate(zip(lines, results), 1):
        expected = tokenizer.encode(line.decode(errors="replace"), add_special_tokens=False)
        found = json.loads(result)
        wanted = {"ids": expected.ids, "tokens": expected.tokens, "offsets": [list(o) for o in expected.offsets]}
        if found != wanted:
            key = next(k for k in wanted if found[k] != wanted[k])
            pairs = enumerate(zip(found[key], wanted[key]))
            at = next((i for i, (a, b) in pairs if a != b), min(len(found[key]), len(wanted[key])))
            sys.exit(f"line {number} {ascii(line.decode(errors='replace'))[:2000]}\n{key}[{at}]: "
                     f"{ascii(found[key][max(0, at - 3):at + 4])} instead of {ascii(wanted[key][max(0, at - 3):at + 4])}")
        pieces += len(expected.ids)
    print(f"{len(lines)} lines, {pieces} pieces: equal")


if __name__ == "__main__":
    main()
