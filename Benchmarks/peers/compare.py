"""Runs `infer` and llama.cpp in turns on one model file and prints the ratios. See README.md."""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

WORKER = Path(__file__).with_name("llama.py")


def parse_test(name):
    """pp512, tg64, pp512@d4096, tg64@d4096."""
    match = re.fullmatch(r"(pp|tg)(\d+)(?:@d(\d+))?", name)
    if not match:
        raise argparse.ArgumentTypeError(f"'{name}' is not a test such as pp512 or tg64@d4096")
    kind, count, depth = match[1], int(match[2]), int(match[3] or 0)
    return {
        "prompt": count if kind == "pp" else 0,
        "generate": count if kind == "tg" else 0,
        "depth": depth,
        "name": name,
    }


def tokens(test):
    return test["prompt"] + test["generate"]


class Llama:
    """llama.cpp, waiting for its turn."""

    name = "llama.cpp"

    def __init__(self, options):
        context = max(test["depth"] + tokens(test) for test in options.tests)
        self.process = subprocess.Popen(
            [sys.executable, WORKER, "--model", options.model, "--threads", str(options.threads),
             "--batch", str(options.batch), "--context", str(context + 16), "--cache", options.cache],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.version = self.answer()["version"]

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit("llama.cpp ended unexpectedly")
        return json.loads(line)

    def ask(self, **request):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return self.answer()

    def prepare(self, test):
        self.ask(prepare=test)

    def measure(self, test):
        return tokens(test) / self.ask(measure=test)["seconds"]

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class Infer:
    """`infer bench --paced`, one process per test so that all of its figures are the table's."""

    name = "infer"

    def __init__(self, options):
        self.options = options
        self.process = None
        self.row = None

    def prepare(self, test):
        self.close()
        options = self.options
        self.process = subprocess.Popen(
            [options.infer, "bench", "--model", options.model, "--threads", str(options.threads),
             "-b", str(options.batch), "-p", str(test["prompt"]), "-n", str(test["generate"]),
             "-d", str(test["depth"]), "-ctk", options.cache, "-ctv", options.cache,
             "--repetitions", str(options.rounds), "-o", "jsonl", "--paced"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.wait()

    def wait(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit("infer bench ended unexpectedly")
        return line

    def measure(self, test):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return tokens(test) / float(self.wait().split()[1])

    def close(self):
        """Gives the row that infer printed in the end."""
        if not self.process:
            return None
        row = self.process.stdout.readline()
        while row and not row.startswith("{"):
            row = self.process.stdout.readline()
        self.process.stdin.close()
        self.process.wait()
        self.process = None
        return json.loads(row) if row else None


class Busy:
    """A process that keeps one core busy."""

    def __enter__(self):
        self.process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(self.process.pid, {cores[-1]})
        time.sleep(0.2)

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def run_test(test, engines, options):
    """Speeds per engine. Both are prepared first; then they take turns."""
    speeds = {engine.name: [] for engine in engines}
    for engine in engines:
        engine.prepare(test)
    disturbance = Busy() if options.busy else None
    if disturbance:
        disturbance.__enter__()
    try:
        for _ in range(options.rounds):
            for engine in engines:
                speeds[engine.name].append(engine.measure(test))
    finally:
        if disturbance:
            disturbance.__exit__()
    return speeds


def compare_speeds(options):
    """One row per test: the speeds of both and infer's own figures."""
    results = []
    if options.separate:
        return compare_separately(options)
    infer = Infer(options)
    llama = Llama(options)
    for test in options.tests:
        speeds = run_test(test, [llama, infer], options)
        results.append({"test": test["name"], **speeds, "row": infer.close()})
        report(results[-1])
    llama.close()
    return results


def compare_separately(options):
    """For files too large to be held twice: each engine leaves before the other begins."""
    collected = {test["name"]: {"test": test["name"], "infer": [], "llama.cpp": []} for test in options.tests}
    rounds, options.rounds = options.rounds, 1
    for _ in range(rounds):
        for test in options.tests:
            infer = Infer(options)
            collected[test["name"]]["infer"] += run_test(test, [infer], options)["infer"]
            collected[test["name"]]["row"] = infer.close()
        llama = Llama(options)
        for test in options.tests:
            collected[test["name"]]["llama.cpp"] += run_test(test, [llama], options)["llama.cpp"]
        llama.close()
    for result in collected.values():
        report(result)
    return list(collected.values())


def report(result):
    infer, llama = statistics.median(result["infer"]), statistics.median(result["llama.cpp"])
    spread = lambda values: f"{min(values):.2f} … {max(values):.2f}"  # noqa: E731
    shares = ""
    if result.get("row"):
        row = result["row"]
        shares = f"{100 * row['bandwidth_share']:.0f} % | {100 * row['int8_peak_share']:.0f} %"
    print(
        f"| {result['test']} | {infer:.2f} | {spread(result['infer'])} | {llama:.2f} | "
        f"{spread(result['llama.cpp'])} | {infer / llama:.2f} | {shares} |", flush=True)


def memory_of(process, peaks):
    """The largest private and file-backed resident memory of a process while it runs, in bytes."""
    while process.poll() is None:
        try:
            status = Path(f"/proc/{process.pid}/status").read_text()
        except OSError:
            return
        for key in ("RssAnon", "RssFile", "VmRSS"):
            found = re.search(rf"{key}:\s+(\d+) kB", status)
            if found:
                peaks[key] = max(peaks.get(key, 0), int(found[1]) * 1024)
        time.sleep(0.005)


def first_token(command):
    """Seconds from the start of a process to its first output, its memory, and that output."""
    start = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    peaks = {}
    watcher = threading.Thread(target=memory_of, args=(process, peaks))
    watcher.start()
    text = process.stdout.read1(4096)
    seconds = time.monotonic() - start
    process.stdout.read()
    process.wait()
    watcher.join()
    return seconds, peaks, text


def compare_start(options):
    commands = {
        "infer": [options.infer, "--model", options.model, "--threads", str(options.threads), "--raw",
                  "--predict", "1", "-c", "512", "--temp", "0", "a"],
        "llama.cpp": [sys.executable, str(WORKER), "--model", options.model, "--threads", str(options.threads),
                      "--first-token"],
    }
    results = {name: {"seconds": [], "private": 0, "resident": 0} for name in commands}
    for _ in range(options.rounds):
        for name, command in commands.items():
            seconds, peaks, text = first_token(command)
            if name == "llama.cpp":
                seconds -= json.loads(text)["import"]
            results[name]["seconds"].append(seconds)
            results[name]["private"] = max(results[name]["private"], peaks.get("RssAnon", 0))
            results[name]["resident"] = max(results[name]["resident"], peaks.get("VmRSS", 0))
    size = os.path.getsize(options.model)
    print("\n| one token of a one-token prompt | seconds from process start | private memory | of the file | resident |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for name, result in results.items():
        print(
            f"| {name} | {statistics.median(result['seconds']):.2f} | {result['private'] / 1e9:.2f} GB | "
            f"{100 * result['private'] / size:.0f} % | {result['resident'] / 1e9:.2f} GB |", flush=True)
    return results


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--infer", required=True, help="the program")
    parser.add_argument("--tests", default="pp512,tg64", help="with commas; empty for none")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--cache", default="f16", help="f16, f32 or q8_0, for keys and values")
    parser.add_argument("--busy", action="store_true", help="beside a process that keeps one core busy")
    parser.add_argument("--separate", action="store_true", help="never both in memory at once, for large files")
    parser.add_argument("--start", action="store_true", help="measure time and memory to the first token too")
    parser.add_argument("--json", help="write everything measured to this file")
    options = parser.parse_args()
    options.tests = [parse_test(name) for name in options.tests.split(",") if name]

    print(f"{Path(options.model).name}, {options.threads} threads, {options.rounds} rounds"
          + (", beside a busy process" if options.busy else "") + "\n")
    results = {}
    if options.tests:
        print("| test | infer t/s | min … max | llama.cpp t/s | min … max | ratio | of bandwidth | of int8 peak |")
        print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |", flush=True)
        results["speed"] = compare_speeds(options)
    if options.start:
        results["start"] = compare_start(options)
    if options.json:
        Path(options.json).write_text(json.dumps(results, indent=1))


main()
