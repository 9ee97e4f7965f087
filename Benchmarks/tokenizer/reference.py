"""The tokenizer of a GGUF vocabulary, rebuilt for Hugging Face `tokenizers`.

Only what a GGUF file holds is used, and the expressions of the models' own `tokenizer.json`.
"""

import gguf
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

GPT2 = r"""'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""
CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
SPACES = r"\s*[\r\n]+|\s+(?!\S)|\s+"
UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
NOT_HAN = r"&&[^\p{Han}]]"


def words(digits):
    return rf"{CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|{digits}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|{SPACES}"


def cased(digits, suffix, upper=UPPER, lower=LOWER, signs=r" ?[^\s\p{L}\p{N}]+[\r\n/]*"):
    prefix = r"[^\r\n\p{L}\p{N}]?"
    return rf"{prefix}{upper}*{lower}+{suffix}|{prefix}{upper}+{lower}*{suffix}|{digits}|{signs}|{SPACES}"


DEEPSEEK_WORDS = (
    r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"""
    r"""| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"""
)

# Pre-tokenizer name: expressions, one after the other.
EXPRESSIONS = {
    "gpt-2": [GPT2],
    "olmo": [GPT2],
    "refact": [r"\p{N}", GPT2],
    "smollm": [r"\p{N}", GPT2],
    "command-r": [r"\p{N}", GPT2],
    "llama-bpe": [words(r"\p{N}{1,3}")],
    "dbrx": [words(r"\p{N}{1,3}")],
    "glm4": [words(r"\p{N}{1,3}")],
    "qwen2": [words(r"\p{N}")],
    "hunyuan": [words(r"\p{N}")],
    "qwen35": [
        rf"{CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?[\p{{L}}\p{{M}}]+|\p{{N}}"
        rf"| ?[^\s\p{{L}}\p{{M}}\p{{N}}]+[\r\n]*|{SPACES}"
    ],
    "deepseek-coder": [r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", r"[一-龥ࠀ-一가-퟿]+", r"\p{N}"],
    "deepseek-v3": [r"\p{N}{1,3}", r"[一-龥぀-ゟ゠-ヿ]+", DEEPSEEK_WORDS],
    "gpt-4o": [cased(r"\p{N}{1,3}", CONTRACTIONS + "?")],
    "minimax-m2": [cased(r"\p{N}{1,3}", CONTRACTIONS + "?")],
    "tekken": [cased(r"\p{N}", "")],
    "kimi-k2": [
        r"[\p{Han}]+|"
        + cased(
            r"\p{N}{1,3}",
            CONTRACTIONS + "?",
            r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}" + NOT_HAN,
            r"[\p{Ll}\p{Lm}\p{Lo}\p{M}" + NOT_HAN,
            r" ?[^\s\p{L}\p{N}]+[\r\n]*",
        )
    ],
    "seed-coder": [
        rf"{CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{{1}}| ?[^\s\p{{L}}\p{{N}}\r\n]+|{SPACES}"
    ],
    "bailingmoe": [
        r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"
    ],
}
COMPOSED = {"qwen2", "qwen35", "olmo", "command-r"}
WHOLE_WORDS = {"llama-bpe", "tekken"}


def strings(field):
    return [bytes(field.parts[index]).decode("utf-8") for index in field.data]


def build(path, pre=None):
    """The tokenizer of the file, without special tokens; with another pre-tokenizer if `pre` names one."""
    fields = gguf.GGUFReader(path).fields
    pre = pre or fields["tokenizer.ggml.pre"].contents()
    vocabulary = {token: index for index, token in enumerate(strings(fields["tokenizer.ggml.tokens"]))}
    merges = [tuple(merge.split(" ", 1)) for merge in strings(fields["tokenizer.ggml.merges"])]
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, ignore_merges=pre in WHOLE_WORDS))
    if pre in COMPOSED:
        tokenizer.normalizer = normalizers.NFC()
    splits = [pre_tokenizers.Split(Regex(expression), "isolated") for expression in EXPRESSIONS[pre]]
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(splits + [byte_level])
    return tokenizer
