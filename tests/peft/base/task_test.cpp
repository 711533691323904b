// The names of peft's TaskType, both ways.
#include "peft/base/task.h"

#include <gtest/gtest.h>

#include "distributed/core/error.h"

namespace rankwise {
namespace {

TEST(TaskTypes, HavePeftsNames) {
  for (const char* name : {"SEQ_CLS", "TOKEN_CLS", "QUESTION_ANS", "CAUSAL_LM", "SEQ_2_SEQ_LM",
                           "FEATURE_EXTRACTION"}) {
    EXPECT_EQ(name_of(task_type(name)), name);
  }
  EXPECT_EQ(task_type("SEQ_CLS"), TaskType::kSeqCls);
  EXPECT_EQ(task_type("SEQ_2_SEQ_LM"), TaskType::kSeq2SeqLm);
}

TEST(TaskTypes, UnknownOnesAreUsageErrorsWithTheNearestName) {
  try {
    task_type("SEQ_CLASS");
    FAIL() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUsage);
    EXPECT_STREQ(error.what(),
                 "unknown task type 'SEQ_CLASS'; known: SEQ_CLS, TOKEN_CLS, QUESTION_ANS, "
                 "CAUSAL_LM, SEQ_2_SEQ_LM, FEATURE_EXTRACTION (did you mean SEQ_CLS?)");
  }
}

}  // namespace
}  // namespace rankwise
