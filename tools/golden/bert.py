"""Makes tests/golden/bert_{model,classification,regression,answering,words}.safetensors and
bert_distilled_{model,classification,answering,words}.safetensors.

    python tools/golden/bert.py tests/golden

Each file holds a small random BERT or DistilBERT of one class of the transformers library, a batch
of sequences of different lengths, and what the library computes from them in double precision:
hidden states after the embedding and every layer, the head's output, the loss, all gradients, and
the losses of ten AdamW steps (decay decoupled, none on biases and layer norms) on that batch with
sums that characterise the final weights. There is no dropout. Every sequence runs alone, so that the
library has no padding either, and results lie end to end. Tensors are stored in single precision,
the precision of the weights.
"""

import json
import sys

import numpy
import torch
import transformers
from safetensors.numpy import save_file
from transformers import BertConfig, DistilBertConfig

SEED = 20181011
ADAMW = {"lr": 2e-3, "betas": (0.9, 0.999), "eps": 1e-5, "weight_decay": 0.1}
COMMON = {"initializer_range": 0.25, "attn_implementation": "eager"}
WITHOUT_DROPOUT = {
    BertConfig: {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0},
    DistilBertConfig: {"dropout": 0.0, "attention_dropout": 0.0, "seq_classif_dropout": 0.0,
                       "qa_dropout": 0.0},
}
CASES = {
    "model": ("BertModel", {"vocab_size": 40, "hidden_size": 20, "num_hidden_layers": 3,
                            "num_attention_heads": 4, "intermediate_size": 23,
                            "max_position_embeddings": 17}),
    # Head size 41, which is no multiple of a vector.
    "classification": ("BertForSequenceClassification",
                       {"vocab_size": 31, "hidden_size": 41, "num_hidden_layers": 1,
                        "num_attention_heads": 1, "intermediate_size": 30,
                        "max_position_embeddings": 20,
                        "id2label": {0: "no", 1: "maybe", 2: "yes"}}),
    "regression": ("BertForSequenceClassification",
                   {"vocab_size": 31, "hidden_size": 16, "num_hidden_layers": 2,
                    "num_attention_heads": 2, "intermediate_size": 30,
                    "max_position_embeddings": 20, "num_labels": 1,
                    "problem_type": "regression"}),
    "answering": ("BertForQuestionAnswering",
                  {"vocab_size": 37, "hidden_size": 24, "num_hidden_layers": 2,
                   "num_attention_heads": 3, "intermediate_size": 18,
                   "max_position_embeddings": 16, "layer_norm_eps": 1e-5}),
    "words": ("BertForMaskedLM",
              {"vocab_size": 45, "hidden_size": 24, "num_hidden_layers": 2,
               "num_attention_heads": 2, "intermediate_size": 33,
               "max_position_embeddings": 16, "type_vocab_size": 3}),
    "distilled_model": ("DistilBertModel",
                        {"vocab_size": 40, "dim": 20, "n_layers": 3, "n_heads": 4,
                         "hidden_dim": 23, "max_position_embeddings": 17}),
    "distilled_classification": ("DistilBertForSequenceClassification",
                                 {"vocab_size": 31, "dim": 24, "n_layers": 2, "n_heads": 2,
                                  "hidden_dim": 30, "max_position_embeddings": 20,
                                  "id2label": {0: "no", 1: "maybe", 2: "yes"}}),
    "distilled_answering": ("DistilBertForQuestionAnswering",
                            {"vocab_size": 37, "dim": 24, "n_layers": 2, "n_heads": 3,
                             "hidden_dim": 18, "max_position_embeddings": 16}),
    "distilled_words": ("DistilBertForMaskedLM",
                        {"vocab_size": 45, "dim": 24, "n_layers": 2, "n_heads": 2,
                         "hidden_dim": 33, "max_position_embeddings": 16}),
}
LENGTHS = [7, 1, 16, 2, 11]


def named_parameters(model):
    """Each parameter once, under the name that a file keeps."""
    seen, result = set(), {}
    for name, tensor in model.named_parameters(remove_duplicate=False):
        if id(tensor) not in seen and "decoder" not in name:
            seen.add(id(tensor))
            result[name] = tensor
    return result


def run(case, model, batch, targets):
    """Hidden states (L + 1 of (tokens, d)), head outputs and mean loss."""
    hidden, outputs, losses = [], [], []
    case = case.removeprefix("distilled_")
    for n, (tokens, segments) in enumerate(batch):
        kinds = {"token_type_ids": segments[None]} if model.config.model_type == "bert" else {}
        result = model(input_ids=tokens[None], output_hidden_states=True, **kinds)
        hidden.append(torch.stack(result.hidden_states)[:, 0])
        if case == "model":
            outputs.append(result.last_hidden_state[0])
            losses.append(((result.last_hidden_state[0] @ targets["weights"].double()) ** 2).sum()
                          / sum(LENGTHS))
        elif case == "classification":
            outputs.append(result.logits)
            losses.append(torch.nn.functional.cross_entropy(
                result.logits, targets["labels"][n:n + 1].long()))
        elif case == "regression":
            outputs.append(result.logits)
            losses.append((result.logits[0, 0] - targets["values"][n]) ** 2)
        elif case == "answering":
            spans = torch.stack([result.start_logits[0], result.end_logits[0]], 1)
            outputs.append(spans)
            losses.append(sum(torch.nn.functional.cross_entropy(
                spans[None, :, side], targets["spans"][n:n + 1, side].long())
                for side in range(2)) / 2)
        else:
            rows = targets["rows"][targets["sequence"] == n] - sum(LENGTHS[:n])
            outputs.append(result.logits[0, rows.long()])
            losses.append(torch.nn.functional.cross_entropy(
                outputs[-1], targets["words"][targets["sequence"] == n].long(), reduction="sum")
                / len(targets["rows"]))
    mean = sum(losses) if case in ("words", "model") else sum(losses) / len(losses)
    return torch.cat(hidden, 1), torch.cat(outputs), mean


def make_targets(case, config):
    case = case.removeprefix("distilled_")
    if case == "classification":
        return {"labels": torch.randint(0, 3, (len(LENGTHS),)).int()}
    if case == "regression":
        return {"values": torch.randn(len(LENGTHS))}
    if case == "answering":
        return {"spans": torch.stack([torch.randint(0, length, (2,))
                                      for length in LENGTHS]).int()}
    if case == "words":
        sequence = torch.cat([torch.full((length,), n) for n, length in enumerate(LENGTHS)])
        rows = torch.randperm(sum(LENGTHS))[:9].sort().values
        return {"rows": rows.int(), "sequence": sequence[rows].int(),
                "words": torch.randint(0, config.vocab_size, (len(rows),)).int()}
    return {"weights": torch.randn(config.hidden_size)}


def train(parameters, exempt, loss_of):
    """Losses of ten steps, and sums of each parameter and its squares after them."""
    groups = [{"params": [t for n, t in parameters.items() if exempt(n) == without],
               **({"weight_decay": 0.0} if without else {})} for without in (False, True)]
    optimizer = torch.optim.AdamW(groups, **ADAMW)
    losses = []
    for _ in range(10):
        optimizer.zero_grad()
        loss = loss_of()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return {"training_losses": torch.tensor(losses)} | {
        "trained/" + name: torch.stack([tensor.sum(), (tensor ** 2).sum()])
        for name, tensor in parameters.items() if tensor.grad is not None}


def arrays(tensors):
    """As files keep them."""
    return {name: tensor.detach().numpy().astype(
        numpy.int32 if tensor.dtype == torch.int32 else numpy.float32)
        for name, tensor in tensors.items()}


def save(tensors, path, script, seed, config):
    save_file(tensors, path, metadata={
        "script": script,
        "versions": f"torch {torch.__version__}, transformers {transformers.__version__}",
        "seed": str(seed),
        "adamw": json.dumps(ADAMW),
        "config": config.to_json_string(use_diff=False),
    })
    size = sum(array.nbytes for array in tensors.values())
    print(f"{path}: {size / 1000:.0f} kB, losses {tensors['training_losses']}")


def make(case, number, kind, settings):
    torch.manual_seed(SEED + number)
    config_class = DistilBertConfig if kind.startswith("Distil") else BertConfig
    config = config_class(**COMMON, **WITHOUT_DROPOUT[config_class], **settings)
    model = getattr(transformers, kind)(config)
    config.architectures = [kind]
    with torch.no_grad():
        for name, tensor in model.named_parameters():
            if name.endswith("bias"):
                tensor.normal_(0.0, 0.2)
    model = model.double().train()
    # Token 0 is padding, which gets no gradient there and does not exist in Pare.
    batch = [(torch.randint(1, config.vocab_size, (length,)),
              torch.randint(0, getattr(config, "type_vocab_size", 2), (length,)))
             for length in LENGTHS]
    targets = make_targets(case, config)
    tensors = {"tokens": torch.cat([tokens for tokens, _ in batch]).int(),
               "segments": torch.cat([segments for _, segments in batch]).int(),
               "lengths": torch.tensor(LENGTHS).int()}
    tensors |= {"target/" + name: tensor for name, tensor in targets.items()}
    parameters = named_parameters(model)
    tensors |= {"weight/" + name: tensor.detach().clone() for name, tensor in parameters.items()}

    hidden, outputs, loss = run(case, model, batch, targets)
    loss.backward()
    tensors |= {"hidden": hidden, "outputs": outputs, "loss": loss[None]}
    tensors |= {"gradient/" + name: torch.zeros_like(tensor) if tensor.grad is None
                else tensor.grad.clone() for name, tensor in parameters.items()}

    tensors |= train(parameters, lambda name: name.endswith("bias") or "norm" in name.lower(),
                     lambda: run(case, model, batch, targets)[2])
    return config, arrays(tensors)


def main(directory):
    for number, (case, (kind, settings)) in enumerate(CASES.items()):
        config, tensors = make(case, number, kind, settings)
        save(tensors, f"{directory}/bert_{case}.safetensors", "tools/golden/bert.py",
             SEED + number, config)


if __name__ == "__main__":
    main(sys.argv[1])
