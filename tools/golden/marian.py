"""Makes tests/golden/marian_{tied,target_tied,untied,beam,random}.safetensors and
marian_{beam,random}.json.

    python tools/golden/marian.py tests/golden

The first three hold a small random MarianMTModel of the transformers library each, which differ in
what embeddings they share, a batch of sentence pairs of different lengths, and what the library
computes from them in double precision: hidden states of encoder and decoder after the embedding and
every layer, logits, the loss with label smoothing, all gradients, and the losses of ten AdamW steps
as in bert.py. The decoder reads the target moved right by one, behind decoder_start_token_id. There
is no dropout. Every pair runs alone, so that the library has no padding either, and results lie end
to end. Tensors are stored in single precision, the precision of the weights.

The last four hold two models and what the library's `generate` translates with them, one sentence
at a time. One has learned a made-up language for a minute; the other one is random, so that it
repeats itself and hardly ever ends before the limit. `generate` adds log-probabilities up in single
precision, so sentences that translate differently once the weights move a little are passed over:
their scores nearly tie.
"""

import copy
import json
import sys
import tempfile

import torch
import transformers
from bert import arrays, save, train
from safetensors import safe_open
from safetensors.numpy import save_file
from transformers import GenerationConfig, MarianConfig, MarianMTModel

SEED = 20180401
SMOOTHING = 0.1
PAD, END = 1, 2
COMMON = {
    "dropout": 0.0,
    "attention_dropout": 0.0,
    "activation_dropout": 0.0,
    "init_std": 0.25,
    "max_position_embeddings": 24,
    "pad_token_id": PAD,
    "eos_token_id": END,
    "forced_eos_token_id": None,
    "decoder_start_token_id": END,
    "attn_implementation": "eager",
}
CASES = {
    "tied": {"vocab_size": 33, "d_model": 16, "encoder_layers": 2, "decoder_layers": 3,
             "heads": 2, "ffn_dim": 23, "activation_function": "relu", "scale_embedding": True},
    # Head size 41, which is no multiple of a vector.
    "target_tied": {"vocab_size": 15, "decoder_vocab_size": 19, "d_model": 41,
                    "encoder_layers": 2, "decoder_layers": 1, "heads": 1, "ffn_dim": 6,
                    "activation_function": "gelu", "scale_embedding": False,
                    "share_encoder_decoder_embeddings": False},
    "untied": {"vocab_size": 31, "decoder_vocab_size": 27, "d_model": 20,
               "encoder_layers": 3, "decoder_layers": 1, "heads": 2, "ffn_dim": 30,
               "activation_function": "swish", "scale_embedding": True,
               "share_encoder_decoder_embeddings": False, "tie_word_embeddings": False},
}
SOURCE_LENGTHS = [7, 1, 13, 2, 5]
TARGET_LENGTHS = [5, 8, 1, 11, 2]

BEAM = {"vocab_size": 40, "d_model": 24, "encoder_layers": 2, "decoder_layers": 2, "heads": 3,
        "ffn_dim": 32, "activation_function": "swish", "scale_embedding": True}
BEAM_STEPS = 600
SENTENCES = 50
GENERATION = {
    "max_length": 20,
    "do_sample": False,
    "num_return_sequences": 1,
    "decoder_start_token_id": END,
    "eos_token_id": END,
    "pad_token_id": PAD,
    "bos_token_id": None,
    "bad_words_ids": None,
    "forced_bos_token_id": None,
    "forced_eos_token_id": None,
    "min_length": 0,
    "no_repeat_ngram_size": 0,
    "repetition_penalty": 1.0,
    "renormalize_logits": False,
}
SETTINGS = [{"num_beams": beams, "length_penalty": penalty, "early_stopping": early}
            for beams in (1, 4, 5) for penalty in (1.0, 0.6) for early in (False, True)]
# What the published Marian models ask for: no padding in a translation, and an end in any case.
SETTINGS += [{"num_beams": 4, "length_penalty": 1.0, "early_stopping": False,
              "bad_words_ids": [[PAD]], "forced_eos_token_id": END}]
RANDOM_SETTINGS = [{"num_beams": beams, "length_penalty": 1.0, "early_stopping": early,
                    "forced_eos_token_id": forced}
                   for beams, early in ((1, False), (5, False), (5, True))
                   for forced in (None, END)]


def random_model(settings):
    sizes = {f"{side}_{ours}": settings[theirs] for side in ("encoder", "decoder")
             for ours, theirs in (("attention_heads", "heads"), ("ffn_dim", "ffn_dim"))}
    config = MarianConfig(**COMMON, **sizes, **{name: value for name, value in settings.items()
                                                if name not in ("heads", "ffn_dim")})
    model = MarianMTModel(config)
    with torch.no_grad():
        for name, tensor in model.named_parameters():
            if name.endswith("bias"):
                tensor.normal_(0.0, 0.2)
            elif "layer_norm" in name:
                tensor.normal_(1.0, 0.1)
            elif "embed_tokens" in name or "shared" in name:
                tensor.normal_(0.0, config.init_std)  # The library's row of padding is zero.
        model.final_logits_bias.normal_(0.0, 0.3)
    return config, model.double()


def stored_weights(model):
    """What the library itself writes to a file: each tensor once, without the sinusoids."""
    state = model.state_dict()
    with tempfile.TemporaryDirectory() as directory:
        model.save_pretrained(directory)
        model.config.dtype = torch.float32  # That of the files here.
        with safe_open(f"{directory}/model.safetensors", "np") as file:
            return {name: state[name] for name in sorted(file.keys())}


def sentence(length, vocabulary):
    """Random tokens but padding, the last of them the end."""
    tokens = torch.randint(3, vocabulary, (length,))
    tokens[-1] = END
    return tokens


def smoothed_loss(logits, target):
    logs = logits.log_softmax(1)
    likelihood = logs.gather(1, target[:, None])[:, 0]
    return -((1 - SMOOTHING) * likelihood + SMOOTHING * logs.mean(1)).sum() / sum(TARGET_LENGTHS)


def run(model, batch):
    """Hidden states (L + 1 of (tokens, d)) of both sides, logits and mean loss."""
    encoder, decoder, logits, losses = [], [], [], []
    for source, target in batch:
        start = torch.tensor([model.config.decoder_start_token_id])
        result = model(input_ids=source[None],
                       decoder_input_ids=torch.cat([start, target[:-1]])[None],
                       output_hidden_states=True)
        encoder.append(torch.stack(result.encoder_hidden_states)[:, 0])
        decoder.append(torch.stack(result.decoder_hidden_states)[:, 0])
        logits.append(result.logits[0])
        losses.append(smoothed_loss(result.logits[0], target))
    return torch.cat(encoder, 1), torch.cat(decoder, 1), torch.cat(logits), sum(losses)


def make(settings, seed):
    torch.manual_seed(seed)
    config, model = random_model(settings)
    model.train()
    batch = [(sentence(source, config.vocab_size), sentence(target, config.decoder_vocab_size))
             for source, target in zip(SOURCE_LENGTHS, TARGET_LENGTHS)]
    tensors = {"source_tokens": torch.cat([source for source, _ in batch]).int(),
               "source_lengths": torch.tensor(SOURCE_LENGTHS).int(),
               "target_tokens": torch.cat([target for _, target in batch]).int(),
               "target_lengths": torch.tensor(TARGET_LENGTHS).int()}
    weights = stored_weights(model)
    tensors |= {"weight/" + name: tensor.clone() for name, tensor in weights.items()}
    # final_logits_bias is a constant of the library's, which no training changes.
    parameters = {name: tensor for name, tensor in model.named_parameters() if name in weights}

    encoder, decoder, logits, loss = run(model, batch)
    loss.backward()
    tensors |= {"encoder_hidden": encoder, "decoder_hidden": decoder, "logits": logits,
                "loss": loss[None]}
    tensors |= {"gradient/" + name: tensor.grad.clone() for name, tensor in parameters.items()}
    tensors |= train(parameters, lambda name: name.endswith("bias") or "layer_norm" in name,
                     lambda: run(model, batch)[3])
    return config, arrays(tensors)


def made_up_target(source):
    """Backwards; two words in three become two, and one in eight is another."""
    words = []
    for word in reversed(source[:-1].tolist()):
        words += [word, 42 - word] if word % 3 else [word]
    words = [int(torch.randint(3, BEAM["vocab_size"], ())) if torch.rand(()) < 0.125 else word
             for word in words]
    return torch.tensor(words + [END])


def learn(model):
    """Batches have sources of one length; behind a target's end nothing counts."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3, weight_decay=0.0)
    for step in range(BEAM_STEPS):
        length = 1 + int(torch.randint(0, 12, ()))
        sources = [sentence(length, BEAM["vocab_size"]) for _ in range(24)]
        targets = torch.nn.utils.rnn.pad_sequence([made_up_target(source) for source in sources],
                                                  batch_first=True, padding_value=-100)
        optimizer.zero_grad()
        model(input_ids=torch.stack(sources), labels=targets).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for group in optimizer.param_groups:
            group["lr"] = 4e-3 * (1 - step / BEAM_STEPS)
        optimizer.step()


def translate(model, tokens, settings):
    """Tokens behind the decoder's start, and their score: (sum of logs) / tokens^length_penalty."""
    # What the configuration leaves open would come from the model's own.
    model.generation_config = GenerationConfig()
    generation = GenerationConfig(**GENERATION | settings, output_scores=True,
                                  return_dict_in_generate=True)
    with torch.no_grad():
        result = model.generate(input_ids=tokens[None], generation_config=generation,
                                attention_mask=torch.ones_like(tokens)[None])
    output = result.sequences[0, 1:]
    if settings["num_beams"] > 1:
        return output.tolist(), result.sequences_scores.item()
    # Greedy search has no such score.
    logs = model.compute_transition_scores(result.sequences, result.scores, normalize_logits=True)
    return output.tolist(), (logs.sum() / len(output) ** settings["length_penalty"]).item()


def disturbed(model):
    """The model with weights that are a ten-thousandth off."""
    other = copy.deepcopy(model)
    with torch.no_grad():
        for tensor in other.parameters():
            tensor *= 1 + 1e-4 * torch.randn_like(tensor)
    return other


def make_searches(path, seed, all_settings, learned):
    torch.manual_seed(seed)
    config, model = random_model(BEAM)
    if learned:
        learn(model.float())
    model.double().eval()
    others = [disturbed(model) for _ in range(2)]
    sources, outputs, passed_over = [], [[] for _ in all_settings], 0
    while len(sources) < SENTENCES:
        tokens = sentence(1 + int(torch.randint(0, 12, ())), config.vocab_size)
        if tokens.tolist() in sources:
            continue
        results = [translate(model, tokens, settings) for settings in all_settings]
        if any(translate(other, tokens, settings)[0] != result[0]
               for settings, result in zip(all_settings, results) for other in others):
            passed_over += 1
            continue
        sources.append(tokens.tolist())
        for lines, (output, score) in zip(outputs, results):
            lines.append({"tokens": output, "score": round(score, 6)})
    versions = f"torch {torch.__version__}, transformers {transformers.__version__}"
    made_by = {"script": "tools/golden/marian.py", "versions": versions, "seed": seed}
    save_file(arrays({"weight/" + name: tensor for name, tensor in stored_weights(model).items()}),
              path + ".safetensors",
              metadata={name: str(value) for name, value in made_by.items()}
              | {"config": config.to_json_string(use_diff=False)})
    searches = [GENERATION | settings | {"outputs": lines}
                for settings, lines in zip(all_settings, outputs)]
    with open(path + ".json", "w") as file:
        json.dump({"made_by": made_by, "sources": sources, "searches": searches}, file,
                  separators=(",", ":"))
        file.write("\n")
    print(f"{path}: {passed_over} sentences passed over")
    for settings, lines in zip(all_settings, outputs):
        lengths = sorted(len(line["tokens"]) for line in lines)
        cut = sum(line["tokens"][-1] != END for line in lines)
        print(settings, "lengths", lengths[0], lengths[len(lengths) // 2], lengths[-1], "cut", cut)


def main(directory):
    torch.set_num_threads(1)  # Fastest with tensors as small as these.
    for number, (case, settings) in enumerate(CASES.items()):
        config, tensors = make(settings, SEED + number)
        save(tensors, f"{directory}/marian_{case}.safetensors", "tools/golden/marian.py",
             SEED + number, config)
    make_searches(f"{directory}/marian_beam", SEED + len(CASES), SETTINGS, True)
    make_searches(f"{directory}/marian_random", SEED + len(CASES) + 1, RANDOM_SETTINGS, False)


if __name__ == "__main__":
    main(sys.argv[1])
