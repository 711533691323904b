"""Writes the files beside it with the libraries that users come from: python, safetensors 0.8.0, peft 0.21.2.

Usage: python make.py (needs torch, transformers, peft, safetensors)
"""

import collections
import json
import os
import pathlib
import random
import struct
import tempfile

os.environ["HF_HUB_OFFLINE"] = "1"

import peft
import safetensors.torch
import torch
import transformers

HERE = pathlib.Path(__file__).parent


def dumps():
    """What Python's json writes for floats of every size, strings of every kind, nesting and empty values."""
    rng = random.Random(1)
    floats = [0.0, -0.0, 0.1, 1e-05, 1e-04, 16.0, 1e15, 1e16, 123456789012345680.0, 5e-324, 1.7976931348623157e308, 1 / 3, 1e22, 2e-5]
    while len(floats) < 80:
        value = struct.unpack("<d", rng.randbytes(8))[0] if len(floats) % 2 else rng.uniform(-1, 1) * 10 ** rng.randint(-7, 18)
        if value == value and abs(value) != float("inf"):
            floats.append(value)
    value = {
        "floats": floats,
        "integers": [0, -1, 2**63 - 1, -(2**63), 2**64 - 1],
        "strings": ["", 'quote " backslash \\ slash /', "\b\f\n\r\t\x00\x1f\x7f", "é ß 中文 \u2028 \ud7ff \ue000 \uffff", "😀 \U0010ffff"],
        "nested": {"é": {}, "a": [], "Z": [[], [{}], [[1, [2]]]], "z": [True, False, None]},
    }
    (HERE / "dumps.json").write_text(json.dumps(value, indent=2, sort_keys=True))


def mixed():
    """Every type that is read, a scalar, an empty tensor, names that JSON has to escape."""
    torch.manual_seed(1)
    types = [torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.float16, torch.bfloat16, torch.float32, torch.float64]
    tensors = {f"t{index:02}": (torch.randn(2, 3) * 9).to(dtype) for index, dtype in enumerate(types)}
    tensors |= {"scalar": torch.tensor(1.5), "empty": torch.zeros(0, 3), 'odd "\\\n\t\x01\x7f é': torch.ones(1), "a.bf16": torch.ones(3, dtype=torch.bfloat16)}
    safetensors.torch.save_file(tensors, HERE / "mixed.safetensors", {"format": "pt"})


def pickled():
    """What is in mixed.safetensors as torch.save writes it and as it did before 1.6; two names for one storage, a view, a parameter."""
    tensors = collections.OrderedDict(safetensors.torch.load_file(HERE / "mixed.safetensors"))
    tensors["same"] = tensors["t08"]
    tensors["row"] = tensors["t08"][1]
    tensors["parameter"] = torch.nn.Parameter(tensors["t07"].clone())
    tensors._metadata = collections.OrderedDict({"": {"version": 1}})  # as a module's state_dict has it
    (HERE / "torch").mkdir(exist_ok=True)
    torch.save(tensors, HERE / "torch" / "zip.bin")
    torch.save(tensors, HERE / "torch" / "legacy.bin", _use_new_zipfile_serialization=False)
    torch.save({"transposed": torch.ones(2, 3).t()}, HERE / "torch" / "transposed.bin")
    torch.save({"step": 3, "weight": torch.ones(1)}, HERE / "torch" / "number.bin")
    torch.save([torch.ones(1)], HERE / "torch" / "list.bin")


def tiny(kind, name):
    sizes = dict(hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8, vocab_size=16)
    if kind == "bert":
        model = transformers.BertForSequenceClassification(transformers.BertConfig(**sizes))
    elif kind == "llama":
        model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**sizes))
    else:
        model = transformers.GPT2LMHeadModel(transformers.GPT2Config(n_embd=8, n_layer=1, n_head=2, vocab_size=16))
    model.name_or_path = model.config._name_or_path = name
    return model


def adapter():
    """A folder as save_pretrained leaves it: LoRA with trained biases and a head."""
    torch.manual_seed(2)
    config = peft.LoraConfig(task_type="SEQ_CLS", r=2, lora_alpha=32, lora_dropout=0.1, bias="lora_only", alpha_pattern={"query": 3})
    model = peft.get_peft_model(tiny("bert", "models/café"), config)
    model.save_pretrained(HERE / "adapter")


CARDS = [("bert", "org/name", peft.IA3Config(task_type="SEQ_CLS")),
         ("bert", "org/name", peft.PromptTuningConfig(task_type="SEQ_CLS", num_virtual_tokens=2)),
         ("bert", "org/name", peft.LoraConfig(task_type="FEATURE_EXTRACTION", target_modules=["query"])),
         ("llama", "org/name", peft.LoraConfig(task_type="CAUSAL_LM")),
         ("llama", "org/name", peft.PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=2)),
         ("gpt2", "org/name", peft.PromptEncoderConfig(task_type="CAUSAL_LM", num_virtual_tokens=2, encoder_hidden_size=8))]
NAMES = ["", "~", "yes", "1234", "0123", "089", "1.5", "1e5", "1.e+5", ".5", "-.inf", "12:30", "0x1f", "2024-01-05", "---x", "...", "- x", "-x", "? x",
         "?x", ":x", "x:", "x: y", "x:y", "x #y", "x#y", "#x", "'x'", "it's", "it's: here", "@x", "{x}", " x", "x ", "a b", "a  b", "ünï 中文", "/data/a-b_c.d",
         "/data/" + "long name " * 20 + "x", "/data: " + "it's long  " * 20 + "x", "/" + "é" * 70 + " b c d e f g h i j k l m n", "x\ty"]


def cards():
    """The metadata of the model card for kinds of methods, tasks and names; the rest is that of adapter/README.md."""
    rest = (HERE / "adapter" / "README.md").read_text().split("---\n", 2)[2]
    rows = []
    lora = lambda: peft.LoraConfig(task_type="SEQ_CLS", r=2)
    for kind, name, config in CARDS + [("bert", name, lora()) for name in NAMES]:
        model = peft.get_peft_model(tiny(kind, name), config)
        with tempfile.TemporaryDirectory() as folder:
            model.create_or_update_model_card(folder)
            card = (pathlib.Path(folder) / "README.md").read_text()
        assert card.endswith(rest), card
        rows.append({"base_model": name, "peft_type": config.peft_type.value, "task_type": config.task_type, "body_is_model": kind == "llama", "metadata": card[: -len(rest)]})
    (HERE / "cards.json").write_text(json.dumps(rows, indent=2, ensure_ascii=False))


dumps()
mixed()
pickled()
adapter()
cards()
