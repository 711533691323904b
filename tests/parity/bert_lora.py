"""Trains LoRA on small random BERTs with Hugging Face and with our binary, from the same files, and compares everything.

    RANKWISE_BINARY=build/rankwise .parity/python/bin/python tests/parity/bert_lora.py [--seed N]

Losses, gradient norm, trained tensors, adapter_config.json, what peft makes of our folders, merged models, a Trainer's
order of rows and learning rates. Runs over a fixed seed and a drawn one, which it prints. Exits with 1 if anything differs.
"""

import argparse
import json
import os
import pathlib
import random
import sys
import tempfile

sys.path.append(sys.path.pop(0))  # this folder goes last: one script in it is called like a library
os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false", TRANSFORMERS_VERBOSITY="error")
import tiny_bert
import torch
from compare import Differences, call, metrics
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer, DataCollatorWithPadding, PrinterCallback, Trainer, TrainingArguments

UPDATES, RATE = 8, 3e-3
ROWS, UNIT = 6, 2
CASES = {
    "plain": {},
    "all-linear-rslora": {"target_modules": "all-linear", "use_rslora": True},
    "bias-all": {"bias": "all"},
    "bias-lora-only": {"bias": "lora_only", "target_modules": ["query", "output.dense"]},
    "patterns": {
        "target_modules": ["query", "value", "output.dense"],
        "rank_pattern": {"layer.0.attention.self.query": 2, "attention.output.dense": 6},
        "alpha_pattern": {"value": 3, "layer.1.output.dense": 20},
    },
    "layers": {"layers_to_transform": [1], "target_modules": ["key", "value", "intermediate.dense"]},
    "modules-to-save": {"modules_to_save": ["pooler.dense"]},
    "excluded": {"target_modules": "all-linear", "exclude_modules": ["pooler.dense", "key"]},
    "regex": {"target_modules": r".*\.(attention\.self\.value|layer\.\d+\.output\.dense)"},
    "gaussian": {"init_lora_weights": "gaussian"},
    "weight-decay": {"bias": "lora_only"},
    "accumulation": {},
}
WEIGHT_DECAY = {"weight-decay": 0.5}
UNCOMPARED_SETTINGS = {"base_model_name_or_path", "peft_version"}


def load_base(folder):
    return AutoModelForSequenceClassification.from_pretrained(folder, attn_implementation="eager").eval()


def logits_of(model, batch):
    with torch.no_grad():
        return model.eval()(**batch).logits


def groups(model, weight_decay):
    decaying = set(Trainer.get_decay_parameter_names(None, model))
    trained = [(name, value) for name, value in model.named_parameters() if value.requires_grad]
    return [
        {"params": [value for name, value in trained if name in decaying], "weight_decay": weight_decay},
        {"params": [value for name, value in trained if name not in decaying], "weight_decay": 0.0},
    ]


def train_with_peft(base, settings, weight_decay, batch, folder):
    """Saves the adapter before and after; the pair's B is random, since zeros would hide half of the gradients."""
    model = get_peft_model(load_base(base), LoraConfig(task_type="SEQ_CLS", **({"r": 4, "lora_alpha": 12} | settings)))
    with torch.no_grad():
        for name, value in model.named_parameters():
            if "lora_B" in name:
                value.normal_(0, 0.2)
    model.save_pretrained(folder / "start")
    optimizer = torch.optim.AdamW(groups(model, weight_decay), lr=RATE)
    losses, norms = [], []
    for _ in range(UPDATES):
        loss = model(**batch).loss
        optimizer.zero_grad()
        loss.backward()
        norms.append(torch.nn.utils.clip_grad_norm_([p for p in model.parameters() if p.requires_grad], 1.0).item())
        optimizer.step()
        losses.append(loss.item())
    model.save_pretrained(folder / "end")
    return losses, norms


def train_with_ours(base, start, rows, output, *more, ranks=1, updates=UPDATES):
    call("finetune", "--model_name_or_path", base, "--adapter_name_or_path", start, "--train_file", rows, "--num_labels",
         tiny_bert.LABELS, "--output_dir", output, "--per_device_train_batch_size", UNIT, "--max_steps", updates,
         "--learning_rate", RATE, "--lr_scheduler_type", "constant", "--logging_steps", 1, *more, ranks=ranks)  # fmt: skip


def same_tensors(theirs, ours, differences, where):
    """Key biases are left out (their gradient is rounding noise), and peft's second copies of a head."""
    def tensors(folder):
        file = load_file(folder / "adapter_model.safetensors")
        left_out = (".modules_to_save.", ".original_module.")
        return {name: value for name, value in file.items() if not any(word in name for word in left_out)}

    start, end, mine = tensors(theirs / "start"), tensors(theirs / "end"), tensors(ours)
    differences.check(set(mine) == set(end), where, f"tensors in one file only: {sorted(set(mine) ^ set(end))[:4]}")
    for name in sorted(set(mine) & set(end)):
        shapes = mine[name].shape, end[name].shape, mine[name].dtype, end[name].dtype
        differences.check(shapes[0] == shapes[1] and shapes[2] == shapes[3], where, f"{name}: {shapes}")
        if shapes[0] == shapes[1] and not name.endswith(("key.bias", "key.base_layer.bias")):
            off, moved = (mine[name] - end[name]).norm().item(), (end[name] - start[name]).norm().item()
            differences.check(off <= 0.05 * moved + 1e-5, where, f"{name}: off by {off:.2e} after a way of {moved:.2e}")


def same_settings(theirs, ours, differences, where):
    def settings(folder):
        values = json.loads((folder / "adapter_config.json").read_text())
        for name in ("target_modules", "modules_to_save", "exclude_modules"):  # sets; peft writes some entries twice
            if isinstance(values.get(name), list):
                values[name] = sorted(set(values[name]))
        return values

    wanted, got = settings(theirs), settings(ours)
    differences.check(set(wanted) == set(got), where, f"settings in one file only: {sorted(set(wanted) ^ set(got))}")
    for name in sorted(set(wanted) & set(got) - UNCOMPARED_SETTINGS):
        differences.check(wanted[name] == got[name], where, f"{name}: {got[name]!r}, peft {wanted[name]!r}")


def compare_training(case, base, rows, peer, losses, norms, folder, ranks, differences):
    where = f"{case}, {ranks} rank{'s' * (ranks > 1)}"
    output = folder / f"ours-{ranks}"
    update = ("--gradient_accumulation_steps", 3) if case == "accumulation" else ("--global_batch_size", ROWS)
    train_with_ours(base, peer / "start", rows, output, "--weight_decay", WEIGHT_DECAY.get(case, 0), "--save_steps", UPDATES, *update, ranks=ranks)
    ours = metrics(output, "loss")
    differences.check(len(ours) == UPDATES, where, f"{len(ours)} lines with a loss")
    for number, (mine, his) in enumerate(zip(ours, losses)):
        differences.close(mine, his, (1e-3 if number else 2e-5) * max(1, abs(his)), f"{where}, loss {number}")
    differences.close(metrics(output, "grad_norm")[0], norms[0], 2e-4 * max(0.05, norms[0]), f"{where}, grad_norm 0")
    same_tensors(peer, output, differences, where)
    same_settings(peer / "end", output, differences, where)
    return output


def compare_use(case, base, rows, batch, output, differences):
    """peft reads our folders, evaluate agrees with it, and the merged model is the adapted one."""
    model = PeftModel.from_pretrained(load_base(base), output)
    logits = logits_of(model, batch)
    loss = torch.nn.functional.cross_entropy(logits, batch["labels"]).item()
    said = json.loads(call("evaluate", "--model_name_or_path", base, "--adapter_name_or_path", output, "--validation_file", rows).splitlines()[-1])
    differences.close(said["eval_loss"], loss, 2e-5 * max(1, loss), f"{case}, eval_loss")
    right = (logits.argmax(-1) == batch["labels"]).float().mean().item()
    differences.close(said["eval_accuracy"], right, 1e-6, f"{case}, eval_accuracy")

    checkpoint = PeftModel.from_pretrained(load_base(base), output / f"checkpoint-{UPDATES}")
    differences.check(torch.equal(logits_of(checkpoint, batch), logits), f"{case}, checkpoint", "peft's logits are not those of the final folder")

    merged = output.parent / "merged"
    call("merge", "--model_name_or_path", base, "--adapter_name_or_path", output, "--output_dir", merged)
    off = (logits_of(load_base(merged), batch) - logits).norm().item() / logits.norm().item()
    differences.check(off <= 1e-5, f"{case}, merge", f"logits off by {off:.1e} of their size")


def compare_case(case, base, source, folder, differences):
    folder.mkdir()
    rows = tiny_bert.id_rows(source, ROWS, types=case != "plain")
    file, batch = tiny_bert.write_rows(folder / "rows.jsonl", rows), tiny_bert.padded(rows)
    losses, norms = train_with_peft(base, CASES[case], WEIGHT_DECAY.get(case, 0.0), batch, folder)
    for ranks in (1,) if case == "accumulation" else (1, 2):
        output = compare_training(case, base, file, folder, losses, norms, folder, ranks, differences)
    compare_use(case, base, file, batch, output, differences)
    if case in ("plain", "all-linear-rslora"):
        train_with_ours(base, folder / "start", file, folder / "bf16", "--bf16", "--global_batch_size", ROWS, updates=1)
        differences.close(metrics(folder / "bf16", "loss")[0], losses[0], 0.02 * losses[0], f"{case}, bf16, loss 0")


def compare_with_trainer(base, source, folder, differences):
    """Two epochs over text pairs: order of the rows (by each update's loss) and learning rates."""
    folder.mkdir()
    rows = tiny_bert.text_rows(source, 26)
    file = tiny_bert.write_rows(folder / "rows.jsonl", rows)
    get_peft_model(load_base(base), LoraConfig(task_type="SEQ_CLS")).save_pretrained(folder / "start")
    tokenizer = AutoTokenizer.from_pretrained(base)
    data = [dict(tokenizer(row["text"], row["text_pair"]), labels=row["label"]) for row in rows]
    settings = {"num_train_epochs": 2, "per_device_train_batch_size": 4, "learning_rate": RATE, "warmup_steps": 3, "lr_scheduler_type": "cosine",
                "logging_steps": 1, "seed": source.randrange(1000)}  # fmt: skip
    trainer = Trainer(
        PeftModel.from_pretrained(load_base(base), folder / "start", is_trainable=True),
        TrainingArguments(folder / "trainer", use_cpu=True, report_to="none", save_strategy="no", disable_tqdm=True, **settings),
        train_dataset=data, data_collator=DataCollatorWithPadding(tokenizer))  # fmt: skip
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    history = [line for line in trainer.state.log_history if "loss" in line]

    options = [word for name, value in settings.items() for word in (f"--{name}", value)]
    call("finetune", "--model_name_or_path", base, "--adapter_name_or_path", folder / "start", "--train_file", file,
         "--num_labels", tiny_bert.LABELS, "--output_dir", folder / "ours", *options)  # fmt: skip
    losses, rates = metrics(folder / "ours", "loss"), metrics(folder / "ours", "learning_rate")
    differences.check(len(losses) == len(history) == 14, "Trainer", f"{len(losses)} updates, a Trainer {len(history)}")
    for number, (line, loss, rate) in enumerate(zip(history, losses, rates), 1):
        differences.close(loss, line["loss"], 5e-4 * line["loss"] + 5e-5, f"Trainer, update {number}, loss")
        differences.close(rate, line["learning_rate"], 1e-9 * RATE, f"Trainer, update {number}, learning_rate")


def compare_seed(seed, cases, differences):
    source = random.Random(seed)
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        base = scratch / "base"
        print(f"seed {seed}: {tiny_bert.make_model(base, source)}", flush=True)
        for case in [*cases, "trainer"]:
            before = differences.compared, differences.found
            try:
                if case == "trainer":
                    compare_with_trainer(base, source, scratch / case, differences)
                else:
                    compare_case(case, base, source, scratch / case, differences)
            except Exception as error:  # one broken case must not hide the others
                differences.check(False, case, f"{type(error).__name__}: {error}")
            print(f"  {case}: {differences.compared - before[0]} comparisons, {differences.found - before[1]} differ", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seed", type=int, nargs="*", default=[1, random.SystemRandom().randrange(10**6)])
    parser.add_argument("--case", choices=CASES, nargs="*", default=list(CASES))
    args = parser.parse_args()
    torch.set_num_threads(1)
    differences = Differences()
    for seed in args.seed:
        compare_seed(seed, args.case, differences)
    print(f"bert_lora: {differences.compared} comparisons, {differences.found} differ")
    sys.exit(1 if differences.found or not differences.compared else 0)


if __name__ == "__main__":
    main()
