"""Byte-pair, Unigram and sentencepiece tokenizers of the golden folder, trained on a few words so that they stay small. Used by generate.py."""

import base64
import io
import json
import tempfile

import sentencepiece
from sentencepiece import sentencepiece_model_pb2
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


def metaspace(scheme, split=True):
    return {"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": split}


RULES = [("ﬁ", "fi"), ("½", "1/2"), ("\t", " "), ("\r", " "), ("\u0301", ""), ("e\u0301", "é"), ("①", "1"), ("\u212b", "Å"), ("\u200b", " ")]


def pieces_model(kind):
    """A model file of sentencepiece, with a table of a few replacements instead of its large one."""
    with tempfile.TemporaryDirectory() as folder:
        with open(f"{folder}/rules.tsv", "w", encoding="utf-8", newline="\n") as file:
            for source, target in RULES:
                file.write("\t".join(" ".join(f"{ord(c):X}" for c in text) for text in (source, target)) + "\n")
        out = io.BytesIO()
        t5 = {"pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1} if kind == "unigram" else {"byte_fallback": True}
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(CORPUS * 3), model_writer=out, model_type=kind, vocab_size=60 if kind == "unigram" else 340,
            normalization_rule_tsv=f"{folder}/rules.tsv", minloglevel=2, hard_vocab_limit=False, character_coverage=0.98, **t5)
        return out.getvalue()


def write_pieces(file, kind):
    with open(file, "wb") as out:
        out.write(pieces_model(kind))


def charsmap():
    proto = sentencepiece_model_pb2.ModelProto.FromString(pieces_model("unigram"))
    return {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(proto.normalizer_spec.precompiled_charsmap).decode()}


def unigram(normalizer, pre_tokenizer, more=(), **model):
    """Words and letters with scores that fall with their length; '<unk>' is 2."""
    tokens = ["<pad>", "</s>", "<unk>", *more, "▁", "▁the", "▁film", "film", "ing", "▁was", "▁go", "od", "ed", "▁a", "an",
              "▁ba", "ïve", "▁na", "caf", "日本", "中", "...", "1", "2", "/", "fi", *"abcdefghilmnorstuwxyéT,.!'"]
    vocabulary = [[token, 0.0 if i < 3 + len(more) else -3.0 - 0.37 * (i % 11) - 1.5 / len(token)] for i, token in enumerate(tokens)]
    return {"version": "1.0", "added_tokens": [
                {"id": i, "content": token, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
                for i, token in enumerate(tokens[:3])],
            "normalizer": normalizer, "pre_tokenizer": pre_tokenizer, "post_processor": None,
            "decoder": {"type": "Sequence", "decoders": [{"type": "ByteFallback"}, metaspace("always")]},
            "model": {"type": "Unigram", "unk_id": 2, "vocab": vocabulary, **model}}


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
        "opt": (write_vocabulary_and_merges, OPT),
        "unigram": (unigram({"type": "Sequence", "normalizers": [charsmap(), {"type": "NFKC"}]}, metaspace("always")), FAST),
        "unigram_bytes": (unigram(None, metaspace("first", split=False), BYTES, byte_fallback=True), FAST),
        "unigram_old": (unigram(None, sequence({"type": "WhitespaceSplit"}, {"type": "Metaspace", "replacement": "▁",
                                                                           "add_prefix_space": True})), FAST),
        "t5_model": (lambda name: write_pieces(f"{name}/spiece.model", "unigram"),
                     {"tokenizer_class": "T5Tokenizer", "extra_ids": 3, "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}),
        "llama_model": (lambda name: write_pieces(f"{name}/tokenizer.model", "bpe"), {"tokenizer_class": "LlamaTokenizer"}),
        "llama_model_new": (lambda name: write_pieces(f"{name}/tokenizer.model", "bpe"),
                            {"tokenizer_class": "LlamaTokenizer", "legacy": False, "add_eos_token": True}),
    }


def write_vocabulary_and_merges(folder):
    model = bpe(byte_level(regex=True))["model"]
    with open(f"{folder}/vocab.json", "w", encoding="utf-8") as file:
        json.dump(model["vocab"], file, ensure_ascii=False)
    with open(f"{folder}/merges.txt", "w", encoding="utf-8") as file:
        file.write("#version: 0.2\n" + "".join(" ".join(merge) + "\n" for merge in model["merges"]))
