#!/usr/bin/env python3
"""Checks what DESIGN promises of the source tree: the order of the rooms, one door a library, names, sizes.

    structure_test.py ROOT
"""

import pathlib
import re
import sys
import unittest

ROOT = pathlib.Path(sys.argv.pop(1) if len(sys.argv) > 1 else ".").resolve()
ROOMS = ["launcher", "jobs", "data", "peft", "distributed"]  # a file includes its own room and those to its right
TOP_LEVEL = {*ROOMS, "tests", "CMakeLists.txt", "CMakePresets.json", "README.md", "LICENSE"}
IGNORED = re.compile(r"build.*|runs|compile_commands\.json")  # as .gitignore has it

# header → where it may be included
DOORS = {
    r"boost/program_options.*": r"launcher/command_line\.cpp",
    r"mpi\.h": r"distributed/comm/.*",
    r"nccl\.h": r"distributed/comm/nccl\.cpp",
    r"cuda.*\.h": r"distributed/comm/nccl\.cpp|peft/base/kernels/cuda/launch\.h",
    r"hdf5\.h|H5.*\.h": r"distributed/checkpoint/.*|data/token_store.*|data/readers/.*h5.*",
    r"nlohmann/.*": r"peft/hub/json\.(h|cpp)",
    r"unicode/.*": r"data/.*",
    r"sentencepiece.*\.h": r"data/tokenizers/sentencepiece\.cpp",
}
LIBTORCH = re.compile(r"(ATen|torch|c10)/.*")
PARSERS = ["peft/hub/json", "peft/hub/tensor_file", "peft/hub/safetensors", "peft/hub/dtype", "peft/hub/gguf", "peft/hub/gguf_model"]  # include no LibTorch, so that they can be fuzzed alone
MOST_LINES = 350


def sources(*folders):
    for folder in folders:
        for file in sorted((ROOT / folder).rglob("*")):
            if file.suffix in (".h", ".cpp", ".cu"):
                yield file.relative_to(ROOT).as_posix(), file.read_text()


def includes(text):
    return re.findall(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]', text, re.MULTILINE)


def room_of(path):
    return path.split("/", 1)[0]


def wrong_rooms(path, text):
    own = ROOMS.index(room_of(path))
    return [name for name in includes(text) if room_of(name) in ROOMS and ROOMS.index(room_of(name)) < own]


def wrong_doors(path, text):
    return [
        name
        for name in includes(text)
        for header, door in DOORS.items()
        if re.fullmatch(header, name) and not re.fullmatch(door, path)
    ]


class Structure(unittest.TestCase):
    def assert_nowhere(self, wrong):
        self.assertEqual([], [f"{path}: {what}" for path, what in wrong])

    def test_finds_the_sources(self):
        for room in ROOMS:
            self.assertTrue(any(sources(room)), f"{room}/ has no sources: is {ROOT} the project?")

    def test_rooms_include_only_to_the_right(self):
        self.assert_nowhere((path, wrong) for path, text in sources(*ROOMS) if (wrong := wrong_rooms(path, text)))

    def test_each_library_has_one_door(self):
        self.assert_nowhere((path, wrong) for path, text in sources(*ROOMS) if (wrong := wrong_doors(path, text)))

    def test_parsers_include_no_libtorch(self):
        for path, text in sources(*ROOMS):
            if path.rsplit(".", 1)[0] in PARSERS:
                self.assertEqual([], [name for name in includes(text) if LIBTORCH.fullmatch(name)], path)

    def test_includes_are_written_from_the_root(self):
        for path, text in sources(*ROOMS):
            for name in re.findall(r'^\s*#\s*include\s*"([^"]+)"', text, re.MULTILINE):
                self.assertTrue((ROOT / name).is_file(), f'{path} includes "{name}"')

    def test_headers_are_included_once(self):
        self.assert_nowhere(
            (path, "lacks #pragma once") for path, text in sources(*ROOMS) if path.endswith(".h") and "#pragma once" not in text
        )

    def test_top_level_names(self):
        names = {entry.name for entry in ROOT.iterdir()}
        self.assertEqual(set(), {n for n in names - TOP_LEVEL if not n.startswith(".") and not IGNORED.fullmatch(n)})

    def test_files_are_short(self):
        scripts = [file for folder in ("launcher", "tests") for file in (ROOT / folder).rglob("*.py")]
        texts = [*sources(*ROOMS, "tests"), *((f.relative_to(ROOT).as_posix(), f.read_text()) for f in scripts)]
        lengths = {path: text.count("\n") for path, text in texts}
        self.assertEqual({}, {path: lines for path, lines in lengths.items() if lines > MOST_LINES})

    def test_files_say_what_they_are_for(self):
        for path, text in sources(*ROOMS):
            self.assertTrue(text.startswith("// "), f"{path} does not open with what it does")

    def test_each_room_has_a_readme(self):
        for room in [*ROOMS, "tests"]:
            self.assertTrue((ROOT / room / "README.md").is_file(), f"{room}/README.md")

    # The checks themselves: each finds what it is there to find.
    def test_finds_an_include_to_the_left(self):
        self.assertEqual(["jobs/job.h"], wrong_rooms("data/plan.cpp", '#include "jobs/job.h"\n#include "peft/hub/json.h"\n'))

    def test_finds_a_second_door(self):
        self.assertEqual(["mpi.h"], wrong_doors("jobs/finetune.cpp", "#include <mpi.h>\n#include <vector>\n"))
        self.assertEqual([], wrong_doors("distributed/comm/mpi.cpp", "#include <mpi.h>\n"))


if __name__ == "__main__":
    unittest.main(argv=["structure_test"])
