"""The training text: an endless stream of documents drawn from a seed.

    python corpus.py --seed 7 --count 20        prints documents, to look at them
"""

import argparse
import random

from dialogues import (bare_sums, dialogue, fact_exchange, render, story_exchange, sum_exchange, talk_exchange, tool_dialogue)
from stories import story

END = "<|endoftext|>"

# Kinds of document and how often each is drawn, from a step on. By tokens, sums are a third of the first mixture: digits
# are learnt fast and teach to copy. Stories, where names have to be kept apart, take longer: two thirds of the second
# mixture and more than three quarters of the third.
KINDS = ("story", "stories", "chat story", "sum", "bare sums", "fact", "talk", "tool")
MIXTURES = [(0, (13, 1.5, 6, 44, 15, 10, 6, 6)), (750, (24, 2.5, 12, 32, 9, 10, 6, 6)), (1475, (30, 1, 20, 30, 6, 10, 6, 4))]


def mixture(step):
    """The weights of `KINDS` at a training step."""
    return [weights for start, weights in MIXTURES if start <= step][-1]


def prose(rng):
    """A story, sometimes under its title."""
    text, title, _ = story(rng)
    return f"{title}\n{text}" if rng.random() < 0.1 else text


def document(rng, weights=mixture(0)):
    """One document as text with its chat markup, without the end token."""
    kind = rng.choices(KINDS, weights)[0]
    if kind == "story":
        return prose(rng)
    if kind == "stories":
        return "\n\n".join(prose(rng) for _ in range(2))
    if kind == "bare sums":
        return bare_sums(rng)
    if kind == "tool":
        return render(*tool_dialogue(rng))
    first = {"chat story": story_exchange, "sum": sum_exchange, "fact": fact_exchange, "talk": talk_exchange}[kind]
    return render(*dialogue(rng, first))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=10)
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    for _ in range(arguments.count):
        print(document(rng) + END)


if __name__ == "__main__":
    main()
