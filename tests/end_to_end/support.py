"""What the end-to-end tests share: a tiny random BERT with its vocabulary, rows of text, and calls of the real binary."""

import array
import hashlib
import json
import os
import pathlib
import random
import struct
import subprocess

BINARY = os.environ["RANKWISE_BINARY"]
ENVIRONMENT = dict(
    os.environ,
    OMPI_ALLOW_RUN_AS_ROOT="1",
    OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1",
    OMPI_MCA_rmaps_base_oversubscribe="1",
    OMPI_MCA_hwloc_base_binding_policy="none",
)
WORDS = "river stone cloud number letter garden engine signal memory winter copper velvet lantern harbour".split()
HIDDEN, LAYERS, INNER, POSITIONS = 64, 2, 96, 64


def shapes(vocabulary):
    table = {
        "bert.embeddings.word_embeddings.weight": [vocabulary, HIDDEN],
        "bert.embeddings.position_embeddings.weight": [POSITIONS, HIDDEN],
        "bert.embeddings.token_type_embeddings.weight": [2, HIDDEN],
        "bert.embeddings.LayerNorm.weight": [HIDDEN],
        "bert.embeddings.LayerNorm.bias": [HIDDEN],
        "bert.pooler.dense.weight": [HIDDEN, HIDDEN],
        "bert.pooler.dense.bias": [HIDDEN],
    }
    for layer in range(LAYERS):
        path = f"bert.encoder.layer.{layer}."
        for name, out, width in (
            ("attention.self.query", HIDDEN, HIDDEN),
            ("attention.self.key", HIDDEN, HIDDEN),
            ("attention.self.value", HIDDEN, HIDDEN),
            ("attention.output.dense", HIDDEN, HIDDEN),
            ("intermediate.dense", INNER, HIDDEN),
            ("output.dense", HIDDEN, INNER),
        ):
            table[f"{path}{name}.weight"], table[f"{path}{name}.bias"] = [out, width], [out]
        for name in ("attention.output.LayerNorm", "output.LayerNorm"):
            table[f"{path}{name}.weight"] = table[f"{path}{name}.bias"] = [HIDDEN]
    return table


def write_safetensors(file, table, values):
    header, end = {"__metadata__": {"format": "pt"}}, 0
    for name, shape in table.items():
        size = 4
        for extent in shape:
            size *= extent
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    file.write_bytes(struct.pack("<Q", len(text)) + text + values(end // 4))


def make_model(folder, seed=1, unused_rows=0):
    """unused_rows: zeros behind the word table's rows of the vocabulary, as padded tables have them."""
    folder.mkdir(parents=True)
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    config = dict(model_type="bert", vocab_size=len(vocabulary) + unused_rows, hidden_size=HIDDEN, num_hidden_layers=LAYERS, num_attention_heads=4,
                  intermediate_size=INNER, max_position_embeddings=POSITIONS, type_vocab_size=2, hidden_act="gelu", layer_norm_eps=1e-12,
                  hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.1, initializer_range=0.02, pad_token_id=0)
    (folder / "config.json").write_text(json.dumps(config))
    source = random.Random(seed)
    unused, used = bytes(4 * HIDDEN * unused_rows), len(vocabulary) * HIDDEN

    def values(count):
        drawn = array.array("f", (source.gauss(0, 0.15) for _ in range(count - HIDDEN * unused_rows)))
        return drawn[:used].tobytes() + unused + drawn[used:].tobytes()  # the word table comes first

    write_safetensors(folder / "model.safetensors", shapes(len(vocabulary) + unused_rows), values)
    return folder


def make_rows(file, count, seed=2):
    """Rows of 1 to 12 words; positive ones mention the river."""
    source = random.Random(seed)
    lines = ["label\ttext"]
    for _ in range(count):
        words = [source.choice(WORDS) for _ in range(source.randint(1, 12))]
        lines.append(f"{'yes' if 'river' in words else 'no'}\t{' '.join(words)}")
    file.write_text("\n".join(lines) + "\n")
    return file


def command(*words, ranks=1):
    launcher = ["mpirun", "-n", str(ranks)] if ranks > 1 else []
    return [*launcher, BINARY, *map(str, words)]


def call(*words, ranks=1, code=0, timeout=120, environment=None):
    """Runs to the end, checks the exit code, returns the process with its texts."""
    done = subprocess.run(command(*words, ranks=ranks), env=ENVIRONMENT | (environment or {}), capture_output=True, text=True, timeout=timeout)
    assert done.returncode == code, f"exit {done.returncode}, not {code}: {' '.join(map(str, words))}\n{done.stdout}\n{done.stderr}"
    return done


def start(*words, ranks=1):
    return subprocess.Popen(command(*words, ranks=ranks), env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                            start_new_session=True)


def digest(file):
    return hashlib.sha256(pathlib.Path(file).read_bytes()).hexdigest()


def lines_of(folder):
    return [json.loads(line) for line in (pathlib.Path(folder) / "metrics.jsonl").read_text().splitlines()]
