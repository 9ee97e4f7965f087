"""Joins byte-level vocabularies to one of the wanted size, such as Qwen3.5's 248320 tokens.

    python3 vocabulary.py OUTPUT.gguf TOKENS FIRST.gguf MORE.gguf …

The first file gives the merges and the special tokens; further tokens come from the others, in their order, and are
made up where those do not suffice. The file holds a vocabulary and nothing else.
"""

import sys

import gguf


def strings(reader, key):
    field = reader.fields[key]
    return [bytes(field.parts[index]).decode("utf-8") for index in field.data]


def main():
    output, size = sys.argv[1], int(sys.argv[2])
    readers = [gguf.GGUFReader(path) for path in sys.argv[3:]]
    first = readers[0]
    tokens = strings(first, "tokenizer.ggml.tokens")
    types = [int(value) for value in first.fields["tokenizer.ggml.token_type"].contents()]
    special = [index for index, kind in enumerate(types) if kind not in (1, 6)]
    controls = [(tokens[index], types[index]) for index in special]
    plain = [token for token, kind in zip(tokens, types) if kind in (1, 6)]
    known = set(plain)
    for reader in readers[1:]:
        kinds = [int(value) for value in reader.fields["tokenizer.ggml.token_type"].contents()]
        for token, kind in zip(strings(reader, "tokenizer.ggml.tokens"), kinds):
            if kind == 1 and token not in known and len(plain) + len(controls) < size:
                known.add(token)
                plain.append(token)
    number = 0
    while len(plain) + len(controls) < size:
        token = f"Ġmade{number}"
        number += 1
        if token not in known:
            plain.append(token)
    words = plain + [token for token, _ in controls]
    kinds = [1] * len(plain) + [kind for _, kind in controls]
    place = {token: index for index, token in enumerate(words)}

    writer = gguf.GGUFWriter(output, "qwen35")
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen35")
    writer.add_token_list(words)
    writer.add_token_types(kinds)
    writer.add_token_merges(strings(first, "tokenizer.ggml.merges"))
    eos = int(first.fields["tokenizer.ggml.eos_token_id"].contents())
    writer.add_eos_token_id(place[tokens[eos]])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()


main()
