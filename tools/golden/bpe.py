#!/usr/bin/env python3
"""Golden data for tests/text: what the `tokenizers` package learns from sentences made up for it, and what it
makes of them and of hostile lines.

    python3 tools/golden/bpe.py tests/golden/bpe.json

Offsets are in characters. Lines are in hexadecimal, since some are not UTF-8."""

import json
import random
import sys

import tokenizers
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from check_bpe import METASPACE, SPECIAL, SPELT, WORDS, spelt_line
from check_wordpiece import BROKEN, STRANGE, broken_line, mutated_line, random_line

SEED, VOCABULARY = 20201202, 420
SENTENCES = """\
The miller's daughter carried the lantern over the bridge, and the bridge carried her over the river.
A lantern without oil is a lantern without light; a bridge without a river is only a road.
Under the old bridge the water was darker than the evening (and colder, too).
She counted the steps: one, two, three, four - and then she stopped counting.
"Where are you going?" asked the ferryman. "Over the river," she answered, "over the river and home."
Nobody had crossed the river in the winter of 1887, when even the ice was frightened.
Die Müllerin trug die Laterne über die Brücke, und die Brücke trug sie über den Fluss.
Unter der alten Brücke war das Wasser dunkler als der Abend und kälter als die Straße.
"Wohin gehst du?", fragte der Fährmann. "Über den Fluss", sagte sie, "über den Fluss und nach Hause."
Die größte Laterne der Straße hing schief; niemand wusste, seit wann.
La meunière porte la lanterne sur le pont, et le pont porte la meunière sur la rivière.
« Où vas-tu ? » demanda le passeur. « De l'autre côté de la rivière », répondit-elle.
Mlynářka nesla lucernu přes most a most nesl mlynářku přes řeku.
Мельничиха несла фонарь через мост, а мост нёс мельничиху через реку.
Η μυλωνού κρατούσε το φανάρι πάνω από τη γέφυρα, πάνω από το ποτάμι.
Değirmencinin kızı İstanbul'da köprüden geçti, ışığı söndü.
حملت ابنة الطحان الفانوس فوق الجسر وفوق النهر.
בת הטוחן נשאה את הפנס מעל הגשר ומעל הנהר.
चक्कीवाले की बेटी पुल के ऊपर लालटेन ले गई।
磨坊主的女儿提着灯笼过桥,桥在河上。
粉屋の娘は提灯を持って橋を渡った。橋は川の上にある。
방앗간집 딸은 등불을 들고 다리를 건넜다.
ลูกสาวคนโรงสีถือโคมข้ามสะพาน
The fare was 3.50 for one, 7.00 for two; children under 12 crossed for nothing!
e-mail: ferry@river.example, phone: +00 (0)12 345-678, open 8:00-20:00.
The end of the bridge is the beginning of the road, the end of the road is the beginning of the bridge.
""".splitlines()
EXTRA = ["", " ", "\u2581", "a  b\tc", " the  bridge ", "(the bridge)", "((", ". . .", "the\u00a0bridge\u3000.", "\U0001f44d\U0001f3fd bridge",
         "THE BRIDGE, \u0130STANBUL \u1e9e", "</w></w>", "the</w>bridge", "bridge</w>", "<s> the bridge </s>", "zq\u4e00zq", "\u2581the\u2581\u2581river\u2581.",
         "bridge" * 40, "the" * 70 + "r", "-" * 50, "<unk>", "the<unk>river </s>."]


def make_lines():
    draw = random.Random(SEED)
    lines = [line.encode() for line in SENTENCES + EXTRA]
    lines += ["".join(("x", strange, "the ", strange)).encode() for strange in STRANGE]
    lines += [b"a" + broken + b"the" + broken for broken in BROKEN]
    lines += [spelt_line(draw, draw.choice(SENTENCES)) for _ in range(20)]
    lines += [mutated_line(draw, draw.choice(SENTENCES).encode()) for _ in range(30)]
    lines += [broken_line(draw, draw.choice(SENTENCES).encode()) for _ in range(10)]
    lines += [random_line(draw) for _ in range(15)]
    lines += ["".join(draw.choice(SPELT) for _ in range(6)).encode() for _ in range(20)]
    return [line.replace(b"\n", b" ") for line in lines]


def learn(form, lower_case):
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase() if lower_case else None
    words = pre_tokenizers.WhitespaceSplit()
    if form == WORDS:
        # Letters that end words come first, in their order: the package numbers them by chance otherwise.
        tokenizer.pre_tokenizer, tokenizer.decoder = words, decoders.BPEDecoder(suffix="</w>")
        text = tokenizer.normalizer.normalize_str("\n".join(SENTENCES)) if lower_case else "\n".join(SENTENCES)
        first = SPECIAL + sorted(set("".join(text.split()))) + sorted({word[-1] + "</w>" for word in text.split()})
        suffix = {"end_of_word_suffix": "</w>"}
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([words, pre_tokenizers.Metaspace(), pre_tokenizers.Punctuation()])
        tokenizer.decoder, first, suffix = decoders.Metaspace(), SPECIAL, {}
    trainer = trainers.BpeTrainer(vocab_size=VOCABULARY + 60 * (form == WORDS), special_tokens=first, show_progress=False, **suffix)
    tokenizer.train_from_iterator(SENTENCES, trainer)
    file = json.loads(tokenizer.to_str())
    file["added_tokens"] = []
    return Tokenizer.from_str(json.dumps(file))


def encode(tokenizer, line):
    encoding = tokenizer.encode(line.decode(errors="replace"), add_special_tokens=False)
    result = {"ids": encoding.ids, "begins": [o[0] for o in encoding.offsets], "ends": [o[1] for o in encoding.offsets]}
    text = tokenizer.decode(encoding.ids, skip_special_tokens=False)
    if "\x00" not in text and not tokenizer.get_added_tokens_decoder():
        result["text"] = text
    return result


def main():
    lines, cases = make_lines(), []
    for form, lower_case, special in ((WORDS, False, False), (METASPACE, True, False), (METASPACE, False, True)):
        tokenizer = learn(form, lower_case)
        if special:
            tokenizer.add_special_tokens(SPECIAL)
        used = [number for number in range(len(lines)) if not special or b"<" in lines[number]]
        cases.append({"form": form, "lower_case": lower_case, "tokenizer": json.loads(tokenizer.to_str()),
                      "results": [{"line": number, **encode(tokenizer, lines[number])} for number in used]})
    golden = {"made by": f"tools/golden/bpe.py, tokenizers {tokenizers.__version__}, seed {SEED}",
              "sentences": SENTENCES, "lines": [line.hex() for line in lines], "cases": cases}
    with open(sys.argv[1], "w") as file:
        json.dump(golden, file, separators=(",", ":"), ensure_ascii=False)
        file.write("\n")


main()
