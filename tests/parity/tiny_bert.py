"""What the parity tests compare on: a small random BERT in a shape drawn from a seed, its WordPiece tokenizer, and rows.
"""

import json

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

LABELS = 3
WORDS = "river stones clouding number Letters garden engine signal memory wintry copper velvet lantern Harbour naïve 42".split()
SPECIAL = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"}


def text(source):
    return " ".join(source.choice(WORDS) for _ in range(source.randint(1, 14))) + source.choice(["", ".", "!?", " …"])


def make_tokenizer(source):
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=90, special_tokens=list(SPECIAL.values()), show_progress=False)
    tokenizer.train_from_iterator([text(source) for _ in range(200)], trainer)
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **SPECIAL)


def spread_weights(model):
    """Far from initial values, so that a detail that is wrong shows in the loss."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(0, 1.5 / parameter.shape[1] ** 0.5)
            else:
                parameter.add_(0.1 * torch.randn_like(parameter))


def make_model(folder, source):
    tokenizer = make_tokenizer(source)
    heads = source.choice([2, 3, 4])
    hidden = heads * source.choice([8, 12, 16])
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=hidden, num_hidden_layers=source.choice([2, 3]), num_attention_heads=heads,
        intermediate_size=source.randrange(hidden, 3 * hidden), max_position_embeddings=160, num_labels=LABELS,
        hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)  # fmt: skip
    torch.manual_seed(source.randrange(10**9))
    model = BertForSequenceClassification(config)
    spread_weights(model)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return f"{config.num_hidden_layers} layers, {heads} heads, hidden {hidden}, inner {config.intermediate_size}"


def id_rows(source, count, types):
    rows = []
    for _ in range(count):
        length = source.randint(3, 20)
        row = {"input_ids": [source.randrange(5, 60) for _ in range(length)], "labels": source.randrange(LABELS)}
        if types:
            first = source.randint(1, length)
            row["token_type_ids"] = [0] * first + [1] * (length - first)
        rows.append(row)
    return rows


def text_rows(source, count):
    return [{"text": text(source), "text_pair": text(source), "label": index % LABELS} for index in range(count)]


def write_rows(file, rows):
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def padded(rows):
    longest = max(len(row["input_ids"]) for row in rows)
    batch = {"labels": torch.tensor([row["labels"] for row in rows])}
    for name in ("input_ids", "token_type_ids", "attention_mask"):
        values = [row.get(name, [int(name == "attention_mask")] * len(row["input_ids"])) for row in rows]
        batch[name] = torch.tensor([value + [0] * (longest - len(value)) for value in values])
    return batch
