"""Drives llama.cpp through llama-cpp-python's low-level interface, one repetition per line of standard input.

Started by compare.py. Each line is a JSON object: {"prepare": test} brings the context to the test's depth,
{"measure": test} answers {"seconds": s}. A test is {"prompt": n, "generate": n, "depth": n}.
"""

import argparse
import ctypes
import json
import os
import sys
import time

started = time.monotonic()
import llama_cpp as api  # noqa: E402

imported = time.monotonic()

CACHE_TYPES = {"f32": 0, "f16": 1, "q8_0": 8}


class Engine:
    def __init__(self, options):
        api.llama_backend_init()
        self.silence = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)(lambda *_: None)
        api.llama_log_set(self.silence, None)
        parameters = api.llama_model_default_params()
        self.model = api.llama_model_load_from_file(options.model.encode(), parameters)
        if not self.model:
            sys.exit(f"llama.cpp cannot load {options.model}")
        context = api.llama_context_default_params()
        context.n_ctx = options.context
        context.n_batch = context.n_ubatch = options.batch
        context.n_threads = context.n_threads_batch = options.threads
        context.type_k = context.type_v = CACHE_TYPES[options.cache]
        self.context = api.llama_init_from_model(self.model, context)
        if not self.context:
            sys.exit("llama.cpp cannot make a context")
        self.memory = api.llama_get_memory(self.context)
        self.batch = options.batch
        self.vocabulary = api.llama_vocab_n_tokens(api.llama_model_get_vocab(self.model))
        self.random = 1
        self.saved = None

    def decode(self, count):
        """One forward pass over `count` random tokens; the last one gets logits."""
        tokens = (ctypes.c_int32 * count)()
        for index in range(count):
            self.random = (self.random * 6364136223846793005 + 1442695040888963407) % 2**64
            tokens[index] = (self.random >> 33) % self.vocabulary
        if api.llama_decode(self.context, api.llama_batch_get_one(tokens, count)) != 0:
            sys.exit("llama.cpp: llama_decode failed")
        api.llama_synchronize(self.context)

    def prefill(self, count):
        while count > 0:
            self.decode(min(count, self.batch))
            count -= self.batch

    def prepare(self, test):
        api.llama_memory_clear(self.memory, True)
        self.prefill(test["depth"])
        self.saved = None
        if test["depth"] > 0:
            size = api.llama_state_seq_get_size(self.context, 0)
            self.saved = (ctypes.c_uint8 * size)()
            api.llama_state_seq_get_data(self.context, self.saved, size, 0)
        # The first run pays for memory and threads.
        self.prefill(min(test["prompt"], self.batch))
        if test["generate"]:
            self.decode(1)

    def measure(self, test):
        api.llama_memory_clear(self.memory, True)
        if self.saved:
            api.llama_state_seq_set_data(self.context, self.saved, len(self.saved), 0)
        start = time.monotonic()
        self.prefill(test["prompt"])
        for _ in range(test["generate"]):
            self.decode(1)
        return time.monotonic() - start


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--context", type=int, default=512)
    parser.add_argument("--cache", choices=CACHE_TYPES, default="f16")
    parser.add_argument("--first-token", action="store_true", help="generate one token and exit")
    options = parser.parse_args()
    # llama.cpp writes to standard output as well; answers go to a copy of it.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    engine = Engine(options)
    if options.first_token:
        engine.decode(1)
        # Python's own start is not llama.cpp's.
        answers.write(json.dumps({"import": imported - started}) + "\n")
        answers.flush()
        return
    answers.write(json.dumps({"version": api.__version__}) + "\n")
    answers.flush()
    for line in sys.stdin:
        request = json.loads(line)
        if "prepare" in request:
            engine.prepare(request["prepare"])
            answer = {}
        else:
            answer = {"seconds": engine.measure(request["measure"])}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


main()
