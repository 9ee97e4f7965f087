"""The training text: an endless stream of documents drawn from a seed.

    python corpus.py --seed 7 --count 20        prints documents, to look at them
"""

import argparse
import random

from dialogues import (bare_sums, dialogue, fact_exchange, render, story_exchange, sum_exchange, talk_exchange, tool_dialogue)
from stories import story

END = "<|endoftext|>"

# Kinds of document and how often each is drawn. By tokens, sums are a third of the first mixture and stories a bit more:
# digits are learnt fast and teach to copy. Stories, where names have to be kept apart, are two thirds of the second.
FIRST_MIXTURE = {"story": 13, "stories": 1.5, "chat story": 6, "sum": 44, "bare sums": 15, "fact": 10, "talk": 6, "tool": 6}
SECOND_MIXTURE = {"story": 24, "stories": 2.5, "chat story": 12, "sum": 32, "bare sums": 9, "fact": 10, "talk": 6, "tool": 6}


def prose(rng):
    """A story, sometimes under its title."""
    text, title, _ = story(rng)
    return f"{title}\n{text}" if rng.random() < 0.1 else text


def document(rng, mixture=FIRST_MIXTURE):
    """One document as text with its chat markup, without the end token."""
    kind = rng.choices(list(mixture), list(mixture.values()))[0]
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
