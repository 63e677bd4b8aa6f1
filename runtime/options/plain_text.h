#pragma once

#include <string>
#include <string_view>

namespace flux {

/// A text file as any editor saves it: UTF-8 with or without a byte order mark, lines that end with LF, CRLF or CR.
/// In the result they end with LF alone. Throws Invalid, without the file's name, for UTF-16 and UTF-32.
class PlainText {
 public:
  /// Of the next bytes; the first are four or more, unless they are all.
  std::string next(std::string_view bytes);

 private:
  bool begun_ = false;
  bool after_return_ = false;
};

/// Of all bytes.
inline std::string plain_text(std::string_view bytes) { return PlainText().next(bytes); }

}  // namespace flux
