"""Quantizes one model in many ways and prints what each costs, as the table of ../QUALITY.md.

Every file is compared with the original token by token (`infer eval kl --state`). The difference to plain rounding is that
of the same tokens under two files. Its standard error comes from the windows of 512 tokens, because tokens of one text go
together.

What is there already in the work folder is kept: after a change of the quantizer begin with an empty one.
"""

import argparse
import ctypes
import json
import math
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CORPUS = ROOT / "scripts/train/corpus.py"

# Format → its methods; the others are compared with the first.
ROWS = {
    "Q8_0": ["plain", "llama", "GPTQ"],
    "Q5_K_M": ["plain", "llama", "imatrix"],
    "Q4_K_M": ["plain", "llama", "imatrix", "GPTQ"],
    "Q4_0": ["plain", "llama", "imatrix", "GPTQ", "budget", "budget, GPTQ"],
    "IQ4_XS": ["plain", "llama", "imatrix", "GPTQ"],
    "Q3_K_M": ["plain", "llama", "imatrix", "GPTQ"],
    "Q2_K": ["plain", "llama", "imatrix", "GPTQ", "budget", "budget, GPTQ"],
}
# Bits per weight of the budgets: the sizes of the plain files.
BUDGETS = {"Q4_0": "5.02", "Q2_K": "3.90"}


class Workshop:
    """The folder with everything that is made."""

    def __init__(self, options):
        self.source, self.folder, self.threads = options.source, options.work, options.threads
        self.binary, self.documents = options.infer, options.documents
        self.folder.mkdir(parents=True, exist_ok=True)

    def infer(self, *arguments):
        command = [self.binary, *map(str, arguments), "--threads", str(self.threads)]
        result = subprocess.run(command, stdout=subprocess.PIPE, text=True)
        if result.returncode:
            sys.exit(f"{' '.join(command)}: exit code {result.returncode}")
        return result.stdout

    def make(self, name, produce):
        """The path of a file, which `produce` writes where it is missing."""
        path = self.folder / name
        if not path.exists():
            print(f"making {name}", file=sys.stderr)
            produce(path)
        return path

    def documents_of(self, seed, count):
        return subprocess.run([sys.executable, CORPUS, "--seed", str(seed), "--count", str(count)],
                              stdout=subprocess.PIPE, check=True).stdout

    # Seeds that the training did not use; tests and training texts of the model have others.

    def calibration(self):
        return self.make("calibration.txt", lambda path: path.write_bytes(self.documents_of(9001, 500)))

    def held_out(self):
        def produce(path):
            shipped = (ROOT / "models/heldout.txt").read_bytes()
            path.write_bytes(
                shipped + b"\n" + self.documents_of(4242, 150) + self.documents_of(515253, self.documents))
        return self.make("heldout.txt", produce)

    def importance(self):
        return self.make("imatrix.gguf", lambda path: self.infer(
            "calibrate", self.source, self.calibration(), "--parse-special", "-o", path))

    def reference(self):
        return self.make("reference.logits", lambda path: self.infer(
            "eval", "perplexity", "-m", self.source, self.held_out(), "--parse-special", "-c", 512, "--stride", 512,
            "--save-logits", path))

    def quantized(self, format, method):
        return self.make(f"{format}-{method.replace(', ', '-')}.gguf", lambda path: self.quantize(format, method, path))

    def quantize(self, format, method, path):
        if method == "llama":
            return quantize_with_llama(self.source, path, format, self.threads)
        arguments = ["quantize", self.source, path]
        arguments += ["--budget", f"{BUDGETS[format]}bpw", "--pieces", 40] if "budget" in method else [format]
        if method == "imatrix":
            arguments += ["--imatrix", self.importance()]
        elif method != "plain":
            arguments += ["--text", self.calibration(), "--parse-special"]
        if "GPTQ" in method:
            arguments.append("--gptq")
        self.infer(*arguments)

    def compared(self, format, method):
        """The report on a file, and what each window of the text gave."""
        model = self.quantized(format, method)
        report, state = model.with_suffix(".json"), model.with_suffix(".state")
        if not report.exists():
            print(f"comparing {model.name}", file=sys.stderr)
            self.infer(
                "eval", "kl", "-m", model, "--reference", self.reference(), "--state", state, "--output", report)
        with open(state) as lines:
            windows = [record["divergences"] for record in map(json.loads, lines) if "divergences" in record]
        return json.loads(report.read_text()), windows


def quantize_with_llama(source, path, format, threads):
    import llama_cpp

    llama_cpp.llama_backend_init()
    parameters = llama_cpp.llama_model_quantize_default_params()
    parameters.ftype = getattr(llama_cpp, f"LLAMA_FTYPE_MOSTLY_{format}")
    parameters.nthread = threads
    partial = path.with_suffix(".part")
    if llama_cpp.llama_model_quantize(os.fsencode(source), os.fsencode(partial), ctypes.byref(parameters)):
        sys.exit(f"llama_model_quantize could not make {path}")
    partial.rename(path)


def mean_of_windows(sums, counts):
    """The mean per token and its standard error, where whole windows are drawn at random."""
    total, number = sum(counts), len(counts)
    mean = sum(sums) / total
    squares = sum((part - mean * count) ** 2 for part, count in zip(sums, counts))
    return mean, math.sqrt(squares * number / (number - 1)) / total


def table(workshop, formats, methods):
    lines = ["| format | method | MB | perplexity | KL · 1000 | against plain | 90 % | 99.9 % | same top token |",
             "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"]
    first = True
    for format in formats:
        plain = None
        for method in ROWS[format]:
            if method not in methods:
                continue
            report, windows = workshop.compared(format, method)
            counts, sums = [len(part) for part in windows], [1000 * sum(part) for part in windows]
            if first:
                size = os.path.getsize(workshop.source) / 1e6
                lines.append(f"| F32 | original | {size:.2f} | {report['reference_perplexity']['value']:.4f} | | | | | |")
                print(f"{sum(counts)} tokens in {len(counts)} windows", file=sys.stderr)
                first = False
            difference = ""
            if plain is None:
                plain = sums
            else:
                difference = "{:+.3f} ± {:.3f}".format(
                    *mean_of_windows([a - b for a, b in zip(sums, plain)], counts))
            label = f"{BUDGETS[format]} bpw" if "budget" in method else format
            size = os.path.getsize(workshop.quantized(format, method)) / 1e6
            lines.append(
                "| {} | {} | {:.2f} | {:.4f} | {:.3f} ± {:.3f} | {} | {:.2f} | {:.0f} | {:.2f} % |".format(
                    label, method, size, report["perplexity"]["value"], *mean_of_windows(sums, counts), difference,
                    1000 * report["kl_90"], 1000 * report["kl_99_9"], 100 * report["top_1_agreement"]["value"]))
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="the model in F32")
    parser.add_argument("--infer", default="infer", help="the binary (default: infer)")
    parser.add_argument("--work", type=Path, default=ROOT / ".build/quality-files",
                        help="folder for texts, models and results, about 2 GB (default: .build/quality-files)")
    parser.add_argument("--formats", default=",".join(ROWS), help=f"of {','.join(ROWS)} (default: all)")
    parser.add_argument("--methods", help="of them, such as plain,llama (default: all)")
    parser.add_argument("--documents", type=int, default=2600,
                        help="further documents to compare on; a hundred are about 8,000 tokens (default: 2600)")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    formats = options.formats.split(",")
    unknown = [name for name in formats if name not in ROWS]
    if unknown:
        parser.error(f"unknown format {', '.join(unknown)}; there are: {', '.join(ROWS)}")
    methods = options.methods.split(",") if options.methods else sum(ROWS.values(), [])
    print(table(Workshop(options), formats, methods))


if __name__ == "__main__":
    main()
