"""Generates with transformers and with our binary, from the same tiny models and prompts of ids, and compares every token.

    RANKWISE_BINARY=build/rankwise .parity/python/bin/python tests/parity/generation.py [--seed N] [--family F ...]

Greedy with a repetition penalty; beams with drawn num_beams, num_return_sequences, length_penalty and early_stopping, with and
without end tokens. Of the .gguf file in .assets, where it is there: greedy text with and without --base_dtype keep, chat, stop
strings. Exits with 1 if anything differs.
"""

import argparse
import json
import os
import pathlib
import random
import sys

sys.path.append(sys.path.pop(0))  # this folder goes last: one script in it is called like a library
os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false", TRANSFORMERS_VERBOSITY="error")
import heads
import tiny_bert
import torch
import transformers as T
from compare import Differences, call, run_cases

DECODERS = ["gpt2", "opt", "opt_post", "llama", "mistral", "qwen2", "qwen3", "gemma2"]
GGUF = pathlib.Path(__file__).resolve().parents[2] / ".assets" / "SmolLM2-135M-Instruct.gguf"
SETTINGS = 4  # of beams, a family


def configs(source):
    made = {family: config for family, config in heads.configs(source).items() if family in DECODERS}
    t5 = dict(vocab_size=heads.VOCABULARY, d_model=32, d_kv=8, d_ff=48, num_layers=2, num_heads=4, decoder_start_token_id=0)
    made["t5"] = T.T5Config(**t5)
    made["mt5"] = T.MT5Config(**t5)
    return made


def make_model(config, folder, source):
    """Weights far from initial values, but the logits near each other, so that beams compete."""
    torch.manual_seed(source.randrange(10**9))
    kind = T.AutoModelForSeq2SeqLM if config.is_encoder_decoder else T.AutoModelForCausalLM
    model = kind.from_config(config)
    tiny_bert.spread_weights(model)
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    return kind.from_pretrained(folder, attn_implementation="eager").eval()


def trimmed(ids, ends):
    """Up to the end token, which transformers follows with filling."""
    for place, token in enumerate(ids):
        if token in ends:
            return ids[: place + 1]
    return ids


def theirs(model, prompts, ends, settings):
    texts = []
    for ids in prompts:
        with torch.no_grad():
            made = model.generate(torch.tensor([ids]), attention_mask=torch.ones(1, len(ids), dtype=torch.long), do_sample=False,
                                  eos_token_id=ends or None, pad_token_id=0, **settings)  # fmt: skip
        skipped = 1 if model.config.is_encoder_decoder else len(ids)
        texts += [trimmed(row[skipped:], ends) for row in made.tolist()]
    return texts


def ours(folder, task, file, settings, *more):
    words = [word for name, value in settings.items() for word in (f"--{name}", str(value).lower())]
    said = call("generate", "--model_name_or_path", folder, "--task_type", task, "--prompt_file", file, *words, *more)
    return [json.loads(line)["new_ids"] for line in said.splitlines()]


def drawn_beams(source):
    beams = source.choice([2, 3, 4, 5])
    return {"num_beams": beams, "num_return_sequences": source.randint(1, beams), "max_new_tokens": source.randint(4, 16),
            "length_penalty": source.choice([-1.0, 0.0, 0.6, 1.0, 2.0]), "early_stopping": source.choice([True, False, "never"]),
            "repetition_penalty": source.choice([1.0, 1.0, 1.3])}  # fmt: skip


def compare(family, config, folder, source, differences):
    ends = sorted(source.sample(range(3, heads.VOCABULARY), source.choice([1, 2, 8, 24])))
    config.eos_token_id = ends if len(ends) > 1 else ends[0]
    model = make_model(config, folder, source)
    task = "SEQ_2_SEQ_LM" if config.is_encoder_decoder else "CAUSAL_LM"
    prompts = [[source.randrange(3, heads.VOCABULARY) for _ in range(source.randint(1, 14))] for _ in range(5)]
    file = folder / "prompts.jsonl"
    file.write_text("".join(json.dumps({"input_ids": ids}) + "\n" for ids in prompts))
    for settings in [{"max_new_tokens": 12, "repetition_penalty": 1.2}, *(drawn_beams(source) for _ in range(SETTINGS))]:
        wanted, made = theirs(model, prompts, ends, settings), ours(folder, task, file, settings)
        differences.check(made == wanted, f"{family} {settings} ends {ends}", f"\nours   {made}\ntheirs {wanted}")


def compare_gguf(folder, differences):
    model = T.AutoModelForCausalLM.from_pretrained(GGUF.parent, gguf_file=GGUF.name, dtype=torch.float32).eval()
    tokenizer = T.AutoTokenizer.from_pretrained(GGUF.parent, gguf_file=GGUF.name)
    prompts = ["The capital of France is", "Once upon a time", "1, 2, 3,"]
    ids = tokenizer(prompts, add_special_tokens=False)["input_ids"]
    ids = [row[1:] if row[0] == 1 else row for row in ids]  # the bos that the conversion adds
    file = folder / "prompts.txt"
    file.write_text("\n".join(prompts) + "\n")
    for settings in ({"max_new_tokens": 24}, {"max_new_tokens": 12, "num_beams": 3, "num_return_sequences": 2}):
        wanted = theirs(model, ids, [2], settings)
        differences.check(ours(GGUF, "CAUSAL_LM", file, settings) == wanted, f"gguf {settings}", wanted)
    wanted = theirs(model, ids, [2], {"max_new_tokens": 8})
    differences.check(ours(GGUF, "CAUSAL_LM", file, {"max_new_tokens": 8}, "--base_dtype", "keep") == wanted, "gguf keep", wanted)

    stops = [" a ", "aris", ". The"]
    wanted = theirs(model, ids, [2], {"max_new_tokens": 24, "stop_strings": stops, "tokenizer": tokenizer})
    said = call("generate", "--model_name_or_path", GGUF, "--task_type", "CAUSAL_LM", "--prompt_file", file, "--max_new_tokens", 24,
                "--stop", json.dumps(stops))  # fmt: skip
    made = [json.loads(line) for line in said.splitlines()]
    differences.check(any(len(row) < 24 for row in wanted), "gguf stop strings", "none was met")
    differences.check([row["new_ids"] for row in made] == wanted, "gguf stop strings", f"{made} {wanted}")

    chat = tokenizer.apply_chat_template([{"role": "user", "content": "Hi!"}], add_generation_prompt=True, tokenize=False)
    chat_ids = tokenizer(chat, add_special_tokens=False)["input_ids"]
    chat_ids = chat_ids[1:] if chat_ids[:2] == [1, 1] else chat_ids
    said = json.loads(call("generate", "--model_name_or_path", GGUF, "--prompt", "Hi!", "--chat", "--max_new_tokens", 8))
    differences.check(said["input_ids"] == chat_ids, "gguf chat", f"{said['input_ids']} {chat_ids}")
    differences.check([said["new_ids"]] == theirs(model, [chat_ids], [2], {"max_new_tokens": 8}), "gguf chat's answer", said["text"])
    compare_merged_tokenizer(folder, chat_ids, differences)


def compare_merged_tokenizer(folder, chat_ids, differences):
    """merge of a .gguf base leaves files of which transformers makes the tokenizer that we had."""
    texts = ["It's 1984, isn't it?", "naïve  cafés\tand 日本語 😀", "<|im_start|>user", "def f(x): return x**2 + 10_000"]
    file, base = folder / "texts.txt", ["--model_name_or_path", GGUF, "--task_type", "CAUSAL_LM"]
    file.write_text("\n".join(texts) + "\n")
    call("finetune", *base, "--train_file", file, "--output_dir", folder / "adapter", "--max_steps", 1, "--save_strategy", "no")
    call("merge", *base, "--adapter_name_or_path", folder / "adapter", "--output_dir", folder / "merged")
    said = [json.loads(line) for line in call("generate", *base, "--prompt_file", file, "--max_new_tokens", 1).splitlines()]
    tokenizer = T.AutoTokenizer.from_pretrained(folder / "merged")
    differences.check(tokenizer(texts)["input_ids"] == [row["input_ids"] for row in said], "tokenizer of a merged gguf", said)
    chat = tokenizer.apply_chat_template([{"role": "user", "content": "Hi!"}], add_generation_prompt=True)
    differences.check(chat == chat_ids, "chat template of a merged gguf", chat)
    base = T.AutoModelForCausalLM.from_pretrained(GGUF.parent, gguf_file=GGUF.name).generation_config
    made = T.GenerationConfig.from_pretrained(folder / "merged")
    for name in ("bos_token_id", "eos_token_id"):
        differences.check(getattr(made, name) == getattr(base, name), f"{name} of a merged gguf", made)
    differences.check(tokenizer.model_max_length == json.loads((folder / "merged" / "config.json").read_text())["max_position_embeddings"], "length of a merged gguf", tokenizer)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--family", nargs="*")
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(f"seed {args.seed}", flush=True)
    source, differences = random.Random(args.seed), Differences()
    cases = {family: lambda folder, f=family, c=config: compare(f, c, folder, source, differences) for family, config in configs(source).items()}
    if GGUF.exists():
        cases["gguf"] = lambda folder: compare_gguf(folder, differences)
    run_cases("generation", {family: case for family, case in cases.items() if not args.family or family in args.family}, differences)


if __name__ == "__main__":
    main()
