"""Trains bottleneck adapters with the library `adapters` and with our binary, from the same folders and rows, and compares.

    RANKWISE_BINARY=build/rankwise .parity/python/bin/python tests/parity/bottleneck.py [--seed N] [--family F ...]

Pfeiffer, Houlsby, parallel, and general configs drawn from what the library offers, on every family that it knows and T5: losses of
four updates, trained tensors, both config files, and the loss that the library finds with our folder and our checkpoint. OPT,
which it refuses, trains here. Exits with 1 if anything differs.
"""

import argparse
import json
import os
import random
import sys

sys.path.append(sys.path.pop(0))  # this folder goes last: one script in it is called like a library
os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false", TRANSFORMERS_VERBOSITY="error")
import adapters
import heads
import tiny_bert
import torch
import transformers as T
from compare import Differences, call, metrics, run_cases
from safetensors.torch import load_file

UPDATES, RATE = 4, 3e-3
NAMED = ["seq_bn", "double_seq_bn", "par_bn"]
REFUSED = {"opt", "opt_post"}  # by the library
HOOKED = {"qwen2", "qwen3", "gemma2"}  # families whose layers it reaches by hooks, which allow fewer configs


def drawn_config(source, family):
    """A general config. Its norms in front of the bottleneck have two names in torch, which safetensors refuses to save."""
    factors = {"0": 2, "default": source.choice([4, 8])}
    config = dict(mh_adapter=source.random() < 0.7, output_adapter=True, cross_adapter=family == "t5",
                  reduction_factor=factors if family in ("bert", "llama") else source.choice([2, 4.5, 16]),
                  non_linearity=source.choice(["relu", "gelu", "swish", "tanh", "leakyrelu", "gelu_new"]),
                  original_ln_before=source.random() < 0.5, ln_after=source.random() < 0.5,
                  adapter_residual_before_ln=source.random() < 0.5, residual_before_ln=source.choice([True, False]),
                  scaling=source.choice([0.7, "learned", "channel"]), is_parallel=source.random() < 0.3,
                  init_weights=source.choice(["bert", "mam_adapter"]))  # fmt: skip
    if family not in HOOKED:
        config["original_ln_after"] = source.random() < 0.7
        if family in ("bert", "roberta", "distilbert") and config["original_ln_before"] and source.random() < 0.4:
            config["residual_before_ln"] = "post_add"
    return adapters.BnConfig(**config)


def t5_rows(source):
    return [{"input_ids": [source.randrange(5, heads.VOCABULARY) for _ in range(source.randint(4, 12))],
             "labels": [source.randrange(5, heads.VOCABULARY) for _ in range(source.randint(2, 8))]} for _ in range(heads.ROWS)]  # fmt: skip


def t5_loss(model, rows):
    sums = [(model(input_ids=torch.tensor([row["input_ids"]]), labels=torch.tensor([row["labels"]])).loss, len(row["labels"])) for row in rows]
    return sum(loss * count for loss, count in sums) / sum(count for _, count in sums)


class Case:
    """One family's base with rows, and how the library computes with them."""

    def __init__(self, family, config, folder, source):
        self.family, self.folder, self.pad = family, folder, config.pad_token_id
        self.task = "SEQ_2_SEQ_LM" if family == "t5" else "SEQ_CLS"
        torch.manual_seed(source.randrange(10**9))
        if family == "t5":
            model = T.T5ForConditionalGeneration(config)
            tiny_bert.spread_weights(model)
            model.save_pretrained(folder / "base")
            self.rows = t5_rows(source)
        else:
            config.num_labels = heads.LABELS
            heads.make_model(config, "SEQ_CLS", folder / "base", source)
            self.rows = heads.make_rows("SEQ_CLS", family in heads.TYPED, None, source)
        (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in self.rows))

    def base(self):
        kind = T.AutoModelForSeq2SeqLM if self.family == "t5" else T.AutoModelForSequenceClassification
        model = kind.from_pretrained(self.folder / "base", attn_implementation="eager")
        adapters.init(model)
        return model

    def loss(self, model):
        return t5_loss(model, self.rows) if self.family == "t5" else heads.loss_of(model.eval(), self.rows, "SEQ_CLS", self.pad)

    def train(self, settings):
        """Losses; the folders `start` and `end`."""
        model = self.base()
        model.add_adapter("a", config=settings)
        model.train_adapter("a")
        model.eval()
        trained = [value for value in model.parameters() if value.requires_grad]
        with torch.no_grad():
            for name, value in model.named_parameters():
                if ".adapters.a." in name:
                    value.add_(torch.randn_like(value) * 0.2)
        model.save_adapter(self.folder / "start", "a", use_safetensors=True)
        optimizer = torch.optim.AdamW(trained, lr=RATE, weight_decay=0.0)
        losses = []
        for _ in range(UPDATES):
            loss = self.loss(model)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(trained, 1.0)
            optimizer.step()
            losses.append(loss.item())
        model.save_adapter(self.folder / "end", "a", use_safetensors=True)
        return losses


def given(case):
    words = ["--model_name_or_path", case.folder / "base", "--task_type", case.task]
    return words if case.task == "SEQ_2_SEQ_LM" else [*words, "--num_labels", heads.LABELS]


def train_with_ours(case, output, *more):
    call("finetune", *given(case), "--train_file", case.folder / "rows.jsonl", "--output_dir", output, "--per_device_train_batch_size", 2,
         "--global_batch_size", heads.ROWS, "--max_steps", UPDATES, "--learning_rate", RATE, "--lr_scheduler_type", "constant", "--logging_steps", 1,
         "--save_steps", UPDATES, "--model_dropout", 0, *more)  # fmt: skip
    return metrics(output, "loss")


def tensors(folder):
    return {**load_file(folder / "adapter.safetensors"), **load_file(folder / "model_head.safetensors")}


def compare(where, family, config, settings, folder, source, differences):
    case = Case(family, config, folder, source)
    losses = case.train(settings)
    output = folder / "ours"
    ours = train_with_ours(case, output, "--adapter_name_or_path", folder / "start")
    for number, (mine, his) in enumerate(zip(ours, losses)):
        differences.close(mine, his, (1e-3 if number else 2e-5) * max(1, abs(his)), f"{where}, loss {number}")
    heads.same_tensors(*map(tensors, (folder / "start", folder / "end", output)), differences, where, share=0.2 if "drawn" in where else 0.05)
    for name in ("adapter_config.json", "head_config.json"):
        files = [json.loads((to / name).read_text()) for to in (folder / "end", output)]
        names = [key for key in set(files[0]) | set(files[1]) if key != "model_name" and files[0].get(key, "?") != files[1].get(key, "?")]
        differences.check(not names, where, f"{name}: {[(key, files[0].get(key), files[1].get(key)) for key in names]}")
    said = json.loads(call("evaluate", *given(case), "--adapter_name_or_path", output, "--validation_file", folder / "rows.jsonl").splitlines()[-1])
    for made in (output, output / f"checkpoint-{UPDATES}"):
        model = case.base()
        model.load_adapter(str(made), set_active=True, use_safetensors=True)
        with torch.no_grad():
            wanted = case.loss(model.eval()).item()
        differences.close(said["eval_loss"], wanted, 2e-5 * max(1, wanted), f"{where}, eval_loss of {made.name}")


def train_alone(where, family, config, settings, folder, source, differences):
    """What the library refuses: it trains here, the loss falls, and a folder goes on from where it was."""
    case = Case(family, config, folder, source)
    ours = train_with_ours(case, folder / "ours", "--peft_type", "BOTTLENECK", "--adapter_config", settings)
    differences.check(len(ours) == UPDATES and ours[-1] < ours[0], where, f"losses {ours}")
    said = json.loads(call("evaluate", *given(case), "--adapter_name_or_path", folder / "ours", "--validation_file", folder / "rows.jsonl").splitlines()[-1])
    on = train_with_ours(case, folder / "on", "--adapter_name_or_path", folder / "ours")
    differences.close(on[0], said["eval_loss"], 2e-5 * max(1, on[0]), f"{where}, going on")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--family", nargs="*")
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(f"seed {args.seed}", flush=True)
    source, differences = random.Random(args.seed), Differences()
    t5 = T.T5Config(vocab_size=heads.VOCABULARY, d_model=32, d_kv=8, d_ff=48, num_layers=2, num_heads=4, decoder_start_token_id=0, dropout_rate=0.0)
    cases = {}
    for family, config in {**heads.configs(source), "t5": t5}.items():
        if args.family and family not in args.family:
            continue
        names = ["pfeiffer", "houlsby", "parallel"] if family in REFUSED else [*NAMED, "drawn"]
        for name in names:
            check = train_alone if family in REFUSED else compare
            settings = name if family in REFUSED else drawn_config(source, family) if name == "drawn" else adapters.AdapterConfig.load(name, reduction_factor=4)
            where = f"{family} {name}"
            cases[where] = lambda folder, words=(check, where, family, config, settings): words[0](*words[1:], folder, source, differences)
    run_cases("bottleneck", cases, differences)


if __name__ == "__main__":
    main()
