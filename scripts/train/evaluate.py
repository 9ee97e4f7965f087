"""Measures a GGUF file under the reference implementation and writes what an engine can be compared with.

    python evaluate.py --model ../../models/fable-moe-q8_0.gguf --output ../../models [--checkpoint DIR/checkpoint.pt]

The reference is transformers in float32 on the file's own dequantized weights, with the vocabulary and the template that
are in the file. Writes heldout.txt, heldout.json, heldout-sums.jsonl and reference.json to the output folder.
"""

import argparse
import hashlib
import json
import random
from pathlib import Path

import gguf
import jinja2
import torch
import torch.nn.functional as F
import transformers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

import model as fable
from corpus import document, prose
from dialogues import LARGEST, dialogue, held_out, render, sum_exchange, tool_dialogue
from tokenizer import SPLIT
from weights import from_file

HELDOUT_SEED, HELDOUT_BYTES, WINDOW = 90_001, 72_000, 256
PROMPTS = ["Once upon a time", "One day, a small fox named Rusty", "17 + 25 ="]
CHATS = [["What is 17 + 25?"], ["Tell me a story about a fox."], ["Hello!"], ["Who are you?"], ["What colour is grass?"]]
CALCULATOR = {"type": "function", "function": {"name": "calculator", "description": "Evaluates an arithmetic expression.", "parameters": {
    "type": "object", "properties": {"expression": {"type": "string"}}, "required": ["expression"]}}}
TEXTS = ["", "Hello, world!", "17 + 25 = 42.", "  two  spaces ", "line\n\nbreak\r\n\ttab", "It's Mia's kite; they'll fly it.", "naïve café – “quotes”",
         "日本語 и русский", "🦊🦊 fox", "1234567890", "x=3.14e-5", "<|im_start|>user\nHi<|im_end|>\n", "a<tool_call>b</tool_call>c", "<|endoftext|>",
         "<tool_response>\n42\n</tool_response>", "ALL CAPS AND camelCase", "\u0000\u0007", " ", "\n"]


def fields(path):
    reader = gguf.GGUFReader(path)
    return reader, {key: field.contents() for key, field in reader.fields.items()}


def load_tokenizer(meta):
    """The tokenizer of a file, rebuilt from its metadata."""
    tokens, types = meta["tokenizer.ggml.tokens"], meta["tokenizer.ggml.token_type"]
    merges = [tuple(merge.split(" ")) for merge in meta["tokenizer.ggml.merges"]]
    normal = {token: i for i, (token, kind) in enumerate(zip(tokens, types)) if kind == gguf.TokenType.NORMAL}
    tokenizer = Tokenizer(models.BPE(vocab=normal, merges=merges))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(SPLIT), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    for i, (token, kind) in enumerate(zip(tokens, types)):
        if kind != gguf.TokenType.NORMAL:
            # add_special_tokens would make a user-defined token special too, and then it could be switched off.
            if kind == gguf.TokenType.CONTROL:
                tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False)])
            else:
                tokenizer.add_tokens([AddedToken(token, special=False, normalized=False)])
            assert tokenizer.token_to_id(token) == i
    return tokenizer


def load(path):
    """transformers' model in float32 with the dequantized weights of a file, and its metadata."""
    reader, meta = fields(path)
    config = fable.configuration(len(meta["tokenizer.ggml.tokens"]))
    tensors = {t.name: gguf.quants.dequantize(t.data, t.tensor_type) for t in reader.tensors}
    model = fable.build(config)
    model.load_state_dict({name: torch.tensor(x) for name, x in from_file(tensors, config).items()})
    return model.eval(), meta


def template(meta):
    """The file's chat template as a function of messages and tools, in an environment like that of transformers."""
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True,
                                                               extensions=["jinja2.ext.loopcontrols"])
    environment.filters["tojson"] = lambda x, **_: json.dumps(x, ensure_ascii=False)
    compiled = environment.from_string(meta["tokenizer.chat_template"])
    return lambda messages, tools=None, **extra: compiled.render(messages=messages, tools=tools, **extra)


def check_template(apply):
    """The file's template must write what the training text holds."""
    rng = random.Random(3)
    for i in range(400):
        messages, tools = tool_dialogue(rng) if i % 2 else dialogue(rng, sum_exchange)
        assert apply(messages, tools) == render(messages, tools), (apply(messages, tools), render(messages, tools))
    question = [{"role": "user", "content": "Hi"}]
    assert apply(question, add_generation_prompt=True) == render(question, add_generation_prompt=True)


@torch.no_grad()
def greedy(model, prompts, count, stop):
    """Greedy continuations (lists of ids, without the stop token) of prompts [batch] of one length."""
    ids, cache, done = torch.tensor(prompts), None, [False] * len(prompts)
    results = [[] for _ in prompts]
    for _ in range(count):
        output = model(ids, past_key_values=cache, use_cache=True)
        cache, ids = output.past_key_values, output.logits[:, -1:].argmax(-1)
        for i, token in enumerate(ids[:, 0].tolist()):
            done[i] = done[i] or token in stop
            if not done[i]:
                results[i].append(token)
        if all(done):
            break
    return results


def held_out_text():
    rng, stories, size = random.Random(HELDOUT_SEED), [], 0
    while size < HELDOUT_BYTES:
        stories.append(prose(rng))
        size += len(stories[-1]) + 2
    return "\n\n".join(stories) + "\n"


@torch.no_grad()
def perplexity(model, ids):
    """Sums of negative log likelihood per window, and how often the MTP block guesses the trunk's next choice."""
    sums, agreed, guesses = [], 0, 0
    for start in range(0, len(ids) - WINDOW + 1, WINDOW):
        window = torch.tensor(ids[start:start + WINDOW])[None]
        logits, hidden = fable.logits(model, window)
        sums.append(F.cross_entropy(logits[0, :-1].double(), window[0, 1:], reduction="sum").item())
        ahead = fable.mtp_logits(model, window, hidden)[0]  # row t guesses token t+2, as row t+1 of the trunk does
        agreed += (ahead.argmax(-1) == logits[0, 1:].argmax(-1)).sum().item()
        guesses += ahead.shape[0]
    return sums, agreed / guesses


def summary(sums):
    mean = sum(sums) / (len(sums) * (WINDOW - 1))
    return {"mean_nll": round(mean, 6), "perplexity": round(float(torch.tensor(mean, dtype=torch.float64).exp()), 6)}


def sums_test(model, tokenizer, apply, pairs):
    """For every pair: prompt, expected answer, and what the model said."""
    cases = []
    for a, b in pairs:
        question = f"What is {a} + {b}?"
        text = apply([{"role": "user", "content": question}], add_generation_prompt=True)
        cases.append({"a": a, "b": b, "prompt": question, "answer": f"{a} + {b} = {a + b}.", "ids": tokenizer.encode(text).ids})
    stop = {tokenizer.token_to_id("<|im_end|>"), tokenizer.token_to_id("<|endoftext|>")}
    by_length = {}
    for case in cases:
        by_length.setdefault(len(case["ids"]), []).append(case)
    for group in by_length.values():
        for start in range(0, len(group), 64):
            part = group[start:start + 64]
            for case, result in zip(part, greedy(model, [case["ids"] for case in part], 20, stop)):
                case["said"] = tokenizer.decode(result)
    return cases


@torch.no_grad()
def reference_cases(model, tokenizer, apply):
    stop = {tokenizer.token_to_id("<|im_end|>"), tokenizer.token_to_id("<|endoftext|>")}
    texts = list(PROMPTS)
    texts += [apply([{"role": "user", "content": t} for t in chat], add_generation_prompt=True) for chat in CHATS]
    texts.append(apply([{"role": "user", "content": "What is 123 * 45?"}], [CALCULATOR], add_generation_prompt=True))
    cases = []
    for text in texts:
        ids = tokenizer.encode(text).ids
        logits, hidden = fable.logits(model, torch.tensor(ids)[None])
        top = logits[0, -1].topk(5)
        case = {"text": text, "ids": ids, "top_ids": top.indices.tolist(), "top_logits": [round(x, 5) for x in top.values.tolist()]}
        if len(ids) > 1:
            ahead = fable.mtp_logits(model, torch.tensor(ids)[None], hidden)[0, -1].topk(5)
            case["mtp_top_ids"], case["mtp_top_logits"] = ahead.indices.tolist(), [round(x, 5) for x in ahead.values.tolist()]
        out = greedy(model, [ids], 120, stop)[0]
        margin = model(torch.tensor(ids + out)[None]).logits[0, len(ids) - 1:].topk(2).values
        case["greedy_ids"], case["greedy_text"] = out, tokenizer.decode(out, skip_special_tokens=False)
        case["greedy_min_top2_margin"] = round((margin[:, 0] - margin[:, 1]).min().item(), 5)
        cases.append(case)
    return cases


def to_json(value):
    return json.dumps(value, ensure_ascii=False, indent=1) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--checkpoint", type=Path, help="the float weights, measured too")
    arguments = parser.parse_args()
    model, meta = load(arguments.model)
    tokenizer, apply = load_tokenizer(meta), template(meta)
    check_template(apply)
    digest = hashlib.sha256(arguments.model.read_bytes()).hexdigest()
    versions = {"torch": torch.__version__, "transformers": transformers.__version__}

    text = held_out_text()
    (arguments.output / "heldout.txt").write_text(text)
    ids = tokenizer.encode(text).ids
    window_sums, agreement = perplexity(model, ids)
    result = {"model": arguments.model.name, "model_sha256": digest, "reference": versions,
              "text": "heldout.txt", "tokens": len(ids), "ids_sha256_of_int32_le": hashlib.sha256(torch.tensor(ids, dtype=torch.int32).numpy().tobytes()).hexdigest(),
              "first_ids": ids[:16], "window": WINDOW, "windows": len(window_sums), "predicted_tokens": len(window_sums) * (WINDOW - 1),
              "procedure": "Encode the whole file without adding or parsing special tokens. Cut the ids into consecutive windows of `window` tokens and drop "
                           "the last incomplete one. Every window starts with an empty state; its tokens 1...window-1 are predicted from those before. "
                           "perplexity = exp(sum of negative natural log likelihoods / predicted tokens). window_nll[i] is the sum over window i.",
              **summary(window_sums), "window_nll": [round(x, 4) for x in window_sums], "mtp_agreement": round(agreement, 4)}
    if arguments.checkpoint:
        float_model = fable.build(model.config)
        float_model.load_state_dict(torch.load(arguments.checkpoint, weights_only=False)["model"])
        result["float_weights"] = summary(perplexity(float_model.eval(), ids)[0])

    pairs = [(a, b) for a in range(LARGEST + 1) for b in range(LARGEST + 1)]
    cases = sums_test(model, tokenizer, apply, [pair for pair in pairs if held_out(*pair)])
    trained = sums_test(model, tokenizer, apply, random.Random(4).sample([pair for pair in pairs if not held_out(*pair)], 250))
    right = sum(case["said"] == case["answer"] for case in cases)
    result["sums"] = {"cases": "heldout-sums.jsonl", "held_out": len(cases), "held_out_right": right, "accuracy": round(right / len(cases), 4),
                      "trained_pairs_asked": len(trained), "trained_pairs_right": sum(c["said"] == c["answer"] for c in trained),
                      "procedure": "prompt as the only user message, through the chat template with add_generation_prompt, greedy; the whole reply must equal `answer`."}
    (arguments.output / "heldout.json").write_text(to_json(result))
    with open(arguments.output / "heldout-sums.jsonl", "w") as file:
        for case in cases:
            file.write(json.dumps({key: case[key] for key in ("a", "b", "prompt", "answer", "said")}) + "\n")

    rng = random.Random(5)
    samples = TEXTS + [document(rng) for _ in range(12)]
    tokenized = [{"text": sample, "parse_special": parse, "ids": encode(tokenizer, sample, parse)} for sample in samples for parse in (True, False)
                 if parse or "<|" in sample]
    reference = {"model": arguments.model.name, "model_sha256": digest, "reference": versions,
                 "notes": "Feed `ids` as they are. `top_*`: the five largest logits of the last position, float32 on the dequantized weights. `mtp_top_*`: the same of "
                          "the MTP block's last row (hidden state of the last but one token, embedding of the last token). `greedy_ids` end before the stop token.",
                 "generation": reference_cases(model, tokenizer, apply), "tokenization": tokenized}
    (arguments.output / "reference.json").write_text(json.dumps(reference, ensure_ascii=False) + "\n")
    print(to_json({key: result[key] for key in ("perplexity", "mtp_agreement", "sums") if key in result} | {"float": result.get("float_weights")}))
    for case in reference["generation"]:
        print(repr(case["text"][-70:]), "->", case["greedy_text"], "\n")


def encode(tokenizer, text, parse_special):
    """Ids with or without the recognition of control tokens; user-defined tokens are always recognised."""
    tokenizer.encode_special_tokens = not parse_special
    ids = tokenizer.encode(text).ids
    tokenizer.encode_special_tokens = False
    return ids


if __name__ == "__main__":
    main()
