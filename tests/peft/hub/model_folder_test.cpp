// Folders, hub names, and typed access to config.json.
#include "peft/hub/model_folder.h"

#include "tests/peft/hub/files.h"

namespace rankwise {
namespace {

namespace fs = std::filesystem;

TEST(FindModel, FoldersAreThemselves) {
  const TemporaryFolder folder;
  EXPECT_EQ(find_model(folder.path().string(), "/nowhere"), folder.path());
  const fs::path file = folder.write("model.safetensors", "");
  expect_contains(error_of([&] { find_model(file.string(), "/nowhere"); }), "is a file");
  expect_contains(error_of([&] { find_model("/no/such", "/nowhere"); }),
                  "/no/such: no such folder\n");
}

TEST(FindModel, HubNames) {
  const TemporaryFolder cache;
  const fs::path snapshot =
      cache.write("models--org--some-model/snapshots/abc123/config.json", "{}").parent_path();
  cache.write("models--org--some-model/refs/main", "abc123\n");
  cache.write("models--gpt2/snapshots/def/config.json", "{}");
  cache.write("models--gpt2/refs/main", "def");
  cache.write("models--org--half/refs/main", "gone");
  EXPECT_EQ(find_model("org/some-model", cache.path()), snapshot);
  EXPECT_EQ(find_model("gpt2", cache.path()), cache.path() / "models--gpt2/snapshots/def");
  expect_contains(error_of([&] { find_model("org/other", cache.path()); }),
                  "hf download org/other");
  expect_contains(error_of([&] { find_model("org/half", cache.path()); }), "names 'gone'");
  for (const char* name : {"", "./x", "../x", "a/b/c", "org/", "~/x", "a b"}) {
    expect_contains(error_of([&] { find_model(name, cache.path()); }),
                    std::string(name) + ": no such folder\n");
  }
}

TEST(Config, ReadsAndNamesWhatIsWrong) {
  const TemporaryFolder folder;
  const fs::path file =
      folder.write("config.json",
                   R"({"hidden_size": 384, "eps": 1e-12, "big": 1e30, "huge": 18446744073709551615,
      "act": "gelu", "tie": false, "none": null})");
  const Config config = Config::read(file);
  EXPECT_EQ(config.integer("hidden_size"), 384);
  EXPECT_EQ(config.integer("absent", 5), 5);
  EXPECT_EQ(config.integer("none", 5), 5);
  EXPECT_EQ(config.number("eps"), 1e-12);
  EXPECT_EQ(config.number("hidden_size"), 384.0);
  EXPECT_EQ(config.number("absent", 0.5), 0.5);
  EXPECT_EQ(config.text("act"), "gelu");
  EXPECT_EQ(config.text("absent", "relu"), "relu");
  EXPECT_FALSE(config.boolean("tie", true));
  EXPECT_TRUE(config.boolean("none", true));
  EXPECT_TRUE(config.has("tie"));
  EXPECT_FALSE(config.has("none"));
  const std::string start = file.string() + ": '";
  EXPECT_EQ(error_of([&] { config.integer("absent"); }), start + "absent' is missing\n");
  EXPECT_EQ(error_of([&] { config.number("none"); }), start + "none' is missing\n");
  EXPECT_EQ(error_of([&] { config.integer("act"); }), start + "act' is not an integer: \"gelu\"\n");
  EXPECT_EQ(error_of([&] { config.integer("big", 1); }), start + "big' is not an integer: 1e+30\n");
  EXPECT_EQ(error_of([&] { config.integer("huge"); }),
            start + "huge' is not an integer: 18446744073709551615\n");
  EXPECT_EQ(error_of([&] { config.number("tie"); }), start + "tie' is not a number: false\n");
  EXPECT_EQ(error_of([&] { config.text("eps"); }), start + "eps' is not a string: 1e-12\n");
  EXPECT_EQ(error_of([&] { config.boolean("hidden_size", true); }),
            start + "hidden_size' is not true or false: 384\n");
  expect_contains(error_of([&] { Config::read(folder.write("list.json", "[]")); }),
                  "list.json: is not a JSON object");
}

}  // namespace
}  // namespace rankwise
