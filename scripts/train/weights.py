"""The conventions of a `qwen35moe` GGUF file: tensor names, and what differs from transformers' weights.

Facts from llama.cpp's converter (`conversion/qwen.py`) and its model files, checked by `verify.py`:

- RMS norms of transformers multiply by 1 + w; the file holds 1 + w. The norm inside the delta layer is plain in both.
- `ssm_a` is -exp(A_log).
- Value heads: in transformers, value head v reads key head v / (Nv/Nk). In the file the order is tiled, value head v
  reads key head v % Nk. Everything that is indexed by value head is reordered.
- The convolution [channels, 1, kernel] loses its middle dimension.
- The fused `gate_up_proj` of the experts is split; the fused q|gate rows of a head stay as they are.
"""

import numpy as np

NORM_ROLES = {"input_layernorm": "attn_norm", "post_attention_layernorm": "post_attention_norm"}
ATTENTION = {"q_proj": "attn_q", "k_proj": "attn_k", "v_proj": "attn_v", "o_proj": "attn_output"}
SHARED = {"gate_proj": "ffn_gate_shexp", "up_proj": "ffn_up_shexp", "down_proj": "ffn_down_shexp"}
MTP_NORMS = {"pre_fc_norm_embedding": "enorm", "pre_fc_norm_hidden": "hnorm", "norm": "shared_head_norm"}


def tiled(x, config, per_head):
    """Rows of x, `per_head` per value head, from grouped to tiled order of the value heads."""
    nk, nv = config.linear_num_key_heads, config.linear_num_value_heads
    return x.reshape(nk, nv // nk, per_head, *x.shape[1:]).swapaxes(0, 1).reshape(x.shape)


def grouped(x, config, per_head):
    """The inverse of `tiled`."""
    nk, nv = config.linear_num_key_heads, config.linear_num_value_heads
    return x.reshape(nv // nk, nk, per_head, *x.shape[1:]).swapaxes(0, 1).reshape(x.shape)


def reorder_values(x, config, order):
    """`order` (`tiled` or `grouped`) applied to the value rows of stacked q, k, v rows."""
    keys = 2 * config.linear_num_key_heads * config.linear_key_head_dim
    return np.concatenate([x[:keys], order(x[keys:], config, config.linear_value_head_dim)])


def table(config, mtp=True):
    """Rows (name in the file, name in transformers, to the file, from the file). Functions take and return arrays."""
    same = (lambda x: x, lambda x: x)
    plus_one = (lambda x: x + 1, lambda x: x - 1)
    dv = config.linear_value_head_dim

    def value_rows(per_head):
        return lambda x: tiled(x, config, per_head), lambda x: grouped(x, config, per_head)

    rows = [("token_embd.weight", "model.embed_tokens.weight", *same), ("output_norm.weight", "model.norm.weight", *plus_one),
            ("output.weight", "lm_head.weight", *same)]
    layers = [(f"blk.{i}.", f"model.layers.{i}.", kind) for i, kind in enumerate(config.layer_types)]
    if mtp:
        n = len(layers)
        layers.append((f"blk.{n}.", "mtp.layers.0.", "full_attention"))
        rows.append((f"blk.{n}.nextn.eh_proj.weight", "mtp.fc.weight", *same))
        rows += [(f"blk.{n}.nextn.{role}.weight", f"mtp.{name}.weight", *plus_one) for name, role in MTP_NORMS.items()]
    for block, layer, kind in layers:
        rows += [(f"{block}{role}.weight", f"{layer}{name}.weight", *plus_one) for name, role in NORM_ROLES.items()]
        if kind == "full_attention":
            rows += [(f"{block}{role}.weight", f"{layer}self_attn.{name}.weight", *same) for name, role in ATTENTION.items()]
            rows += [(f"{block}attn_{x}_norm.weight", f"{layer}self_attn.{x}_norm.weight", *plus_one) for x in "qk"]
        else:
            delta = f"{layer}linear_attn."
            rows += [
                (f"{block}attn_qkv.weight", f"{delta}in_proj_qkv.weight", lambda x: reorder_values(x, config, tiled),
                 lambda x: reorder_values(x, config, grouped)),
                (f"{block}attn_gate.weight", f"{delta}in_proj_z.weight", *value_rows(dv)),
                (f"{block}ssm_alpha.weight", f"{delta}in_proj_a.weight", *value_rows(1)),
                (f"{block}ssm_beta.weight", f"{delta}in_proj_b.weight", *value_rows(1)),
                (f"{block}ssm_a", f"{delta}A_log", lambda x: tiled(-np.exp(x), config, 1),
                 lambda x: np.log(-grouped(x, config, 1))),
                (f"{block}ssm_dt.bias", f"{delta}dt_bias", *value_rows(1)),
                (f"{block}ssm_norm.weight", f"{delta}norm.weight", *same),
                (f"{block}ssm_conv1d.weight", f"{delta}conv1d.weight", lambda x: reorder_values(x.squeeze(1), config, tiled),
                 lambda x: reorder_values(x, config, grouped)[:, None]),
                (f"{block}ssm_out.weight", f"{delta}out_proj.weight", lambda x: tiled(x.T, config, dv).T,
                 lambda x: grouped(x.T, config, dv).T),
            ]
        mlp = f"{layer}mlp."
        rows += [(f"{block}ffn_gate_inp.weight", f"{mlp}gate.weight", *same),
                 (f"{block}ffn_gate_inp_shexp.weight", f"{mlp}shared_expert_gate.weight", *same),
                 (f"{block}ffn_down_exps.weight", f"{mlp}experts.down_proj", *same)]
        rows += [(f"{block}{role}.weight", f"{mlp}shared_expert.{name}.weight", *same) for name, role in SHARED.items()]
    return rows


def blocks(config, mtp=True):
    """Pairs (block prefix, prefix of the experts in transformers) of every layer, the MTP block last."""
    pairs = [(f"blk.{i}.", f"model.layers.{i}.mlp.experts.") for i in range(len(config.layer_types))]
    return pairs + ([(f"blk.{len(pairs)}.", "mtp.layers.0.mlp.experts.")] if mtp else [])


def to_file(state, config, mtp=True):
    """Arrays of transformers' names -> arrays of the file's names, float32."""
    tensors = {name: to(state[source]) for name, source, to, _ in table(config, mtp)}
    for block, experts in blocks(config, mtp):
        gate, up = np.split(state[f"{experts}gate_up_proj"], 2, axis=1)
        tensors[f"{block}ffn_gate_exps.weight"], tensors[f"{block}ffn_up_exps.weight"] = gate, up
    return {name: np.ascontiguousarray(x, dtype=np.float32) for name, x in tensors.items()}


def from_file(tensors, config, mtp=True):
    """The inverse of `to_file`."""
    state = {source: back(tensors[name]) for name, source, _, back in table(config, mtp)}
    for block, experts in blocks(config, mtp):
        state[f"{experts}gate_up_proj"] = np.concatenate(
            [tensors[f"{block}ffn_gate_exps.weight"], tensors[f"{block}ffn_up_exps.weight"]], axis=1)
    return state
