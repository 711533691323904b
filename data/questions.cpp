// Questions to JSON and back. Windows are a flat list of numbers, and so are tokens: bytes since
// the end of the one before (below 0 where they share a character), and length.
#include "data/questions.h"

#include "peft/hub/json.h"

namespace rankwise {

std::string line_of(const Question& question) {
  std::vector<int64_t> tokens, windows;
  size_t end = 0;
  for (const TextSpan& token : question.tokens) {
    tokens.push_back(static_cast<int64_t>(token.begin - end));
    tokens.push_back(static_cast<int64_t>(token.end - token.begin));
    end = token.end;
  }
  for (const Window& window : question.windows) {
    for (const int64_t number : {window.begin, window.end, window.first}) windows.push_back(number);
  }
  return Json{{"context", question.context},
              {"answers", question.answers},
              {"tokens", tokens},
              {"windows", windows}}
             .dump() +
         "\n";
}

Question question_of(std::string_view line, const std::string& where) try {
  const Json json = parse_json(line, where, ErrorKind::kInput);
  Question question;
  json.at("context").get_to(question.context);
  json.at("answers").get_to(question.answers);
  const Json &tokens = json.at("tokens"), &windows = json.at("windows");
  size_t end = 0;
  for (size_t i = 0; i < tokens.size(); i += 2) {
    const size_t begin = end + tokens.at(i).get<size_t>();
    end = begin + tokens.at(i + 1).get<size_t>();
    question.tokens.push_back({begin, end});
  }
  for (size_t i = 0; i < windows.size(); i += 3)
    question.windows.push_back({windows.at(i).get<int64_t>(), windows.at(i + 1).get<int64_t>(),
                                windows.at(i + 2).get<int64_t>()});
  return question;
} catch (const nlohmann::json::exception& error) {
  throw input_error("{} is damaged: {}", where, error.what());
}

}  // namespace rankwise
