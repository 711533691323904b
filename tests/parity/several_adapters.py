"""Several LoRA adapters on one GPT-2, with peft and with our binary: each alone, two stacked, rows that choose.

    RANKWISE_BINARY=build/rankwise .parity/python/bin/python tests/parity/several_adapters.py [--seed N]

Losses of `evaluate` and greedy tokens of `generate`; a mixed batch by peft's `adapter_names`; unknown names, stacks that cannot be,
and equal bytes at 1, 2 and 3 ranks.
Exits with 1 if anything differs.
"""

import argparse
import json
import os
import random
import subprocess
import sys

sys.path.append(sys.path.pop(0))  # this folder goes last: one script in it is called like a library
os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false", TRANSFORMERS_VERBOSITY="error")
import combine
import torch
from compare import Differences, call, run_cases
from peft import LoraConfig, PeftModel, get_peft_model

NEW = 8


def stack(model, choice):
    model.base_model.set_adapter(choice.split("+"))


def losses(model, ids, choice):
    with torch.no_grad():
        if choice == "none":
            with model.disable_adapter():
                logits = model(ids).logits
        else:
            stack(model, choice)
            logits = model(ids).logits
    return torch.nn.functional.cross_entropy(logits[0, :-1], ids[0, 1:], reduction="sum").item()


def greedy(model, ids, choice):
    words = dict(max_new_tokens=NEW, do_sample=False, eos_token_id=None, pad_token_id=0, attention_mask=torch.ones_like(ids))
    if choice == "none":
        with model.disable_adapter():
            made = model.generate(ids, **words)
    else:
        stack(model, choice)
        made = model.generate(ids, **words)
    return made[0, ids.shape[1] :].tolist()


def check_mixed_batch(folder, model, named, source, differences):
    """Rows of one batch that choose: peft's adapter_names, beside a file whose rows do."""
    choices = ["b", "none", "a", "c", "a", "b", "c", "none"]
    rows = [[source.randrange(3, combine.VOCABULARY) for _ in range(source.randint(4, 12))] for _ in choices]
    file, said = folder / "mixed.jsonl", folder / "mixed.predictions"
    file.write_text("".join(json.dumps({"input_ids": ids, "labels": ids, "adapter": choice}) + "\n" for ids, choice in zip(rows, choices)))
    width = max(map(len, rows))
    ids = torch.tensor([[0] * (width - len(row)) + row for row in rows])
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
    names = ["__base__" if choice == "none" else choice for choice in choices]
    with torch.no_grad():
        logits = model(ids, attention_mask=mask, position_ids=(mask.cumsum(1) - 1).clamp(min=0), adapter_names=names).logits
        made = model.generate(input_ids=ids, attention_mask=mask, adapter_names=names, max_new_tokens=NEW, do_sample=False, eos_token_id=None, pad_token_id=0)

    call("evaluate", *named, "--validation_file", file, "--predictions_file", said, "--per_device_eval_batch_size", 2)
    for number, (row, line) in enumerate(zip(rows, said.read_text().splitlines())):
        wanted = torch.nn.functional.cross_entropy(logits[number, -len(row) : -1], torch.tensor(row[1:])).item()
        differences.close(json.loads(line)["loss"], wanted, 1e-5 * wanted, f"loss of mixed row {number}, {choices[number]}")
    ours = call("generate", *named, "--prompt_file", file, "--max_new_tokens", NEW, "--ignore_eos", "--per_device_eval_batch_size", 2).splitlines()
    for number, line in enumerate(ours):
        new, wanted = json.loads(line)["new_ids"], made[number, width:].tolist()
        differences.check(new == wanted, f"tokens of mixed row {number}, {choices[number]}", f"{new} {wanted}")
    differences.check(len(ours) == len(rows), "mixed rows", f"{len(ours)} lines")


def failing(code, part, differences, *words):
    said = subprocess.run([os.environ["RANKWISE_BINARY"], *map(str, words)], capture_output=True, text=True, timeout=120)
    differences.check(said.returncode == code and part in said.stderr, f"exit {code}, {part}", f"{said.returncode} {said.stderr[-400:]}")


def compare(folder, source, differences):
    base = folder / "base"
    combine.make_base(base, source)
    a, b, c = combine.make_adapters(base, folder, False)
    dora = get_peft_model(combine.load_base(base), LoraConfig(task_type="CAUSAL_LM", target_modules=["c_attn"], use_dora=True))
    dora.save_pretrained(folder / "dora")
    model = PeftModel.from_pretrained(combine.load_base(base), a, adapter_name="a")
    for name, place in (("b", b), ("c", c)):
        model.load_adapter(place, adapter_name=name)
    model.eval()
    choices = ["a", "b+c", "none", "c", "a+b+c", "b"] * 3
    rows = [[source.randrange(3, combine.VOCABULARY) for _ in range(source.randint(4, 12))] for _ in choices]
    file, plain = folder / "rows.jsonl", folder / "plain.jsonl"
    file.write_text("".join(json.dumps({"input_ids": ids, "labels": ids, "adapter": choice}) + "\n" for ids, choice in zip(rows, choices)))
    plain.write_text("".join(json.dumps({"input_ids": ids, "labels": ids}) + "\n" for ids in rows))
    tensors = [torch.tensor([ids]) for ids in rows]
    named = ("--model_name_or_path", base, "--task_type", "CAUSAL_LM", "--adapter_name_or_path", f"a={a},b={b},c={c}")

    targets = sum(len(ids) - 1 for ids in rows)
    for active in ("a", "b", "b+c", "none", None):
        on = () if active is None else ("--active_adapter", active)
        said = json.loads(call("evaluate", *named, *on, "--validation_file", plain))["eval_loss"]
        wanted = sum(losses(model, ids, active or "a") for ids in tensors) / targets
        differences.check(abs(said - wanted) <= 1e-5 * wanted, f"loss of {active}", f"{said} {wanted}")
    said = json.loads(call("evaluate", *named, "--validation_file", file))["eval_loss"]
    wanted = sum(losses(model, ids, choice) for ids, choice in zip(tensors, choices)) / targets
    differences.check(abs(said - wanted) <= 1e-5 * wanted, "loss of rows", f"{said} {wanted}")

    words = ("generate", *named, "--prompt_file", file, "--max_new_tokens", NEW, "--ignore_eos", "--per_device_eval_batch_size", 2)
    said = call(*words)
    made = [json.loads(line)["new_ids"] for line in said.splitlines()]
    wanted = [greedy(model, ids, choice) for ids, choice in zip(tensors, choices)]
    differences.check(made == wanted, "tokens of rows", f"\nours   {made}\ntheirs {wanted}")
    for ranks in (2, 3):
        for command, output in ((words, "--output_file"), (("evaluate", *named, "--validation_file", file), "--predictions_file")):
            outputs = [folder / f"{output}-{ranks}-{count}" for count in (1, ranks)]
            for count, place in zip((1, ranks), outputs):
                subprocess.run(["mpirun", "-n", str(count), os.environ["RANKWISE_BINARY"], *map(str, command), "--threads", "1", output, place], check=True, capture_output=True, timeout=120)
            same = outputs[0].read_bytes() == outputs[1].read_bytes()
            differences.check(same, f"{command[0]} at {ranks} ranks", "other bytes")

    check_mixed_batch(folder, model, named, source, differences)
    failing(2, "--active_adapter non: there is no adapter 'non' (did you mean none?)", differences, "evaluate", *named, "--active_adapter", "non", "--validation_file", plain)
    failing(2, "two adapters are named", differences, "evaluate", *named[:-1], f"{a},{b}", "--validation_file", plain)
    failing(2, "DoRA", differences, "evaluate", *named[:-1], f"a={a},d={folder / 'dora'}", "--active_adapter", "a+d", "--validation_file", plain)
    wrong = folder / "wrong.jsonl"
    wrong.write_text(plain.read_text() + json.dumps({"input_ids": [5, 6], "labels": [5, 6], "adapter": "nobe"}) + "\n")
    for verb in (("evaluate", "--validation_file"), ("generate", "--prompt_file")):
        failing(3, f"wrong.jsonl:{len(rows) + 1}: column 'adapter': there is no adapter 'nobe' (did you mean none?)", differences, verb[0], *named, verb[1], wrong)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(f"seed {args.seed}", flush=True)
    differences = Differences()
    run_cases("several_adapters", {"gpt2": lambda folder: compare(folder, random.Random(args.seed), differences)}, differences)


if __name__ == "__main__":
    main()
