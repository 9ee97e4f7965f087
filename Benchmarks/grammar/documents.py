"""Prints the documents of the grammar benchmark as JSON lines: a schema or grammar each, and a text that satisfies it.

    python3 documents.py > documents.jsonl
"""

import json
import random

PROSE = (
    "The river rises in the hills above the town and runs south for forty miles, past mills and orchards, before it "
    "meets the sea. Its banks were settled early: there are traces of a ferry, two bridges and a market. "
)
JSON_GBNF = r'''
root   ::= object
value  ::= object | array | string | number | ("true" | "false" | "null") ws
object ::= "{" ws ( string ":" ws value ("," ws string ":" ws value)* )? "}" ws
array  ::= "[" ws ( value ("," ws value)* )? "]" ws
string ::= "\"" ( [^"\\\x7F\x00-\x1F] | "\\" (["\\bfnrt] | "u" [0-9a-fA-F]{4}) )* "\"" ws
number ::= ("-"? ([0-9] | [1-9] [0-9]{0,15})) ("." [0-9]+)? ([eE] [-+]? [0-9] [1-9]{0,15})? ws
ws ::= | " " | "\n" [ \t]{0,20}
'''


def closed(**properties):
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def text(**more):
    return {"type": "string", **more}


def main():
    generator = random.Random(1)

    def show(name, value, schema=None, gbnf=None, indent=None):
        line = {"name": name, "text": value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=indent)}
        line |= {"gbnf": gbnf} if gbnf else {"schema": schema}
        print(json.dumps(line, ensure_ascii=False))

    weather = closed(location=text(), unit={"enum": ["celsius", "fahrenheit"]}, days={"type": "integer", "minimum": 1, "maximum": 14})
    show("tool call", {"location": "Zürich, Switzerland", "unit": "celsius", "days": 12}, weather)

    person = closed(
        name=text(), age={"type": ["integer", "null"]}, email=text(format="email"), born=text(format="date"),
        roles={"type": "array", "items": {"enum": ["ceo", "cto", "engineer", "other"]}},
    )
    people = closed(people={"type": "array", "items": person}, summary=text(maxLength=400))
    value = {
        "people": [
            {"name": name, "age": age, "email": f"person{age}@example.com", "born": born, "roles": roles}
            for name, age, born, roles in [
                ("Ann Marsh", 41, "1984-02-29", ["ceo", "other"]), ("Bob O'Neil", None, "1999-12-31", []),
                ("Łucja Nowak", 27, "1998-07-04", ["engineer"]), ("山田 太郎", 63, "1962-01-15", ["cto"]),
            ]
        ],
        "summary": PROSE[:150],
    }
    show("extraction", value, people)
    show("extraction, indented", value, people, indent=2)

    show("long text", {"reasoning": PROSE * 4, "answer": 42}, closed(reasoning=text(minLength=1), answer={"type": "integer"}))
    show("text of bounded length", {"title": PROSE[:60], "body": PROSE[:380]}, closed(title=text(maxLength=80), body=text(minLength=100, maxLength=400)))
    show("text in other scripts", {"text": "東京は日本の首都です。人口は約千四百万人。" * 4 + "Это предложение написано по-русски. " * 4}, closed(text=text()))
    show("code in a string", {"code": "def f(x):\n    return {\"a\": [x, '\\\\']}\n\nprint(f(1))\n" * 3}, closed(code=text()))
    show("patterns", {"id": "AB-" + "7" * 12, "slug": "a-river-in-the-hills-above-the-town", "color": "#00ff7f"},
         closed(id=text(pattern="^[A-Z]{2}-[0-9]{1,20}$"), slug=text(pattern="^[a-z0-9-]{1,64}$"), color=text(pattern="^#[0-9a-f]{6}$")))
    show("numbers", {"values": [round(generator.uniform(-1, 1), 6) for _ in range(40)]},
         closed(values={"type": "array", "items": {"type": "number", "minimum": -1, "maximum": 1}, "maxItems": 64}))

    node = {"$ref": "#/$defs/node"}
    tree = closed(name=text(), children={"type": "array", "items": node}) | {"title": "node"}

    def grow(depth):
        return {"name": f"node {generator.randint(0, 999)}", "children": [grow(depth - 1) for _ in range(2 if depth else 0)]}

    show("tree", grow(4), {"$ref": "#/$defs/node", "$defs": {"node": tree}})
    optional = {f"option_{generator.randint(0, 9999)}_{index}": {"type": ["string", "integer", "boolean", "null"]} for index in range(100)}
    keys = list(optional)
    show("hundred options", {key: generator.choice([1, "x", True, None]) for key in keys[::7]},
         {"type": "object", "properties": optional, "additionalProperties": False})
    cities = [f"{generator.choice('ABCDEFGH')}{generator.choice(['ville', 'burg', 'stadt', 'mouth'])} {index}" for index in range(1000)]
    show("thousand values", {"cities": generator.sample(cities, 20)}, closed(cities={"type": "array", "items": {"enum": cities}}))
    tools = {"anyOf": [closed(name={"const": f"tool_{index}"}, arguments=closed(query=text(), limit={"type": "integer"})) for index in range(30)]}
    show("thirty tools", {"name": "tool_17", "arguments": {"query": "orchards near the river", "limit": 10}}, tools)
    free = {"a": [1, 2.5e3, {"b": None, "c": [True, False, "x\ty", []]}], "größe": {"nested": {"deep": [[["end"]]]}}}
    show("any JSON", free, {})
    show("any JSON, indented", free, {"type": "object"}, indent=4)
    show("json.gbnf", free, gbnf=JSON_GBNF.strip())
    show("prose", PROSE * 3, gbnf='root ::= [^#]+')


main()
