"""Writes this folder: small tokenizers (WordPiece here, the others in words.py) and what Hugging Face makes of odd texts with them.

    python generate.py        (tokenizers 0.22.2, transformers 4.57.6)

<name>/            a model folder's tokenizer files
<name>/cases.json  [text, pair or null, max_length, ids, type_ids, decoded, decoded with specials]
characters.json    for every component a hash of what it makes of each code point, by blocks of 4096
"""

import json
import os
import random

from tokenizers import Tokenizer, normalizers, pre_tokenizers
from transformers import AutoTokenizer

import words

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = "the film was good bad act ##ing ##ed un ##able don ' t isn caf café naive naïve the ##re".split()
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789éÉüßıİσςΣΩçñøæœ\u0301\u0307\u0327" \
          "中文字㐀豈日本かナカ한글각ᄒ\u1161а\u0436ЖЯאبกक\u094d😀👍\u200d\u2019ﬁfi\U00020000\U0002b820\U0002b920"
SYMBOLS = ".,!?-_$+#@(){}&\u3002\u00bf\u2014\u2026\u20ac\u166d\U000111c9~`"
TEXTS = [
    "", " ", "The film was good, un-acting & unable!", "don't   isn't\tNaïve café\r\nCAFÉ",
    "İstanbul ISTANBUL ıİ Straße GROẞE ΟΔΟΣ οδος ΣΑΣ", "中文字a日本b한글 각 한 豈㐀", "e\u0301\u0327 e\u0327\u0301 \u1e09 ḉ Å",
    "\x00a\x01b\u200bc\ufffdd\x7fe\x85f\u2028g\u3000h\xadi\ufeffj", "[CLS] [SEP][MASK] the[PAD] [UNK]x", "😀👍🏽❤️👩\u200d👩 🇩🇪",
    "aaaaaaaaaaaaaaaaaaaaaaaaaa" * 8, "é" * 100, "é" * 101, "ﬁlm ﬃ ① Ⅷ ｶﾅ ½ ㍻ ㋿", "x\U00020000\U0002b820y\U0002b920z",
    "\u166d\U000111c9a\u0890b\u1734c\ua9bdd\u1885", "##ing #ed the##re", "a" + "\u0301\u0315\u0327\u0323" * 4 + "b",
    "<new>the<new> <word>the <word> word<word>", "xx NORM norm  Norm y", "  <left>  <right>  <both>  <left><right>", "<l><left>\u3000<right>\xa0z",
    "the film the film the film the film was good bad good", "$5+3=8 a_b c-d (x){y}~`", "กก क् א ب а Ж",
]
TEMPLATE = {
    "type": "TemplateProcessing",
    "single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
               {"SpecialToken": {"id": "[SEP]", "type_id": 0}}],
    "pair": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
             {"SpecialToken": {"id": "[SEP]", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}},
             {"SpecialToken": {"id": "[SEP]", "type_id": 1}}],
    "special_tokens": {t: {"id": t, "ids": [i], "tokens": [t]} for i, t in enumerate(SPECIAL) if t in ("[CLS]", "[SEP]")},
}


def bert(clean=True, chinese=True, accents=None, lower=True):
    return {"type": "BertNormalizer", "clean_text": clean, "handle_chinese_chars": chinese,
            "strip_accents": accents, "lowercase": lower}


def added(content, number, special=False, **flags):
    token = {"id": number, "content": content, "single_word": False, "lstrip": False, "rstrip": False,
             "normalized": not special, "special": special}
    return token | flags


def vocabulary(prefix="##"):
    tokens = SPECIAL + [w.replace("##", prefix) for w in WORDS] + list(SYMBOLS)
    for letter in LETTERS:
        tokens += [letter, prefix + letter]
    return {token: i for i, token in enumerate(dict.fromkeys(tokens))}


def pipeline(normalizer, pre_tokenizer={"type": "BertPreTokenizer"}, post=TEMPLATE, prefix="##", characters=100, more=()):
    vocab = vocabulary(prefix)
    tokens = [added(t, i, special=True) for i, t in enumerate(SPECIAL)]
    tokens += [added(content, len(vocab) + i, **flags) for i, (content, flags) in enumerate(more)]
    return {
        "version": "1.0",
        "truncation": {"max_length": 6, "strategy": "LongestFirst", "stride": 0, "direction": "Right"},  # to be ignored
        "padding": {"strategy": {"Fixed": 6}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0,
                    "pad_type_id": 0, "pad_token": "[PAD]"},
        "added_tokens": tokens, "normalizer": normalizer, "pre_tokenizer": pre_tokenizer, "post_processor": post,
        "decoder": {"type": "WordPiece", "prefix": prefix, "cleanup": True},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": prefix,
                  "max_input_chars_per_word": characters, "vocab": vocab},
    }


FLAGGED = [("<new>", {}), ("<left>", {"lstrip": True}), ("<right>", {"rstrip": True, "special": True}),
           ("<both>", {"lstrip": True, "rstrip": True}), ("<word>", {"single_word": True}), ("<l", {}),
           ("NORM", {"normalized": True}), ("norm  x", {"normalized": False})]
FAST = {"tokenizer_class": "PreTrainedTokenizerFast"}
FOLDERS = {  # name: (tokenizer.json or None for vocab.txt, tokenizer_config.json)
    "uncased": (pipeline(bert()), FAST),
    "cased": (pipeline(bert(lower=False), characters=20,
                       post={"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]}), FAST),
    "accents_kept": (pipeline(bert(clean=False, chinese=False, accents=False)), FAST),
    "added": (pipeline(bert(), more=FLAGGED), FAST | {"clean_up_tokenization_spaces": True}),
    "forms": (pipeline({"type": "Sequence", "normalizers": [
        {"type": "NFKC"}, {"type": "Replace", "pattern": {"String": "ing"}, "content": "ed"}, {"type": "Lowercase"}]},
        {"type": "Whitespace"}, post=None), FAST),
    "stripped": (pipeline({"type": "Sequence", "normalizers": [{"type": "NFD"}, {"type": "StripAccents"}, {"type": "NFC"}]},
                          {"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, {"type": "BertPreTokenizer"}]},
                          prefix="@@"), FAST),
    "overridden": (pipeline(bert()), {"tokenizer_class": "BertTokenizer", "do_lower_case": False, "strip_accents": True,
                                      "truncation_side": "left", "model_max_length": 64}),
    "vocab_txt": (None, {"tokenizer_class": "BertTokenizer", "do_lower_case": False, "strip_accents": True,
                         "tokenize_chinese_chars": False, "cls_token": "[MASK]", "mask_token": {"content": "[CLS]", "__type": "AddedToken"},
                         "model_max_length": 1000000000000000019884624838656}),
}


def write(name, content, indent=None):
    with open(name, "w", encoding="utf-8", newline="\n") as file:
        if isinstance(content, str):
            file.write(content)
        else:
            json.dump(content, file, ensure_ascii=False, indent=indent)
            file.write("\n")


def random_texts(rng, count):
    tokens = [token.removeprefix("##") for token in vocabulary()] + [" "] * 60
    return ["".join(rng.choice(tokens) for _ in range(rng.randrange(1, 20))) for _ in range(count)]


def cases(folder, rng):
    slow = os.path.exists(f"{folder}/spiece.model") or os.path.exists(f"{folder}/tokenizer.model")
    tokenizer = AutoTokenizer.from_pretrained(folder, use_fast=not slow)
    tokenizer.model_input_names = ["input_ids", "token_type_ids"]
    least = max(1, tokenizer.num_special_tokens_to_add(pair=True))
    texts = TEXTS + random_texts(rng, 25)
    rows = [(text, None, 1000) for text in texts]
    rows += [(rng.choice(texts), rng.choice(texts), rng.choice([least, 5, 8, 13, 1000])) for _ in range(12)]
    rows += [("a b c d e f", pair, length) for pair in (None, "g h i", "g h i j k l m", "") for length in range(least, 9)]
    found = []
    for text, pair, length in rows:
        row = tokenizer([text], None if pair is None else [pair], truncation="longest_first", max_length=length, padding=False)
        ids = row["input_ids"][0]
        found.append([text, pair, length, ids, row["token_type_ids"][0], tokenizer.decode(ids, skip_special_tokens=True),
                      tokenizer.decode(ids)])
    return found


def fnv(text):
    value = 0xCBF29CE484222325
    for byte in text.encode():
        value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return f"{value:016x}"


COMPONENTS = [bert(), bert(lower=False, accents=True), bert(accents=False), bert(clean=False, chinese=False, accents=False, lower=False),
              {"type": "Lowercase"}, {"type": "StripAccents"}, {"type": "NFC"}, {"type": "NFD"}, {"type": "NFKC"}, {"type": "NFKD"},
              {"type": "BertPreTokenizer"}, {"type": "WhitespaceSplit"}, {"type": "Nmt"}, {"type": "Whitespace"},
              {"type": "Digits", "individual_digits": True}, {"type": "Punctuation", "behavior": "MergedWithNext"},
              {"type": "Split", "pattern": {"Regex": words.QWEN2}, "behavior": "Isolated", "invert": False}]
NORMALIZERS = {"BertNormalizer", "Lowercase", "StripAccents", "NFC", "NFD", "NFKC", "NFKD", "Nmt"}


def made_by(component):
    tokenizer = pipeline(None, None)
    key = "normalizer" if component["type"] in NORMALIZERS else "pre_tokenizer"
    backend = Tokenizer.from_str(json.dumps(tokenizer | {key: component}))
    if key == "normalizer":
        return lambda text: backend.normalizer.normalize_str(text)
    return lambda text: "|".join(piece for piece, _ in backend.pre_tokenizer.pre_tokenize_str(text))


def characters():
    result = []
    for component in COMPONENTS:
        make = made_by(component)
        blocks = []
        for block in range(0, 0x110000, 0x1000):
            codes = (code for code in range(block, block + 0x1000) if not 0xD800 <= code < 0xE000)
            blocks.append(fnv("\n".join(make(f"aB{chr(code)}\u0315\u0327c") for code in codes))[:8])
        result.append({"component": component, "blocks": " ".join(blocks)})
    return result


def main():
    os.chdir(os.path.dirname(os.path.abspath(__file__)))
    rng = random.Random(1)
    made_of_words = words.folders()
    for name, (tokenizer, config) in (FOLDERS | made_of_words).items():
        if name in made_of_words:
            rng = random.Random(name)
        os.makedirs(name, exist_ok=True)
        write(f"{name}/tokenizer_config.json", config)
        if callable(tokenizer):
            tokenizer(name)
        elif tokenizer is None:
            lines = list(vocabulary())
            write(f"{name}/vocab.txt", "\r\n".join(lines[:40] + ["the"] + lines[40:]) + "\r\n")  # "the" twice
        else:
            write(f"{name}/tokenizer.json", tokenizer)
        write(f"{name}/cases.json", "[\n" + ",\n".join(json.dumps(case, ensure_ascii=False) for case in cases(name, rng)) + "\n]\n")
    write("characters.json", "[\n" + ",\n".join(json.dumps(row) for row in characters()) + "\n]\n")


if __name__ == "__main__":
    main()
