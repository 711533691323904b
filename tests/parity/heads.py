"""Trains adapters under the heads of every family with Hugging Face and with our binary, from the same rows of ids, and compares.

    RANKWISE_BINARY=build/rankwise .parity/python/bin/python tests/parity/heads.py [--seed N] [--family F ...]

SEQ_CLS by every method, TOKEN_CLS by LoRA, QUESTION_ANS by LoRA and behind virtual tokens: the losses of four updates, names and shapes
of the saved tensors, evaluate's loss against what peft makes of our folder; what merge leaves, to 1e-5 of the largest logit; token types,
padding ids inside a text, accumulation; bf16 within a few per cent.
Exits with 1 if anything differs.
"""

import argparse
import json
import os
import random
import sys

sys.path.append(sys.path.pop(0))  # this folder goes last: one script in it is called like a library
os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false", TRANSFORMERS_VERBOSITY="error")
import tiny_bert
import torch
import transformers as T
from compare import Differences, call, metrics, run_cases
from peft import (AdaLoraConfig, IA3Config, LoraConfig, PeftModel, PrefixTuningConfig, PromptEncoderConfig, PromptTuningConfig, VeraConfig,
                  get_peft_model)  # fmt: skip
from safetensors.torch import load_file

UPDATES, RATE, ROWS, LABELS, VOCABULARY = 4, 3e-3, 6, 3, 96
CLASSES = {
    "SEQ_CLS": T.AutoModelForSequenceClassification,
    "TOKEN_CLS": T.AutoModelForTokenClassification,
    "QUESTION_ANS": T.AutoModelForQuestionAnswering,
}
METHODS = {
    "lora": lambda task, targets: LoraConfig(task_type=task, r=4, lora_alpha=12, target_modules=targets and ["q_lin", "v_lin"]),
    "dora": lambda task, targets: LoraConfig(task_type=task, r=4, lora_alpha=12, target_modules=targets and ["q_lin", "v_lin"], use_dora=True),
    "ia3": lambda task, targets: IA3Config(task_type=task, target_modules=targets and ["k_lin", "ffn.lin2"], feedforward_modules=targets and ["ffn.lin2"]),
    "pissa": lambda task, targets: LoraConfig(task_type=task, r=3, lora_alpha=5, init_lora_weights="pissa", target_modules=targets and ["q_lin"]),
    "olora": lambda task, targets: LoraConfig(task_type=task, r=3, lora_alpha=5, init_lora_weights="olora", target_modules=targets and ["q_lin"]),
    "lora-bias-term": lambda task, targets: LoraConfig(task_type=task, r=3, lora_bias=True, target_modules=targets and ["q_lin"]),
    "lora-words": lambda task, _: LoraConfig(task_type=task, r=3, lora_alpha=5, target_modules=r".*(word_embeddings|wte|embed_tokens|query|c_attn|q_proj)"),
    "lora-tokens": lambda task, _: LoraConfig(task_type=task, r=3, lora_alpha=5, target_modules=["query", "c_attn", "q_proj"], trainable_token_indices=[7, 20, 33, 50, 71]),
    "vera": lambda task, targets: VeraConfig(task_type=task, r=8, target_modules=targets and ["q_lin", "ffn.lin2"]),
    "adalora": lambda task, targets: AdaLoraConfig(task_type=task, init_r=5, target_r=2, tinit=1, tfinal=1, total_step=UPDATES, lora_alpha=12,
                                                   target_modules=targets and ["q_lin", "ffn.lin2"]),
    "prefix": lambda task, _: PrefixTuningConfig(task_type=task, num_virtual_tokens=4),
    "prompt": lambda task, _: PromptTuningConfig(task_type=task, num_virtual_tokens=4),
    "p-tuning": lambda task, _: PromptEncoderConfig(task_type=task, num_virtual_tokens=4, encoder_hidden_size=8),
}  # fmt: skip
IN_THE_TEXT = {"prompt", "p-tuning"}  # methods whose virtual tokens are rows of the input: a padded batch confuses peft's decoders
MERGED = {"lora", "lora-words", "lora-tokens", "dora", "ia3", "pissa", "olora", "vera", "adalora"}
REFUSED = {("roberta", "prefix"), ("distilbert", "prefix"), ("mistral", "adalora"), ("gpt2", "olora")}  # by peft
ON_FEW = {"pissa", "olora", "lora-bias-term", "lora-words", "lora-tokens"}  # how a pair begins is no family's business
FEW = {"bert", "gpt2", "llama"}
LACKS = {("opt", "TOKEN_CLS"), ("opt_post", "TOKEN_CLS"), ("gemma2", "QUESTION_ANS")}  # in transformers
TYPED = {"bert", "roberta"}  # families with token types; RoBERTa's published ones have a single type


def configs(source):
    """One for each family; their shapes are drawn."""
    heads, layers = source.choice([2, 4]), source.choice([2, 3])
    size, inner = heads * source.choice([8, 12]), source.randrange(40, 80)
    pad = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2, "vocab_size": VOCABULARY}
    encoder = dict(vocab_size=VOCABULARY, hidden_size=size, num_hidden_layers=layers, num_attention_heads=heads,
                   intermediate_size=inner, max_position_embeddings=64, type_vocab_size=2)  # fmt: skip
    rotary = dict(encoder, num_key_value_heads=2, **pad)
    rotary.pop("type_vocab_size")
    opt = dict(hidden_size=size, num_hidden_layers=layers, num_attention_heads=heads, ffn_dim=inner,
               max_position_embeddings=64, **pad)  # fmt: skip
    return {
        "bert": T.BertConfig(**encoder),
        "roberta": T.RobertaConfig(**encoder, pad_token_id=1),
        "distilbert": T.DistilBertConfig(vocab_size=VOCABULARY, dim=size, n_layers=layers, n_heads=heads, hidden_dim=inner, max_position_embeddings=64),
        "gpt2": T.GPT2Config(n_embd=size, n_layer=layers, n_head=heads, n_positions=64, **pad),
        "opt": T.OPTConfig(word_embed_proj_dim=size, **opt),
        "opt_post": T.OPTConfig(word_embed_proj_dim=size // 2, do_layer_norm_before=False, **opt),
        "llama": T.LlamaConfig(**rotary),
        "mistral": T.MistralConfig(**rotary, sliding_window=5),
        "qwen2": T.Qwen2Config(**rotary),
        "qwen3": T.Qwen3Config(**rotary, head_dim=16),
        "gemma2": T.Gemma2Config(**rotary, head_dim=16, query_pre_attn_scalar=24, sliding_window=5, attn_logit_softcapping=2.0, final_logit_softcapping=2.0),
    }  # fmt: skip


def make_model(config, task, folder, source):
    """Weights far from initial values, so that a detail that is wrong shows in the loss."""
    torch.manual_seed(source.randrange(10**9))
    model = CLASSES[task].from_config(config)
    tiny_bert.spread_weights(model)
    model.save_pretrained(folder)


def make_rows(task, types, pad, source):
    rows = []
    for number in range(ROWS):
        ids = [source.randrange(5, VOCABULARY) for _ in range(source.randint(5, 18))]
        if pad is not None and number in (1, 2):  # one inside the text, one that ends it
            ids[2 if number == 1 else -1] = pad
        row = {"input_ids": ids}
        if types:
            first = source.randint(1, len(ids))
            row["token_type_ids"] = [0] * first + [1] * (len(ids) - first)
        if task == "SEQ_CLS":
            row["labels"] = number % LABELS
        elif task == "TOKEN_CLS":
            row["labels"] = [source.choice([-100, 0, 1, 2]) for _ in ids]
        else:
            start = source.randrange(len(ids))
            row.update(start_positions=start, end_positions=source.randrange(start, len(ids)))
        rows.append(row)
    rows[0]["labels"] = [0, 1, 2, *rows[0]["labels"][3:]] if task == "TOKEN_CLS" else rows[0].get("labels")
    return [{name: value for name, value in row.items() if value is not None} for row in rows]


def span_logits_behind(model, row):
    """Of the text's own tokens, behind virtual ones; peft lets all compete and counts answers from the first virtual one (0.21.2)."""
    virtual = model.active_peft_config.num_virtual_tokens
    types = {"token_type_ids": torch.tensor([[0] * virtual + row["token_type_ids"]])} if "token_type_ids" in row else {}
    words = torch.cat((model.get_prompt(1), model.word_embeddings(torch.tensor([row["input_ids"]]))), 1)
    said = model.base_model(inputs_embeds=words, **types)
    return said.start_logits[:, virtual:], said.end_logits[:, virtual:]


def span_loss_behind(model, row):
    parts = zip(span_logits_behind(model, row), (row["start_positions"], row["end_positions"]))
    return sum(torch.nn.functional.cross_entropy(logits, torch.tensor([wanted])) for logits, wanted in parts) / 2


def loss_of(model, rows, task, pad):
    """Mean over all targets. Hugging Face lets the padding of a batch compete for answers, so spans go row by row, and
    past peft's own forward, which for this task drops the token types (0.21.2)."""
    if getattr(model, "row_by_row", False) and task == "QUESTION_ANS":
        return sum(span_loss_behind(model, row) for row in rows) / len(rows)
    if getattr(model, "row_by_row", False):
        return sum(model(**{name: torch.tensor([value]) for name, value in row.items()}).loss for row in rows) / len(rows)
    if task == "QUESTION_ANS":
        return sum(model.base_model(**{name: torch.tensor([value]) for name, value in row.items()}).loss for row in rows) / len(rows)
    longest = max(len(row["input_ids"]) for row in rows)

    def padded(name, value):
        return torch.tensor([row.get(name, [1] * len(row["input_ids"])) + [value] * (longest - len(row["input_ids"])) for row in rows])

    batch = {"input_ids": padded("input_ids", pad), "attention_mask": padded("attention_mask", 0)}
    if "token_type_ids" in rows[0]:
        batch["token_type_ids"] = padded("token_type_ids", 0)
    batch["labels"] = padded("labels", -100) if task == "TOKEN_CLS" else torch.tensor([row["labels"] for row in rows])
    return model(**batch).loss


def logits_of(model, rows):
    return torch.cat([model(**{name: torch.tensor([value]) for name, value in row.items()}).logits for row in rows])


def load_base(folder, task):
    return CLASSES[task].from_pretrained(folder, attn_implementation="eager").eval()


def train_with_peft(base, family, rows, task, pad, start, end, method):
    config = METHODS[method](task, family == "distilbert" or None)
    model = load_base(base, task)
    if method in IN_THE_TEXT and family in ("distilbert", "opt_post"):  # peft wants to be told
        config.token_dim = model.get_input_embeddings().weight.shape[1]
        config.num_layers, config.num_attention_heads = model.config.num_hidden_layers, model.config.num_attention_heads
    model = get_peft_model(model, config).eval()
    model.row_by_row = method in IN_THE_TEXT
    with torch.no_grad():
        for name, value in model.named_parameters():
            if any(part in name for part in ("lora_B", "lora_E", "lora_embedding_A", "ia3_l", "magnitude", "vera_lambda_b")):
                value.add_(torch.randn_like(value) * (4 if "vera" in name else 1 if "lora_E" in name else 0.2))
    model.save_pretrained(start)
    trained = [value for value in model.parameters() if value.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=RATE, weight_decay=0.0)
    losses = []
    for update in range(1, UPDATES + 1):
        loss = loss_of(model, rows, task, pad)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        if method == "adalora":
            model.base_model.update_and_allocate(update)
        losses.append(loss.item())
    model.save_pretrained(end)
    return losses


def tensors_of(folder):
    """Without the frozen embeddings that peft saves beside adapted ones."""
    return {name: value for name, value in load_file(folder / "adapter_model.safetensors").items() if not name.endswith(".base_layer.weight")}


NOISE = ("qa_outputs.bias", "c_attn.lora_B.bias")  # tensors whose gradient is, partly, rounding noise


def same_shapes(theirs, ours, differences, where):
    shapes = [{name: tuple(value.shape) for name, value in tensors.items()} for tensors in (theirs, ours)]
    differences.check(shapes[0] == shapes[1], where, f"tensors: {sorted(set(shapes[0].items()) ^ set(shapes[1].items()))[:4]}")
    return shapes[0] == shapes[1]


def same_tensors(start, end, ours, differences, where, share=0.05):
    """All but NOISE, within that share of the way that they went."""
    if not same_shapes(end, ours, differences, where):
        return
    for name in (name for name in end if not name.endswith(NOISE)):
        way = (end[name] - start[name]).norm().item() if start[name].shape == end[name].shape else end[name].norm().item()
        off = (ours[name] - end[name]).norm().item()
        differences.check(off <= share * way + 1e-5, where, f"{name}: off by {off:.2e} after a way of {way:.2e}")


def compare(family, task, method, config, folder, source, differences):
    where = f"{family} {task} {method}"
    base, start, end, output = folder / "base", folder / "start", folder / "end", folder / "ours"
    inside = config.pad_token_id if family not in ("bert", "distilbert") else None
    pad = config.pad_token_id
    config.num_labels = 2 if task == "QUESTION_ANS" else LABELS
    make_model(config, task, base, source)
    rows = make_rows(task, family in TYPED, inside, source)
    file = folder / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    losses = train_with_peft(base, family, rows, task, pad, start, end, method)

    head = [] if task == "QUESTION_ANS" else ["--num_labels", LABELS]
    given = ["--model_name_or_path", base, "--task_type", task, *head]
    training = [*given, "--adapter_name_or_path", start, "--train_file", file, "--per_device_train_batch_size", 2, "--learning_rate", RATE,
                "--lr_scheduler_type", "constant", "--logging_steps", 1, "--save_strategy", "no", "--model_dropout", 0]  # fmt: skip
    update = source.choice([("--global_batch_size", ROWS), ("--gradient_accumulation_steps", ROWS // 2)])

    def train(to, updates, *more):
        call("finetune", *training, "--output_dir", to, "--max_steps", updates, *update, *more)
        return metrics(to, "loss")

    ours = train(output, UPDATES)
    differences.check(len(ours) == UPDATES, where, f"{len(ours)} losses")
    compared = 1 if method == "p-tuning" else UPDATES  # a folder holds what its network made, and that is what goes on here
    for number, (mine, his) in enumerate(zip(ours[:compared], losses)):
        differences.close(mine, his, (1e-3 if number else 2e-5) * max(1, abs(his)), f"{where}, loss {number}")
    tensors = [tensors_of(to) for to in (start, end, output)]
    if method == "p-tuning":
        same_shapes(tensors[0], tensors[2], differences, where)
    else:
        same_tensors(*tensors, differences, where)
    if method == "adalora":
        kept = [json.loads((to / "adapter_config.json").read_text())["rank_pattern"] for to in (end, output)]
        differences.check(kept[0] == kept[1], where, f"rank_pattern: {kept[1]}, peft {kept[0]}")
    said = json.loads(call("evaluate", *given, "--adapter_name_or_path", output, "--validation_file", file).splitlines()[-1])
    with torch.no_grad():
        model = PeftModel.from_pretrained(load_base(base, task), output).eval()
        model.row_by_row = method in IN_THE_TEXT
        if method == "adalora":  # peft adds the penalty on A and B to this loss too
            model = model.base_model.model
        wanted = loss_of(model, rows, task, pad).item()
    differences.close(said["eval_loss"], wanted, 2e-5 * max(1, wanted), f"{where}, eval_loss")
    if task == "SEQ_CLS" and method in MERGED:  # what transformers makes of the merged folder
        call("merge", *given, "--adapter_name_or_path", output, "--output_dir", folder / "merged")
        unadapted = load_base(base, task)
        with torch.no_grad():
            adapted, merged, bare = (logits_of(each, rows) for each in (model, load_base(folder / "merged", task), unadapted))
        largest = adapted.abs().max().item()
        moved, off = ((adapted - other).abs().max().item() / largest for other in (bare, merged))
        differences.check(moved >= 0.1, where, f"the adapter moves logits by {moved:.1e} of the largest only")
        differences.check(off <= 1e-5, where, f"merged: off by {off:.1e} of the largest logit")
        written = json.loads((folder / "merged" / "config.json").read_text())["architectures"]
        differences.check(written == [type(unadapted).__name__], where, f"merged: architectures {written}")
    if family in ("bert", "opt_post", "qwen3") and method == "lora":
        differences.close(train(folder / "bf16", 1, "--bf16")[0], losses[0], 0.05 * max(1, losses[0]), f"{where}, bf16")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--family", nargs="*")
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(f"seed {args.seed}", flush=True)
    source, differences = random.Random(args.seed), Differences()
    cases = {}
    for family, config in configs(source).items():
        spans = [("QUESTION_ANS", method) for method in sorted(IN_THE_TEXT)]
        for task, method in [(task, "lora") for task in CLASSES] + spans + [("SEQ_CLS", method) for method in METHODS if method != "lora"]:
            if (family, task) in LACKS or (family, method) in REFUSED or (method in ON_FEW and family not in FEW) or (args.family and family not in args.family):
                continue
            cases[f"{family} {task} {method}"] = lambda folder, which=(family, task, method, config): compare(*which, folder, source, differences)
    run_cases("heads", cases, differences)


if __name__ == "__main__":
    main()
