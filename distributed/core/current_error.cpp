// Knows the exceptions of the standard library and of LibTorch, whose texts carry a stack trace.
#include "distributed/core/current_error.h"

#include <c10/util/Exception.h>

#include <new>
#include <string>

namespace rankwise {

Error current_error(std::string_view doing) try { throw; } catch (const Error& error) {
  return error;
} catch (const std::bad_alloc&) {
  return machine_error("out of memory while: {}", doing);
} catch (const c10::OutOfMemoryError&) {
  return machine_error("out of memory on the device while: {}", doing);
} catch (const c10::Error& error) {
  const std::string text = error.what_without_backtrace();
  if (text.find("not enough memory") != std::string::npos) {
    return machine_error("out of memory while: {}", doing);
  }
  return internal_error("{} (while: {})", text, doing);
} catch (const std::exception& error) {
  return internal_error("{} (while: {})", error.what(), doing);
} catch (...) {
  return internal_error("an exception of an unknown type (while: {})", doing);
}

}  // namespace rankwise
