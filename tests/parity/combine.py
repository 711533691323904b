"""Combines LoRA adapters with peft's add_weighted_adapter and with `merge`, and compares the tensors and the merged model.

    RANKWISE_BINARY=build/rankwise .parity/python/bin/python tests/parity/combine.py [--seed N]

Every combination type, with weights of both signs, alpha patterns, rsLoRA, targets that differ. What dare leaves out is random: with
density 1 it is what ties and linear are, else the share that is left and its scale are looked at. Exits with 1 if anything differs.
"""

import argparse
import os
import random
import sys

sys.path.append(sys.path.pop(0))  # this folder goes last: one script in it is called like a library
os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false", TRANSFORMERS_VERBOSITY="error")
import tiny_bert
import torch
import transformers as T
from compare import Differences, call, run_cases
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file

VOCABULARY, DENSITY = 96, 0.4
SAME_RANK = ["linear", "ties", "magnitude_prune"]
ANY_RANK = ["svd", "cat", "ties_svd", "magnitude_prune_svd"]
RANDOM = {"dare_linear": "linear", "dare_ties": "ties", "dare_linear_svd": "svd", "dare_ties_svd": "ties_svd"}


def make_base(folder, source):
    torch.manual_seed(source.randrange(10**9))
    ids = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}
    model = T.GPT2LMHeadModel(T.GPT2Config(vocab_size=VOCABULARY, n_embd=32, n_layer=2, n_head=4, n_positions=64, **ids))
    tiny_bert.spread_weights(model)
    model.save_pretrained(folder)


def load_base(folder):
    return T.AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager").eval()


def make_adapters(base, folder, same_rank):
    """Three, which differ in rank (or not), scale and targets."""
    settings = [dict(r=4, lora_alpha=6), dict(r=4 if same_rank else 3, lora_alpha=8, alpha_pattern={"h.0.attn.c_attn": 2}),
                dict(r=4 if same_rank else 5, lora_alpha=3, use_rslora=True)]  # fmt: skip
    targets = [["c_attn"], ["c_attn", "mlp.c_proj"], ["c_attn", "mlp.c_fc"]]
    folders = []
    for number, (values, names) in enumerate(zip(settings, targets)):
        model = get_peft_model(load_base(base), LoraConfig(task_type="CAUSAL_LM", target_modules=names, **values))
        with torch.no_grad():
            for name, value in model.named_parameters():
                if "lora_" in name:
                    value.normal_(0, 0.3)
        folders.append(folder / f"adapter-{number}")
        model.save_pretrained(folders[-1])
    return folders


def combine(base, adapters, weights, kind, output, *more):
    call("merge", "--model_name_or_path", base, "--adapter_name_or_path", ",".join(map(str, adapters)), "--weights", ",".join(map(str, weights)),
         "--combination_type", kind, "--output_dir", output, *more)  # fmt: skip
    return load_file(output / "combined_adapter" / "adapter_model.safetensors")


def updates(tensors):
    """B A of each module: a decomposition may turn the signs of both."""
    ends = ".lora_A.weight", ".lora_B.weight"
    return {name[: -len(ends[0])]: tensors[name[: -len(ends[0])] + ends[1]] @ tensors[name] for name in tensors if name.endswith(ends[0])}


def compare(kind, same_rank, folder, source, differences):
    where = f"{kind}, {'one rank' if same_rank else 'three ranks'}"
    base = folder / "base"
    make_base(base, source)
    adapters = make_adapters(base, folder, same_rank)
    weights = [round(source.uniform(0.2, 1), 2), round(source.uniform(-1, -0.2), 2), round(source.uniform(0.2, 1), 2)]
    settings = {} if kind in ("linear", "svd", "cat") else {"density": DENSITY}
    if "ties" in kind:
        settings["majority_sign_method"] = source.choice(["total", "frequency"])
    if kind.endswith("svd") and source.random() < 0.5:
        settings |= {"svd_rank": 3, "svd_clamp": 0.9}

    model = PeftModel.from_pretrained(load_base(base), adapters[0], adapter_name="a0")
    for number in (1, 2):
        model.load_adapter(adapters[number], adapter_name=f"a{number}")
    model.add_weighted_adapter(["a0", "a1", "a2"], weights, "combined", combination_type=kind, **settings)
    model.peft_config["combined"].use_rslora = False
    model.save_pretrained(folder, selected_adapters=["combined"])
    theirs = load_file(folder / "combined" / "adapter_model.safetensors")
    ours = combine(base, adapters, weights, kind, folder / "ours", *(word for name, value in settings.items() for word in (f"--{name}", value)))

    shapes = [{name: tuple(value.shape) for name, value in tensors.items()} for tensors in (theirs, ours)]
    differences.check(shapes[0] == shapes[1], where, f"tensors: {sorted(set(shapes[0].items()) ^ set(shapes[1].items()))[:4]}")
    if "svd_clamp" not in settings:  # which bound the signs of a decomposition change
        wanted, made = (updates(theirs), updates(ours)) if kind.endswith("svd") else (theirs, ours)
        for name, value in wanted.items():
            off = (made[name] - value).abs().max().item()
            differences.check(off <= 1e-5 * max(1, value.abs().max().item()), where, f"{name}: off by {off:.1e}")
    ids = torch.tensor([[source.randrange(3, VOCABULARY) for _ in range(12)] for _ in range(4)])
    with torch.no_grad():
        adapted = PeftModel.from_pretrained(load_base(base), folder / "ours" / "combined_adapter").eval()(ids).logits
        merged = load_base(folder / "ours")(ids).logits
    off = (merged - adapted).abs().max().item()
    differences.check(off <= 1e-5 * adapted.abs().max().item(), where, f"merged: off by {off:.1e}")


def compare_random(kind, like, folder, source, differences):
    base = folder / "base"
    make_base(base, source)
    adapters, weights = make_adapters(base, folder, True), [0.5, 0.8, 0.3]
    whole = combine(base, adapters, weights, kind, folder / "whole", "--density", 1)
    other = combine(base, adapters, weights, like, folder / "like", *(() if like in ("linear", "svd") else ("--density", 1)))
    for name, value in updates(other).items():
        off = (updates(whole)[name] - value).abs().max().item()
        differences.check(off <= 1e-5 * max(1, value.abs().max().item()), kind, f"density 1, {name}: off by {off:.1e}")
    if kind != "dare_linear":
        return
    single = combine(base, adapters[:2], [1, 0], kind, folder / "single", "--density", DENSITY)
    before = load_file(adapters[0] / "adapter_model.safetensors")
    name = "base_model.model.transformer.h.0.attn.c_attn.lora_B.weight"
    left = single[name] != 0
    scale = 6 / 4
    off = (single[name] - before[name] * scale**0.5 / DENSITY)[left].abs().max().item()
    differences.check(off <= 1e-5, kind, f"what is left is off by {off:.1e}")
    share = left.float().mean().item()
    differences.check(abs(share - DENSITY) < 0.15, kind, f"{share:.2f} is left")
    again = combine(base, adapters[:2], [1, 0], kind, folder / "again", "--density", DENSITY)
    differences.check(torch.equal(again[name], single[name]), kind, "another call leaves others out")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(f"seed {args.seed}", flush=True)
    source, differences = random.Random(args.seed), Differences()
    cases = {}
    for kind in SAME_RANK + ANY_RANK:
        for same_rank in (True,) if kind in SAME_RANK else (True, False):
            cases[f"{kind} {same_rank}"] = lambda folder, words=(kind, same_rank): compare(*words, folder, source, differences)
    for words in RANDOM.items():
        cases[words[0]] = lambda folder, words=words: compare_random(*words, folder, source, differences)
    run_cases("combine", cases, differences)


if __name__ == "__main__":
    main()
