"""Writes a checkpoint as a GGUF file, with vocabulary and chat template.

    python export.py --work DIR --output fable-moe-q8_0.gguf

Matrices are stored as Q8_0; norms, routers, gates of one row, convolutions and the scalars of the delta layers as F32.
`--float` stores everything as F32.
"""

import argparse
import json
from pathlib import Path

import gguf
import torch
from tokenizers import Tokenizer

import model as fable
from tokenizer import CONTROL, USER_DEFINED
from weights import to_file

KEEP_FLOAT = ("norm", "ffn_gate_inp", "ssm_a", "ssm_dt", "ssm_conv1d")
NAME = "Fable MoE"
DESCRIPTION = "A very small mixture-of-experts model that tells short stories and adds small numbers, trained on generated text."


def is_float(name):
    """Whether a tensor stays F32 in a quantized file. `ssm_alpha` is a matrix, `ssm_a` is not."""
    return any(part in name for part in KEEP_FLOAT) and "ssm_alpha" not in name


def write_metadata(writer, config, quantized):
    writer.add_type("model")
    writer.add_name(NAME)
    writer.add_description(DESCRIPTION)
    writer.add_languages(["en"])
    writer.add_size_label("8x1M")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0 if quantized else gguf.LlamaFileType.ALL_F32)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_block_count(config.num_hidden_layers + 1)
    writer.add_nextn_predict_layers(1)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    rope = config.rope_parameters
    writer.add_rope_freq_base(rope["rope_theta"])
    writer.add_rope_dimension_count(int(config.head_dim * rope["partial_rotary_factor"]))
    writer.add_rope_dimension_sections([*rope["mrope_section"], 0])
    writer.add_expert_count(config.num_experts)
    writer.add_expert_used_count(config.num_experts_per_tok)
    writer.add_expert_feed_forward_length(config.moe_intermediate_size)
    writer.add_expert_shared_feed_forward_length(config.shared_expert_intermediate_size)
    writer.add_ssm_conv_kernel(config.linear_conv_kernel_dim)
    writer.add_ssm_state_size(config.linear_key_head_dim)
    writer.add_ssm_group_count(config.linear_num_key_heads)
    writer.add_ssm_time_step_rank(config.linear_num_value_heads)
    writer.add_ssm_inner_size(config.linear_num_value_heads * config.linear_value_head_dim)
    writer.add_full_attention_interval(config.layer_types.index("full_attention") + 1)
    recurrent = [kind == "linear_attention" for kind in config.layer_types] + [False]
    writer.add_array("qwen35moe.attention.recurrent_layers", recurrent)


def write_vocabulary(writer, tokenizer, template):
    content = json.loads(tokenizer.to_str())
    tokens = sorted(tokenizer.get_vocab(with_added_tokens=True).items(), key=lambda item: item[1])
    assert [i for _, i in tokens] == list(range(len(tokens)))
    types = {**dict.fromkeys(CONTROL, gguf.TokenType.CONTROL), **dict.fromkeys(USER_DEFINED, gguf.TokenType.USER_DEFINED)}
    merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in content["model"]["merges"]]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen35")
    writer.add_token_list([text for text, _ in tokens])
    writer.add_token_types([types.get(text, gguf.TokenType.NORMAL) for text, _ in tokens])
    writer.add_token_merges(merges)
    end = tokenizer.token_to_id("<|endoftext|>")
    writer.add_bos_token_id(end)
    writer.add_eos_token_id(end)
    writer.add_eot_token_id(tokenizer.token_to_id("<|im_end|>"))
    writer.add_pad_token_id(end)
    writer.add_add_bos_token(False)
    writer.add_add_eos_token(False)
    writer.add_chat_template(template)


def export(state, config, tokenizer, template, output, quantized=True):
    """Writes `state` (tensors under transformers' names) to `output`."""
    writer = gguf.GGUFWriter(output, "qwen35moe")
    write_metadata(writer, config, quantized)
    write_vocabulary(writer, tokenizer, template)
    for name, x in to_file({key: value.float().numpy() for key, value in state.items()}, config).items():
        if quantized and not is_float(name):
            writer.add_tensor(name, gguf.quants.quantize(x, gguf.GGMLQuantizationType.Q8_0), raw_dtype=gguf.GGMLQuantizationType.Q8_0)
        else:
            writer.add_tensor(name, x)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="holds checkpoint.pt and tokenizer.json")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--float", action="store_true", help="store everything as F32")
    arguments = parser.parse_args()
    tokenizer = Tokenizer.from_file(str(arguments.work / "tokenizer.json"))
    state = torch.load(arguments.work / "checkpoint.pt", weights_only=False)["model"]
    template = (Path(__file__).parent / "chat_template.jinja").read_text().rstrip("\n")
    export(state, fable.configuration(tokenizer.get_vocab_size()), tokenizer, template, arguments.output, not arguments.float)
    print(f"{arguments.output}: {arguments.output.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
