// A fit finds the costs that made the times; predictions deal units as training does; files.
#include "jobs/scaling/step_model.h"

#include <gtest/gtest.h>

#include <fstream>

#include "jobs/scaling/cluster.h"

namespace rankwise {
namespace {

namespace fs = std::filesystem;

StepModel some_model() {
  StepModel model;
  model.update_seconds = 0.01;
  model.token_seconds = 1e-4;
  model.neighbour_token_seconds = 2e-5;
  model.reduction = {{1e-6, 1e-10}, {1e-3, 8e-9}};
  model.reduction_bytes = 1000;
  model.unit_rows = 8;
  model.unit_tokens = {100, 200, 300};
  model.base_bytes_per_node = 1000000;
  model.bytes_per_rank = 1000;
  model.fitted_on = {4, 2};
  return model;
}

fs::path written(const std::string& text) {
  const fs::path file = fs::path(testing::TempDir()) / "scaling.json";
  std::ofstream(file) << text;
  return file;
}

TEST(StepModel, AFitFindsTheCosts) {
  const StepModel truth = some_model();
  std::vector<MeasuredUpdate> measured;
  for (const NodeLayout& layout : {NodeLayout{1, 1}, {2, 1}, {4, 1}, {4, 2}}) {
    for (const int64_t tokens : {300, 800, 1500}) {
      const auto neighbours = static_cast<double>(layout.ranks_per_node() - 1);
      measured.push_back(
          {layout, tokens, 0.01 + static_cast<double>(tokens) * (1e-4 + 2e-5 * neighbours)});
    }
  }
  StepModel found;
  fit_updates(found, measured);
  EXPECT_NEAR(found.update_seconds, truth.update_seconds, 1e-9);
  EXPECT_NEAR(found.token_seconds, truth.token_seconds, 1e-11);
  EXPECT_NEAR(found.neighbour_token_seconds, truth.neighbour_token_seconds, 1e-11);
}

TEST(StepModel, TheSlowestRankSetsTheTime) {
  const StepModel model = some_model();
  const PredictedUpdate two = model.predict({2, 2}, 3);  // 300 | 200 + 100
  EXPECT_EQ(two.tokens, 600);
  EXPECT_DOUBLE_EQ(two.seconds, 0.01 + 300e-4 + two.reduction_seconds);
  EXPECT_DOUBLE_EQ(two.reduction_seconds, 2e-3 + 1000 * 8e-9);
  const PredictedUpdate near = model.predict({2, 1}, 3);
  EXPECT_DOUBLE_EQ(near.seconds, 0.01 + 300 * 1.2e-4 + near.reduction_seconds);
  EXPECT_EQ(near.bytes_per_node, 1002000);
  EXPECT_EQ(model.predict({1, 1}, 3).seconds, 0.01 + 600 * 1e-4);
}

TEST(StepModel, TenThousandNodesAreDealtTo) {
  const PredictedUpdate update = some_model().predict({80000, 10000}, 160000);  // two units a rank
  EXPECT_NEAR(static_cast<double>(update.tokens), 160000 * 200.0, 200 * 3.0);
  EXPECT_NEAR(update.seconds - update.reduction_seconds, 0.01 + 400 * (1e-4 + 7 * 2e-5), 1e-9);
}

TEST(StepModel, FilesGiveWhatWasWritten) {
  const StepModel model = some_model();
  const Json json = to_json(model);
  EXPECT_EQ(to_json(read_step_model(written(Json{{"model", json}}.dump()))), json);
}

TEST(StepModel, DamagedFilesAreRefusedByField) {
  for (const auto& [field, value] : std::map<std::string, Json>{{"token_seconds", -1},
                                                                {"reduction_bytes", 0.5},
                                                                {"unit_tokens", Json::array()},
                                                                {"unit_tokens ", {0}},
                                                                {"within_node", 3},
                                                                {"ranks", "two"}}) {
    Json json = to_json(some_model());
    const std::string name = field.substr(0, field.find(' '));
    json[name] = value;
    try {
      read_step_model(written(Json{{"model", json}}.dump()));
      FAIL() << field;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kInput);
      EXPECT_NE(std::string(error.what()).find(name), std::string::npos) << error.what();
    }
  }
  EXPECT_THROW(read_step_model(written("{}")), Error);
  EXPECT_THROW(read_step_model("/nowhere/scaling.json"), Error);
}

class Cluster : public testing::Test {
 protected:
  std::vector<ClusterPrediction> predict() const {
    return predict_cluster(options, {5000, 70, 30, 4000}, 4, 512);
  }
  void refused(const std::string& words) const {
    try {
      predict();
      FAIL() << words;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kUsage);
      EXPECT_NE(std::string(error.what()).find(words), std::string::npos) << error.what();
    }
  }
  ClusterOptions options{.nodes = 4};
};

TEST_F(Cluster, FiguresThatAreGivenMakeAModel) {
  options.link.latency = 1e-3;
  options.link.bandwidth = 1e6;
  options.tokens_per_second = 1000;
  const auto list = predict();
  ASSERT_EQ(list.size(), 3u);
  EXPECT_EQ(list[0].update.seconds, 0.512);
  EXPECT_DOUBLE_EQ(list[1].update.seconds, 0.512 + 2e-3 + 4e-3);
  EXPECT_EQ(list[2].layout.ranks, 4);
  EXPECT_EQ(list[2].global_batch_size, 16);
  EXPECT_EQ(list[2].update.bytes_per_node, 5100);
  EXPECT_DOUBLE_EQ(list[1].efficiency, 0.512 / list[1].update.seconds);
}

TEST_F(Cluster, AFixedUpdateIsSharedByMoreRanks) {
  options.link.latency = 0;
  options.link.bandwidth = 1e12;
  options.tokens_per_second = 1000;
  options.global_batch_size = 32;  // 8 units
  const auto list = predict();
  EXPECT_NEAR(list[0].update.seconds / list[2].update.seconds, 4, 1e-6);
  options.global_batch_size = 30;
  refused("no multiple of the 4 rows");
}

TEST_F(Cluster, WhatIsNotKnownMustBeGiven) {
  refused("--nodes needs --fit");
  options.tokens_per_second = 1000;
  refused("--link_latency and --link_bandwidth");
  options.link.latency = 1e-3;
  refused("belong together");
  options = {.nodes = 2};
  Json of_one_node = to_json(some_model());
  of_one_node["nodes"] = 1;
  options.fit = written(Json{{"model", of_one_node}}.dump());
  refused("was measured on one node");
  of_one_node["ranks"] = 1;
  options.fit = written(Json{{"model", of_one_node}}.dump());
  options.nodes = 1;
  options.ranks_per_node = 2;
  refused("one rank a node");
}

TEST_F(Cluster, TheFitGivesTheRest) {
  options.fit = written(Json{{"model", to_json(some_model())}}.dump());
  const auto list = predict();
  EXPECT_EQ(list[2].layout.ranks, 8);
  StepModel model = some_model();
  model.reduction_bytes = 4000;  // the adapter's in question
  EXPECT_EQ(list[2].update.seconds, model.predict({8, 4}, 8).seconds);
}

}  // namespace
}  // namespace rankwise
