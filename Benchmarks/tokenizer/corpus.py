"""Makes the text that the tokenizer benchmark encodes: English prose, code and Chinese, the same on every run.

    python3 corpus.py BYTES > corpus.txt
"""

import random
import sys

SYLLABLES = "ba be ca co da de en er fa fi go ha in ka la le lo ma me mi na ne no or pa pe ra re ri ro sa se si so ta te ti to un va ve".split()
ENDINGS = ["", "", "", "", "s", "ed", "ing", "er", "ly", "tion", "ness"]
COMMON = (
    "the of and to in a is that it for was on are as with his they at be this from have or by one had not but what "
    "all were when we there can an your which their said if do will each about how up out them then she many some so "
    "these would other into has more her two like him see time could no make than first been its who now people my"
).split()
HAN = "的一是不了在人有我他这中大来上个国和也子时道说出而要于就下得可你年生自会那后能对着事其里所去行过家十用发天如然作方成者多日都三小军二无同么经法当起与好看学进种将还分此心前面又定见只主没公从"


def words(random):
    """A vocabulary of made-up words; rare ones are longer."""
    rare = []
    for _ in range(6000):
        rare.append("".join(random.choices(SYLLABLES, k=random.randint(2, 4))) + random.choice(ENDINGS))
    return rare


def sentence(random, rare):
    parts = []
    for index in range(random.randint(5, 22)):
        word = random.choice(COMMON) if random.random() < 0.55 else rare[int(len(rare) * random.random() ** 3)]
        if index == 0 or random.random() < 0.03:
            word = word.capitalize()
        if random.random() < 0.03:
            word = str(random.randint(0, 99999))
        if random.random() < 0.02:
            word += random.choice(["'s", "'t", "'ll", "'re"])
        parts.append(word + ("," if random.random() < 0.08 else ""))
    return " ".join(parts) + random.choice([".", ".", ".", "?", "!", ";"])


def prose(random, rare):
    return " ".join(sentence(random, rare) for _ in range(random.randint(3, 8))) + "\n\n"


def code(random, rare):
    name = "_".join(random.sample(rare, 2))
    lines = [f"def {name}({', '.join(random.sample(rare, 3))}):"]
    depth = 1
    for _ in range(random.randint(4, 16)):
        pad = "    " * depth
        first, second, third = random.sample(rare, 3)
        kind = random.random()
        if kind < 0.3:
            lines.append(f"{pad}{first} = {second}[{random.randint(0, 64)}] + {third}({random.random():.4f})")
        elif kind < 0.5 and depth < 4:
            lines.append(f"{pad}if {first} != {second} and not {third}.{random.choice(rare)}():")
            depth += 1
        elif kind < 0.7:
            lines.append(f'{pad}print(f"{first}: {{{second}!r:>{random.randint(4, 20)}}}")  # {sentence(random, rare)}')
        elif kind < 0.85 and depth > 1:
            depth -= 1
            lines.append(f"{pad}return {{\"{first}\": {second}, \"{third}\": [{random.randint(0, 9999)}, None, True]}}")
        else:
            lines.append(f"{pad}{first}({second}=0x{random.getrandbits(32):08x}, {third}=\"{random.choice(rare)}\\n\")")
    return "\n".join(lines) + "\n\n"


def chinese(random, rare):
    text = ""
    for _ in range(random.randint(3, 9)):
        text += "".join(HAN[int(len(HAN) * random.random() ** 2)] for _ in range(random.randint(4, 18)))
        text += random.choice("，，，。！？")
    return text + "\n"


def main():
    size = int(sys.argv[1]) if len(sys.argv) > 1 else 2_000_000
    generator = random.Random(1)
    rare = words(generator)
    total = 0
    while total < size:
        make = generator.choices([prose, code, chinese], [5, 3, 2])[0]
        text = make(generator, rare)
        total += len(text.encode())
        sys.stdout.write(text)


main()
