// Asks the library itself.
#include "data/version.h"

#include <unicode/uversion.h>

namespace rankwise {

std::string icu_version() {
  UVersionInfo version;
  u_getVersion(version);
  char text[U_MAX_VERSION_STRING_LENGTH] = {};
  u_versionToString(version, text);
  return text;
}

}  // namespace rankwise
