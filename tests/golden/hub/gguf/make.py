"""Writes the files beside it with the libraries that users come from: python, gguf 0.19.0, transformers 4.57.6, peft 0.21.2.

Usage: python make.py [SmolLM2-135M-Instruct.gguf] (needs torch, transformers, peft, gguf)
    blocks.gguf       every type of number: a tensor "<type>" and the same unpacked by gguf, "<type>.unpacked"
    values.gguf       metadata of every type
    <model>.gguf      a tiny model of each architecture, as llama.cpp's convert_hf_to_gguf.py lays it out
    models.json       what its config.json says, and crc32 of the float32 bytes of each tensor as transformers reads the file
    lora, lora.gguf   an adapter of the tiny llama by peft, and as llama.cpp's convert_lora_to_gguf.py lays it out
    smollm2.json      with an argument: crc32 of each tensor of that file as transformers reads it
"""

import json
import pathlib
import sys
import zlib

import gguf
import numpy
import peft
import safetensors.torch
import torch
import transformers
from gguf import GGMLQuantizationType as Type
from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

HERE = pathlib.Path(__file__).parent


def finish(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def blocks():
    """Random bits, so that every bit of a block matters; scales are finite, some of them subnormal."""
    rng = numpy.random.default_rng(1)
    writer = gguf.GGUFWriter(HERE / "blocks.gguf", "none")
    halves = {"Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208]}
    for name in ("F32", "F16", "BF16", *halves):
        kind = Type[name]
        numbers, size = gguf.GGML_QUANT_SIZES[kind]
        columns = max(2 * numbers, 40) if numbers < 256 else numbers
        raw = rng.integers(0, 256, (3, columns // numbers, size), dtype=numpy.uint8)
        for place in halves.get(name, []):
            scales = rng.integers(0, 0x7C00, raw.shape[:2], dtype=numpy.uint16) | rng.integers(0, 2, raw.shape[:2], dtype=numpy.uint16) << 15
            scales[0] &= 0x83FF
            raw[..., place : place + 2] = scales[..., None].view(numpy.uint8)
        if name in ("F32", "F16", "BF16"):
            raw[..., -1] &= 0x3F  # no NaN, which would not compare
            raw[0, :, -1] &= 0x80
        raw = raw.reshape(3, -1)
        unpacked = gguf.quants.dequantize(raw, kind)
        assert numpy.isfinite(unpacked).all() and unpacked.shape == (3, columns), name
        writer.add_tensor(name, raw, raw_dtype=kind)
        writer.add_tensor(name + ".unpacked", numpy.ascontiguousarray(unpacked))
    finish(writer)


def values():
    writer = gguf.GGUFWriter(HERE / "values.gguf", "none")
    writer.add_custom_alignment(64)
    for kind in ("uint8", "uint16", "uint32", "uint64"):
        getattr(writer, f"add_{kind}")(f"v.{kind}", 2 ** int(kind[4:]) - 1)
    for kind in ("int8", "int16", "int32", "int64"):
        getattr(writer, f"add_{kind}")(f"v.{kind}", -(2 ** (int(kind[3:]) - 1)))
    writer.add_float32("v.float32", 1e-5)
    writer.add_float64("v.float64", 0.1)
    writer.add_bool("v.true", True)
    writer.add_bool("v.false", False)
    writer.add_string("v.text", "é\n中")
    writer.add_array("v.texts", ["a", "", "ß"])
    writer.add_array("v.integers", [-1, 0, 7])
    writer.add_array("v.floats", [0.5, 1e-5])
    writer.add_array("v.booleans", [True, False])
    writer.add_array("v.bytes", b"\x00\xff")
    writer.add_array("v.nested", [[1, 2], [3]])
    writer.add_tensor("scalar-like", numpy.array([1.5], numpy.float32))
    writer.add_tensor("cube", numpy.arange(6, dtype=numpy.int16).reshape(1, 2, 3))
    finish(writer)


SIZES = dict(vocab_size=32, hidden_size=64, intermediate_size=32, num_hidden_layers=1, num_attention_heads=4, num_key_value_heads=2,
             max_position_embeddings=512, rms_norm_eps=1e-5, rope_theta=50000.0, bos_token_id=1, eos_token_id=2, pad_token_id=0)
LLAMA3 = {"rope_type": "llama3", "factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}
MODELS = {
    "llama": ("LlamaForCausalLM", transformers.LlamaConfig(**SIZES, head_dim=16, tie_word_embeddings=True, rope_scaling=LLAMA3)),
    "qwen2": ("Qwen2ForCausalLM", transformers.Qwen2Config(**SIZES, tie_word_embeddings=False)),
    "qwen3": ("Qwen3ForCausalLM", transformers.Qwen3Config(**SIZES, head_dim=32, tie_word_embeddings=True)),
    "gemma2": ("Gemma2ForCausalLM", transformers.Gemma2Config(**SIZES, head_dim=32, query_pre_attn_scalar=32, sliding_window=64, attn_logit_softcapping=40.0, final_logit_softcapping=20.0)),
}
CHECKED = ["model_type", "architectures", *SIZES, "head_dim", "tie_word_embeddings", "rope_scaling", "hidden_act", "hidden_activation",
           "query_pre_attn_scalar", "attn_logit_softcapping", "final_logit_softcapping"]


def interleave(weight, heads):
    return weight.reshape(heads, 2, weight.shape[0] // heads // 2, *weight.shape[1:]).swapaxes(1, 2).reshape(weight.shape)


def rope_factors(config):
    """rope_freqs.weight, as convert_hf_to_gguf.py computes it for llama 3.1."""
    settings, factors = config.rope_scaling, []
    for frequency in config.rope_theta ** -(torch.arange(0, config.head_dim, 2, dtype=torch.float32) / config.head_dim):
        turns = settings["original_max_position_embeddings"] * frequency.item() / (2 * numpy.pi)
        smooth = (turns - settings["low_freq_factor"]) / (settings["high_freq_factor"] - settings["low_freq_factor"])
        factors.append(1 / ((1 - min(max(smooth, 0), 1)) / settings["factor"] + min(max(smooth, 0), 1)))
    return numpy.array(factors, numpy.float32)


def model(name, class_name, config):
    torch.manual_seed(3)
    source = getattr(transformers, class_name)(config)
    for parameter in source.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    writer = gguf.GGUFWriter(HERE / f"{name}.gguf", name)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_theta)
    head_size = getattr(config, "head_dim", config.hidden_size // config.num_attention_heads)
    if name == "llama":
        writer.add_rope_dimension_count(head_size)
        writer.add_tensor("rope_freqs.weight", rope_factors(config))
    elif name != "qwen2":
        writer.add_key_length(head_size)
        writer.add_value_length(head_size)
    if name == "gemma2":
        writer.add_attn_logit_softcapping(config.attn_logit_softcapping)
        writer.add_final_logit_softcapping(config.final_logit_softcapping)
        writer.add_sliding_window(config.sliding_window)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list([f"t{i}" for i in range(config.vocab_size)])
    writer.add_token_types([3] * 3 + [1] * (config.vocab_size - 3))
    writer.add_token_merges(["t 1", "t 2"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(0)
    writer.add_add_bos_token(False)
    writer.add_chat_template("{{ messages }}")
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH[name.upper()], config.num_hidden_layers)
    for path, value in source.state_dict().items():
        if path == "lm_head.weight" and config.tie_word_embeddings:
            continue
        value = value.numpy()
        if name == "llama" and "q_proj" in path:
            value = interleave(value, config.num_attention_heads)
        if name == "llama" and "k_proj" in path:
            value = interleave(value, config.num_key_value_heads)
        if name == "gemma2" and "norm" in path:
            value = value + 1
        kind = Type.F32 if value.ndim == 1 else Type.Q8_0 if "embed" in path else Type.Q4_1
        writer.add_tensor(names.get_name(path, (".weight", ".bias")), gguf.quants.quantize(value, kind), raw_dtype=kind)
    finish(writer)
    # Not by from_pretrained, which in this version does not see the head size of qwen3.
    loaded = load_gguf_checkpoint(HERE / f"{name}.gguf", return_tensors=True, model_to_load=source)["tensors"]
    assert set(source.state_dict()) - set(loaded) <= {"lm_head.weight"}
    tensors = {path: [list(value.shape), zlib.crc32(value.contiguous().numpy().tobytes())] for path, value in loaded.items()}
    said = config.to_dict() | {"architectures": [class_name]}
    return {"config": {field: said[field] for field in CHECKED if said.get(field) is not None}, "tensors": tensors}


def lora():
    torch.manual_seed(4)
    config = MODELS["llama"][1]
    settings = peft.LoraConfig(task_type="CAUSAL_LM", r=2, lora_alpha=6, target_modules=["q_proj", "k_proj", "v_proj", "down_proj"], rank_pattern={"down_proj": 3}, init_lora_weights=False)
    model = peft.get_peft_model(transformers.LlamaForCausalLM(config), settings)
    model.save_pretrained(HERE / "lora")
    (HERE / "lora" / "README.md").unlink()
    writer = gguf.GGUFWriter(HERE / "lora.gguf", "llama")
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", settings.lora_alpha)
    writer.add_quantization_version(2)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)
    for path, value in sorted(safetensors.torch.load_file(HERE / "lora" / "adapter_model.safetensors").items()):
        module, half = path.removeprefix("base_model.model.").removesuffix(".weight").rsplit(".", 1)
        value = value.numpy()
        if half == "lora_B" and "q_proj" in module:
            value = interleave(value, config.num_attention_heads)
        if half == "lora_B" and "k_proj" in module:
            value = interleave(value, config.num_key_value_heads)
        writer.add_tensor(f"{names.get_name(module)}.weight.{half.lower()}", value)
    finish(writer)


def smollm2(file):
    loaded = transformers.AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.float32).model.state_dict()
    sums = {"model." + path: zlib.crc32(value.contiguous().numpy().tobytes()) for path, value in loaded.items()}
    (HERE / "smollm2.json").write_text(json.dumps(sums, indent=0) + "\n")


blocks()
values()
(HERE / "models.json").write_text(json.dumps({name: model(name, *rest) for name, rest in MODELS.items()}, indent=1) + "\n")
lora()
for argument in sys.argv[1:]:
    smollm2(pathlib.Path(argument))
