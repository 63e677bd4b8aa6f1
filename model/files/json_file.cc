#include "model/files/json_file.h"

#include <nlohmann/json.hpp>

#include <utility>
#include <vector>

#include "model/files/printable.h"
#include "model/files/readable_file.h"
#include "parallel/rank/errors.h"

namespace flux {
namespace {

using nlohmann::json;

/// Builds the value from the parser's events, each looked at once: the time is that of the text's length. nlohmann's
/// own builder keeps the last of two equal keys, and with a callback looks through an object again after each of its
/// members.
class Builder : public nlohmann::json_sax<json> {
 public:
  using Take = std::function<void(const std::string& name, const json& value)>;

  /// `take`: is given the members of the outermost object, which are then forgotten.
  explicit Builder(const std::string& file, Take take = nullptr) : file_(file), take_(std::move(take)) {}

  /// What was built.
  json object() {
    if (!root_.is_object()) throw Invalid(file_ + ": is not a JSON object");
    return std::move(root_);
  }

  bool null() override { return add(nullptr); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(int64_t value) override { return add(value); }
  bool number_unsigned(uint64_t value) override { return add(value); }
  bool number_float(double value, const std::string&) override { return add(value); }
  bool string(std::string& value) override { return add(std::move(value)); }
  bool binary(binary_t&) override { return false; }  // not in text
  bool start_object(size_t) override { return open(json::object()); }
  bool start_array(size_t) override { return open(json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }

  bool key(std::string& name) override {
    const auto [member, is_new] = open_.back()->emplace(std::move(name), nullptr);
    if (!is_new) throw Invalid(file_ + ": key " + quoted_name(member.key()) + " twice in one JSON object");
    member_ = &*member;
    return true;
  }

  bool parse_error(size_t byte, const std::string&, const nlohmann::detail::exception& error) override {
    constexpr int out_of_range = 406;
    if (error.id == out_of_range) throw Invalid(file_ + ": holds a number that does not fit");
    throw Invalid(file_ + ": not valid JSON at byte " + std::to_string(byte));
  }

 private:
  static constexpr size_t deepest = 16;
  static constexpr size_t most_values = 1 << 14;  // of a member that is to be taken

  bool add(json value) {
    place(std::move(value));
    return hand_over();
  }

  bool open(json value) {
    if (open_.size() == deepest) {
      throw Invalid(file_ + ": JSON nested deeper than " + std::to_string(deepest) + " levels");
    }
    open_.push_back(place(std::move(value)));
    return true;
  }

  bool close() {
    open_.pop_back();
    return hand_over();
  }

  /// A member that is complete.
  bool hand_over() {
    if (!take_ || open_.size() != 1 || !root_.is_object()) return true;
    take_(root_.begin().key(), root_.begin().value());
    root_.clear();
    values_ = 0;
    return true;
  }

  json* place(json value) {
    if (take_ && ++values_ > most_values) {
      throw Invalid(file_ + ": a JSON object or list of more than " + std::to_string(most_values) + " values");
    }
    json* to = open_.empty() ? &root_ : open_.back()->is_array() ? &open_.back()->emplace_back() : member_;
    *to = std::move(value);
    return to;
  }

  const std::string& file_;
  const Take take_;
  size_t values_ = 0;  // of the member
  json root_;
  json* member_ = nullptr;   // whose key was just read
  std::vector<json*> open_;  // what the next value lies in; none of them grows while one inside it is open
};

}  // namespace

json parse_json_object(std::string_view text, const std::string& file) {
  Builder builder(file);
  json::sax_parse(text, &builder);
  return builder.object();
}

void parse_members(std::string_view text, const std::string& file,
                   const std::function<void(const std::string& name, const json& value)>& take) {
  Builder builder(file, take);
  json::sax_parse(text, &builder);
  builder.object();
}

json read_json_object(const std::filesystem::path& path, int64_t limit) {
  return parse_json_object(read_whole_file(path, limit), path.string());
}

}  // namespace flux
