"""Makes tests/golden/squad_features.json with transformers 4.30.2: what its SQuAD code makes of a few
questions.

    python tools/golden/squad_features.py tests/golden

The file holds a small vocabulary, a data set in SQuAD's layout, and for each of some shapes of
windows the sequences, answers and places of most context of every window; then random logits for
every window, coarse ones so that many are equal, and the answers that compute_predictions_logits
finds in them, best first. (transformers 4.30.2 needs NumPy before 1.25 here.)
"""

import json
import logging
import random
import sys
import tempfile
from pathlib import Path

import transformers
from transformers import BertTokenizer
from transformers.data.metrics import squad_metrics
from transformers.data.processors import squad

SEED = 13
logging.disable(logging.WARNING)

VOCABULARY = (
    ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    + [chr(c) for c in range(ord("!"), ord("0"))]
    + [str(d) for d in range(10)]
    + ["##" + str(d) for d in range(10)]
    + [":", ";", "?"]
    + [chr(c) for c in range(ord("a"), ord("z") + 1)]
    + ["##" + chr(c) for c in range(ord("a"), ord("z") + 1)]
    + "the of in and was king queen river tower built by who when where what how did tall".split()
    + "1862 london bridge fell ##ing ##ed ##er re ##build many arch ##es stone meter".split()
)

CONTEXTS = [
    "The old London Bridge (rebuilt 1862) was built by the king. It had  many stone\tarches, "
    "and the queen's tower was 45.5 meters tall!\nIn 1831, the bridge fell; the river's king "
    "re-built it in stone, \u00e9tage by \u00c9tage, and the towers of London fell again "
    "when the queen was tall.",
    "King of the river: a tower.",
    "When the stone fell in the river in London, the queen was in the tower and the king was by "
    "the bridge; who built the bridge? The king built the bridge, the tower and the river. "
    "How tall was the tower? $1862 tall. What fell? The stone arches of the bridge fell.",
]
QUESTIONS = [
    (0, "When was London Bridge rebuilt?", "1862"),
    (0, "How tall was the tower?", "45.5 meters"),
    (0, "Whose tower?", "queen"),
    (0, "What did the king do?", "built it in stone"),
    (0, "How many arches?", "many stone\tarches"),
    (0, "How was it built in the end, by whom, when and where, and of what stone was it built?",
     "tage by \u00c9tage"),
    (0, "What fell?", "towers of London"),
    (0, "Who was tall?", "the queen was tall."),
    (1, "Who?", "King of the river"),
    (1, "?", "a tower."),
    (2, "Where did the stone fall?", "the river"),
    (2, "Who built the bridge?", "The king"),
    (2, "How much?", "1862"),
    (2, "What fell?", "stone arches"),
]
# length, stride, longest question, longest answer
SHAPES = [(384, 128, 64, 30), (40, 8, 12, 10), (64, 52, 9, 5)]


def make_data():
    paragraphs = [{"context": context, "qas": []} for context in CONTEXTS]
    for number, (place, question, answer) in enumerate(QUESTIONS):
        start = CONTEXTS[place].rindex(answer)
        paragraphs[place]["qas"].append(
            {
                "id": f"q{number}",
                "question": question,
                "answers": [{"text": answer, "answer_start": start}],
            }
        )
    return {"data": [{"title": "t", "paragraphs": paragraphs}]}


def make_examples(data):
    return squad.SquadV1Processor()._create_examples(data["data"], "train")


def make_features(example, tokenizer, shape):
    squad.squad_convert_example_to_features_init(tokenizer)
    length, stride, question_length, _ = shape
    return squad.squad_convert_example_to_features(
        example, length, stride, question_length, "do_not_pad", True
    )


def describe_window(feature):
    begin = feature.tokens.index("[SEP]") + 1
    return {
        "ids": feature.input_ids,
        "segments": "".join(map(str, feature.token_type_ids)),
        "start": feature.start_position,
        "end": feature.end_position,
        "most_context": "".join(
            str(int(feature.token_is_max_context.get(place, False)))
            for place in range(begin, len(feature.input_ids) - 1)
        ),
    }


def describe_shape(examples, tokenizer, shape, generator, directory):
    windows, features, results = [], [], []
    for index, example in enumerate(examples):
        for feature in make_features(example, tokenizer, shape):
            feature.example_index = index
            feature.unique_id = 1000 + len(features)
            logits = [
                [round(8 * generator.gauss(0, 3)) / 8 for _ in feature.input_ids]
                for _ in range(2)
            ]
            results.append(squad.SquadResult(feature.unique_id, logits[0], logits[1]))
            windows.append(
                describe_window(feature)
                | {"question": index, "first_logits": logits[0], "last_logits": logits[1]}
            )
            features.append(feature)
    names = [str(Path(directory) / name) for name in ("predictions", "best", "odds")]
    # Predictions are of the evaluation form of the examples; contexts are the same.
    squad_metrics.compute_predictions_logits(
        examples, features, results, 20, shape[3], True, *names, False, False, 0.0, tokenizer
    )
    best = json.loads(Path(names[1]).read_text())
    answers = [
        [
            {"text": answer["text"], "score": answer["start_logit"] + answer["end_logit"]}
            for answer in best[example.qas_id]
        ]
        for example in examples
    ]
    keys = ("length", "stride", "question_length", "answer_length")
    return dict(zip(keys, shape)) | {"windows": windows, "answers": answers}


def main(directory):
    generator = random.Random(SEED)
    data = make_data()
    examples = make_examples(data)
    with tempfile.TemporaryDirectory() as scratch:
        vocabulary = Path(scratch) / "vocab.txt"
        vocabulary.write_text("\n".join(VOCABULARY) + "\n")
        tokenizer = BertTokenizer(str(vocabulary), do_lower_case=True, model_max_length=512)
        shapes = [
            describe_shape(examples, tokenizer, shape, generator, scratch) for shape in SHAPES
        ]
    made_by = {
        "script": "tools/golden/squad_features.py",
        "transformers": transformers.__version__,
        "seed": SEED,
    }
    golden = {"made_by": made_by, "vocabulary": VOCABULARY, "squad": data, "shapes": shapes}
    path = Path(directory) / "squad_features.json"
    path.write_text(json.dumps(golden, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
