// The encoder of BERT and its relatives: norms behind each block, learned positions, every token
// sees every other. A family only says how its settings and names differ.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "peft/base/family.h"

namespace rankwise {

struct PostNormEncoderSettings {
  int64_t size = 0, heads = 1, layers = 1, inner = 0, vocabulary = 0;
  int64_t position_rows = 512;  // of the table of positions
  int64_t token_types = 0;      // 0: the family has none
  int64_t padding = 0;          // the token that pads
  int64_t pad_token = -1;       // RoBERTa: it has no position, and positions begin behind its row
  double eps = 1e-12;
  Activation activation{};
  double dropout = 0;  // behind the embeddings and the feed-forward
  double attention_dropout = 0;
  std::optional<double> attention_output_dropout;  // none: no dropout there at all

  // Hugging Face's names. Those of a layer's parts are below "<layers>.<number>".
  std::string embeddings, layers_path;
  std::string attention = ".attention.self";
  std::string query = ".attention.self.query", key = ".attention.self.key",
              value = ".attention.self.value", attention_output = ".attention.output.dense",
              attention_norm = ".attention.output.LayerNorm", intermediate = ".intermediate.dense",
              output = ".output.dense", output_norm = ".output.LayerNorm",
              attention_end = ".attention.output", end = ".output";  // as `adapters` names them

  // features = dropout(activation(dense(first_dropout(hidden)))) where there is a dense layer, else
  // first_dropout(hidden).
  struct Head {
    TaskType task = TaskType::kSeqCls;
    std::string output;  // the layer that makes logits
    int64_t outputs = 2;
    std::string dense;         // "": none
    bool dense_is_new = true;  // drawn where the file has none, and trained
    Activation activation{};
    std::optional<double> first_dropout, dropout;  // none: no dropout there at all
    double deviation = 0.02;                       // of new layers
  } head;
};

// Where BERT and RoBERTa agree: sizes, dropouts, names below `body`; TOKEN_CLS and QUESTION_ANS
// heads. Errors: kModel: something in config.json that is not supported; kUsage: no task of an
// encoder.
PostNormEncoderSettings bert_settings(const Config& config, const BuildOptions& options,
                                      const std::string& body);

// The heads that all of them have: TOKEN_CLS and QUESTION_ANS; for SEQ_CLS only what is common.
PostNormEncoderSettings::Head encoder_head(const Config& config, const BuildOptions& options,
                                           double token_dropout);

std::unique_ptr<Base> post_norm_encoder(const BuildOptions& options, WeightSource& source,
                                        const PostNormEncoderSettings& settings);

// Checkpoints of the bare encoder lack the body's name; old ones call a norm's parameters gamma and
// beta.
std::vector<std::string> post_norm_encoder_names(const std::string& path);

}  // namespace rankwise
