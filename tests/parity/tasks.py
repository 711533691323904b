"""Compares what tasks make of text with Hugging Face: blocks, conversations, questions, features, predictions of every row.

    RANKWISE_BINARY=build/rankwise .parity/python/bin/python tests/parity/tasks.py [--seed N] [case ...]

blocks      CAUSAL_LM --block_size against run_clm's group_texts, with the short rest kept: loss and targets of every block
chat        rows of messages against apply_chat_template: ids and the assistant's mask, by the loss of every row
questions   windows, labels, answers, exact match and F1 against run_qa's preprocessing and postprocessing; a prompt that peft saved before them
features    AutoModel's hidden states (T5EncoderModel's), pooled three ways, bare and under a LoRA that peft saved
predictions TOKEN_CLS and SEQ_2_SEQ_LM rows; finetune --test_file against evaluate
Each on one rank and on three: the bytes must be the same. Exits with 1 if anything differs.
"""

import argparse
import json
import os
import random
import re
import sys

sys.path.append(sys.path.pop(0))  # this folder goes last: one script in it is called like a library
os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false", TRANSFORMERS_VERBOSITY="error")
import numpy
import tiny_bert
import torch
import transformers as T
from compare import Differences, call, metrics, run_cases
from heads import span_logits_behind
from peft import LoraConfig, PromptTuningConfig, get_peft_model
from run_qa import answers_of, f1, features_of_questions, normal, right_answers
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

WORDS = "river stone cloud number letter garden the an engine signal memory a winter copper velvet lantern harbour".split()
ODD = ["café naïve", "日本語のテスト", "emoji 😀👍🏽 done", "x=3.14; y_1 = 2e-5", "don't we'll I'm", "e\u0301le\u0300ve", "ﬁne ½ Å", "«ÉTÉ», İstanbul"]
GENERATION = (
    "{% for m in messages %}<|{{ m.role }}|>\n{% if m.role == 'assistant' %}{% generation %}{{ m.content }}<|end|>{% endgeneration %}\n"
    "{% else %}{{ m.content }}<|end|>\n{% endif %}{% endfor %}{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content | trim }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SIZE = dict(vocab_size=512, hidden_size=48, num_hidden_layers=2, num_attention_heads=4, intermediate_size=72, max_position_embeddings=260)  # fmt: skip
IDS = dict(bos_token_id=2, eos_token_id=2, pad_token_id=1)
GPT2 = T.GPT2Config(vocab_size=512, n_embd=48, n_layer=2, n_head=4, n_positions=260, **IDS)
OPT = T.OPTConfig(vocab_size=512, hidden_size=48, word_embed_proj_dim=24, num_hidden_layers=2, num_attention_heads=4, ffn_dim=72,
                  max_position_embeddings=260, do_layer_norm_before=False, **IDS)  # fmt: skip
DISTILBERT = T.DistilBertConfig(vocab_size=512, dim=48, n_layers=2, n_heads=4, hidden_dim=72, max_position_embeddings=260)

T5 = dict(vocab_size=512, d_model=48, d_kv=12, d_ff=72, num_layers=2, num_heads=4, decoder_start_token_id=0, pad_token_id=0, eos_token_id=1)
ENCODERS = {"t5": T.T5EncoderModel, "mt5": T.MT5EncoderModel}


def text(source, words):
    return " ".join(source.choice(ODD) if source.random() < 0.1 else source.choice(WORDS) for _ in range(words)) + source.choice([".", "!", "?", ""])


def tokenizers(source):
    """Byte-level BPE, WordPiece, and BPE over Metaspace as Llama's, each with what transformers calls its special tokens."""
    corpus = [text(source, 8) for _ in range(400)] + ODD * 20
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer, bpe.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    specials = ["<s>", "<pad>", "</s>", "<unk>", "<|end|>", "<|im_start|>", "<|im_end|>"]
    bpe.train_from_iterator(corpus, trainers.BpeTrainer(vocab_size=420, special_tokens=specials, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    wordpiece = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    wordpiece.normalizer, wordpiece.pre_tokenizer, wordpiece.decoder = normalizers.BertNormalizer(lowercase=True), pre_tokenizers.BertPreTokenizer(), decoders.WordPiece()
    marks = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    wordpiece.train_from_iterator(corpus, trainers.WordPieceTrainer(vocab_size=300, special_tokens=marks, show_progress=False))
    wordpiece.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    llama = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    llama.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    llama.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    bytes_ = [f"<0x{byte:02X}>" for byte in range(256)]
    llama.train_from_iterator(corpus, trainers.BpeTrainer(vocab_size=500, special_tokens=specials + bytes_, show_progress=False))
    llama.post_processor = processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", 0)])
    special = dict(bos_token="<s>", eos_token="</s>", pad_token="<pad>", unk_token="<unk>")
    names = ["input_ids", "attention_mask"]
    roberta = Tokenizer.from_str(bpe.to_str())
    roberta.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), trim_offsets=True, add_prefix_space=False)
    return {
        "bpe": T.PreTrainedTokenizerFast(tokenizer_object=bpe, model_input_names=names, **special),
        "roberta": T.PreTrainedTokenizerFast(tokenizer_object=roberta, model_input_names=names, cls_token="<s>", sep_token="</s>", **special),
        "llama": T.PreTrainedTokenizerFast(tokenizer_object=llama, model_input_names=names, **special),
        "wordpiece": T.PreTrainedTokenizerFast(tokenizer_object=wordpiece, cls_token="[CLS]", sep_token="[SEP]", pad_token="[PAD]", unk_token="[UNK]", mask_token="[MASK]"),
    }  # fmt: skip


class Case:
    def __init__(self, folder, source, differences):
        self.folder, self.source, self.differences, self.tokenizers = folder, source, differences, tokenizers(source)

    def model(self, name, model_class, config, tokenizer, chat_template=None):
        folder = self.folder / name
        torch.manual_seed(self.source.randrange(10**9))
        model = model_class.from_config(config).eval()
        tiny_bert.spread_weights(model)
        model.save_pretrained(folder)
        kind = self.tokenizers[tokenizer]
        kind.chat_template = chat_template
        kind.save_pretrained(folder)
        return folder, model_class.from_pretrained(folder, attn_implementation="eager").eval(), kind

    def rows(self, name, rows):
        file = self.folder / f"{name}.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return file

    def evaluate(self, where, folder, task, file, *more):
        """What evaluate prints and its predictions, the same at one rank and at three."""
        said = []
        for ranks in (1, 3):
            to = self.folder / f"predictions{ranks}.jsonl"
            printed = json.loads(call("evaluate", "--model_name_or_path", folder, "--task_type", task, "--validation_file", file,
                                      "--predictions_file", to, *more, ranks=ranks).splitlines()[-1])  # fmt: skip
            for timing in ("eval_runtime", "eval_samples_per_second"):
                printed.pop(timing)
            said.append((printed, to.read_text()))
        self.differences.check(said[0] == said[1], where, "one rank and three say different things")
        return said[0][0], [json.loads(line) for line in said[0][1].splitlines()]


def losses_of(model, ids, labels):
    """Of every target: logits[t] predict labels[t + 1]."""
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([ids])).logits[0]
    targets = torch.tensor(labels[1:], dtype=torch.long)  # none, where a text's last block is one token
    return torch.nn.functional.cross_entropy(logits[:-1], targets, reduction="none")[targets != -100]


def compare_language_model(case, where, model, examples, printed, predictions):
    check = case.differences
    check.check(len(predictions) == len(examples), where, f"{len(predictions)} predictions, {len(examples)} rows")
    total = []
    for number, ((ids, labels), said) in enumerate(zip(examples, predictions)):
        losses = losses_of(model, ids, labels)
        total.append(losses)
        check.check(said["targets"] == len(losses), f"{where}, row {number}", f"{said['targets']} targets, Hugging Face {len(losses)}")
        if len(losses):
            check.close(said["loss"], losses.mean().item(), 2e-5 * max(1, losses.mean().item()), f"{where}, row {number}")
    check.check(printed["eval_tokens"] == sum(len(ids) for ids, _ in examples), where, f"{printed['eval_tokens']} tokens")
    check.close(printed["eval_loss"], torch.cat(total).mean().item(), 2e-5 * torch.cat(total).mean().item(), f"{where}, eval_loss")


def blocks(case):
    for family, config, kind in (("llama", T.LlamaConfig(**SIZE, num_key_value_heads=2, **IDS), "llama"), ("gpt2", GPT2, "bpe")):
        folder, model, tokenizer = case.model(f"blocks-{family}", T.AutoModelForCausalLM, config, kind)
        texts = [text(case.source, case.source.randint(0, 20)) for _ in range(40)]
        size = case.source.choice([16, 23, 40])
        joined = [number for row in texts for number in tokenizer(row)["input_ids"]]
        examples = [(joined[at : at + size],) * 2 for at in range(0, len(joined), size)]
        file = case.rows("texts", [{"text": row} for row in texts])
        where = f"blocks, {family}, {size}"
        compare_language_model(case, where, model, examples, *case.evaluate(where, folder, "CAUSAL_LM", file, "--block_size", size))


def conversation(source):
    messages = [{"role": "system", "content": text(source, 4)}] if source.random() < 0.5 else []
    for _ in range(source.randint(1, 3)):
        messages.append({"role": "user", "content": text(source, source.randint(1, 9))})
        messages.append({"role": "assistant", "content": text(source, source.randint(1, 9))})
    return messages


def chat(case):
    config = T.LlamaConfig(**SIZE, num_key_value_heads=2, **IDS)
    for kind in ("bpe", "llama", "roberta", "wordpiece"):
        for name, template in (("generation", GENERATION), ("chatml", CHATML)):
            if kind == "wordpiece" and name == "chatml":
                continue  # its characters are no tokens there, so prefixes end inside words
            folder, model, tokenizer = case.model(f"chat-{kind}-{name}", T.AutoModelForCausalLM, config, kind, template)
            talks = [conversation(case.source) for _ in range(20)]
            file = case.rows("talks", [{"messages": talk} for talk in talks])
            examples = []
            for talk in talks:
                made = tokenizer.apply_chat_template(talk, tokenize=True, return_dict=True, return_assistant_tokens_mask=name == "generation")
                ids = made["input_ids"]
                mask = made["assistant_masks"] if name == "generation" else mask_by_prefixes(tokenizer, talk, ids)
                examples.append((ids, [number if said else -100 for number, said in zip(ids, mask)]))
            where = f"chat, {kind}, {name}"
            compare_language_model(case, where, model, examples, *case.evaluate(where, folder, "CAUSAL_LM", file))


def mask_by_prefixes(tokenizer, talk, ids):
    def render(messages, prompt=False):
        return tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=prompt)

    turns = [(len(render(talk[:i], True)), len(render(talk[: i + 1]))) for i, m in enumerate(talk) if m["role"] == "assistant"]
    offsets = tokenizer(render(talk), add_special_tokens=False, return_offsets_mapping=True)
    assert offsets["input_ids"] == ids
    return [any(begin < end_of and end > begin_of for begin_of, end_of in turns) for begin, end in offsets["offset_mapping"]]


def question_rows(source, unanswerable):
    rows = []
    for number in range(14):
        context = text(source, source.randint(3, 60))
        words = list(re.finditer(r"\S+", context))
        answers = {"text": [], "answer_start": []}
        for _ in range(0 if unanswerable and number % 4 == 1 else source.randint(1, 2)):
            first = source.randrange(len(words))
            last = min(len(words) - 1, first + source.randint(0, 3))
            begin, end = words[first].start(), words[last].end()
            answers["text"].append(context[begin:end])
            answers["answer_start"].append(begin)
        rows.append({"question": "  " + text(source, source.randint(2, 6)), "context": context, "answers": answers})
    return rows


def questions(case):
    families = (("bert", T.BertConfig(**SIZE), "wordpiece"), ("roberta", T.RobertaConfig(**SIZE, type_vocab_size=1, **{**IDS, "bos_token_id": 0}), "roberta"),
                ("llama", T.LlamaConfig(**SIZE, num_key_value_heads=2, **IDS), "llama"), ("gpt2", GPT2, "roberta"))  # fmt: skip
    for family, config, kind in families:
        folder, model, tokenizer = case.model(f"questions-{family}", T.AutoModelForQuestionAnswering, config, kind)
        for unanswerable, virtual in ((False, 0), (True, 0), (False, 4)):
            where = f"questions, {family}{', some without answers' if unanswerable else ''}{', behind virtual tokens' if virtual else ''}"
            adapter = []
            if virtual:
                model = get_peft_model(model, PromptTuningConfig(task_type="QUESTION_ANS", num_virtual_tokens=virtual)).eval()
                model.save_pretrained(case.folder / "prompt")
                adapter = ["--adapter_name_or_path", case.folder / "prompt"]
            rows = question_rows(case.source, unanswerable)
            length, stride = case.source.choice([(90, 20), (120, 0), (256, 128)])
            features = features_of_questions(tokenizer, rows, length, stride)
            losses, scores = [], []
            for feature in features:
                with torch.no_grad():
                    if virtual:
                        logits = span_logits_behind(model, feature["inputs"])
                    else:
                        out = model(**{name: torch.tensor([value]) for name, value in feature["inputs"].items()})
                        logits = out.start_logits, out.end_logits
                for row, at in zip(logits, (feature["start"], feature["end"])):
                    losses.append(torch.nn.functional.cross_entropy(row, torch.tensor([at])).item())
                scores.append(tuple(row[0].numpy() for row in logits))
            texts = answers_of(rows, features, scores, unanswerable)
            file = case.rows("questions", rows)
            stride_option = ["--doc_stride", stride] if stride != 128 else []
            printed, predictions = case.evaluate(where, folder, "QUESTION_ANS", file, "--max_length", length, *stride_option, *adapter)
            check = case.differences
            check.check(printed["eval_samples"] == len(features), where, f"{printed['eval_samples']} windows, Hugging Face {len(features)}")
            check.close(printed["eval_loss"], numpy.mean(losses), 2e-5 * max(1, numpy.mean(losses)), f"{where}, eval_loss")
            found = [said["prediction"] for said in predictions]
            check.check(found == texts, where, f"answers {[pair for pair in zip(found, texts) if pair[0] != pair[1]][:3]}")
            right = [right_answers(row["answers"]["text"], unanswerable) for row in rows]
            exact = [max(normal(text) == normal(answer) for answer in answers) for text, answers in zip(texts, right)]
            check.close(printed["eval_exact_match"], 100 * numpy.mean(exact), 1e-6, f"{where}, exact match")
            overlap = [max(f1(text, answer, unanswerable) for answer in answers) for text, answers in zip(texts, right)]
            check.close(printed["eval_f1"], 100 * numpy.mean(overlap), 1e-6, f"{where}, F1")


def features(case):
    families = {
        "bert": (T.BertConfig(**SIZE), "wordpiece"), "roberta": (T.RobertaConfig(**SIZE, type_vocab_size=1, **{**IDS, "bos_token_id": 0}), "roberta"), "distilbert": (DISTILBERT, "wordpiece"),
        "gpt2": (GPT2, "bpe"), "opt": (OPT, "bpe"), "llama": (T.LlamaConfig(**SIZE, num_key_value_heads=2, **IDS), "llama"),
        "t5": (T.T5Config(**T5), "bpe"), "mt5": (T.MT5Config(**T5, feed_forward_proj="gated-gelu"), "bpe"),
    }  # fmt: skip
    file_rows = [text(case.source, case.source.randint(1, 20)) for _ in range(12)]
    file = case.rows("lines", [{"text": row} for row in file_rows])
    for family, (config, kind) in families.items():
        folder, model, tokenizer = case.model(f"features-{family}", T.AutoModel, config, kind)
        if family in ENCODERS:
            model = ENCODERS[family].from_pretrained(folder).eval()
        targets = ["q_lin", "v_lin"] if family == "distilbert" else None
        adapted = get_peft_model(model, LoraConfig(task_type="FEATURE_EXTRACTION", r=4, lora_alpha=12, target_modules=targets)).eval()
        with torch.no_grad():
            for name, value in adapted.named_parameters():
                if "lora_B" in name:
                    value.normal_(0, 0.2)
        adapted.save_pretrained(case.folder / "adapter")
        pools = {"mean": lambda states: states.mean(0), "cls": lambda states: states[0], "last": lambda states: states[-1]}
        for pooling, pool in pools.items():
            lora = [["--adapter_name_or_path", case.folder / "adapter"]] if pooling == "mean" else []
            for adapter in ([], *lora):
                where = f"features, {family}, {pooling}{', LoRA' if adapter else ''}"
                _, predictions = case.evaluate(where, folder, "FEATURE_EXTRACTION", file, "--pooling", pooling, *adapter)
                case.differences.check(len(predictions) == len(file_rows), where, f"{len(predictions)} rows")
                for number, (row, said) in enumerate(zip(file_rows, predictions)):
                    given = tokenizer(row, return_tensors="pt")
                    if family == "distilbert":
                        given.pop("token_type_ids")
                    with torch.no_grad():
                        if adapter:
                            wanted = pool(adapted(**given).last_hidden_state[0])
                        else:
                            with adapted.disable_adapter():
                                wanted = pool(adapted(**given).last_hidden_state[0])
                    off = (torch.tensor(said["features"]) - wanted).abs().max().item()
                    case.differences.check(off <= 1e-5 * max(1, wanted.abs().max().item()), f"{where}, row {number}", f"{off:.2g} off")


def predictions(case):
    folder, model, _ = case.model("tags", T.AutoModelForTokenClassification, T.BertConfig(**SIZE, num_labels=3), "wordpiece")
    rows = [{"input_ids": [case.source.randrange(5, 300) for _ in range(case.source.randint(2, 12))]} for _ in range(11)]
    for row in rows:
        row["labels"] = [case.source.choice([-100, 0, 1, 2]) for _ in row["input_ids"]]
    rows[0]["labels"][:2] = [0, 1]
    _, said = case.evaluate("tags", folder, "TOKEN_CLS", case.rows("tags", rows), "--num_labels", 3)
    for number, (row, line) in enumerate(zip(rows, said)):
        with torch.no_grad():
            best = model(torch.tensor([row["input_ids"]])).logits[0].argmax(1).tolist()
        seen = [at for at, label in enumerate(row["labels"]) if label != -100]
        wanted = {"labels": [str(best[at]) for at in seen], "tokens": seen}
        case.differences.check(line == wanted, f"tags, row {number}", f"{line}, Hugging Face {wanted}")

    config = T.T5Config(**T5)
    folder, model, _ = case.model("pairs", T.AutoModelForSeq2SeqLM, config, "bpe")
    rows = [{name: [case.source.randrange(5, 500) for _ in range(case.source.randint(1, 12))] for name in ("input_ids", "labels")} for _ in range(11)]
    _, said = case.evaluate("pairs", folder, "SEQ_2_SEQ_LM", case.rows("pairs", rows))
    for number, (row, line) in enumerate(zip(rows, said)):
        with torch.no_grad():
            wanted = model(input_ids=torch.tensor([row["input_ids"]]), labels=torch.tensor([row["labels"]])).loss.item()
        case.differences.close(line["loss"], wanted, 2e-5 * max(1, wanted), f"pairs, row {number}")
        case.differences.check(line["targets"] == len(row["labels"]), f"pairs, row {number}", f"{line['targets']} targets")
    test_file(case)


def test_file(case):
    folder, _, _ = case.model("test", T.AutoModelForSequenceClassification, T.BertConfig(**SIZE), "wordpiece")
    file = case.rows("train", [{"text": text(case.source, 6), "label": number % 2} for number in range(16)])
    test = case.rows("test", [{"text": text(case.source, 6), "label": number % 2} for number in range(13)])
    given, output = ["--model_name_or_path", folder, "--task_type", "SEQ_CLS"], case.folder / "trained"
    call("finetune", *given, "--train_file", file, "--test_file", test, "--output_dir", output, "--max_steps", 3, "--learning_rate", 1e-2, ranks=2)
    said = json.loads(call("evaluate", *given, "--adapter_name_or_path", output, "--validation_file", test).splitlines()[-1])
    for name in ("loss", "accuracy", "f1", "samples", "tokens"):
        values = metrics(output, f"test_{name}")
        case.differences.check(values == [said[f"eval_{name}"]], f"test_{name}", f"{values}, evaluate {said[f'eval_{name}']}")


CASES = {"blocks": blocks, "chat": chat, "questions": questions, "features": features, "predictions": predictions}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("cases", nargs="*", metavar="case", help="all, where none is named")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(f"seed {args.seed}", flush=True)
    differences = Differences()
    def started(name):
        return lambda folder: CASES[name](Case(folder, random.Random(f"{args.seed} {name}"), differences))

    run_cases("tasks", {name: started(name) for name in args.cases or CASES}, differences)


if __name__ == "__main__":
    main()
