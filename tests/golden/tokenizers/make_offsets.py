"""Writes offsets.json: where the tokens of this folder's texts stand, by Hugging Face's fast tokenizers.

    python make_offsets.py        (tokenizers 0.22.2, transformers 4.57.6)

{folder: [[text, [[first byte, past the last byte], …]], …]}: a token's characters in the text as UTF-8; special tokens are
left out, spaces are not trimmed off (a post-processor may do that).
"""

import json
import os
import pathlib

from tokenizers import processors
from transformers import AutoTokenizer

HERE = pathlib.Path(__file__).parent


def offsets(folder):
    tokenizer = AutoTokenizer.from_pretrained(folder).backend_tokenizer
    tokenizer.post_processor = processors.TemplateProcessing(single="$A", pair="$A $B", special_tokens=[])
    tokenizer.no_truncation()
    tokenizer.no_padding()
    texts = dict.fromkeys(row[0] for row in json.loads((folder / "cases.json").read_text()))
    rows = []
    for text in texts:
        ends = [0]
        for character in text:
            ends.append(ends[-1] + len(character.encode()))
        found = tokenizer.encode(text, add_special_tokens=False).offsets
        rows.append([text, [[ends[begin], ends[end]] for begin, end in found]])
    return rows


if __name__ == "__main__":
    os.environ.update(HF_HUB_OFFLINE="1")
    folders = sorted(path.parent for path in HERE.glob("*/tokenizer.json"))
    made = {folder.name: offsets(folder) for folder in folders}
    lines = [f"{json.dumps(name)}: [\n" + ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows) + "\n]" for name, rows in made.items()]
    (HERE / "offsets.json").write_text("{" + ",\n".join(lines) + "}\n")
