// Each step takes the likeliest continuations of all beams of a prompt; those that end are kept as
// results while they are among the best by score = log-probability / length^length_penalty. Scores
// are float32, as there.
#include "peft/model/beams.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "peft/model/next_token.h"

namespace rankwise {
namespace {

struct Beam {
  std::vector<int64_t> so_far;  // with the prompt, or with the decoder's start
  float score = 0;              // running: log-probability; ended: divided by the length's power
  int64_t source = 0;           // running: its row of the logits
};

// The search for one prompt.
class Search {
 public:
  Search(std::vector<int64_t> beginning, int64_t most_new, int64_t source,
         const GenerationOptions& options, const GenerationWatch& watch)
      : begin_(beginning.size()),
        most_new_(most_new),
        options_(options),
        watch_(watch),
        running_{{std::move(beginning), 0, source}} {}

  bool goes_on() const { return goes_on_; }
  std::vector<Beam>& running() { return running_; }

  // logits: [all texts, V], changed.
  void advance(const at::Tensor& logits) {
    const std::vector<Beam> found = continuations(logits);
    ++new_tokens_;
    std::vector<Beam> going;
    for (size_t i = 0; i < found.size(); ++i) {
      if (!ends(found[i])) {
        if (going.size() < beams()) going.push_back(found[i]);
      } else if (i < beams()) {
        keep(found[i]);
      }
    }
    running_ = std::move(going);
    goes_on_ = !running_.empty() && can_improve();
  }

  // The new tokens of the best `count` texts.
  std::vector<std::vector<int64_t>> best(int64_t count) const {
    std::vector<std::vector<int64_t>> texts(static_cast<size_t>(count));
    for (size_t i = 0; i < std::min(texts.size(), ended_.size()); ++i)
      texts[i].assign(ended_[i].so_far.begin() + static_cast<std::ptrdiff_t>(begin_),
                      ended_[i].so_far.end());
    return texts;
  }

 private:
  size_t beams() const { return static_cast<size_t>(options_.num_beams); }
  float divisor(int64_t length) const {
    return static_cast<float>(std::pow(static_cast<double>(length), options_.length_penalty));
  }

  // The likeliest of all beams' continuations, best first: enough that `beams` of them do not end.
  std::vector<Beam> continuations(const at::Tensor& logits) const {
    std::vector<at::Tensor> scores;
    for (const Beam& beam : running_) {
      at::Tensor row = at::log_softmax(logits[beam.source], 0);
      penalize(row, beam.so_far, options_.repetition_penalty);
      scores.push_back(row + beam.score);
    }
    const at::Tensor all = at::cat(scores);
    const auto kept = std::max<int64_t>(2, 1 + std::ssize(options_.eos_token_ids));
    const auto [values, places] = at::topk(all, std::min(kept * options_.num_beams, all.numel()));
    const int64_t vocabulary = logits.size(1);
    std::vector<Beam> found;
    for (int64_t i = 0; i < values.numel(); ++i) {
      const int64_t place = places.const_data_ptr<int64_t>()[i];
      Beam beam = running_[static_cast<size_t>(place / vocabulary)];
      beam.so_far.push_back(place % vocabulary);
      beam.score = values.const_data_ptr<float>()[i];
      found.push_back(std::move(beam));
    }
    return found;
  }

  bool ends(const Beam& beam) const {
    return new_tokens_ >= most_new_ || options_.is_end(beam.so_far.back()) ||
           (watch_.ends && watch_.ends(beam.so_far));
  }

  // Among the ended ones, if it is one of the best.
  void keep(Beam beam) {
    beam.score /= divisor(new_tokens_);
    const auto worse = std::find_if(ended_.begin(), ended_.end(),
                                    [&](const Beam& other) { return other.score < beam.score; });
    ended_.insert(worse, std::move(beam));
    if (ended_.size() > beams()) ended_.pop_back();
  }

  bool can_improve() const {
    if (ended_.size() < beams()) return true;
    if (options_.early_stopping == BeamStopping::kYes) return false;
    const bool longest =
        options_.early_stopping == BeamStopping::kNever && options_.length_penalty > 0;
    return running_[0].score / divisor(longest ? most_new_ : new_tokens_) > ended_.back().score;
  }

  size_t begin_;
  int64_t most_new_, new_tokens_ = 0;
  const GenerationOptions& options_;
  const GenerationWatch& watch_;
  std::vector<Beam> running_, ended_;  // best first
  bool goes_on_ = true;
};

}  // namespace

std::vector<std::vector<int64_t>> generate_by_beams(Decoding& decoding,
                                                    const std::vector<Prompt>& prompts,
                                                    const GenerationOptions& options,
                                                    const GenerationWatch& watch) {
  std::vector<Search> searches;
  for (size_t i = 0; i < prompts.size(); ++i)
    searches.emplace_back(decoding.beginning(i), decoding.most_new_tokens(i),
                          static_cast<int64_t>(i), options, watch);
  for (at::Tensor logits = decoding.read_prompts();;) {
    Decoding::Next next;
    for (size_t i = 0; i < searches.size(); ++i) {
      if (!searches[i].goes_on()) continue;
      searches[i].advance(logits);
      if (!searches[i].goes_on()) continue;
      for (Beam& beam : searches[i].running()) {
        next.add(beam.source, beam.so_far.back(), prompts[i].row);
        beam.source = std::ssize(next.from) - 1;
      }
    }
    if (next.from.empty()) break;
    logits = decoding.read(next);
  }
  std::vector<std::vector<int64_t>> texts;
  for (const Search& search : searches) {
    for (std::vector<int64_t>& text : search.best(options.num_return_sequences))
      texts.push_back(std::move(text));
  }
  return texts;
}

}  // namespace rankwise
