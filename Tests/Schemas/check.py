"""Random JSON Schemas of the supported subset: the command's grammars against the jsonschema package.

usage: check.py INFER [SCHEMAS] [SEED]

For each schema: every text that the grammar makes at random must be valid JSON that satisfies the schema; values that
satisfy it, in the spelling that a generator keeps to, must be accepted; values that do not must be refused.
"""

import collections
import json
import random
import subprocess
import sys

import jsonschema

infer = sys.argv[1]
count = int(sys.argv[2]) if len(sys.argv) > 2 else 400
rng = random.Random(int(sys.argv[3]) if len(sys.argv) > 3 else 1)
checker = jsonschema.Draft202012Validator.FORMAT_CHECKER

NAMES = ["a", "b", "name", "c d", "é", 'q"', "x/y", "日本"]
TEXTS = ["", "a", "b", "ab", "é", "e\u0301", "🦙", "\n", '"', "\\", "/", "日本語", "a b", "0"]
# Patterns with strings that match them.
PATTERNS = [
    ("^[a-z]{2,4}$", lambda: "".join(rng.choices("abcxyz", k=rng.randint(2, 4)))),
    ("^(foo|ba[rz])+$", lambda: "".join(rng.choices(["foo", "bar", "baz"], k=rng.randint(1, 3)))),
    ("[0-9]", lambda: rng.choice(["", "x"]) + str(rng.randint(0, 99))),
    (r"^\d{3}-\d{4}$", lambda: f"{rng.randint(0, 999):03}-{rng.randint(0, 9999):04}"),
    ("^[^a-z]*$", lambda: rng.choice(["", "ABC", "é1", "\n"])),
]
FORMATS = {
    "date": lambda: f"{rng.randint(1900, 2099)}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}",
    "time": lambda: f"{rng.randint(0, 23):02}:{rng.randint(0, 59):02}:{rng.randint(0, 59):02}Z",
    "ipv4": lambda: ".".join(str(rng.randint(0, 255)) for _ in range(4)),
    "uuid": lambda: "-".join("".join(rng.choices("0123456789abcdef", k=k)) for k in (8, 4, 4, 4, 12)),
    "email": lambda: rng.choice(["a@b.c", "x.y+z@example.org"]),
}


def chance(percent):
    return rng.random() * 100 < percent


def text():
    return "".join(rng.choices(TEXTS, k=rng.randint(0, 3)))


def literal():
    return rng.choice([None, True, False, rng.randint(-20, 20), rng.randint(-80, 80) / 8 + 0.0625, text(), text(),
                       [rng.randint(0, 2), text()], {"k": rng.randint(0, 2)}, [], {}])


def number():
    kind = rng.choice(["integer", "integer", "number"])
    schema = {"type": kind}
    low = rng.randint(-1500, 1500)
    scale = 1 if kind == "integer" else rng.choice([1, 4, 8])
    if chance(50):
        schema[rng.choice(["minimum", "minimum", "exclusiveMinimum"])] = low // scale if scale == 1 else low / scale
    if chance(50):
        high = low + rng.randint(1, 900)
        schema[rng.choice(["maximum", "maximum", "exclusiveMaximum"])] = high // scale if scale == 1 else high / scale
    if chance(25):
        schema["multipleOf"] = rng.randint(1, 13) if kind == "integer" else rng.choice([0.25, 0.5, 2, 2.5])
    return schema


def counts(of, most, spread):
    """Perhaps minLength and maxLength, or minItems and maxItems."""
    schema = {}
    low = rng.randint(0, most)
    if chance(40):
        schema["min" + of] = low
    if chance(40):
        schema["max" + of] = low + rng.randint(0, spread)
    return schema


def string():
    roll = rng.randint(0, 9)
    if roll < 2:
        return {"type": "string", "pattern": rng.choice(PATTERNS)[0]}
    if roll < 4:
        return {"type": "string", "format": rng.choice(list(FORMATS))}
    return {"type": "string"} | counts("Length", 3, 4)


def array(depth):
    schema = {"type": "array"}
    if chance(35):
        schema["prefixItems"] = [inner(depth) for _ in range(rng.randint(1, 3))]
    if chance(80):
        schema["items"] = False if chance(10) else inner(depth)
    return schema | counts("Items", 2, 3)


def obj(depth):
    schema = {"type": "object"}
    names = rng.sample(NAMES, rng.randint(0, 4))
    if chance(85):
        schema["properties"] = {name: inner(depth) for name in names}
    if chance(60):
        schema["required"] = [name for name in names if chance(60)]
    if chance(60):
        schema["additionalProperties"] = False if chance(50) else inner(depth)
    if chance(15):
        schema["patternProperties"] = {"^z[0-9]$": inner(depth)}
    if chance(15):
        schema["minProperties"] = rng.randint(0, 1)  # Members without declared names may repeat.
    if chance(15):
        schema["maxProperties"] = rng.randint(2, 4)
    return schema


def inner(depth):
    roll = rng.randint(0, 14 if depth > 0 else 7)
    if roll == 0:
        return {"type": rng.choice(["null", "boolean"])}
    if roll <= 2:
        return number()
    if roll <= 4:
        return string()
    if roll == 5:
        return {"enum": [literal() for _ in range(rng.randint(1, 5))]}
    if roll == 6:
        return {"const": literal()}
    if roll == 7:
        return {"$ref": "#/$defs/leaf"}
    if roll <= 10:
        return obj(depth - 1)
    if roll == 11:
        return array(depth - 1)
    if roll == 12:
        return {"anyOf": [inner(depth - 1) for _ in range(rng.randint(1, 3))]}
    if roll == 13:
        return {"allOf": [number(), number()]}
    return {"oneOf": [{"type": "object", "properties": {"kind": {"const": kind}, "v": inner(depth - 1)},
                       "required": ["kind", "v"], "additionalProperties": False} for kind in ("p", "q")]}


def schema():
    result = inner(3)
    while "$ref" in result:
        result = inner(3)
    leaf = string()
    if chance(40):  # A tree.
        leaf = {"type": "object", "properties": {"v": number(), "kids": {"type": "array", "maxItems": 2, "items": {
            "$ref": "#/$defs/leaf"}}}, "required": ["v"], "additionalProperties": False}
    result["$defs"] = {"leaf": leaf}
    return result


def value(sub, root, depth=7):
    """Often a value that satisfies the schema, with the members in the order of a generator."""
    if depth == 0 or sub is True:
        return 0
    if sub is False:
        return None
    if "enum" in sub:
        return rng.choice(sub["enum"])
    if "const" in sub:
        return sub["const"]
    if "$ref" in sub:
        return value(root["$defs"]["leaf"], root, depth - 1)
    for key in ("anyOf", "allOf", "oneOf"):
        if key in sub:
            return value(rng.choice(sub[key]), root, depth - 1)
    kind = sub.get("type")
    if kind == "null":
        return None
    if kind == "boolean":
        return chance(50)
    if kind in ("integer", "number"):
        bounds = [sub[key] for key in ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum") if key in sub]
        near = (rng.choice(bounds) if bounds else 0) + rng.randint(-3, 3)
        if "multipleOf" in sub:
            near = near // sub["multipleOf"] * sub["multipleOf"]
        elif kind == "number" and chance(50):
            near += rng.choice([0.25, 0.5, 0.875])
        return int(near) if near == int(near) else near
    if kind == "string":
        if "pattern" in sub:
            return dict(PATTERNS)[sub["pattern"]]()
        return FORMATS[sub["format"]]() if "format" in sub else text()
    if kind == "array":
        prefix = sub.get("prefixItems", [])
        size = sub.get("minItems", 0) + rng.randint(0, 2)
        return [value(prefix[i] if i < len(prefix) else sub.get("items", True), root, depth - 1) for i in range(size)]
    result = {}
    for key, member in sub.get("properties", {}).items():
        if key in sub.get("required", []) or chance(60):
            result[key] = value(member, root, depth - 1)
    for key in sub.get("required", []):
        if key not in result:
            result[key] = value(sub.get("additionalProperties", True), root, depth - 1)
    if "patternProperties" in sub and chance(50):
        result["z1"] = value(sub["patternProperties"]["^z[0-9]$"], root, depth - 1)
    elif chance(40) and ("additionalProperties" in sub or not {"properties", "patternProperties"} & sub.keys()):
        result["zz"] = value(sub.get("additionalProperties", True), root, depth - 1)
    return result


def mutation(old):
    if chance(25):
        return literal()
    if isinstance(old, bool) or old is None:
        return literal()
    if isinstance(old, (int, float)):
        new = old + rng.choice([-100, -1, 1, 7, 0.5, 1000])
        return int(new) if new == int(new) else new
    if isinstance(old, str):
        return rng.choice([old + text(), old[:-1], text()])
    if isinstance(old, list):
        new = list(old)
        if not new or chance(30):
            return new + [literal()]
        place = rng.randrange(len(new))
        if chance(30):
            del new[place]
        else:
            new[place] = mutation(new[place])
        return new
    new = dict(old)
    if not new or chance(20):
        return {**new, "new": literal()}
    key = rng.choice(list(new))
    if chance(30):
        del new[key]
    else:
        new[key] = mutation(new[key])
    return new


def closed(sub):
    """The schema without members that it does not speak of: a generator writes none, whatever JSON Schema allows."""
    if isinstance(sub, list):
        return [closed(part) for part in sub]
    if not isinstance(sub, dict):
        return sub
    result = {key: part if key in ("enum", "const") else closed(part) for key, part in sub.items()}
    if isinstance(sub.get("properties", sub.get("patternProperties")), dict) and sub.get("type") == "object":
        result.setdefault("additionalProperties", False)
    return result


Question = collections.namedtuple("Question", "schema request kind detail")
questions = []
compact = {"ensure_ascii": False, "separators": (",", ":")}
for index in range(count):
    drawn = schema()
    valid = jsonschema.Draft202012Validator(drawn, format_checker=checker).is_valid
    written = jsonschema.Draft202012Validator(closed(drawn), format_checker=checker).is_valid
    questions.append(Question(drawn, {"samples": 6, "seed": index}, "samples", valid))
    for _ in range(8):
        own = value(drawn, drawn)
        for candidate, is_own in ((own, True), (mutation(own), False)):
            ok = valid(candidate)
            # Other values may satisfy the schema without being what a generator writes: members in another order.
            if not ok or is_own and written(candidate):
                style = compact if chance(50) else {"ensure_ascii": False, "indent": rng.choice([None, 2, 4, "\t"])}
                spelled = json.dumps(candidate, **style)
                questions.append(Question(drawn, {"text": spelled}, "valid" if ok else "invalid", spelled))

lines = "".join(json.dumps({"schema": q.schema, **q.request}) + "\n" for q in questions)
answers = subprocess.run([infer, "debug", "grammar"], input=lines.encode(), stdout=subprocess.PIPE, check=True).stdout
answers = [json.loads(line) for line in answers.decode().splitlines()]
assert len(answers) == len(questions), "an answer is missing"

faults = 0
tally = collections.Counter()


def fault(question, what):
    global faults
    faults += 1
    if faults <= 10:
        print(f"{what}\n  schema {json.dumps(question.schema, ensure_ascii=False)}", file=sys.stderr)


for question, answer in zip(questions, answers):
    if "error" in answer:
        # The generator draws from the supported subset: only schemas without any value may be refused.
        if "no text can satisfy" not in answer["error"]:
            fault(question, answer["error"])
        elif question.kind == "valid":
            fault(question, f"said to have no value, but {question.detail} is one")
        tally["unsatisfiable"] += question.kind == "samples"
    elif question.kind == "samples":
        for sample in answer["texts"]:
            if '"0000-' in sample:
                continue  # A date by RFC 3339, but Python has no year 0.
            tally["samples"] += 1
            try:
                # A whole number is an integer however long its digits are.
                ok = question.detail(json.loads(sample))
            except (ValueError, OverflowError) as error:
                ok = False
                sample += f" ({error})"
            if not ok:
                fault(question, f"generated, but not valid: {sample}")
    else:
        tally[question.kind] += 1
        if answer["accepted"] != (question.kind == "valid"):
            fault(question, f"{question.kind}, but accepted is {answer['accepted']}: {question.detail}")

print(", ".join(f"{number} {name}" for name, number in sorted(tally.items())) + f", {faults} faults")
# A run that tried nothing proves nothing.
assert tally["samples"] > count and tally["valid"] > count and tally["invalid"] > count, "too little was tried"
sys.exit(1 if faults else 0)
