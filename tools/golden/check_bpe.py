#!/usr/bin/env python3
"""Compares Pare's byte-pair encoding with the `tokenizers` package (0.23.3) and with subword-nmt (0.3.8):

    python3 tools/golden/check_bpe.py build/libpare.so TEXT ... [--codes FILE]

Learns merges from the TEXTs (plain or gzip) together, in both forms, with and without capitals, and with the
package's own trainer: vocabulary and merges must be the same. Then encodes 100,000 real and hostile lines with
the file that Pare wrote, with the same file as the package writes it, with merges as strings, and with special
tokens that texts may spell: ids, offsets and the decoded text must be the same. A word of a million characters
is among them. FILE, plain or gzip, has merges of subword-nmt, which must cut the lines of the TEXTs likewise.
Ends with an error at the first difference."""

import argparse
import ctypes
import io
import gzip
import json
import random
import sys
import tempfile
import time
from pathlib import Path

from subword_nmt.apply_bpe import BPE
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

from check_wordpiece import make_lines, mutated_line, real_lines

SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]
SPELT = ["</w>", "<s>", "</s>", "<unk>", "<pad>", "\u2581", " \u2581", "\u2581\u2581", "(\u2581", "x</w>y", "@@ ", "\u00a0",
         " .", " (", ".\u2581", "\u0130", "\u2028", "&apos;"]
WORDS, METASPACE = 0, 1
SEED, SPELT_LINES, VOCABULARY = 20201202, 5000, 6000


class Pieces(ctypes.Structure):
    _fields_ = [("ids", ctypes.POINTER(ctypes.c_uint32)), ("begins", ctypes.POINTER(ctypes.c_uint32)),
                ("ends", ctypes.POINTER(ctypes.c_uint32)), ("count", ctypes.c_size_t), ("capacity", ctypes.c_size_t)]


class Options(ctypes.Structure):
    _fields_ = [("form", ctypes.c_int), ("lower_case", ctypes.c_bool), ("size", ctypes.c_size_t),
                ("merges", ctypes.c_size_t), ("minimum_count", ctypes.c_uint64)]


class Pare:
    """A tokenizer of the library; the class methods make one."""

    def __init__(self, make, *arguments):
        self.bpe, self.pieces = ctypes.c_void_p(), Pieces()
        self.check(make(*arguments, ctypes.byref(self.bpe)))

    @classmethod
    def open_library(cls, path):
        cls.library = ctypes.CDLL(str(Path(path).resolve()))
        cls.library.pare_error_message.restype = ctypes.c_char_p
        cls.library.pare_bpe_hash.restype = ctypes.c_uint64
        cls.library.pare_bpe_token.restype = ctypes.c_char_p

    @staticmethod
    def paths(texts):
        return (ctypes.c_char_p * len(texts))(*[str(text).encode() for text in texts]), ctypes.c_size_t(len(texts))

    @classmethod
    def build(cls, texts, **options):
        return cls(cls.library.pare_bpe_build, *cls.paths(texts), ctypes.byref(Options(**options)))

    @classmethod
    def load(cls, path):
        return cls(cls.library.pare_bpe_load, str(path).encode())

    @classmethod
    def load_codes(cls, path, texts):
        return cls(cls.library.pare_bpe_load_codes, str(path).encode(), *cls.paths(texts))

    def check(self, status):
        if status:
            sys.exit(self.library.pare_error_message().decode())

    def save(self, path):
        self.check(self.library.pare_bpe_save(self.bpe, str(path).encode()))

    def hash(self):
        return self.library.pare_bpe_hash(self.bpe)

    def token(self, number):
        return self.library.pare_bpe_token(self.bpe, ctypes.c_uint32(number)).decode()

    def encode(self, line):
        pieces, length = self.pieces, ctypes.c_size_t(len(line))
        pieces.count = 0
        self.check(self.library.pare_bpe_encode(self.bpe, line, length, ctypes.byref(pieces)))
        self.library.pare_pieces_count_characters(ctypes.byref(pieces), line, length)
        count = pieces.count
        return pieces.ids[:count], list(zip(pieces.begins[:count], pieces.ends[:count]))

    def decode(self, ids):
        text = ctypes.c_void_p()
        array = (ctypes.c_uint32 * len(ids))(*ids)
        self.check(self.library.pare_bpe_decode(self.bpe, array, ctypes.c_size_t(len(ids)), ctypes.byref(text)))
        decoded = ctypes.string_at(text).decode()
        ctypes.CDLL(None).free(text)
        return decoded


def spelt_line(draw, line):
    for _ in range(draw.randint(1, 6)):
        place = draw.randint(0, len(line))
        line = line[:place] + draw.choice(SPELT) + line[place:]
    return line.encode()


def all_lines(texts):
    draw = random.Random(SEED)
    lines = make_lines(texts)
    real = [line.decode(errors="replace") for line in real_lines(texts)]
    lines += [spelt_line(draw, draw.choice(real)) for _ in range(SPELT_LINES)]
    lines += ["".join(draw.choice(SPELT) for _ in range(draw.randint(1, 9))).encode() for _ in range(SPELT_LINES)]
    word = "".join(draw.choice(real).replace(" ", "") for _ in range(20000))[:1_000_000]
    return lines + [mutated_line(draw, line) for line in lines[:100]] + [word.encode(), b"a" * 1_000_000, b"ab" * 500_000]


def assert_equal(what, line, found, wanted):
    if found != wanted:
        at = next((i for i, (a, b) in enumerate(zip(found, wanted)) if a != b), min(len(found), len(wanted)))
        sys.exit(f"{ascii(line.decode(errors='replace'))[:2000]}\n{what}[{at}]: {ascii(found[max(0, at - 5):at + 5])} "
                 f"instead of {ascii(wanted[max(0, at - 5):at + 5])}")


def compare(name, pare, package, lines):
    pieces = 0
    for line in lines:
        text = line.decode(errors="replace")
        expected = package.encode(text, add_special_tokens=False)
        ids, offsets = pare.encode(line)
        assert_equal("id", line, ids, expected.ids)
        assert_equal("offset", line, offsets, expected.offsets)
        # Special tokens that a text spells are left out by both, but <unk> is shown here.
        if "\x00" not in text and not package.get_added_tokens_decoder():
            assert_equal("text", line, pare.decode(ids), package.decode(ids))
        pieces += len(ids)
    print(f"{name}: {len(lines)} lines, {pieces} pieces: equal", flush=True)


def train_package(texts, form, lower_case, vocabulary, merges):
    """Letters that end words are made special tokens, since the package numbers them by chance."""
    package = Tokenizer(models.BPE(unk_token="<unk>"))
    package.normalizer = normalizers.Lowercase() if lower_case else None
    words = pre_tokenizers.WhitespaceSplit()
    package.pre_tokenizer = words if form == WORDS else pre_tokenizers.Sequence(
        [words, pre_tokenizers.Metaspace(), pre_tokenizers.Punctuation()])
    first = vocabulary[:len(vocabulary) - len(merges)] if form == WORDS else SPECIAL
    suffix = {"end_of_word_suffix": "</w>"} if form == WORDS else {}
    package.train_from_iterator(
        (line.decode(errors="replace") for line in real_lines(texts)),
        trainers.BpeTrainer(vocab_size=VOCABULARY, special_tokens=first, show_progress=False, **suffix))
    return json.loads(package.to_str())["model"]


def check_form(texts, lines, form, lower_case, directory):
    name = f"{'words' if form == WORDS else 'metaspace'}{', lower case' if lower_case else ''}"
    path, other = directory / "pare.json", directory / "package.json"
    begin = time.perf_counter()
    pare = Pare.build(texts, form=form, lower_case=lower_case, size=VOCABULARY)
    seconds = time.perf_counter() - begin
    pare.save(path)
    model = json.loads(path.read_text())["model"]
    vocabulary = sorted(model["vocab"], key=model["vocab"].get)
    learnt = train_package(texts, form, lower_case, vocabulary, model["merges"])
    if learnt["vocab"] != model["vocab"] or learnt["merges"] != model["merges"]:
        sys.exit(f"{name}: the package learns other merges")
    print(f"{name}: {len(model['merges'])} merges in {seconds:.2f} s, those of the package", flush=True)
    package = Tokenizer.from_file(str(path))
    package.save(str(other))
    file = json.loads(other.read_text())
    hashes = {pare.hash(), Pare.load(path).hash(), Pare.load(other).hash()}
    file["model"]["merges"] = [" ".join(merge) for merge in file["model"]["merges"]]
    other.write_text(json.dumps(file))
    if len(hashes | {Pare.load(other).hash()}) != 1:
        sys.exit(f"{name}: a saved tokenizer does not come back")
    compare(name, pare, package, lines)
    package.add_special_tokens(SPECIAL)
    package.save(str(other))
    compare(f"{name}, special tokens in texts", Pare.load(other), package, lines[-2 * SPELT_LINES - 200:])


def subword_pieces(pare, line):
    tokens = [pare.token(number) for number in pare.encode(line)[0]]
    return [token[:-4] if token.endswith("</w>") else token + "@@" for token in tokens]


def check_codes(codes, texts):
    opener = gzip.open if codes.suffix == ".gz" else open
    with opener(codes, "rb") as file:
        subword = BPE(io.TextIOWrapper(file, encoding="utf-8"))
    pare = Pare.load_codes(codes, texts)
    lines = real_lines(texts)
    for line in lines:
        wanted = subword.process_line(line.decode()).split()
        assert_equal("piece", line, subword_pieces(pare, line), wanted)
    print(f"subword-nmt: {len(lines)} lines: equal")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("library")
    parser.add_argument("texts", nargs="+", type=Path)
    parser.add_argument("--codes", type=Path)
    arguments = parser.parse_args()
    Pare.open_library(arguments.library)
    lines = all_lines(arguments.texts)
    with tempfile.TemporaryDirectory() as directory:
        for form in (WORDS, METASPACE):
            for lower_case in (False, True):
                check_form(arguments.texts, lines, form, lower_case, Path(directory))
    if arguments.codes:
        check_codes(arguments.codes, arguments.texts)


if __name__ == "__main__":
    main()
