"""Trains every family and method on the CPU and on a GPU, dropout on, from the same rows of ids, and compares.

    .parity/python/bin/python tests/parity/devices.py make FOLDER [--seed N]     models and rows, by Hugging Face's library
    RANKWISE_BINARY=build/rankwise python3 tests/parity/devices.py compare FOLDER   on a machine with a GPU; Python alone

The losses and gradient norms of four updates, the bytes of two runs on the GPU, evaluate's loss, greedy ids; bf16 within a few per cent.
Exits with 1 if anything differs.
"""

import argparse
import json
import pathlib
import random
import sys

sys.path.append(sys.path.pop(0))
from compare import Differences, call, metrics, run_cases

METHODS = {
    "lora": ("--r", 4, "--lora_dropout", 0.2),
    "dora": ("--r", 4, "--lora_dropout", 0.2, "--use_dora"),
    "ia3": ("--peft_type", "IA3"),
    "vera": ("--peft_type", "VERA", "--r", 8, "--vera_dropout", 0.2),
    "adalora": ("--peft_type", "ADALORA", "--init_r", 4, "--target_r", 2, "--lora_dropout", 0.2),
    "houlsby": ("--peft_type", "BOTTLENECK", "--adapter_config", "houlsby[dropout=0.2, scaling=learned]"),
    "prompt": ("--peft_type", "PROMPT_TUNING", "--num_virtual_tokens", 4),
    "prefix": ("--peft_type", "PREFIX_TUNING", "--num_virtual_tokens", 4),
    "p-tuning": ("--peft_type", "P_TUNING", "--num_virtual_tokens", 4, "--encoder_hidden_size", 8),
}
TARGETS = {"distilbert": dict.fromkeys(["lora", "dora", "vera", "adalora"], "q_lin,v_lin"), "mistral": {"adalora": "q_proj,v_proj"}}  # no default in peft
LEFT_OUT = {("distilbert", "ia3")}


def make(folder, seed):
    import heads
    import transformers as T

    source = random.Random(seed)
    configs = {name: (config, "SEQ_CLS") for name, config in heads.configs(source).items()}
    configs |= {name + "_lm": (config, "CAUSAL_LM") for name, (config, _) in configs.items() if name in ("gpt2", "opt_post", "llama", "gemma2")}
    t5 = dict(d_model=32, d_kv=8, d_ff=48, num_heads=4, num_layers=2, num_decoder_layers=3, vocab_size=heads.VOCABULARY, decoder_start_token_id=0)
    configs |= {"t5": (T.T5Config(**t5), "SEQ_2_SEQ_LM"), "mt5": (T.MT5Config(**t5, feed_forward_proj="gated-gelu"), "SEQ_2_SEQ_LM")}
    heads.CLASSES |= {"CAUSAL_LM": T.AutoModelForCausalLM, "SEQ_2_SEQ_LM": T.AutoModelForSeq2SeqLM}
    for name, (config, task) in configs.items():
        config.num_labels = heads.LABELS
        heads.make_model(config, task, folder / name / "model", source)
        ids = lambda least, most: [source.randrange(5, heads.VOCABULARY) for _ in range(source.randint(least, most))]
        rows = []
        for number in range(24):
            row = {"input_ids": ids(3, 40)}
            if task == "SEQ_CLS":
                row["labels"] = number % heads.LABELS
            if task == "SEQ_2_SEQ_LM":
                row["labels"] = ids(2, 12)
            rows.append(row)
        (folder / name / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        (folder / name / "task").write_text(task)


def train(base, output, device, task, *more):
    call("finetune", "--model_name_or_path", base / "model", "--task_type", task, "--train_file", base / "rows.jsonl", "--output_dir", output,
         "--device", device, "--max_steps", 4, "--learning_rate", 3e-3, "--logging_steps", 1, "--per_device_train_batch_size", 4, "--global_batch_size", 8,
         *(("--num_labels", 3) if task == "SEQ_CLS" else ()), *more)  # fmt: skip
    return output


def compare_devices(base, method, more, differences):
    def case(folder):
        task, name = (base / "task").read_text(), f"{base.name} {method}"
        runs = {device: train(base, folder / device, device, task, *more) for device in ("cpu", "cuda")}
        for what, tolerance in (("loss", 2e-5), ("grad_norm", 2e-4)):
            for update, (cpu, cuda) in enumerate(zip(*(metrics(runs[device], what) for device in ("cpu", "cuda")), strict=True)):
                if update and what == "grad_norm":
                    tolerance = 1e-3  # AdamW divides small gradients by themselves: CPUs of other vector widths differ by as much
                differences.check(abs(cpu - cuda) <= tolerance * (1 + abs(cpu)), name, f"{what} of update {update + 1}: {cpu:.7g} on the CPU, {cuda:.7g} on the GPU")
        again = train(base, folder / "again", "cuda", task, *more)
        weights = next(path.name for path in runs["cuda"].glob("adapter*.safetensors"))
        differences.check((runs["cuda"] / weights).read_bytes() == (again / weights).read_bytes(), name, "two runs on the GPU have other bits")
        said = [json.loads(call("evaluate", "--model_name_or_path", base / "model", "--task_type", task, "--adapter_name_or_path", runs["cuda"],
                                "--validation_file", base / "rows.jsonl", "--device", device))["eval_loss"] for device in ("cpu", "cuda")]  # fmt: skip
        differences.check(abs(said[0] - said[1]) <= 2e-5 * (1 + said[0]), name, f"evaluate says {said[0]} on the CPU, {said[1]} on the GPU")
        if task != "SEQ_CLS":
            prompts = folder / "prompts.jsonl"
            prompts.write_text("".join(json.dumps({"input_ids": json.loads(line)["input_ids"][:8]}) + "\n" for line in (base / "rows.jsonl").read_text().splitlines()[:6]))
            texts = [call("generate", "--model_name_or_path", base / "model", "--task_type", task, "--adapter_name_or_path", runs["cuda"], "--prompt_file",
                          prompts, "--max_new_tokens", 8, "--ignore_eos", "--device", device) for device in ("cpu", "cuda")]  # fmt: skip
            differences.check(texts[0] == texts[1], name, f"greedy ids\n{texts[0]}\n{texts[1]}")
        if method == "lora":
            half = metrics(train(base, folder / "bf16", "cuda", task, "--bf16", *more), "loss")
            full = metrics(runs["cuda"], "loss")
            differences.check(abs(half[0] - full[0]) <= 0.05 * full[0], name, f"bf16: loss {half[0]}, float32 {full[0]}")

    return case


def compare(folder):
    differences, cases = Differences(), {}
    for base in sorted(path for path in folder.iterdir() if path.is_dir()):
        family = base.name.removesuffix("_lm")
        for method, options in METHODS.items():
            if (family, method) in LEFT_OUT or (base.name.endswith("_lm") and method not in ("lora", "prefix")):
                continue
            targets = TARGETS.get(family, {}).get(method)
            more = (*options, *(("--target_modules", targets) if targets else ()))
            cases[f"{base.name} {method}"] = compare_devices(base, method, more, differences)
    run_cases("devices", cases, differences)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("what", choices=("make", "compare"))
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    make(args.folder, args.seed) if args.what == "make" else compare(args.folder)


if __name__ == "__main__":
    main()
