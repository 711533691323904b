// Remembers what a model made of the words it saw last: most words of a text are not new. Bounded:
// a word takes the place of the one that hashes alike. Thread-safe.
#pragma once

#include <array>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace rankwise {

class WordCache {
 public:
  static constexpr size_t kLongestWord = 256;  // bytes; longer ones are not remembered

  // Appends the ids of `word` where they are known.
  bool append_known(std::string_view word, uint64_t hash, std::vector<int32_t>& ids) const {
    const size_t at = hash % kWords;
    const std::lock_guard lock(locks_[at % kLocks]);
    const Word& known = words_[at];
    if (known.hash != hash || known.text != word || known.ids.empty()) return false;
    ids.insert(ids.end(), known.ids.begin(), known.ids.end());
    return true;
  }

  void remember(std::string_view word, uint64_t hash, const int32_t* begin, const int32_t* end) {
    if (word.size() > kLongestWord) return;
    const size_t at = hash % kWords;
    const std::lock_guard lock(locks_[at % kLocks]);
    Word& place = words_[at];
    place.hash = hash;
    place.text.assign(word);
    place.ids.assign(begin, end);
  }

 private:
  static constexpr size_t kWords = 1 << 14, kLocks = 64;
  struct Word {
    uint64_t hash = 0;
    std::string text;
    std::vector<int32_t> ids;
  };
  std::vector<Word> words_ = std::vector<Word>(kWords);
  mutable std::array<std::mutex, kLocks> locks_;
};

}  // namespace rankwise
