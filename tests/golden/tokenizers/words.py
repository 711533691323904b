"""Byte-pair tokenizers of the golden folder, trained on a few words so that they stay small. Used by generate.py."""

import json

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
QWEN2 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
         r"|\s+(?!\S)|\s+")
LLAMA3 = QWEN2.replace(r"|\p{N}|", r"|\p{N}{1,3}|")
CAMEL = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|\p{N}"
         r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
CORPUS = ["the film was good, the actors weren't bad at all", "They'll say it isn't a NAÏVE café film in 2024!",
          "naïve 中文 字 日本語 the the film\n\n  films filming filmed", "1234567 12 345 it's I'm we've DON'T"] * 3


def byte_level(space=False, regex=False):
    return {"type": "ByteLevel", "add_prefix_space": space, "trim_offsets": True, "use_regex": regex}


def split(pattern, behavior="Isolated", invert=False, kind="Regex"):
    return {"type": "Split", "pattern": {kind: pattern}, "behavior": behavior, "invert": invert}


def sequence(*steps):
    return {"type": "Sequence", "pretokenizers": list(steps)}


def bpe(pre_tokenizer, size=330, special=("<s>", "</s>", "<unk>"), alphabet=True, **fields):
    """A tokenizer.json: pre_tokenizer trains it and is in it, unless `fields` say otherwise."""
    model = {name: fields.pop(name) for name in list(fields)
             if name in ("unk_token", "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk", "byte_fallback")}
    tokenizer = Tokenizer(models.BPE(**model))
    tokenizer.pre_tokenizer = Tokenizer.from_str(json.dumps({"version": "1.0", "added_tokens": [], "pre_tokenizer": pre_tokenizer,
                                                               "model": {"type": "BPE", "vocab": {}, "merges": []}})).pre_tokenizer
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=list(special), show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet() if alphabet else [])
    tokenizer.train_from_iterator(CORPUS, trainer)
    made = json.loads(tokenizer.to_str())
    made["added_tokens"] = made["added_tokens"][:3]
    made["model"].update(fields.pop("model", {}))
    made["decoder"] = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}
    return made | fields


def around(token, number):
    piece = {"SpecialToken": {"id": token, "type_id": 0}}
    a, b = ({"Sequence": {"id": letter, "type_id": kind}} for letter, kind in (("A", 0), ("B", 1)))
    return {"type": "TemplateProcessing", "single": [piece, a], "pair": [piece, a, piece, b],
            "special_tokens": {token: {"id": token, "ids": [number], "tokens": [token]}}}


BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
FAST = {"tokenizer_class": "PreTrainedTokenizerFast"}
OPT = {"tokenizer_class": "GPT2Tokenizer", "add_bos_token": True, "unk_token": "</s>", "bos_token": "</s>", "eos_token": "</s>"}
LLAMA2 = {"tokenizer_class": "LlamaTokenizer", "add_eos_token": True, "legacy": True, "additional_special_tokens": ["<extra>"],
          "added_tokens_decoder": {"2": {"content": "<unk>", "lstrip": False, "rstrip": True, "normalized": False,
                                         "single_word": False, "special": True}}}


def llama2():
    made = bpe(split("▁", "MergedWithNext", kind="String"), 330, ("<s>", "</s>", "<unk>", *BYTES), False,
               unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    return made | {"pre_tokenizer": None,
                   "normalizer": {"type": "Sequence", "normalizers": [
                       {"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]},
                   "decoder": {"type": "Sequence", "decoders": [
                       {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"},
                       {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]}}


def with_text_merges(made):  # as files were before 2024
    made["model"]["merges"] = [" ".join(merge) for merge in made["model"]["merges"]]
    return made


def folders():
    return {
        "gpt2": (with_text_merges(bpe(byte_level(regex=True), post_processor={"type": "ByteLevel", "trim_offsets": False,
                                                                              "add_prefix_space": True, "use_regex": True})), FAST),
        "roberta": (bpe(byte_level(True, True), post_processor={"type": "RobertaProcessing", "sep": ["</s>", 1], "cls": ["<s>", 0],
                                                                "trim_offsets": True, "add_prefix_space": True}),
                    FAST | {"add_prefix_space": True}),
        "llama3": (bpe(sequence(split(LLAMA3), byte_level()), model={"ignore_merges": True}, post_processor={
            "type": "Sequence", "processors": [{"type": "ByteLevel", "trim_offsets": True, "add_prefix_space": True,
                                                "use_regex": True}, around("<s>", 0)]}), FAST),
        "qwen2": (bpe(sequence(split(QWEN2), byte_level()), normalizer={"type": "NFC"}), FAST),
        "smollm": (bpe(sequence({"type": "Digits", "individual_digits": True}, byte_level(regex=True))), FAST),
        "camel": (bpe(sequence(split(CAMEL), byte_level())), FAST | {"clean_up_tokenization_spaces": True}),
        "llama2": (llama2(), LLAMA2),
        "suffix": (bpe(sequence({"type": "WhitespaceSplit"}, {"type": "Punctuation", "behavior": "MergedWithPrevious"}), 150,
                       alphabet=False, unk_token="<unk>", end_of_word_suffix="</w>",
                       normalizer={"type": "Sequence", "normalizers": [
                           {"type": "Nmt"}, {"type": "Strip", "strip_left": True, "strip_right": True},
                           {"type": "Replace", "pattern": {"Regex": "[aeiou]{2,}"}, "content": "o"}]},
                       decoder={"type": "BPEDecoder", "suffix": "</w>"}), FAST),
        "prefix": (bpe(sequence({"type": "Whitespace"}, split("the", "MergedWithNext", kind="String"),
                                {"type": "Punctuation", "behavior": "Contiguous"}), 150, alphabet=False, unk_token="<unk>",
                       fuse_unk=True, continuing_subword_prefix="##", decoder={"type": "WordPiece", "prefix": "##", "cleanup": True}), FAST),
        "splits": (bpe(sequence({"type": "CharDelimiterSplit", "delimiter": "x"}, split(r"\s+", "Removed"),
                                split(r"[^\w]", "MergedWithNext"), split("[a-f]+", "Contiguous", True), split("(?=e)|i*"),
                                byte_level())), FAST),
        "opt": (None, OPT),
    }


def write_vocabulary_and_merges(folder):
    model = bpe(byte_level(regex=True))["model"]
    with open(f"{folder}/vocab.json", "w", encoding="utf-8") as file:
        json.dump(model["vocab"], file, ensure_ascii=False)
    with open(f"{folder}/merges.txt", "w", encoding="utf-8") as file:
        file.write("#version: 0.2\n" + "".join(" ".join(merge) + "\n" for merge in model["merges"]))
