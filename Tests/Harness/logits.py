"""Compares infer eval perplexity and kl with numpy on the logits of infer debug logits: python logits.py INFER WORK_FOLDER"""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

infer, work = sys.argv[1], Path(sys.argv[2])
work.mkdir()
model, text = "models/fable-moe-q8_0.gguf", work / "text"
LENGTH, STRIDE = 128, 48
text.write_text(Path("models/heldout.txt").read_text()[:6000])


def run(*arguments):
    return subprocess.run([infer, *map(str, arguments)], check=True, stdout=subprocess.PIPE, text=True).stdout


small = work / "small.gguf"
run("quantize", model, small, "Q4_0")
tokens = [int(id) for id in run("tokenize", "-m", model, "--ids", "--no-special", "--no-parse-special", text.read_text()).split(",")]


def log_probabilities(file):
    """(scored tokens, vocabulary), window by window as docs/evaluation.md defines them."""
    rows, done = [], 0
    for begin in range(0, len(tokens), STRIDE):
        end = min(begin + LENGTH, len(tokens))
        run("debug", "logits", "-m", file, "--all", "-ctk", "f16", "-ctv", "f16", "--output", work / "logits",
            "--tokens", ",".join(map(str, tokens[begin:end])))
        logits = np.fromfile(work / "logits", "<f4").reshape(end - begin, -1).astype(np.float64)
        first = max(done, begin + 1)
        rows.append(logits[first - 1 - begin:end - 1 - begin])
        done = end
        if end == len(tokens):
            break
    logits = np.concatenate(rows)
    logits -= logits.max(axis=1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


def check(name, found, expected, tolerance=1e-9):
    value, error = (found["value"], found["standard_error"]) if isinstance(found, dict) else (found, None)
    want, want_error = expected if isinstance(expected, tuple) else (expected, None)
    assert abs(value - want) <= tolerance * max(1, abs(want)), (name, value, want)
    if want_error is not None:
        assert abs(error - want_error) <= tolerance * max(1, abs(want_error)), (name, error, want_error)
    print(f"{name} {want:.6g}" + (f" ± {want_error:.6g}" if want_error is not None else ""))


def mean(values):
    return values.mean(), values.std(ddof=1) / np.sqrt(len(values))


target = np.array(tokens[1:])
reference, other = log_probabilities(model), log_probabilities(small)
assert len(reference) == len(target)
loss, other_loss = -reference[np.arange(len(target)), target], -other[np.arange(len(target)), target]
divergence = (np.exp(reference) * (reference - other)).sum(axis=1)
agreement = (reference.argmax(axis=1) == other.argmax(axis=1)).astype(float)

windows = ["-c", LENGTH, "--stride", STRIDE, "--json"]
report = json.loads(run("eval", "perplexity", "-m", model, text, *windows, "--save-logits", work / "reference.logits"))
assert report["tokens"] == len(target), (report["tokens"], len(target))
value, error = mean(loss)
check("nats per token", report["nats_per_token"], (value, error))
check("perplexity", report["perplexity"], (np.exp(value), error * np.exp(value)))
check("bits per byte", report["bits_per_byte"], loss.sum() / np.log(2) / report["bytes"])

# A file of logits holds 16 bits per logit.
for source, tolerance in [([model, text, *windows], 1e-9), ([work / "reference.logits", "--json"], 1e-5)]:
    report = json.loads(run("eval", "kl", "-m", small, "--reference", *source))
    check("KL mean", report["kl_mean"], mean(divergence), tolerance)
    for name, share in [("kl_median", 0.5), ("kl_90", 0.9), ("kl_99", 0.99), ("kl_99_9", 0.999), ("kl_maximum", 1)]:
        check(name, report[name], np.quantile(divergence, share), max(tolerance, 1e-4 if tolerance > 1e-6 else 0))
    check("same top token", report["top_1_agreement"], mean(agreement))
    check("perplexity", report["perplexity"], np.exp(other_loss.mean()))
    check("difference", report["nats_per_token_difference"], mean(other_loss - loss), max(tolerance, 1e-4 if tolerance > 1e-6 else 0))
