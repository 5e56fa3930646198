#!/usr/bin/env python3
"""Golden data for tests/text: what the `tokenizers` package makes of hostile lines, with a small
vocabulary of a public-domain text.

    python3 tools/golden/wordpiece.py TEXT tests/golden/wordpiece.json

TEXT (plain or gzip), Shakespeare's plays for the file in the repository, gives the vocabulary and
ordinary lines. Offsets are in characters. Lines are in hexadecimal, since some are not UTF-8."""

import json
import random
import sys

import tokenizers
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

from check_wordpiece import BROKEN, STRANGE, broken_line, mutated_line, random_line, real_lines

SEED = 20201202
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
EXTRA = ["\u00e9", "\u00fc", "\u0130", "\u03c3", "##\u03c3", "\u4e2d", "\u8c48", "##\u0301", "\u0301", "##\u0307",
         "\ud55c", "\u1112", "##\u1161", "##\u11ab", "\U0001f44d", "##\U0001f3fd", "\u00df", "A", "##A", "\u0001",
         "\ufffd", "##\ufffd", "##\u302e", "\u302e"]
SETTINGS = [  # clean_text, handle_chinese_chars, strip_accents, lowercase
    (True, True, None, True), (True, True, None, False), (True, True, False, True),
    (True, False, True, False), (False, False, None, True),
]


def train_vocabulary(path):
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=600, min_frequency=2, special_tokens=SPECIAL, show_progress=False)
    tokenizer.train_from_iterator((line.decode() for line in real_lines([path])), trainer)
    tokens = sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().get)
    return tokens + [token for token in EXTRA if token not in tokens]


def make_lines(path):
    draw = random.Random(SEED)
    real = [line for line in real_lines([path]) if line]
    lines = ["".join(("x", strange, "y ", strange)).encode() for strange in STRANGE]
    lines += [b"a" + broken + b"b" + broken for broken in BROKEN]
    lines += [b"the" * 33 + b"a", b"the" * 33 + b"ab", b"a" * 1000 + b" b",
              ("e\u0301" * 100).encode(), ("e\u0301" * 101).encode(), "\u4e2d\u56fd".encode() * 20, b"",
              "\ud55c\uad6d\uc5b4 \u0130stanbul \u039f\u0394\u03a3 stra\u00dfe \u1e9e".encode(),
              "\u0316\x01\u0301\u302e a\u0301\u302e\u0316b\u302e".encode(),
              b"[MASK][CLS] [SEP]x[MASK [UNK]]", b"no special [mask] tokens [PADD]"]
    lines += [draw.choice(real) for _ in range(40)]
    lines += [mutated_line(draw, draw.choice(real)) for _ in range(60)]
    lines += [broken_line(draw, draw.choice(real)) for _ in range(10)]
    lines += [random_line(draw) for _ in range(40)]
    return [line.replace(b"\n", b" ") for line in lines]


def encode(tokenizer, line):
    encoding = tokenizer.encode(line.decode(errors="replace"), add_special_tokens=False)
    return {"ids": encoding.ids, "begins": [o[0] for o in encoding.offsets], "ends": [o[1] for o in encoding.offsets]}


def main():
    text, output = sys.argv[1:]
    vocabulary, lines = train_vocabulary(text), make_lines(text)
    cases = []
    for number, settings in enumerate(SETTINGS):
        tokenizer = Tokenizer(models.WordPiece({t: i for i, t in enumerate(vocabulary)}, unk_token="[UNK]"))
        tokenizer.normalizer = normalizers.BertNormalizer(*settings)
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        tokenizer.add_special_tokens(SPECIAL)
        used = lines if number == 0 else lines[: len(STRANGE) + len(BROKEN) + 12]
        names = ("clean_text", "handle_chinese_chars", "strip_accents", "lowercase")
        cases.append({"settings": dict(zip(names, settings)), "results": [encode(tokenizer, line) for line in used]})
    golden = {"made by": f"tools/golden/wordpiece.py, tokenizers {tokenizers.__version__}, seed {SEED}",
              "vocabulary": vocabulary, "lines": [line.hex() for line in lines], "cases": cases}
    with open(output, "w") as file:
        json.dump(golden, file, separators=(",", ":"))
        file.write("\n")


main()
