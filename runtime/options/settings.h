#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>

namespace flux {

namespace proto {
class Options;
}

/// The options of one invocation and where each value came from. Filled from the strongest layer to the weakest
/// (flags, environment, --config, defaults of the model): a value that is there stays.
class Settings {
 public:
  Settings();
  Settings(Settings&&) noexcept;
  Settings& operator=(Settings&&) noexcept;
  ~Settings();

  /// `text` as on a command line; `origin` for messages: `--height`, `FLUX_DIST_HEIGHT`.
  /// Throws Invalid("ORIGIN: what is wrong").
  void set(std::string_view name, std::string_view text, const std::string& origin);

  /// A default of the model, with what to say of it as its origin.
  void set_default(std::string_view name, std::string_view text, const std::string& origin);

  /// A textproto of options. Throws Invalid("FILE:LINE:COLUMN: what is wrong").
  void add_file(const std::filesystem::path& file);

  bool has(std::string_view name) const;
  bool given(std::string_view name) const;  // there, and no default
  void clear(std::string_view name);
  const std::string& origin(std::string_view name) const;  // "default" when nobody set it

  /// The value as in a textproto; of a repeated option the first.
  std::string text(std::string_view name) const;

  /// All options of the verb as a textproto that --config reads, with the origin of each as a comment.
  std::string print(std::string_view verb) const;

  /// To send to other ranks; origins stay behind.
  std::string serialized() const;
  static Settings deserialized(const std::string& bytes);

  const proto::Options& message() const { return *message_; }

 private:
  std::unique_ptr<proto::Options> message_;
  std::map<std::string, std::string, std::less<>> origins_;
  std::set<std::string, std::less<>> defaults_;  // the names that set_default() filled
};

}  // namespace flux
