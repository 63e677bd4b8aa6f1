#pragma once

#include <string>

namespace flux {

/// A text file as any editor saves it: UTF-8 with or without a byte order mark, lines that end with LF, CRLF or CR.
/// In the result they end with LF alone. Throws Invalid, without the file's name, for UTF-16 and UTF-32.
std::string plain_text(std::string bytes);

}  // namespace flux
