#include "runtime/source/request_lines.h"

#include "parallel/rank/errors.h"

namespace flux {
namespace {

constexpr size_t most = 1'000'000;

}  // namespace

/// ORIGIN, ERROR, each with a NUL behind it, and the options: a path holds none, and messages are printable.
void RequestLines::add(const RequestLine& line) {
  if (size() == most) throw Invalid(line.origin + ": over 1,000,000 prompts; split the file there");
  begins_.push_back(spool_.size());
  std::string bytes = line.origin + '\0' + line.error + '\0';
  line.options.AppendToString(&bytes);
  spool_.append(bytes);
}

RequestLine RequestLines::operator[](size_t number) const {
  const size_t begin = begins_.at(number);
  const size_t end = number + 1 < begins_.size() ? begins_[number + 1] : spool_.size();
  const std::string bytes = spool_.read(begin, end - begin);
  const size_t error = bytes.find('\0') + 1, options = bytes.find('\0', error) + 1;
  RequestLine line{bytes.substr(0, error - 1), {}, bytes.substr(error, options - error - 1)};
  line.options.ParseFromString(bytes.substr(options));
  return line;
}

}  // namespace flux
