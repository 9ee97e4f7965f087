"""Writes the same model with its channels in another order: the same function, but other weights share a block.

How much of a difference between two quantizers is chance shows in how it changes from one order to the next. The channels
of the residual stream and those inside of the feed-forward layers are shuffled. For the family of the shipped model only.

    python shuffle.py F32.gguf SHUFFLED.gguf --seed 1        needs numpy and gguf
"""

import argparse
import shutil
import sys

import gguf
import numpy

# By the last part of a tensor's name but ".weight": what its columns are, and what its rows are.
READERS = ("token_embd", "output", "attn_qkv", "attn_gate", "ssm_alpha", "ssm_beta", "attn_q", "attn_k", "attn_v",
           "ffn_gate_inp", "ffn_gate_inp_shexp", "ffn_gate_exps", "ffn_up_exps", "ffn_gate_shexp", "ffn_up_shexp")
WRITERS = ("attn_output", "ssm_out", "ffn_down_exps", "ffn_down_shexp")
NORMS = ("attn_norm", "post_attention_norm", "output_norm", "enorm", "hnorm", "shared_head_norm")
INNER_ROWS = {"ffn_gate_exps": "exps", "ffn_up_exps": "exps", "ffn_gate_shexp": "shexp", "ffn_up_shexp": "shexp"}
INNER_COLUMNS = {"ffn_down_exps": "exps", "ffn_down_shexp": "shexp"}
KEPT = ("attn_q_norm", "attn_k_norm", "ssm_a", "ssm_dt.bias", "ssm_norm", "ssm_conv1d")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source")
    parser.add_argument("target")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    shutil.copy(options.source, options.target)
    reader = gguf.GGUFReader(options.target, "r+")
    tensors = {tensor.name: tensor for tensor in reader.tensors}
    random = numpy.random.default_rng(options.seed)
    width = tensors["token_embd.weight"].data.shape[-1]
    stream = random.permutation(width)
    inner = {kind: random.permutation(tensors[f"blk.0.ffn_down_{kind}.weight"].data.shape[-1])
             for kind in ("exps", "shexp")}
    for name, tensor in tensors.items():
        role = name.removesuffix(".weight").removeprefix("blk.").lstrip("0123456789.").removeprefix("nextn.")
        x = tensor.data
        if role in READERS or role in NORMS:
            x = x[..., stream]
        elif role in WRITERS:
            x = x[..., stream, :]
        elif role == "eh_proj":  # reads two streams side by side
            x = x[..., stream, :][..., numpy.concatenate([stream, width + stream])]
        elif role not in KEPT:
            sys.exit(f"what {name} is for is not known")
        if role in INNER_ROWS:
            x = x[..., inner[INNER_ROWS[role]], :]
        if role in INNER_COLUMNS:
            x = x[..., inner[INNER_COLUMNS[role]]]
        tensor.data[...] = x
    reader.data.flush()


if __name__ == "__main__":
    main()
