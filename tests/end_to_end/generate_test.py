"""generate on a tiny quantised .gguf model: its tokenizer and chat template, blocks that stay blocks, stop strings, the positions' end, a terminal."""

import json
import os
import pathlib
import pty
import random
import shutil
import struct
import subprocess
import tempfile
import unittest

import support

HIDDEN, KEYS, LAYERS, CONTEXT = 64, 32, 2, 40
TEMPLATE = "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"


def alphabet():
    """GPT-2's letter of each byte."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    other = [byte for byte in range(256) if byte not in plain]
    return {**{byte: chr(byte) for byte in plain}, **{byte: chr(256 + number) for number, byte in enumerate(other)}}


TOKENS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *alphabet().values(), "he", "ll", "Ġw", "or", "hell"]
MERGES = ["h e", "l l", "Ġ w", "o r", "he ll"]


def text(value):
    return struct.pack("<Q", len(value.encode())) + value.encode()


def field(key, value):
    kinds = {str: (8, text), bool: (7, lambda v: struct.pack("<B", v)), int: (4, lambda v: struct.pack("<I", v)), float: (6, lambda v: struct.pack("<f", v))}
    if isinstance(value, list):
        number, pack = kinds[type(value[0])]
        return text(key) + struct.pack("<IIQ", 9, number, len(value)) + b"".join(map(pack, value))
    number, pack = kinds[type(value)]
    return text(key) + struct.pack("<I", number) + pack(value)


def make_gguf(file, **changes):
    source = random.Random(3)
    metadata = {
        "general.architecture": "llama", "llama.block_count": LAYERS, "llama.context_length": CONTEXT, "llama.embedding_length": HIDDEN,
        "llama.feed_forward_length": HIDDEN, "llama.attention.head_count": 4, "llama.attention.head_count_kv": 2,
        "llama.attention.layer_norm_rms_epsilon": 1e-5, "tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "smollm",
        "tokenizer.ggml.tokens": TOKENS, "tokenizer.ggml.merges": MERGES, "tokenizer.ggml.token_type": [3] * 3 + [1] * (len(TOKENS) - 3),
        "tokenizer.ggml.bos_token_id": 1, "tokenizer.ggml.eos_token_id": 2, "tokenizer.ggml.add_bos_token": False,
        "tokenizer.chat_template": TEMPLATE} | changes  # fmt: skip
    tensors = {"token_embd.weight": (HIDDEN, len(TOKENS)), "output_norm.weight": (HIDDEN,)}
    for layer in range(LAYERS):
        for name, width in (("attn_q", HIDDEN), ("attn_k", KEYS), ("attn_v", KEYS), ("attn_output", HIDDEN), ("ffn_gate", HIDDEN), ("ffn_up", HIDDEN), ("ffn_down", HIDDEN)):
            tensors[f"blk.{layer}.{name}.weight"] = (HIDDEN, width)
        tensors |= {f"blk.{layer}.{name}.weight": (HIDDEN,) for name in ("attn_norm", "ffn_norm")}
    infos, data = b"", b""
    for name, shape in tensors.items():
        infos += text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, 8 if len(shape) == 2 else 0, len(data))
        if len(shape) == 1:
            data += struct.pack(f"<{HIDDEN}f", *(source.uniform(0.5, 1.5) for _ in range(HIDDEN)))
        else:  # Q8_0: a scale and 32 numbers
            for _ in range(shape[0] * shape[1] // 32):
                data += struct.pack("<e32b", 0.004, *(source.randint(-127, 127) for _ in range(32)))
        data += b"\0" * (-len(data) % 32)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(metadata)) + b"".join(field(*item) for item in metadata.items()) + infos
    file.write_bytes(head + b"\0" * (-len(head) % 32) + data)
    return file


class Generate(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="rankwise-"))
        self.model = make_gguf(self.folder / "tiny.gguf")

    def tearDown(self):
        shutil.rmtree(self.folder)

    def words(self, *more, model=None):
        return ["generate", "--model_name_or_path", model or self.model, "--threads", 1, *more]

    def made(self, *more, ranks=1, **how):
        said = support.call(*self.words(*more, **how), ranks=ranks)
        return [json.loads(line) for line in said.stdout.splitlines()]

    def fails(self, code, part, *more, **how):
        self.assertIn(part, support.call(*self.words(*more, **how), code=code).stderr)

    def file(self, name, *lines):
        (self.folder / name).write_text("".join(line + "\n" for line in lines))
        return self.folder / name

    def test_the_tokenizer_of_the_file(self):
        (row,) = self.made("--prompt", "hello  world12", "--max_new_tokens", 3)
        symbols = ["hell", "o", "Ġ", "Ġw", "or", "l", "d", "1", "2"]
        self.assertEqual([TOKENS.index(symbol) for symbol in symbols], row["input_ids"])
        self.assertEqual(3, len(row["new_ids"]))
        with_bos = make_gguf(self.folder / "bos.gguf", **{"tokenizer.ggml.add_bos_token": True})
        self.assertEqual([1, TOKENS.index("he")], self.made("--prompt", "he", model=with_bos)[0]["input_ids"])

    def test_another_tokenizer_is_refused_by_its_field(self):
        other = make_gguf(self.folder / "spm.gguf", **{"tokenizer.ggml.model": "bert"})
        self.fails(4, "'tokenizer.ggml.model' is 'bert'", "--prompt", "he", model=other)
        cut = make_gguf(self.folder / "cut.gguf", **{"tokenizer.ggml.pre": "tekken"})
        self.fails(4, "cut by 'tekken'", "--prompt", "he", model=cut)

    def test_chat(self):
        (row,) = self.made("--prompt", "he", "--chat", "--max_new_tokens", 1)
        letters = {chr(byte): TOKENS.index(letter) for byte, letter in alphabet().items()}
        spelled = lambda said: [letters[letter] for letter in said]
        self.assertEqual([1, *spelled("user\n"), TOKENS.index("he"), 2, letters["\n"], 1, *spelled("assistant\n")], row["input_ids"])
        self.assertEqual("he", row["prompt"])
        plain = make_gguf(self.folder / "plain.gguf", **{"tokenizer.chat_template": "{{ raise_exception('no') }}"})
        self.fails(3, "the chat template says (line 1): no", "--prompt", "he", "--chat", model=plain)

    def test_a_store_made_with_another_chat_template_is_refused(self):
        rows = self.file("chat.jsonl", *(json.dumps({"messages": [{"role": "user", "content": "he"}, {"role": "assistant", "content": word}]}) for word in ("hello", "world")))
        options = ("--task_type", "CAUSAL_LM", "--train_file")
        support.call("prepare", "--model_name_or_path", self.model, *options, rows, "--output_file", self.folder / "chat.h5")
        train = (*options, self.folder / "chat.h5", "--output_dir", self.folder / "chat", "--max_steps", 1)
        support.call("finetune", "--model_name_or_path", self.model, *train)
        other = make_gguf(self.folder / "other.gguf", **{"tokenizer.chat_template": TEMPLATE + "."})
        refused = support.call("finetune", "--model_name_or_path", other, *train, "--overwrite_output_dir", code=3)
        self.assertIn("chat_template", refused.stderr)

    def test_the_task_is_the_adapters(self):
        rows = self.file("rows.jsonl", *(json.dumps({"text": f"hello {number}"}) for number in range(4)))
        support.call("finetune", "--model_name_or_path", self.model, "--task_type", "CAUSAL_LM", "--train_file", rows, "--output_dir", self.folder / "task",
                     "--max_steps", 1)
        judged = support.call("evaluate", "--model_name_or_path", self.model, "--adapter_name_or_path", self.folder / "task", "--validation_file", rows)
        self.assertIn("eval_perplexity", json.loads(judged.stdout))

    def test_blocks_that_stay_blocks_give_the_same_text_and_train_the_same(self):
        prompts = self.file("prompts.txt", "hello", "a world of words", "12")
        for more in ((), ("--num_beams", 3), ("--do_sample", "--top_k", 5)):
            options = ("--prompt_file", prompts, "--max_new_tokens", 12, "--ignore_eos", *more)
            unpacked = self.made(*options)
            self.assertEqual(unpacked, self.made(*options, "--base_dtype", "keep"))
            self.assertEqual(unpacked, self.made(*options, ranks=2))
        rows = self.file("rows.jsonl", *(json.dumps({"text": f"hello world {number}"}) for number in range(24)))
        losses = {}
        for kind in ("unpack", "keep"):
            support.call("finetune", "--model_name_or_path", self.model, "--task_type", "CAUSAL_LM", "--train_file", rows, "--output_dir",
                         self.folder / kind, "--max_steps", 6, "--learning_rate", 0.01, "--logging_steps", 1, "--threads", 1, "--base_dtype", kind)
            losses[kind] = [line["loss"] for line in support.lines_of(self.folder / kind) if "loss" in line]
        self.assertEqual(6, len(losses["keep"]))
        self.assertLess(losses["keep"][-1], losses["keep"][0] - 0.01)
        for kept, unpacked in zip(losses["keep"], losses["unpack"]):
            self.assertAlmostEqual(kept, unpacked, delta=1e-4)
        refused = support.call("merge", "--model_name_or_path", self.model, "--task_type", "CAUSAL_LM", "--adapter_name_or_path", self.folder / "keep",
                               "--output_dir", self.folder / "merged", "--base_dtype", "keep", code=2)
        self.assertIn("--base_dtype keep does not apply to merge", refused.stderr)
        bert = support.make_model(self.folder / "bert")
        refused = support.call("finetune", "--model_name_or_path", bert, "--train_file", support.make_rows(self.folder / "t.tsv", 8), "--output_dir",
                               self.folder / "no", "--base_dtype", "keep", code=2)
        self.assertIn("has no quantised matrix", refused.stderr)

    def test_stop_strings_end_a_text_and_stay_in_it(self):
        options = ("--prompt", "hello", "--max_new_tokens", 24, "--ignore_eos")
        (whole,) = self.made(*options)
        stop = whole["text"][6:8]
        (cut,) = self.made(*options, "--stop", json.dumps([stop]))
        self.assertEqual(whole["new_ids"][: len(cut["new_ids"])], cut["new_ids"])
        self.assertIn(stop, cut["text"])
        self.assertLessEqual(whole["text"].index(stop) + len(stop), len(cut["text"]))
        self.assertLess(len(cut["new_ids"]), 24)

    def test_prompts_longer_than_the_positions_are_errors_with_their_row(self):
        long = self.file("long.txt", "he", "x" * CONTEXT)
        self.fails(3, f"long.txt:2: the prompt has {CONTEXT} tokens, but the model has positions for {CONTEXT}", "--prompt_file", long)
        self.assertEqual(5, len(self.made("--prompt", "x" * (CONTEXT - 5), "--max_new_tokens", 9, "--ignore_eos")[0]["new_ids"]))
        beyond = self.file("beyond.jsonl", json.dumps({"input_ids": [len(TOKENS)]}))
        self.fails(3, "out of range", "--prompt_file", beyond)

    def test_beams_are_refused_where_they_make_no_sense(self):
        self.fails(2, "beams are not drawn", "--prompt", "he", "--num_beams", 2, "--do_sample")
        self.fails(2, "there are only 2 beams", "--prompt", "he", "--num_beams", 2, "--num_return_sequences", 3)

    def test_on_a_terminal_the_text_streams(self):
        options = ("--prompt", "hello", "--max_new_tokens", 16, "--ignore_eos")
        mine, theirs = pty.openpty()
        process = subprocess.Popen(support.command(*self.words(*options)), env=support.ENVIRONMENT, stdout=theirs, stderr=subprocess.DEVNULL)
        os.close(theirs)
        said = b""
        try:
            while part := os.read(mine, 4096):
                said += part
        except OSError:  # the other side is closed
            pass
        self.assertEqual(0, process.wait())
        wanted = self.made(*options)[0]["text"]
        self.assertEqual(wanted + "\n", said.decode().replace("\r\n", "\n").replace("^M", "\r"))


if __name__ == "__main__":
    unittest.main()
