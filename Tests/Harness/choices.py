"""Compares lm-evaluation-harness with infer eval choice: python choices.py RESULTS_FOLDER CHOICE.json ITEMS_STATE.jsonl"""

import json
import sys
from pathlib import Path

folder, choice, state = map(Path, sys.argv[1:])
results = json.loads(next(folder.rglob("results_*.json")).read_text())["results"]["fable_choice"]
samples = [json.loads(line) for line in next(folder.rglob("samples_fable_choice_*.jsonl")).read_text().splitlines()]
ours = json.loads(choice.read_text())
records = [json.loads(line) for line in state.read_text().splitlines()[1:]]
assert len(samples) == len(records) == ours["items"], (len(samples), len(records), ours["items"])

worst = 0
for sample, record in zip(sorted(samples, key=lambda sample: sample["doc_id"]), records):
    theirs = [float(response[0]) for response in sample["filtered_resps"]]
    for a, b in zip(theirs, record["log_likelihoods"], strict=True):
        worst = max(worst, abs(a - b))
        assert abs(a - b) < 1e-3, f"line {record['line']}: {theirs} there, {record['log_likelihoods']} here"
    assert sample["acc"] == record["acc"] and sample["acc_norm"] == record["acc_norm"], f"line {record['line']}"
for name in ["acc", "acc_norm"]:
    value, error = results[f"{name},none"], results[f"{name}_stderr,none"]
    assert abs(value - ours[name]["value"]) < 1e-9, (name, value, ours[name])
    assert abs(error - ours[name]["standard_error"]) < 1e-9, (name, error, ours[name])
    print(f"{name} {value:.4f} ± {error:.4f}, both")
print(f"{len(records)} items; log-likelihoods differ by {worst:.1e} at most")
