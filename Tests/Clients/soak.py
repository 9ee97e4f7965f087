"""Eight clients at once that go away as they please: python soak.py BASE_URL MINUTES (standard library only).

Every answer that comes to its end must be the text that the same request with the same seed gave alone; nothing may be
stuck afterwards; memory may grow in the second half by no more than GROWTH beyond what it was at the end of the first.
"""

import http.client
import json
import random
import sys
import threading
import time
import urllib.parse
import urllib.request

CLIENTS = 8
# The cache of beginnings of prompts is full by then; what is left is the allocator's unrest.
GROWTH = 48 << 20

base, minutes = sys.argv[1], float(sys.argv[2])
address = urllib.parse.urlparse(base)
TOOL = {
    "type": "function",
    "function": {
        "name": "calculator",
        "description": "Computes a sum.",
        "parameters": {"type": "object", "properties": {"expression": {"type": "string"}}, "required": ["expression"]},
    },
}


def requests():
    """Requests of many kinds, each with its own seed."""
    dice = random.Random(1)
    openings = ["Once upon a time", "One day, a little fox", "The rain fell", "A girl named Mia"]
    made = []
    for number in range(24):
        words = " ".join(["The fox ran over the hill and back again."] * dice.randint(0, 40))
        story = {"prompt": words + dice.choice(openings), "temperature": 1, "ignore_eos": True}
        made.append(("/v1/completions", {**story, "max_tokens": dice.randint(1, 220), "seed": number}))
    for number in range(16):
        question = f"What is {dice.randint(1, 50)} + {dice.randint(1, 50)}?"
        messages = [{"role": "user", "content": question}]
        if number % 2:
            messages = [{"role": "user", "content": "Tell me a story about a fox."},
                        {"role": "assistant", "content": "There was a fox. " * dice.randint(1, 30)}] + messages
        body = {"messages": messages, "temperature": 0.9, "seed": number, "max_tokens": 60}
        if number % 5 == 0:
            body["tools"] = [TOOL]
        if number % 7 == 0:
            body["response_format"] = {"type": "json_object"}
        made.append(("/v1/chat/completions", body))
    return made


def text_of(path, reply):
    """What was said, of a whole reply or of a stream."""
    if not reply.startswith(b"data: "):
        reply = json.loads(reply)
        choice = reply["choices"][0]
        if path == "/v1/completions":
            return choice["text"]
        message = choice["message"]
        calls = [(call["function"]["name"], call["function"]["arguments"]) for call in message.get("tool_calls", [])]
        return (message["content"] or "") + repr(calls)
    text, calls = "", []
    for line in reply.decode().split("\n\n"):
        if not line.startswith("data: {"):
            continue
        event = json.loads(line[6:])
        if "error" in event:
            return f"error: {event}"
        for choice in event["choices"]:
            if path == "/v1/completions":
                text += choice["text"]
                continue
            text += choice["delta"].get("content") or ""
            for call in choice["delta"].get("tool_calls", []):
                if "id" in call:
                    calls.append((call["function"]["name"], ""))
                else:
                    calls[-1] = (calls[-1][0], calls[-1][1] + call["function"]["arguments"])
    return text if path == "/v1/completions" else text + repr(calls)


def ask(path, body, leaves=None):
    """The reply's bytes; None when the client left, after so many of them."""
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=120)
    try:
        connection.request("POST", path, json.dumps(body))
        if leaves == 0:
            return None
        reply = connection.getresponse()
        if leaves:
            reply.read(leaves)
            return None
        data = reply.read()
        if reply.status != 200:
            raise RuntimeError(f"{reply.status} {data[:200]!r}")
        return data
    finally:
        connection.close()


def metric(name):
    text = urllib.request.urlopen(base + "/metrics", timeout=30).read().decode()
    return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith("infer_" + name))


problems, counts = [], {"whole": 0, "left": 0}
lock = threading.Lock()
made = requests()
expected = [text_of(path, ask(path, body)) for path, body in made]


def client(number, end):
    dice = random.Random(number)
    while time.monotonic() < end and len(problems) < 10:
        index = dice.randrange(len(made))
        path, body = made[index]
        is_streamed = dice.random() < 0.6
        leaves = dice.choice([0, 1, dice.randint(1, 4000)]) if dice.random() < 0.35 else None
        try:
            reply = ask(path, {**body, "stream": is_streamed}, leaves)
        except Exception as error:  # noqa: BLE001 - whatever goes wrong is a finding
            problems.append(f"{path} {type(error).__name__} {error}")
            continue
        with lock:
            counts["left" if reply is None else "whole"] += 1
        if reply is None:
            continue
        if is_streamed and not reply.endswith(b"data: [DONE]\n\n"):
            problems.append(f"a stream without an end: {reply[-100:]!r}")
        text = text_of(path, reply)
        if text != expected[index]:
            problems.append(f"request {index} gave {text!r} instead of {expected[index]!r}")


def crowd(seconds):
    end = time.monotonic() + seconds
    threads = [threading.Thread(target=client, args=(number, end)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        # An answer takes seconds at most.
        thread.join(max(end - time.monotonic(), 0) + 120)
        if thread.is_alive():
            raise SystemExit("a client is stuck")


memory = []
for part in range(4):
    crowd(minutes * 60 / 4)
    memory.append(metric("memory_resident_bytes"))
deadline = time.monotonic() + 30
while metric("requests_running") + metric("requests_waiting") > 0 and time.monotonic() < deadline:
    time.sleep(0.05)
if metric("requests_running") + metric("requests_waiting") > 0:
    problems.append("requests are still running")
if memory[3] - memory[1] > GROWTH:
    problems.append("memory grows")
sizes = ", ".join(f"{size / 2**20:.0f}" for size in memory)
print(f"{counts['whole']} whole answers, {counts['left']} left early, resident MiB after each quarter: {sizes}")
for problem in problems[:10]:
    print("FAILED ", problem)
print(f"{'0 problems' if not problems else f'{len(problems)} problems'}")
sys.exit(1 if problems else 0)
