"""Makes tests/golden/training.safetensors with PyTorch and transformers.

    python tools/golden/training.py tests/golden

Two parameters, a weight with decay and a bias without, follow given gradients through
torch.optim.AdamW, torch.nn.utils.clip_grad_norm_ and transformers' get_linear_schedule_with_warmup,
as fine-tuning scripts for BERT put them together. Everything is computed in double precision from
numbers of single precision; the file holds gradients, rates and the parameters after every step.

It also prints how far decay after the step (the AdamW that transformers had of its own) is from
decay before it (PyTorch's, which transformers uses now).
"""

import sys

import numpy
import torch
import transformers
from safetensors.numpy import save_file

SEED = 20121203
STEPS, WARMUP = 12, 3
ROWS, COLUMNS = 7, 11
OPTIONS = {"lr": 5e-3, "betas": (0.9, 0.999), "eps": 1e-6}
DECAY, CLIP = 0.1, 1.0


def draw(generator, *shape):
    return torch.randn(*shape, generator=generator).double()


def decay_after_the_step(weight, gradients, rates):
    """What the weight becomes when decay comes after the step."""
    first, second = torch.zeros_like(weight), torch.zeros_like(weight)
    for step, (gradient, rate) in enumerate(zip(gradients, rates), 1):
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient ** 2
        update = first / (1 - 0.9 ** step) / ((second / (1 - 0.999 ** step)).sqrt() + OPTIONS["eps"])
        weight = weight - rate * update
        weight = weight - rate * DECAY * weight
    return weight


def main(directory):
    generator = torch.Generator().manual_seed(SEED)
    start = {"weight": draw(generator, ROWS, COLUMNS), "bias": draw(generator, ROWS, COLUMNS)}
    parameters = {name: torch.nn.Parameter(value.clone()) for name, value in start.items()}
    optimizer = torch.optim.AdamW(
        [{"params": [parameters["weight"]], "weight_decay": DECAY},
         {"params": [parameters["bias"]], "weight_decay": 0.0}], **OPTIONS)
    schedule = transformers.get_linear_schedule_with_warmup(optimizer, WARMUP, STEPS)
    tensors = {f"start.{name}": value.numpy() for name, value in start.items()}
    rates, clipped = [], []
    for step in range(1, STEPS + 1):
        scale = 0.02 if step % 3 == 0 else 1.0  # every third is below the clip
        for name, parameter in parameters.items():
            parameter.grad = (scale * draw(generator, ROWS, COLUMNS)).float().double()
            tensors[f"gradient.{step}.{name}"] = parameter.grad.numpy().copy()
        torch.nn.utils.clip_grad_norm_(parameters.values(), CLIP)
        clipped.append(parameters["weight"].grad.clone())
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
        for name, parameter in parameters.items():
            tensors[f"value.{step}.{name}"] = parameter.detach().numpy().copy()
    tensors = {name: value.astype(numpy.float32) for name, value in tensors.items()}
    tensors["rates"] = numpy.array(rates)
    other = decay_after_the_step(start["weight"], clipped, rates)
    print("decay after the step instead of before: at most",
          (other - parameters["weight"].detach()).abs().max().item())
    save_file(tensors, f"{directory}/training.safetensors", {
        "script": "tools/golden/training.py", "seed": str(SEED), "torch": torch.__version__,
        "transformers": transformers.__version__, "steps": str(STEPS), "warmup": str(WARMUP),
        "decay": str(DECAY), "clip": str(CLIP), "rate": str(OPTIONS["lr"]),
        "epsilon": str(OPTIONS["eps"])})


main(sys.argv[1])
