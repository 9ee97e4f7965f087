"""Official clients against a running server: python clients.py BASE_URL SECONDS

Checks the answers' shapes as the packages `openai` and `anthropic` read them, then lets eight clients ask at once for SECONDS,
with random disconnects, and looks at the server's memory and queue afterwards. Prints one line per check and a closing
line `N passed, N failed`.
"""

import http.client
import json
import random
import sys
import threading
import time
import traceback
import urllib.parse
import urllib.request
from typing import Literal, Optional

import anthropic
import openai
import pydantic

base = sys.argv[1]
seconds = float(sys.argv[2])
client = openai.OpenAI(base_url=base + "/v1", api_key="none", max_retries=0, timeout=120)
claude = anthropic.Anthropic(base_url=base, api_key="none", max_retries=0, timeout=120)
question = [{"role": "user", "content": "What is 17 + 25?"}]
calculator = {
    "name": "calculator",
    "description": "Computes a sum.",
    "parameters": {"type": "object", "properties": {"expression": {"type": "string"}}, "required": ["expression"]},
}
# Sent beside what the package of Anthropic has arguments for.
greedy = {"temperature": 0}
tool_question = "What is 12 * 4? Use the calculator."
passed = failed = 0


def check(name):
    def run(function):
        global passed, failed
        try:
            function()
            passed += 1
            print("ok     ", name)
        except Exception as error:  # noqa: BLE001 - every failure is reported, whatever it is
            failed += 1
            line = traceback.extract_tb(error.__traceback__)[1]
            print("FAILED ", name, "- line", line.lineno, type(error).__name__, error)

    return run


def metric(name):
    text = urllib.request.urlopen(base + "/metrics", timeout=30).read().decode()
    return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith("infer_" + name))


@check("openai: chat")
def _():
    reply = client.chat.completions.create(model="m", messages=question, temperature=0)
    assert "42" in reply.choices[0].message.content, reply
    assert reply.choices[0].finish_reason == "stop" and reply.usage.total_tokens > 10


@check("openai: streamed chat with usage")
def _():
    chunks = list(
        client.chat.completions.create(
            model="m", messages=question, temperature=0, stream=True, stream_options={"include_usage": True}
        )
    )
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert "42" in text and chunks[-1].usage.completion_tokens > 0 and not chunks[-1].choices


@check("openai: n, seed, logprobs, logit_bias")
def _():
    story = [{"role": "user", "content": "Tell me a story about a fox."}]
    ask = dict(model="m", messages=story, n=2, seed=7, max_tokens=8, temperature=1, logprobs=True, top_logprobs=3)
    one, two = (client.chat.completions.create(**ask) for _ in range(2))
    assert [c.message.content for c in one.choices] == [c.message.content for c in two.choices]
    assert len(one.choices[1].logprobs.content) <= 8 and len(one.choices[0].logprobs.content[0].top_logprobs) == 3
    first = one.choices[0].logprobs.content[0].bytes
    token = client.post("/../tokenize", body={"content": bytes(first).decode()}, cast_to=object)["tokens"][0]
    banned = client.chat.completions.create(**ask, logit_bias={str(token): -100})
    starts = [bytes(c.logprobs.content[0].bytes) for c in banned.choices if c.logprobs.content]
    assert bytes(first) not in starts


@check("openai: tools")
def _():
    tools = [{"type": "function", "function": calculator}]
    messages = [{"role": "user", "content": tool_question}]
    reply = client.chat.completions.create(model="m", messages=messages, tools=tools, temperature=0, max_tokens=80)
    call = reply.choices[0].message.tool_calls[0]
    assert reply.choices[0].finish_reason == "tool_calls" and "expression" in json.loads(call.function.arguments)
    messages += [
        reply.choices[0].message,
        {"role": "tool", "tool_call_id": call.id, "content": "48"},
    ]
    final = client.chat.completions.create(model="m", messages=messages, tools=tools, temperature=0, max_tokens=40)
    assert final.choices[0].message.content and final.choices[0].finish_reason == "stop"
    with client.chat.completions.stream(
        model="m", messages=messages[:1], tools=tools, temperature=0, max_tokens=80
    ) as stream:
        for _event in stream:
            pass
        streamed = stream.get_final_completion().choices[0].message.tool_calls[0]
    assert json.loads(streamed.function.arguments) == json.loads(call.function.arguments)


@check("openai: response_format")
def _():
    schema = {
        "type": "object",
        "properties": {"answer": {"type": "integer", "minimum": 0, "maximum": 100}},
        "required": ["answer"],
        "additionalProperties": False,
    }
    # Room for the white space that the grammar allows and this small model likes.
    reply = client.chat.completions.create(
        model="m",
        messages=question,
        temperature=0,
        max_tokens=300,
        response_format={"type": "json_schema", "json_schema": {"name": "sum", "schema": schema, "strict": True}},
    )
    assert isinstance(json.loads(reply.choices[0].message.content)["answer"], int), reply


@check("openai: parse, with $defs and null")
def _():
    class Part(pydantic.BaseModel):
        animal: Literal["fox", "hound"]

    class Story(pydantic.BaseModel):
        part: Part
        other: Optional[Part]
        ending: Literal["happy", "sad"]

    reply = client.chat.completions.parse(
        model="m",
        messages=[{"role": "user", "content": "Tell me a story about a fox."}],
        temperature=0,
        max_tokens=400,
        response_format=Story,
    )
    assert reply.choices[0].message.parsed.part.animal in ("fox", "hound"), reply


@check("openai: embeddings")
def _():
    # The package asks for base64 and turns it into numbers.
    reply = client.embeddings.create(model="m", input=["a fox", "a hound", "a fox"])
    one, two, three = (item.embedding for item in reply.data)
    assert one == three != two and abs(sum(value * value for value in one) - 1) < 1e-4
    plain = client.embeddings.create(model="m", input="a fox", encoding_format="float").data[0].embedding
    assert max(abs(a - b) for a, b in zip(one, plain)) < 1e-6 and reply.usage.prompt_tokens > 3


@check("openai: completions with echo and logprobs")
def _():
    reply = client.completions.create(
        model="m", prompt="Once upon a time, there was", echo=True, logprobs=1, max_tokens=1, temperature=0
    )
    scores = reply.choices[0].logprobs
    assert "".join(scores.tokens) == reply.choices[0].text and scores.token_logprobs[0] is None
    assert len(scores.tokens) == len(scores.token_logprobs) == len(scores.top_logprobs) == len(scores.text_offset)


@check("openai: responses")
def _():
    reply = client.responses.create(model="m", input="What is 17 + 25?", temperature=0, max_output_tokens=40)
    assert "42" in reply.output_text and reply.usage.output_tokens > 0
    events = list(
        client.responses.create(model="m", input="What is 17 + 25?", temperature=0, max_output_tokens=40, stream=True)
    )
    assert events[-1].type == "response.completed" and events[-1].response.output_text == reply.output_text


@check("openai: models")
def _():
    names = [model.id for model in client.models.list()]
    assert names and client.models.retrieve(names[0]).id == names[0]


@check("openai: errors")
def _():
    for bad, kind in [
        (dict(messages=[]), openai.BadRequestError),
        (dict(messages=question, temperature=-1), openai.BadRequestError),
        (dict(messages=[{"role": "user", "content": "fox " * 5000}]), openai.BadRequestError),
    ]:
        try:
            client.chat.completions.create(model="m", **bad)
        except kind as error:
            assert error.body["message"]
        else:
            raise AssertionError(f"accepted {str(bad)[:60]}")
    try:
        client.models.retrieve("no-such-model")
    except openai.NotFoundError:
        pass


@check("anthropic: messages")
def _():
    reply = claude.messages.create(model="m", max_tokens=40, messages=question, extra_body=greedy)
    assert reply.content[0].text and reply.stop_reason == "end_turn" and reply.usage.output_tokens > 0
    with claude.messages.stream(model="m", max_tokens=40, messages=question, extra_body=greedy) as stream:
        text = "".join(stream.text_stream)
    assert text == reply.content[0].text
    assert claude.messages.count_tokens(model="m", messages=question).input_tokens > 5


@check("anthropic: tools")
def _():
    tools = [{"name": "calculator", "description": "Computes a sum.", "input_schema": calculator["parameters"]}]
    ask = [{"role": "user", "content": tool_question}]
    reply = claude.messages.create(model="m", max_tokens=80, messages=ask, tools=tools, extra_body=greedy)
    call = next(block for block in reply.content if block.type == "tool_use")
    assert reply.stop_reason == "tool_use" and "expression" in call.input
    back = [{"type": "tool_result", "tool_use_id": call.id, "content": "48"}]
    final = claude.messages.create(
        model="m",
        max_tokens=40,
        messages=ask + [{"role": "assistant", "content": reply.content}, {"role": "user", "content": back}],
        tools=tools,
        extra_body=greedy,
    )
    assert final.content[0].text and final.stop_reason == "end_turn"


@check("anthropic: errors")
def _():
    try:
        claude.messages.create(model="m", max_tokens=5, messages=[{"role": "user", "content": "fox " * 5000}])
    except anthropic.BadRequestError as error:
        assert error.body["error"]["type"] == "invalid_request_error"


# ---- Eight clients at once ----

address = urllib.parse.urlparse(base)
end = time.monotonic() + seconds
problems = []
asked = [0] * 8
left = [0] * 8
expected = client.completions.create(
    model="m", prompt="One day, a little", max_tokens=24, temperature=1, seed=11
).choices[0].text


def ask_and_leave(number):
    """Asks like many clients do, again and again; now and then goes away in the middle."""
    dice = random.Random(number)
    while time.monotonic() < end:
        asked[number] += 1
        try:
            kind = dice.random()
            if kind < 0.4:
                text = client.completions.create(
                    model="m", prompt="One day, a little", max_tokens=24, temperature=1, seed=11
                ).choices[0].text
                if text != expected:
                    problems.append(f"another answer: {text!r}")
                continue
            connection = http.client.HTTPConnection(address.hostname, address.port, timeout=120)
            prompt = "Once upon a time " * dice.randint(1, 60)
            body = {"prompt": prompt, "max_tokens": dice.randint(1, 200), "stream": True, "ignore_eos": True}
            connection.request("POST", "/v1/completions", json.dumps(body))
            if kind < 0.6:
                left[number] += 1
                connection.close()
                continue
            reply = connection.getresponse()
            pieces = dice.randint(1, 3000) if kind < 0.8 else None
            data = reply.read(pieces) if pieces else reply.read()
            if pieces:
                left[number] += 1
            elif reply.status == 200 and not data.endswith(b"data: [DONE]\n\n"):
                problems.append(f"an answer without an end: {data[-80:]!r}")
            connection.close()
        except Exception as error:  # noqa: BLE001
            problems.append(f"{type(error).__name__} {error}")


def crowd(duration):
    global end
    end = time.monotonic() + duration
    threads = [threading.Thread(target=ask_and_leave, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@check(f"eight clients for {seconds:g} s with random disconnects")
def _():
    crowd(seconds / 2)
    before = metric("memory_resident_bytes")
    crowd(seconds / 2)
    deadline = time.monotonic() + 30
    while metric("requests_running") + metric("requests_waiting") > 0:
        assert time.monotonic() < deadline, "requests are still running"
        time.sleep(0.05)
    after = metric("memory_resident_bytes")
    print(f"        {sum(asked)} requests, {sum(left)} left early, memory {before / 2**20:.0f} then {after / 2**20:.0f} MiB")
    assert not problems, problems[:3]
    assert after < before * 1.2 + 32 * 2**20, "memory grows"


print(f"{passed} passed, {failed} failed")
sys.exit(1 if failed else 0)
