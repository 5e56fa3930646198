#!/usr/bin/env python3
"""Compares `pare score --json` with sacreBLEU (requirements-scores.txt) on translations that were made by
edits of real references:

    python3 tools/golden/check_translation_scores.py build/pare TEXT ...

Each TEXT (plain or gzip) gives references; hypotheses are made by dropping, doubling, exchanging and
spoiling words and characters, from hardly any to most. Prints the largest differences and the median
processor time that either took for the longest text, and ends with an error when one is 1e-6 or more."""

import argparse
import gzip
import json
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from sacrebleu.metrics import BLEU, CHRF

from translation_scores import POOL, tokenised_bleu

SEED = 2021
SHARES = [0.0, 0.02, 0.1, 0.3, 0.6, 0.95]
TOLERANCE = 1e-6  # the command prints nine digits
BROKEN = [b"\xff", b"\xc3", b"\xe2\x82", b"\xf0\x9f\x98", b"\xed\xa0\x80", b"\xc0\xaf", b"\x00", b"\x80"]


def lines_of(path):
    data = Path(path).read_bytes()
    if data[:2] == b"\x1f\x8b":
        data = gzip.decompress(data)
    return data.removesuffix(b"\n").split(b"\n")


def edit(draw, line, share):
    """A word is dropped, doubled, moved, cut in two, capitalised or spoiled, with probability `share`."""
    words = []
    for word in line.decode().split(" "):
        if draw.random() >= share:
            words.append(word)
            continue
        kind = draw.randrange(8)
        at = draw.randint(0, len(word))
        if kind == 1:
            words += [word, word]
        elif kind == 2:
            words.insert(draw.randint(0, len(words)), word)
        elif kind == 3:
            words += [word[:at] + "@@", word[at:]]
        elif kind == 4:
            words.append(word.swapcase())
        elif kind == 5:
            words.append(word[:at] + draw.choice(POOL).replace("\n", " ") + word[at:])
        elif kind == 6:
            words.append(draw.choice(POOL).replace("\n", " "))
        elif kind == 7:
            words += [word[:-1], word[-1:]]
    return " ".join(words).encode()


def spoil(draw, line):
    at = draw.randint(0, len(line))
    return line[:at] + draw.choice(BROKEN) + line[at:]


def run_pare(pare, hypotheses, references, lower_case):
    with tempfile.TemporaryDirectory() as directory:
        paths = [Path(directory, name) for name in ("hypotheses", "references")]
        for path, lines in zip(paths, (hypotheses, references)):
            path.write_bytes(b"".join(line + b"\n" for line in lines))
        options = ["--json"] + ["--lower-case"] * lower_case
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        printed = subprocess.run([pare, "score", *paths, *options], check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return json.loads(printed.stdout), seconds


def run_package(hypotheses, references, lower_case):
    """Lines are stripped as the package's own command does it."""
    texts = [[line.decode(errors="replace").rstrip() for line in side] for side in (hypotheses, references)]
    begin = time.process_time()
    bleu, chrf = BLEU(lowercase=lower_case, force=True), CHRF(lowercase=lower_case)
    score = bleu.corpus_score(texts[0], [texts[1]])
    result = {"bleu": score.score, "chrf": chrf.corpus_score(texts[0], [texts[1]]).score}
    seconds = time.process_time() - begin
    result |= {"signature": str(bleu.get_signature()), "chrf_signature": str(chrf.get_signature())}
    result |= {"hypothesis_length": score.sys_len, "reference_length": score.ref_len}
    result |= {"tokenised_bleu": tokenised_bleu(list(zip(*texts)), lower_case)}
    return result, seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pare")
    parser.add_argument("texts", nargs="+")
    arguments = parser.parse_args()
    draw = random.Random(SEED)
    largest = {"bleu": 0.0, "chrf": 0.0, "tokenised_bleu": 0.0}
    times = {}  # by number of segments
    corpora = 0
    for text in arguments.texts:
        references = lines_of(text)
        for share in SHARES:
            hypotheses = [edit(draw, line, share) for line in references]
            if share > 0.5:
                hypotheses = [spoil(draw, line) for line in hypotheses]
            for lower_case in (False, True):
                ours, seconds = run_pare(arguments.pare, hypotheses, references, lower_case)
                theirs, their_seconds = run_package(hypotheses, references, lower_case)
                for key in theirs.keys() - largest.keys():
                    if ours[key] != theirs[key]:
                        sys.exit(f"{text}, {share}: {key} is {ours[key]}, not {theirs[key]}")
                for key in largest:
                    largest[key] = max(largest[key], abs(ours[key] - theirs[key]))
                times.setdefault(len(references), []).append((seconds, their_seconds))
                corpora += 1
                print(f"{Path(text).name} {share}: {theirs['bleu']:.4f} {theirs['chrf']:.4f}", flush=True)
    print(f"{corpora} corpora; largest differences: {largest}")
    longest = max(times)
    seconds, their_seconds = [statistics.median(side) for side in zip(*times[longest])]
    print(f"{longest} segments: {seconds:.2f} s; sacreBLEU (BLEU and chrF) {their_seconds:.2f} s")
    if max(largest.values()) >= TOLERANCE:
        sys.exit("that is too much")


if __name__ == "__main__":
    main()
