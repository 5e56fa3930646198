"""Counts how often the text of an answer differs between Pare's rule and the reference's.

    python tools/golden/squad_text.py TOKENIZER_DIRECTORY SQUAD_FILE

Both take spans of word pieces back to the original text: the reference joins the pieces and aligns
characters (get_final_text of transformers 4.30.2), Pare takes the bytes from the first to the last
piece, widened to whole words in two cases (src/tasks/question_answering/decoding.h). For every
question of the file: the pieces of its first answer, then ten random spans of up to 30 pieces.
Prints how many texts differ, how many of those differ in exact match or F1 too, and examples.
"""

import gzip
import json
import random
import sys
import unicodedata
from pathlib import Path

from squad_scores import normalize_answer
from tokenizers import Tokenizer
from transformers.data.metrics.squad_metrics import get_final_text

SEED = 17
SPANS = 10
BLANKS = " \t\r\n\u202f"


def read(path):
    opened = gzip.open if str(path).endswith(".gz") else open
    with opened(path, "rt", encoding="utf-8") as file:
        return json.load(file)["data"]


def cut_words(context):
    """Beginnings of the blank-separated words, and the word of every character."""
    begins, ends, word_of = [], [], []
    inside = False
    for place, character in enumerate(context):
        if character in BLANKS:
            inside = False
        elif not inside:
            inside = True
            begins.append(place)
            ends.append(place + 1)
        else:
            ends[-1] = place + 1
        word_of.append(len(begins) - 1)
    return begins, ends, word_of


def reference_text(context, words, pieces, offsets):
    begins, ends, word_of = words
    text = " ".join(pieces).replace(" ##", "").strip()
    first, last = word_of[offsets[0][0]], word_of[offsets[-1][0]]
    original = " ".join(context[begins[i] : ends[i]] for i in range(first, last + 1))
    return get_final_text(" ".join(text.split()), original, True, False)


def pare_text(context, words, pieces, offsets):
    begins, ends, word_of = words
    begin, end = offsets[0][0], offsets[-1][1]
    while end < len(context) and unicodedata.category(context[end])[0] == "M":
        end += 1
    if pieces[0].startswith("##") or "[UNK]" in pieces:
        begin, end = begins[word_of[begin]], ends[word_of[end - 1]]
    return context[begin:end]


def random_spans(generator, count):
    for _ in range(SPANS):
        first = generator.randrange(count)
        yield first, min(count - 1, first + generator.randrange(30))


def answer_span(offsets, answer):
    begin, end = answer["answer_start"], answer["answer_start"] + len(answer["text"])
    inside = [i for i, (b, e) in enumerate(offsets) if b < end and e > begin]
    return (inside[0], inside[-1]) if inside else None


def spans_of(paragraph, offsets, generator):
    for question in paragraph["qas"]:
        for answer in question["answers"][:1]:
            span = answer_span(offsets, answer)
            if span:
                yield span
        yield from random_spans(generator, len(offsets))


def main(directory, path):
    tokenizer = Tokenizer.from_file(str(Path(directory) / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    generator = random.Random(SEED)
    total = blanks = different = scored = 0
    for article in read(path):
        for paragraph in article["paragraphs"]:
            context = paragraph["context"]
            encoding = tokenizer.encode(context, add_special_tokens=False)
            words = cut_words(context)
            for first, last in spans_of(paragraph, encoding.offsets, generator):
                part = slice(first, last + 1)
                arguments = context, words, encoding.tokens[part], encoding.offsets[part]
                theirs, ours = reference_text(*arguments), pare_text(*arguments)
                total += 1
                if theirs == ours:
                    continue
                if theirs.split() == ours.split():
                    blanks += 1
                    continue
                different += 1
                matter = normalize_answer(theirs) != normalize_answer(ours)
                scored += matter
                if different <= 20 or matter and scored <= 20:
                    print(f"{'scores' if matter else 'text'}: {theirs!r} / {ours!r}")
    print(f"{total} spans: {blanks} differ in blanks only, {different} in text, of these {scored} "
          "in scores")


if __name__ == "__main__":
    main(*sys.argv[1:])
