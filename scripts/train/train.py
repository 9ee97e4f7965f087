"""Trains the model within a budget of wall-clock time, whatever the machine's load.

    python train.py --work DIR --minutes 92

The learning rate follows the fraction of the budget that is spent (warm-up, constant, linear to zero), so a run ends
on time with a finished schedule. A checkpoint is written every five minutes; the same command resumes from it. The text
of step n depends on the seed and n only.
"""

import argparse
import json
import os
import random
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer

import model as fable
from corpus import END, document, mixture
from optimizer import Muon

BATCH, LENGTH = 16, 160  # windows per step, tokens per window
MTP_SHARE, MTP_WEIGHT, BALANCE_WEIGHT = 3, 0.15, 0.01  # windows that the MTP block sees, weights of the side losses
FLOAT32_FROM = 0.92  # fraction of the budget
CHECKPOINT_SECONDS = 300


class Batches:
    """Windows of whole documents: each begins with a document, the last one in it is cut off."""

    def __init__(self, tokenizer, seed):
        self.tokenizer, self.seed = tokenizer, seed

    def __getitem__(self, step):
        """ids [BATCH, LENGTH + 1] of a step."""
        rng = random.Random(f"{self.seed}/{step}")
        weights = mixture(step)
        windows = []
        for _ in range(BATCH):
            ids = []
            while len(ids) < LENGTH + 1:
                ids += self.tokenizer.encode(document(rng, weights) + END).ids
            windows.append(ids[:LENGTH + 1])
        return torch.tensor(windows)


def schedule(fraction):
    """Factor of the learning rates at a fraction of the time budget."""
    if fraction < 0.01:
        return 0.1 + 90 * fraction
    return 1.0 if fraction < 0.55 else max(0.0, (1 - fraction) / 0.45)


def balance_loss(router_logits):
    """Load-balancing loss of the Switch Transformer (Fedus et al. 2021, eq. 4) for top-2, mean over the layers."""
    losses = []
    for scores in router_logits:  # [tokens, experts]
        probabilities = scores.softmax(-1)
        share = F.one_hot(probabilities.topk(2).indices, scores.shape[-1]).float().sum(1).mean(0) / 2
        losses.append(scores.shape[-1] * (share * probabilities.mean(0)).sum())
    return sum(losses) / len(losses)


def optimizers(model):
    """Muon for the matrices inside the blocks, AdamW for embeddings, head, routers, gates, norms and scalars."""
    small = ("embed_tokens", "lm_head", "mlp.gate.", "shared_expert_gate", "in_proj_a", "in_proj_b", "conv1d", "norm")
    matrices, others = [], []
    for name, parameter in model.named_parameters():
        (others if parameter.ndim < 2 or any(part in name for part in small) else matrices).append(parameter)
    return [Muon(matrices, lr=0.02, weight_decay=0.05), torch.optim.AdamW(others, lr=3e-3, betas=(0.9, 0.95), weight_decay=0.0)]


def losses(model, ids, router_logits):
    """Cross entropy of the trunk, of the MTP block, and the balance loss, for ids [batch, LENGTH + 1]."""
    router_logits.clear()
    inputs, targets = ids[:, :-1], ids[:, 1:]
    logits, hidden = fable.logits(model, inputs)
    main = F.cross_entropy(logits.flatten(0, 1), targets.flatten())
    ahead = fable.mtp_logits(model, inputs[:MTP_SHARE], hidden[:MTP_SHARE])
    mtp = F.cross_entropy(ahead.flatten(0, 1), targets[:MTP_SHARE, 1:].flatten())
    return main, mtp, balance_loss(router_logits)


def save(path, state):
    temporary = path.with_suffix(".new")
    torch.save(state, temporary)
    os.replace(temporary, path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="holds tokenizer.json; receives checkpoint.pt and log.jsonl")
    parser.add_argument("--minutes", type=float, default=110)
    parser.add_argument("--steps", type=int, default=10**9, help="stop after this step, for trials")
    parser.add_argument("--seed", type=int, default=2)
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    budget = arguments.minutes * 60
    tokenizer = Tokenizer.from_file(str(arguments.work / "tokenizer.json"))
    batches = Batches(tokenizer, arguments.seed)
    fable.accelerate()
    model = fable.build(fable.configuration(tokenizer.get_vocab_size()))
    router_logits = []
    for name, module in model.named_modules():
        if name.endswith("mlp.gate"):
            module.register_forward_hook(lambda _, __, output: router_logits.append(output[0]))
    steppers = optimizers(model)
    base_rates = [[group["lr"] for group in stepper.param_groups] for stepper in steppers]
    step, spent = 0, 0.0
    checkpoint = arguments.work / "checkpoint.pt"
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=False)
        model.load_state_dict(state["model"])
        for stepper, saved in zip(steppers, state["optimizers"]):
            stepper.load_state_dict(saved)
        step, spent = state["step"], state["spent"]
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters, step {step}", flush=True)

    def write_checkpoint():
        save(checkpoint, {"model": model.state_dict(), "optimizers": [s.state_dict() for s in steppers], "step": step, "spent": spent})

    written, last = time.monotonic(), time.monotonic()
    with open(arguments.work / "log.jsonl", "a") as log:
        while spent < budget and step < arguments.steps:
            factor = schedule(spent / budget)
            for stepper, rates in zip(steppers, base_rates):
                for group, rate in zip(stepper.param_groups, rates):
                    group["lr"] = rate * factor
            # bfloat16 products until the rate is low: a fifth faster, and no such rounding in the result.
            with torch.autocast("cpu", torch.bfloat16, enabled=spent < FLOAT32_FROM * budget):
                main_loss, mtp_loss, balance = losses(model, batches[step], router_logits)
            (main_loss + MTP_WEIGHT * mtp_loss + BALANCE_WEIGHT * balance).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            for stepper in steppers:
                stepper.step()
                stepper.zero_grad(set_to_none=True)
            step += 1
            now = time.monotonic()
            spent, last = spent + now - last, now
            if step % 10 == 0:
                record = {"step": step, "minutes": round(spent / 60, 2), "rate": round(factor, 4), "loss": round(main_loss.item(), 4),
                          "mtp": round(mtp_loss.item(), 4), "balance": round(balance.item(), 4)}
                log.write(json.dumps(record) + "\n")
                log.flush()
            if now - written > CHECKPOINT_SECONDS:
                write_checkpoint()
                written = now
    write_checkpoint()


if __name__ == "__main__":
    main()
