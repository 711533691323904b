"""A .gguf file with sentencepiece's pieces ("llama"): ids and texts as transformers' LlamaTokenizer makes with sentencepiece from the
tokenizer.model that holds the same pieces, as llama.cpp's converter takes them over.

    python gguf_pieces.py --tool build/encode_lines [--seed 1]

The pieces are drawn: every character of WORDS, merges of them with falling scores, bytes, control tokens.
"""

import sys

del sys.path[0]  # a file there is called like a library

import argparse
import importlib.util
import pathlib
import random
import tempfile

import gguf
from transformers import LlamaTokenizer
from transformers import logging as transformers_logging
from transformers.utils import sentencepiece_model_pb2_new as protobuf

NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6
WORDS = "the film was good and a long river of stones in the harbour naïve café 中文 don't isn't unbearable un-acting 1990".split()


def pieces(source):
    """(text, score, kind) of each piece."""
    table = [("<unk>", 0.0, UNKNOWN), ("<s>", 0.0, CONTROL), ("</s>", 0.0, CONTROL), ("[INST]", 0.0, CONTROL)]
    table += [(f"<0x{byte:02X}>", 0.0, BYTE) for byte in range(256)]
    texts, merged = sorted({letter for word in WORDS for letter in word} | {"▁"}), []
    words = [["▁", *word] for word in WORDS]
    while len(merged) < 60:
        pairs = sorted({(a, b) for word in words for a, b in zip(word, word[1:])})
        if not pairs:
            break
        a, b = source.choice(pairs)
        if a + b not in merged:
            merged.append(a + b)
        for word in words:
            for i in range(len(word) - 2, -1, -1):
                if word[i : i + 2] == [a, b]:
                    word[i : i + 2] = [a + b]
    return table + [(text, -float(i), NORMAL) for i, text in enumerate([*merged, *texts])]


def write(file, table, add_space_prefix):
    writer = gguf.GGUFWriter(file, "llama")
    for key, value in dict(context_length=64, embedding_length=8, block_count=1, feed_forward_length=16).items():
        writer.add_uint32(f"llama.{key}", value)
    writer.add_uint32("llama.attention.head_count", 2)
    writer.add_float32("llama.attention.layer_norm_rms_epsilon", 1e-5)
    writer.add_uint32("llama.vocab_size", len(table))
    writer.add_tokenizer_model("llama")
    texts, scores, kinds = zip(*table)
    writer.add_token_list(texts)
    writer.add_token_scores(scores)
    writer.add_token_types(kinds)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_add_bos_token(True)
    writer.add_add_space_prefix(add_space_prefix)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_model(folder, table, add_space_prefix):
    """The folder of a LlamaTokenizer."""
    model = protobuf.ModelProto()
    for text, score, kind in table:
        model.pieces.add(piece=text, score=score, type=kind)
    model.trainer_spec.model_type = protobuf.TrainerSpec.BPE
    model.trainer_spec.byte_fallback = True
    model.normalizer_spec.name = "identity"
    model.normalizer_spec.add_dummy_prefix = add_space_prefix
    model.normalizer_spec.remove_extra_whitespaces = False
    (folder / "tokenizer.model").write_bytes(model.SerializeToString())
    return LlamaTokenizer(str(folder / "tokenizer.model"), legacy=True, additional_special_tokens=["[INST]"], clean_up_tokenization_spaces=False)


def comparison():
    spec = importlib.util.spec_from_file_location("comparison", pathlib.Path(__file__).with_name("tokenizers.py"))
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, "")  # which it takes away again
    spec.loader.exec_module(module)
    return module


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tool", required=True)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    args = parser.parse_args()
    transformers_logging.set_verbosity_error()
    live = comparison()
    source = random.Random(args.seed)
    differing = count = 0
    for add_space_prefix in (True, False):
        table = pieces(source)
        with tempfile.TemporaryDirectory() as name:
            file = pathlib.Path(name) / "pieces.gguf"
            write(file, table, add_space_prefix)
            peer = write_model(pathlib.Path(name), table, add_space_prefix)
            texts = live.random_texts(2000, args.seed)
            texts += [" ".join(source.choice([*WORDS, "[INST]", "</s>", ""]) for _ in range(source.randrange(12))) for _ in range(2000)]
            rows = live.make_rows(texts, [8, 32, 100000], 2, args.seed)
            got, _ = live.ours(args.tool, str(file), rows)
        for row, mine in zip(rows, got, strict=True):
            pair = row["pair"]
            ids = peer(row["text"], pair, truncation="longest_first", max_length=row["max_length"])["input_ids"]
            his = {"ids": ids, "decoded": peer.decode(ids, skip_special_tokens=True), "decoded_all": peer.decode(ids)}
            count += 1
            wrong = [key for key in his if mine[key] != his[key]]
            differing += bool(wrong)
            if wrong and differing <= 3:
                print(f"DIFFERS add_space_prefix {add_space_prefix} {row}: {wrong[0]}\nours   {mine[wrong[0]]!r}\ntheirs {his[wrong[0]]!r}")
    print(f"gguf_pieces: seed {args.seed}: {count} rows, {differing} differ")
    sys.exit(differing > 0)


if __name__ == "__main__":
    main()
