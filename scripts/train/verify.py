"""A plain NumPy reading of `qwen35moe` files, to check that an export means what the format says.

    python verify.py --golden DIR        compares with stored reference logits (model-f32.gguf, meta.json, *.bin)
    python verify.py --model FILE        compares with transformers on the same file's dequantized weights

Written from the description of the format, one token after the other, independent of `weights.py` and of transformers.
"""

import argparse
import json
from pathlib import Path

import gguf
import numpy as np


class File:
    """Metadata under their keys without the architecture's prefix, and tensors as float32 [out, in]."""

    def __init__(self, path):
        reader = gguf.GGUFReader(path)
        self.meta = {key.removeprefix("qwen35moe."): field.contents() for key, field in reader.fields.items()}
        self.tensors = {t.name: gguf.quants.dequantize(t.data, t.tensor_type).astype(np.float32) for t in reader.tensors}

    def block(self, index):
        """The tensors of a block under their names without prefix and `.weight`."""
        prefix = f"blk.{index}."
        return {name.removeprefix(prefix).removesuffix(".weight"): x for name, x in self.tensors.items() if name.startswith(prefix)}


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def silu(x):
    return x * sigmoid(x)


def rms_norm(x, weight, eps):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + eps) * weight


def rope(x, position, n, base):
    """Rotates the first n values of every head of x [heads, hd]; pairs are (i, i + n/2)."""
    angle = position * base ** (-2 * np.arange(n // 2) / n)
    a, b = x[:, :n // 2], x[:, n // 2:n]
    return np.concatenate([a * np.cos(angle) - b * np.sin(angle), a * np.sin(angle) + b * np.cos(angle), x[:, n:]], axis=1)


def delta_layer(w, x, state, meta, eps):
    """Gated DeltaNet for one token: x [D] -> [D]; `state` holds the last inputs of the convolution and S."""
    dk, nk, nv = meta["ssm.state_size"], meta["ssm.group_count"], meta["ssm.time_step_rank"]
    dv = meta["ssm.inner_size"] // nv
    state.setdefault("window", [np.zeros(len(w["attn_qkv"]))] * meta["ssm.conv_kernel"])
    state.setdefault("S", np.zeros((nv, dk, dv)))
    state["window"] = state["window"][1:] + [w["attn_qkv"] @ x]
    u = silu((np.stack(state["window"], 1) * w["ssm_conv1d"]).sum(1))
    q, k, v = np.split(u, [nk * dk, 2 * nk * dk])
    q, k = (h / np.sqrt((h * h).sum(1, keepdims=True) + 1e-6) for h in (q.reshape(nk, dk), k.reshape(nk, dk)))
    v, z = v.reshape(nv, dv), (w["attn_gate"] @ x).reshape(nv, dv)
    beta = sigmoid(w["ssm_beta"] @ x)
    decay = np.exp(w["ssm_a"] * np.logaddexp(0, w["ssm_alpha"] @ x + w["ssm_dt.bias"]))
    outputs = []
    for head in range(nv):
        key, query, s = k[head % nk], q[head % nk] / np.sqrt(dk), state["S"][head]
        s *= decay[head]
        s += np.outer(key, beta[head] * (v[head] - s.T @ key))
        outputs.append(s.T @ query)
    return w["ssm_out"] @ (rms_norm(np.stack(outputs), w["ssm_norm"], eps) * silu(z)).ravel()


def attention_layer(w, x, state, position, meta, eps):
    """Gated attention for one token; `state` holds the keys and values so far."""
    heads, kv_heads, hd = meta["attention.head_count"], meta["attention.head_count_kv"], meta["attention.key_length"]
    n, base = meta["rope.dimension_count"], meta["rope.freq_base"]
    query, gate = np.split((w["attn_q"] @ x).reshape(heads, 2 * hd), 2, axis=1)
    query = rope(rms_norm(query, w["attn_q_norm"], eps), position, n, base)
    key = rope(rms_norm((w["attn_k"] @ x).reshape(kv_heads, hd), w["attn_k_norm"], eps), position, n, base)
    state.setdefault("keys", []).append(key)
    state.setdefault("values", []).append((w["attn_v"] @ x).reshape(kv_heads, hd))
    keys, values = np.stack(state["keys"]), np.stack(state["values"])
    outputs = []
    for head in range(heads):
        kv = head // (heads // kv_heads)
        scores = keys[:, kv] @ query[head] / np.sqrt(hd)
        scores = np.exp(scores - scores.max())
        outputs.append(scores / scores.sum() @ values[:, kv])
    return w["attn_output"] @ (np.stack(outputs) * sigmoid(gate)).ravel()


def experts(w, x, meta):
    """Top-k of the softmax, renormalised, plus the gated shared expert."""
    scores = w["ffn_gate_inp"] @ x
    scores = np.exp(scores - scores.max())
    scores /= scores.sum()
    chosen = np.argsort(-scores, kind="stable")[:meta["expert_used_count"]]
    y = sum(scores[e] / scores[chosen].sum() * (w["ffn_down_exps"][e] @ (silu(w["ffn_gate_exps"][e] @ x) * (w["ffn_up_exps"][e] @ x)))
            for e in chosen)
    shared = w["ffn_down_shexp"] @ (silu(w["ffn_gate_shexp"] @ x) * (w["ffn_up_shexp"] @ x))
    return y + sigmoid(np.ravel(w["ffn_gate_inp_shexp"]) @ x) * shared


def block(w, x, state, position, meta, eps):
    normed = rms_norm(x, w["attn_norm"], eps)
    x = x + (delta_layer(w, normed, state, meta, eps) if "ssm_a" in w else attention_layer(w, normed, state, position, meta, eps))
    return x + experts(w, rms_norm(x, w["post_attention_norm"], eps), meta)


def forward(file, tokens):
    """Logits [T, V] of the main model and [T-1, V] of the MTP block (None without one)."""
    meta, tensors = file.meta, file.tensors
    eps = meta["attention.layer_norm_rms_epsilon"]
    extra = meta.get("nextn_predict_layers", 0)
    layers = [file.block(i) for i in range(meta["block_count"])]
    main, states = layers[:len(layers) - extra], [{} for _ in layers]
    embeddings, head = tensors["token_embd.weight"], tensors.get("output.weight", tensors["token_embd.weight"])
    logits, hidden = [], []
    for position, token in enumerate(tokens):
        x = embeddings[token]
        for w, state in zip(main, states):
            x = block(w, x, state, position, meta, eps)
        hidden.append(rms_norm(x, tensors["output_norm.weight"], eps))
        logits.append(head @ hidden[-1])
    if not extra:
        return np.stack(logits), None
    w, state, ahead = layers[-1], {}, []
    for position, token in enumerate(tokens[1:]):
        pair = [rms_norm(embeddings[token], w["nextn.enorm"], eps), rms_norm(hidden[position], w["nextn.hnorm"], eps)]
        x = block(w, w["nextn.eh_proj"] @ np.concatenate(pair), state, position, meta, eps)
        ahead.append(head @ rms_norm(x, w["nextn.shared_head_norm"], eps))
    return np.stack(logits), np.stack(ahead) if ahead else None


def check(name, found, expected, limit):
    difference = np.abs(found - expected).max()
    print(f"{name}: largest difference {difference:.2e}, largest logit {np.abs(expected).max():.2f}")
    if not difference <= limit:
        raise SystemExit(f"{name}: {difference} exceeds {limit}")


def check_golden(folder):
    meta, file = json.loads((folder / "meta.json").read_text()), File(folder / "model-f32.gguf")
    for i, prompt in enumerate(meta["prompts"]):
        logits, ahead = forward(file, prompt["tokens"])

        def stored(name):
            return np.fromfile(folder / prompt[name], dtype="<f4").reshape(-1, logits.shape[1])

        check(f"prompt {i}", logits[prompt["positions"]], stored("logits_file"), 2e-3)
        if "mtp_logits_file" in prompt:
            check(f"prompt {i}, MTP", ahead[prompt["mtp_positions"]], stored("mtp_logits_file"), 2e-3)


def check_model(path):
    import torch

    import model as fable
    from evaluate import load
    model, _ = load(path)
    rng = np.random.default_rng(1)
    for length in (5, 70):
        ids = rng.integers(0, model.config.vocab_size, length)
        logits, ahead = forward(File(path), ids)
        with torch.no_grad():
            tensor = torch.tensor(ids)[None]
            expected, hidden = fable.logits(model, tensor)
            expected_ahead = fable.mtp_logits(model, tensor, hidden)
        check(f"{length} tokens", logits, expected[0].numpy(), 2e-3)
        check(f"{length} tokens, MTP", ahead, expected_ahead[0].numpy(), 2e-3)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--golden", type=Path)
    parser.add_argument("--model", type=Path)
    arguments = parser.parse_args()
    if arguments.golden:
        check_golden(arguments.golden)
    if arguments.model:
        check_model(arguments.model)


if __name__ == "__main__":
    main()
