"""Makes tests/golden/translation_scores.json: BLEU, chrF and 13a tokens of ordinary and strange segments.

    python tools/golden/translation_scores.py tests/golden

Needs requirements-scores.txt. BLEU, chrF, tokens and signatures are sacreBLEU's. Tokenised BLEU is
computed here from its definition, in exact fractions until the last step.
"""

import collections
import fractions
import json
import math
import platform
import random
import sys
from pathlib import Path

import sacrebleu
from sacrebleu.metrics import BLEU, CHRF

SEED = 17
ORDERS = 4

# Hypothesis and reference, each with what it can go wrong on.
PAIRS = [
    ("A man in a blue shirt is standing on a ladder.", "A man in a blue shirt is standing on a ladder."),
    ("Two dogs run across the wet grass.", "Two brown dogs are running over the wet grass."),
    ("Ein Mann schläft auf einer grünen Bank.", "Ein Mann schläft in einem grünen Raum auf einem Sofa."),
    ("", ""),
    ("", "Nothing came out."),
    ("Something came out.", ""),
    ("   ", "\t"),
    ("yes", "yes"),  # too short for four tokens
    ("yes", "no"),
    ("yes no", "yes no"),
    ("one two three", "one two three"),
    ("one two three four", "one two three four"),
    ("a b c d e f", "a x b x c x d x e x f"),  # no pair of tokens matches
    ("the the the the the the the", "the cat is on the mat"),  # each at most as often as there
    ("the cat", "the cat sat on the mat and looked at the dog"),  # brevity
    ("the cat sat on the mat and looked at the dog", "the cat"),
    ("It cost 1,000.5 dollars.", "It cost 1,000.50 dollars ."),
    ("U.S.-based firms", "U.S. -based firms"),
    ("don't, can't, won't", "do n't , ca n't , wo n't"),
    ("a 5-year-old and a -5 and 5-", "a 5 -year-old and a -5 and 5 -"),
    ("No.5, No. 5 and .5", "No .5 , No. 5 and . 5"),
    ("wait... what?!", "wait . . . what ? !"),
    (",,,,", ", , , ,"),
    (".,.,.", "., .,."),
    ("1.,2", "1 .,2"),
    ("3.14.15,9", "3.14 . 15 , 9"),
    ("1.", ".1"),
    ("5-.", "5.-"),
    ("&quot;Hello&quot; &amp; &lt;b&gt;", '"Hello" & <b>'),
    ("&amp;lt; &amp;quot; &amp;amp; &quo", "&lt; &quot; &amp; &quo"),  # order of the escapes
    ("&lt;skipped> <skipped>x<skip<skipped>ped>", "x <skipped>"),
    ("<skipped>", "<skipped>"),
    ("over-\nworked and under-\n", "overworked and under-"),
    ("two\nlines\n\nthree", "two lines three"),
    ("-\n-\n", "-"),
    ("a\r", "a"),
    ("a \r", "a"),
    ("x\x1cy\x1dz\x1ew\x1fv", "x y z w v"),  # spaces to Python
    ("a\x85b\xa0c\u2003d\u3000e\u2028f", "a b c d e f"),
    ("a\u200bb\u200dc\ufeffd\u180ee", "a b c d e"),  # none
    ("\x01\x02 \x07 \x7f \x1b[0m", "\x01 \x02 \x07 \x7f \x1b [0m"),
    ("我们在公园里散步。", "我们在公园散步。"),
    ("彼は、東京へ行った。1,000円", "彼は東京に行った。1,000円"),
    ("값은 3.5달러, 맞죠?", "값은 3.5 달러, 맞죠?"),
    ("\U0001f600\U0001f600 ok \U0001f469\u200d\U0001f4bb", "\U0001f600 ok \U0001f469 \U0001f4bb"),
    ("\uff11\uff12.\uff15,\uff10", "\uff11\uff12 . \uff15 , \uff10"),  # full-width digits are none
    ("\u0661.\u0662-\u0663 \u00bd.\u00b2", "\u0661 . \u0662-\u0663 \u00bd . \u00b2"),
    ("é.è,à-ê", "é . è , à-ê"),
    ("«Ça va?» – “oui”…", "« Ça va ? » – “ oui ” …"),
    ("e\u0301te\u0301 ", "\u00e9t\u00e9"),  # no normal form
    ("UPPER lower MiXeD", "upper LOWER mixed"),
    ("\u0130stanbul \u03a3\u0391\u03a3 STRASSE", "i\u0307stanbul \u03c3\u03b1\u03c2 stra\u00dfe"),
    ("{a}[b](c)|d~e`f^g_h\\i/j*k+l=m<n>o@p#q$r%s!t\"u'v;w:x", "{ a } [ b ] ( c )"),
    ("http://example.org/a_b?c=d&e=f", "http : / / example.org / a _ b"),
    ("a@@ b@@ c d@@", "abc d"),  # joints
    ("a@@b c@@\td @@ e", "a@@b c@@ d e"),
    ("@@ @@ @@", "@@"),
    ("a@@@ b @@c@@ d@@", "a@b @@cd"),
    ("the <unk> sat on the <unk>", "the <unk> sat on the <unk>"),
    ("the cat sat on the <unk> mat in the sun", "the cat sat on the cat mat in the sun"),
    ("<un@@ k> <UNK> unk", "<unk> <UNK> unk"),
    ("\ufffd \ufffd\ufffd", "\ufffd\ufffd \ufffd"),
    ("abcdefghij " * 40, "abcdefghij " * 39 + "abcdefghi"),
    ("xyz" * 90, "xyz" * 80),
]

POOL = (
    ["the", "The", "a", "cat", "Haus", "grün", "1", "42", "3.5", "1,000", "-", ".", ",", "...", "'s", "n't"]
    + ["?", "!", '"', "(", ")", "&amp;", "&quot;", "&lt;", "&gt;", "&", "<skipped>", "@@", "@@ ", "<unk>"]
    + [" ", " ", " ", " ", " ", "  ", "\t", "\n", "-\n", "\r", "\x1c", "\x85", "\xa0", "\u2009", "\u3000"]
    + ["\u200b", "\u0301", "\u0130", "\u03a3", "\u0391", "\u00df", "\u4e2d", "\u6587", "\u3002", "\uff0c"]
    + ["\uff15", "\u0665", "\U0001f600", "\u2019", "\u2014", "\u00ab", "\ufffd", "\x01", "\x7f", "/", ":"]
)


def random_pairs(draw, count):
    for _ in range(count):
        parts = [draw.choice(POOL) for _ in range(draw.randint(0, 24))]
        other = [part if draw.random() < 0.9 else draw.choice(POOL) for part in parts if draw.random() < 0.9]
        yield "".join(parts), "".join(other)


def ngrams(tokens, n):
    return collections.Counter(tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1))


def tokenised_bleu(pairs, lower_case):
    """As fairseq-generate and fairseq-score define it."""
    matches, totals = [0] * ORDERS, [0] * ORDERS
    hypothesis_length = reference_length = 0
    for pair in pairs:
        sides = [side.lower() if lower_case else side for side in pair]
        hypothesis, reference = [(side + " ").replace("@@ ", "").split() for side in sides]
        reference = [None if token == "<unk>" else token for token in reference]
        hypothesis_length += len(hypothesis)
        reference_length += len(reference)
        for n in range(1, ORDERS + 1):
            of_hypothesis, of_reference = ngrams(hypothesis, n), ngrams(reference, n)
            totals[n - 1] += sum(of_hypothesis.values())
            matches[n - 1] += sum((of_hypothesis & of_reference).values())
    if not all(matches):
        return 0.0
    product = math.prod(fractions.Fraction(m, t) for m, t in zip(matches, totals))
    brevity = min(1.0, math.exp(1 - reference_length / hypothesis_length))
    return 100 * brevity * float(product) ** (1 / ORDERS)


def corpus(pairs, lower_case):
    hypotheses, references = [list(side) for side in zip(*pairs)]
    bleu, chrf = BLEU(lowercase=lower_case), CHRF(lowercase=lower_case)
    score = bleu.corpus_score(hypotheses, [references])
    return {
        "lower_case": lower_case,
        "hypotheses": hypotheses,
        "references": references,
        "bleu": score.score,
        "precisions": score.precisions,
        "brevity_penalty": score.bp,
        "hypothesis_length": score.sys_len,
        "reference_length": score.ref_len,
        "chrf": chrf.corpus_score(hypotheses, [references]).score,
        "tokenised_bleu": tokenised_bleu(pairs, lower_case),
        "bleu_signature": str(bleu.get_signature()),
        "chrf_signature": str(chrf.get_signature()),
    }


def tokens_of(text):
    return {"text": text, "tokens": BLEU().tokenizer(text.rstrip()).split()}


def main(directory):
    draw = random.Random(SEED)
    strange = list(random_pairs(draw, 150))
    corpora = [corpus([pair], lower_case) for pair in PAIRS + strange[:60] for lower_case in (False, True)]
    for begin in range(0, len(strange), 30):
        corpora += [corpus(strange[begin : begin + 30], lower_case) for lower_case in (False, True)]
    corpora += [corpus(PAIRS, False), corpus(PAIRS, True), corpus(PAIRS[:3], False)]
    made_by = {"script": "tools/golden/translation_scores.py", "python": platform.python_version()}
    made_by |= {"sacrebleu": sacrebleu.__version__, "seed": SEED}
    golden = {
        "made_by": made_by,
        "tokens": [tokens_of(text) for pair in PAIRS + strange for text in pair],
        "corpora": corpora,
    }
    Path(directory, "translation_scores.json").write_text(json.dumps(golden, indent=0) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
