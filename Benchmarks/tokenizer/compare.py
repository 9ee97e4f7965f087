"""Encodes the same text with `infer` and with Hugging Face `tokenizers`, in turn, one thread each.

    python3 compare.py INFER TEXT ROUNDS VOCABULARY.gguf …

Prints a table of medians. The first run of each is not counted: it fills the caches that both keep.
"""

import json
import os
import statistics
import subprocess
import sys
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"

import tokenizers

import reference


def infer_times(infer, path, file):
    command = [infer, "debug", "tokenize", "--model", path, "--bench", file, "--repeats", "3"]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    return [json.loads(line) for line in lines]


def infer_ids(infer, path, text):
    line = json.dumps({"text": text}).encode() + b"\n"
    command = [infer, "debug", "tokenize", "--model", path]
    return json.loads(subprocess.run(command, input=line, check=True, capture_output=True).stdout)["ids"]


def main():
    infer, file, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3])
    with open(file, encoding="utf-8", newline="") as stream:
        text = stream.read()
    megabytes = len(text.encode()) / 1e6
    print(f"{megabytes:.1f} MB of text, tokenizers {tokenizers.__version__}, {rounds} rounds, medians")
    print()
    print("| vocabulary | load s | infer MB/s | tokenizers MB/s | ratio | same ids |")
    print("|---|---|---|---|---|---|")
    for path in sys.argv[4:]:
        other = reference.build(path)
        same = other.encode(text, add_special_tokens=False).ids == infer_ids(infer, path, text)
        ours, theirs, loads = [], [], []
        for _ in range(rounds):
            measured = infer_times(infer, path, file)
            loads.append(measured[0]["load_seconds"])
            ours.append(statistics.median(run["seconds"] for run in measured[1:]))
            start = time.perf_counter()
            other.encode(text, add_special_tokens=False)
            theirs.append(time.perf_counter() - start)
        own, their = statistics.median(ours), statistics.median(theirs)
        name = os.path.basename(path).removeprefix("ggml-vocab-").removesuffix(".gguf")
        print(
            f"| {name} | {statistics.median(loads):.3f} | {megabytes / own:.1f} | {megabytes / their:.1f} "
            f"| {their / own:.1f} | {'yes' if same else 'NO'} |",
            flush=True,
        )


main()
