"""Compares our tokenizers with Hugging Face's, live: ids, type ids and decoded text must be equal.

    python tokenizers.py --tool build/encode_lines --tokenizer FOLDER... [--text FILE...] [--random 5000]

A FOLDER without tokenizer files stands for the model folders in it, and its lines.txt is one more text. It may also be
a .gguf file: transformers' conversion of it is put right first where llama.cpp's ids are others.

Every line of the text files and random strings over all planes of Unicode are encoded alone and in
pairs, at several values of max_length, by the tool (tests/data/tokenizers/encode_lines.cpp) and by
transformers.AutoTokenizer. Prints a line for each folder with the processor time of one core; exits with 1 at
the first difference.
"""

import sys

del sys.path[0]  # this file is called like the library

import argparse
import json
import os
import random
import subprocess
import tempfile
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
from tokenizers import Tokenizer
from transformers import AutoTokenizer

INTERESTING = (
    " \t\r\n\x00\x0b\x0c\x1c\x7f\x85\xa0\xad\u1680\u180e\u2000\u200b\u200c\u200d\u2028\u2029\u202f"
    "\u2060\u3000\ufeff\ufffd.,!?'\"-_$+<=>^`|~@#%&*()[]{}\\/:;"
    "aAbBzZ019éÉüÜñÑßẞıİIiΣσςÅÅÆŒ\u0130\u01c5\u1e9e\ufb01\ufb03\u0300\u0301\u0308\u0327\u0338\u0345"
    "中文字㐀豈\U00020000\U0002b820\U0002b920\U0002f800日本語かなカナｶﾅ한글각힣각"
    "\u0e01\u0e33\u0e49\u0915\u093c\u094d\u302e\u302f\u05d0\u05b0\u0627\u064b😀👍🏽❤️🇩🇪\U000e0041"
    "\ue000\uf8ff\U0010ffff\U0001e944\u1734\u1885\ua9bd\U000111c9\u166d\u08d4\u08e2\u0890\u0c04"
)
WORDS = "the film was good [SEP] [CLS] [MASK] [PAD] [UNK] don't U.S. isn't naïve café ΟΔΟΣ İstanbul".split()


def random_character(rng):
    kind = rng.random()
    if kind < 0.35:
        return rng.choice(INTERESTING)
    if kind < 0.6:
        return chr(rng.randrange(0x20, 0x7F))
    if kind < 0.9:
        top = rng.choice((0x250, 0x600, 0x1000, 0x3000, 0x10000, 0x20000, 0x110000))
        code = rng.randrange(top)
        return chr(code) if not 0xD800 <= code < 0xE000 else " "
    return rng.choice(WORDS)


def random_texts(count, seed):
    rng = random.Random(seed)
    return ["".join(random_character(rng) for _ in range(rng.randrange(40))) for _ in range(count)]


def make_rows(texts, lengths, least, seed):
    rng = random.Random(seed)
    rows = [{"text": text, "pair": None, "max_length": lengths[-1]} for text in texts]
    for text in texts:
        pair = rng.choice(texts) if rng.random() < 0.5 else None
        rows.append({"text": text, "pair": pair, "max_length": rng.choice(lengths)})
    rows += [
        {"text": text, "pair": pair, "max_length": length}
        for text in texts[:50] for pair in (None, texts[-1]) for length in range(least, 12)
    ]
    return rows


def ours(tool, folder, rows):
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
        file.flush()
        run = subprocess.run([tool, folder, file.name], capture_output=True, text=True)
    if run.returncode:
        sys.exit(f"{folder}: the tool says {run.returncode}: {run.stderr}")
    return [json.loads(line) for line in run.stdout.split("\n") if line], json.loads(run.stderr)


def theirs(tokenizer, rows):
    for row in rows:
        pair = None if row["pair"] is None else [row["pair"]]  # outside a list "" would be no pair
        encoding = tokenizer([row["text"]], pair, truncation="longest_first",
                             max_length=row["max_length"], padding=False)
        ids = encoding["input_ids"][0]
        yield {
            "decoded": tokenizer.decode(ids, skip_special_tokens=True),
            "decoded_all": tokenizer.decode(ids, skip_special_tokens=False),
            "ids": ids,
            "type_ids": encoding["token_type_ids"][0],
        }


def batch_seconds(tokenizer, texts):
    """The library alone, one thread, without transformers around it."""
    backend = tokenizer.backend_tokenizer
    backend.no_truncation()
    begin = time.process_time()
    for text in texts:
        backend.encode(text)
    return time.process_time() - begin


def reference(folder):
    """transformers' tokenizer. Its conversion of a .gguf file puts a bos before every text (and takes the eos for it), cleans up
    decoded spaces, has an id for bytes that the vocabulary lacks, and never splits digits: llama.cpp does none of these, and
    splits digits where the file's `pre` is smollm."""
    if not folder.endswith(".gguf"):
        return AutoTokenizer.from_pretrained(folder)
    from gguf import GGUFReader

    fields = GGUFReader(folder).fields
    tokenizer = AutoTokenizer.from_pretrained(os.path.dirname(folder) or ".", gguf_file=os.path.basename(folder))
    tokenizer.clean_up_tokenization_spaces = False
    backend = json.loads(tokenizer.backend_tokenizer.to_str())
    backend["model"].update(unk_token=None, byte_fallback=False, fuse_unk=False)
    backend["decoder"] = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    if not fields["tokenizer.ggml.add_bos_token"].contents():
        backend["post_processor"] = None
    if fields["tokenizer.ggml.pre"].contents() == "smollm":
        digits = {"type": "Digits", "individual_digits": True}
        backend["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [digits, backend["pre_tokenizer"]]}
    tokenizer._tokenizer = Tokenizer.from_str(json.dumps(backend))
    return tokenizer


def compare(tool, folder, texts, seed):
    begin = time.process_time()
    tokenizer = reference(folder)
    loading = time.process_time() - begin
    tokenizer.model_input_names = ["input_ids", "token_type_ids"]
    least = max(1, tokenizer.num_special_tokens_to_add(pair=True))
    rows = make_rows(texts, [least, 5, 8, 13, 32, 128, 100000], least, seed)
    got, times = ours(tool, folder, rows)
    for row, mine, his in zip(rows, got, theirs(tokenizer, rows), strict=True):
        for name in sorted(his, reverse=True):
            if mine[name] != his[name]:
                sys.exit(f"{folder}: {name} differ for {json.dumps(row)}\n"
                         f"ours   {mine[name]}\ntheirs {his[name]}")
    plain = [row["text"] for row in rows[: len(texts)]]
    _, alone = ours(tool, folder, rows[: len(texts)])
    print(f"{folder}: {len(rows)} rows equal; loading {times['loading_seconds']:.3f} s "
          f"(transformers {loading:.3f} s); {len(plain)} texts {alone['encoding_seconds']:.3f} s "
          f"(tokenizers {batch_seconds(tokenizer, plain):.3f} s)")


def model_folders(folder):
    """The folder itself, or the model folders in it; and the text files that lie beside those."""
    files = ("tokenizer.json", "vocab.txt", "vocab.json", "spiece.model", "tokenizer.model")
    if folder.endswith(".gguf") or any(os.path.exists(os.path.join(folder, name)) for name in files):
        return [folder], []
    found = sorted(entry.path for entry in os.scandir(folder) if entry.is_dir())
    if not found:
        sys.exit(f"{folder}: no tokenizer and no model folders")
    lines = os.path.join(folder, "lines.txt")
    return found, [lines] if os.path.exists(lines) else []


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--tool", required=True)
    parser.add_argument("--tokenizer", nargs="+", required=True)
    parser.add_argument("--text", nargs="*", default=[])
    parser.add_argument("--random", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=7)
    args = parser.parse_args()
    texts = random_texts(args.random, args.seed)
    for given in args.tokenizer:
        folders, more = model_folders(given)
        lines = []
        for name in args.text + more:
            with open(name, encoding="utf-8", errors="replace") as file:
                lines += file.read().splitlines()
        for folder in folders:
            compare(args.tool, folder, texts + lines, args.seed)


if __name__ == "__main__":
    main()
