"""Makes tests/golden/squad_scores.json: exact match and F1 of strange answers.

    python tools/golden/squad_scores.py tests/golden

Python alone. normalize_answer and f1_score are those of SQuAD's official scripts: version 1.1, with
version 2.0's rule for answers of which nothing is left.
"""

import collections
import json
import platform
import random
import re
import string
import sys
from pathlib import Path

SEED = 11

# Each with what it can go wrong on.
PAIRS = [
    ("The cat.", "cat"),  # article, punctuation, case
    ("a-b", "ab"),  # punctuation goes before articles are looked for
    ("a b", "b"),
    ("the", "a"),  # both empty
    ("the", "cat"),
    ("", ""),
    ("", "cat"),
    ("  ", "!?"),
    ("cat cat dog", "cat dog dog"),  # multisets
    ("The Theatre of an Ant", "theatre of ant"),
    ("a_b", "ab"),  # _ is punctuation here although a word character
    ("U.S.-based", "US based"),
    ("1,000.5", "10005"),
    ("don\u2019t", "don t"),  # punctuation outside of ASCII stays
    ("a\u2019s", "\u2019s"),  # ... and ends a word
    ("the\u2014end", "\u2014end"),
    ("a\u0301 b", "\u0301 b"),  # a mark is no word character
    ("\u00e0 la carte", "a la carte"),  # an accented letter is one
    ("la\u00a0carte", "la carte"),  # Unicode's spaces
    ("x\u3000y\u2028z", "x y z"),
    ("x\u200by", "xy"),  # no space
    ("x\x1cy\x1fz", "x y z"),  # spaces to Python
    ("\u0130stanbul", "i\u0307stanbul"),  # one letter lowers to two
    ("\u03a3\u0391\u03a3", "\u03c3\u03b1\u03c2"),  # final sigma
    ("\u03a3", "\u03c3"),
    ("\u0391\u03a3.", "\u03b1\u03c2"),
    ("\u0391\u03a3'\u0391", "\u03b1\u03c3\u03b1"),  # the apostrophe does not end the word
    ("\u0391\u0301\u03a3\u0301 \u0391", "\u03b1\u0301\u03c2\u0301 \u03b1"),
    ("\u2160\u03a3", "\u2170\u03c2"),  # numerals have a case, too
    ("\u00aa\u03a3", "\u00aa\u03c2"),
    ("1\u03a3", "1\u03c3"),
    ("\u0391\u03a31", "\u03b1\u03c21"),
    ("STRASSE", "stra\u00dfe"),  # lower, not casefold
    ("\u00df", "SS"),
    ("\u4e2d\u56fd the \u4eba", "\u4e2d\u56fd \u4eba"),
    ("\u4e2dthe", "\u4e2d the"),  # no word boundary
    ("\u00bd a \u00b2", "\u00bd \u00b2"),
    ("\U0001f600 a \U0001f600", "\U0001f600 \U0001f600"),
    ("\U00010400a", "\U00010428a"),
    ("$^`~|<>=+", ""),
    ("an an an", "an"),
    ("theAn a.n t-h-e", "thean"),
    ("Denver Broncos", "The Denver Broncos of Denver"),
    ("42", "42.0"),
]

POOL = (
    ["a", "an", "the", "The", "AN", "x", "cat", "Cats", "1", "42", " ", " ", "  ", "\t", "\n", "."]
    + [",", "-", "_", "'", '"', "(", ")", "\u2019", "\u2014", "\u00e9", "\u0301", "\u0130", "\u03a3"]
    + ["\u0391", "\u03b2", "\u00a0", "\u2003", "\u200d", "\u4e2d", "\u0e01\u0e31", "\u0915\u093f"]
    + ["\u00df", "\u01c5", "\u0660", "\u2167", "\u00bc", "\u24b6", "\U0001d400", "\U0001f170"]
    + ["\uff21", "\uff0e", "\u05d0", "\u05f4", "\x85", "\x1d"]
)


def normalize_answer(s):
    def remove_articles(text):
        return re.sub(r"\b(a|an|the)\b", " ", text)

    def white_space_fix(text):
        return " ".join(text.split())

    def remove_punc(text):
        exclude = set(string.punctuation)
        return "".join(ch for ch in text if ch not in exclude)

    def lower(text):
        return text.lower()

    return white_space_fix(remove_articles(remove_punc(lower(s))))


def f1_score(prediction, ground_truth):
    prediction_tokens = normalize_answer(prediction).split()
    ground_truth_tokens = normalize_answer(ground_truth).split()
    if not prediction_tokens or not ground_truth_tokens:
        return float(prediction_tokens == ground_truth_tokens)
    common = collections.Counter(prediction_tokens) & collections.Counter(ground_truth_tokens)
    num_same = sum(common.values())
    if num_same == 0:
        return 0.0
    precision = 1.0 * num_same / len(prediction_tokens)
    recall = 1.0 * num_same / len(ground_truth_tokens)
    return (2 * precision * recall) / (precision + recall)


def exact_match_score(prediction, ground_truth):
    return float(normalize_answer(prediction) == normalize_answer(ground_truth))


def random_pairs(count):
    generator = random.Random(SEED)
    for _ in range(count):
        parts = [generator.choice(POOL) for _ in range(generator.randint(0, 12))]
        other = [part for part in parts if generator.random() < 0.8]
        generator.shuffle(other)
        yield "".join(parts), "".join(other)


def main(directory):
    cases = [
        {
            "answer": answer,
            "gold": gold,
            "normalized": normalize_answer(answer),
            "exact_match": exact_match_score(answer, gold),
            "f1": f1_score(answer, gold),
        }
        for answer, gold in PAIRS + list(random_pairs(400))
    ]
    made_by = {"script": "tools/golden/squad_scores.py", "python": platform.python_version()}
    path = Path(directory) / "squad_scores.json"
    path.write_text(json.dumps({"made_by": made_by | {"seed": SEED}, "cases": cases}, indent=0) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
