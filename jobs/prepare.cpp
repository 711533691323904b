// prepare: text to token stores in HDF5 files, on all ranks; they take the place of the text files.
#include "data/prepare_file.h"
#include "distributed/comm/agree.h"
#include "jobs/setup.h"
#include "jobs/token_files.h"

namespace rankwise {
namespace {

namespace fs = std::filesystem;

class Prepare : public Job {
 public:
  void declare(Fields& fields) override {
    model_.declare_base(fields);
    model_.declare_adapter(fields);
    data_.declare(fields);
    fields.group("prepare");
    fields.add("output_file", output_file_, "the token store, of one file of text");
    fields
        .add("output_dir", output_dir_,
             "folder of the token stores: <name of the file of text>.h5 each")
        .default_text("none");
    machine_.declare(fields);
  }
  bool saves_on_stop() const override { return true; }  // whole parts
  Outcome run(JobContext& context, Fields& fields) override;

 private:
  std::vector<fs::path> sources() const;
  fs::path output_of(const fs::path& source) const;
  void check() const;

  ModelOptions model_;
  DataOptions data_;
  MachineOptions machine_;
  std::string output_file_, output_dir_;
};

std::vector<fs::path> Prepare::sources() const {
  std::vector<fs::path> sources;
  for (const std::string& file : {data_.train_file, data_.validation_file, data_.test_file}) {
    if (!file.empty()) sources.emplace_back(file);
  }
  return sources;
}

fs::path Prepare::output_of(const fs::path& source) const {
  return output_file_.empty() ? fs::path(output_dir_) / source.stem().concat(".h5")
                              : fs::path(output_file_);
}

void Prepare::check() const {
  if (sources().empty())
    throw usage_error("one of --train_file, --validation_file, --test_file must be given");
  if (output_file_.empty() == output_dir_.empty())
    throw usage_error("one of --output_file and --output_dir must be given");
  if (!output_file_.empty() && sources().size() > 1)
    throw usage_error("--output_file is of one file of text; --output_dir takes several");
  for (const fs::path& source : sources()) {
    if (is_token_file(source)) throw usage_error("{}: is a token store already", source.string());
    if (output_of(source).extension() != ".h5")
      throw usage_error("--output_file {}: must end with .h5", output_file_);
  }
}

Outcome Prepare::run(JobContext& context, Fields&) {
  Setup setup = set_up(context, machine_, model_, data_, [&] { check(); });
  for (const fs::path& source : sources()) {
    const fs::path output = output_of(source);
    const auto begin = std::chrono::steady_clock::now();
    const PreparedFile prepared = prepare_token_file(context.communicator, *setup.task, source,
                                                     row_limits(context, setup, source, false),
                                                     token_file_settings(setup, data_), output);
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
    context.out << Json{{"output_file", output.string()},
                        {"rows", prepared.rows},
                        {"tokens", prepared.tokens},
                        {"truncated_rows", prepared.truncated_rows},
                        {"parts", prepared.parts},
                        {"kept_parts", prepared.kept_parts},
                        {"seconds", seconds.count()}}
                       .dump()
                << std::endl;
  }
  return Outcome::kDone;
}

}  // namespace

std::unique_ptr<Job> make_prepare() { return std::make_unique<Prepare>(); }

}  // namespace rankwise
