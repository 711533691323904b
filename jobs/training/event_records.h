// TensorBoard's event file, record by record: an Event message (tensorflow/core/util/event.proto)
// in TFRecord framing. Pure functions from values to bytes; tensorboard.cpp writes them. Encoded by
// hand: of the protocol buffers, four message shapes are needed, and none is read.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace rankwise {

// wall_time: seconds since 1970. Each returns one whole record.
std::string version_record(double wall_time);  // opens every file
std::string session_start_record(double wall_time,
                                 int64_t from_step);  // voids earlier events from this step on
std::string scalar_record(double wall_time, std::string_view tag, int64_t step, double value);
std::string text_record(double wall_time, std::string_view tag,
                        std::string_view text);  // at step 0

}  // namespace rankwise
