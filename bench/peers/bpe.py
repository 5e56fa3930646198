#!/usr/bin/env python3
"""Byte-pair encoding on one core: Pare's library beside the `tokenizers` package, in turns.

    build/pare tokenize DIRECTORY TEXT --train --kind bpe
    python3 bench/peers/bpe.py build/libpare.so DIRECTORY TEXT [--rounds N]

Everything is as in wordpiece.py. The package keeps words it has cut before; Pare cuts each anew."""

from wordpiece import compare

compare("bpe", lambda directory: directory / "tokenizer.json")
