#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace flux {

/// Bytes that need not stay in memory: over 1 MiB of them lie in a file that has lost its name, in the folder for
/// temporary files (TMPDIR, or /tmp), and go with this object. Throws Invalid where that folder takes no more.
class Spool {
 public:
  Spool();
  Spool(Spool&&) noexcept;
  Spool& operator=(Spool&&) noexcept;
  ~Spool();

  void append(std::string_view bytes);
  size_t size() const { return filed() + buffer_.size(); }

  /// A part of one that was appended.
  std::string read(size_t offset, size_t count) const;

  /// All of it, until something is appended.
  std::string_view text();

 private:
  class File;
  class Mapping;

  size_t filed() const;  // bytes that are in the file
  void flush();

  std::string buffer_;  // what is not
  std::unique_ptr<File> file_;
  std::unique_ptr<Mapping> mapping_;
};

}  // namespace flux
