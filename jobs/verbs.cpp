// The list of verbs. To add one: write its file, declare its maker here, add a line.
#include "jobs/job.h"

namespace rankwise {

std::unique_ptr<Job> make_finetune();
std::unique_ptr<Job> make_evaluate();
std::unique_ptr<Job> make_generate();
std::unique_ptr<Job> make_merge();
std::unique_ptr<Job> make_inspect();
std::unique_ptr<Job> make_prepare();
std::unique_ptr<Job> make_sweep();
std::unique_ptr<Job> make_collectives();
std::unique_ptr<Job> make_scaling();
std::unique_ptr<Job> make_convert();

const std::vector<Verb>& verbs() {
  static const std::vector<Verb> list = {
      {"finetune", "train an adapter, evaluate during training, checkpoint, save", make_finetune},
      {"evaluate", "loss and metrics of a base with or without an adapter", make_evaluate},
      {"generate", "text from a base with or without an adapter", make_generate},
      {"merge", "fold adapters into the base and write a Hugging Face model folder", make_merge},
      {"inspect", "which modules an adapter will touch, parameter counts, memory and communication",
       make_inspect},
      {"prepare", "tokenise text into HDF5 token stores that take its place", make_prepare},
      {"sweep", "many adapter trainings over one frozen base in one job", make_sweep},
      {"scaling",
       "the same training on the first 1, 2, … ranks of one job: time, efficiency, a fit",
       make_scaling},
      {"collectives", "every collective, backend and size: time, bandwidth, wrong elements",
       make_collectives},
      {"convert", "adapter folder to and from GGUF (llama.cpp); checkpoint to adapter folder",
       make_convert},
  };
  return list;
}

}  // namespace rankwise
