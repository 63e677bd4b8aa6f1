#include "runtime/options/field.h"

#include <fmt/format.h>
#include <google/protobuf/reflection.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <vector>

#include "model/files/printable.h"
#include "parallel/rank/errors.h"
#include "runtime/options.pb.h"

namespace flux {
namespace {

using google::protobuf::FieldDescriptor;

std::string quoted(std::string_view text) { return fmt::format("\"{}\"", printable_line(text, 60)); }

template <typename Number>
Number parse_number(std::string_view text, std::string_view wanted) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc::result_out_of_range) throw Invalid(quoted(text) + " is too large");
  if (error != std::errc() || end != text.data() + text.size()) {
    throw Invalid(quoted(text) + " is not " + std::string(wanted));
  }
  return value;
}

bool parse_bool(std::string_view text) {
  if (text == "true" || text == "1") return true;
  if (text == "false" || text == "0") return false;
  throw Invalid(quoted(text) + " is neither true nor false");
}

const google::protobuf::EnumValueDescriptor& parse_enum(const FieldDescriptor& field, std::string_view text) {
  const auto& type = *field.enum_type();
  std::string names;
  for (int i = 0; i < type.value_count(); ++i) {
    const auto& value = *type.value(i);
    if (text == choice_name(value)) return value;
    names += (i > 0 ? ", " : "") + choice_name(value);
  }
  throw Invalid(quoted(text) + " is none of " + names);
}

void add_value(google::protobuf::Message& message, const FieldDescriptor& field, std::string_view text) {
  const auto& reflection = *message.GetReflection();
  if (field.cpp_type() == FieldDescriptor::CPPTYPE_DOUBLE)
    return reflection.AddDouble(&message, &field, parse_number<double>(text, "a number"));
  reflection.AddInt32(&message, &field, parse_number<int32_t>(text, "a whole number"));
}

void add_values(google::protobuf::Message& message, const FieldDescriptor& field, std::string_view text) {
  message.GetReflection()->ClearField(&message, &field);
  while (true) {
    const size_t comma = text.find(',');
    add_value(message, field, text.substr(0, comma));
    if (comma == std::string_view::npos) return;
    text.remove_prefix(comma + 1);
  }
}

std::string text_problem(const std::string& text, proto::Flag::Kind kind) {
  if (!is_utf8(text)) return "is not UTF-8";
  if (text.find('\0') != std::string::npos) return "holds a NUL character";
  if ((kind == proto::Flag::path || kind == proto::Flag::name) && text.empty()) return "is empty";
  if (kind == proto::Flag::id && !is_id(text))
    return "is no id of 1 to 64 letters, digits, dots, dashes and underscores";
  if (kind == proto::Flag::duration || kind == proto::Flag::memory) {
    try {
      kind == proto::Flag::duration ? void(parse_duration(text)) : void(parse_memory(text));
    } catch (const Invalid& error) {
      return error.what();
    }
  }
  return "";
}

std::string shown(double value) {
  std::string text = std::to_string(value);
  if (text.find('.') != std::string::npos) text.erase(text.find_last_not_of('0') + 1);
  if (text.ends_with('.')) text.pop_back();
  return text;
}

std::string number_problem(double value, const proto::Flag& flag) {
  if (!std::isfinite(value)) return "is not a finite number";
  if (flag.has_least() && value < flag.least()) return shown(value) + " is less than " + shown(flag.least());
  if (flag.has_most() && value > flag.most()) return shown(value) + " is more than " + shown(flag.most());
  return "";
}

template <typename Number>
std::vector<double> repeated_numbers(const google::protobuf::Message& message, const FieldDescriptor& field) {
  const auto values = message.GetReflection()->GetRepeatedFieldRef<Number>(message, &field);
  return {values.begin(), values.end()};
}

/// The numbers a field holds, one or several. Seeds and texts have no range and give none.
std::vector<double> numbers(const google::protobuf::Message& message, const FieldDescriptor& field) {
  const auto& reflection = *message.GetReflection();
  if (field.is_repeated()) {
    return field.cpp_type() == FieldDescriptor::CPPTYPE_DOUBLE ? repeated_numbers<double>(message, field)
                                                               : repeated_numbers<int32_t>(message, field);
  }
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return {static_cast<double>(reflection.GetInt32(message, &field))};
    case FieldDescriptor::CPPTYPE_INT64:
      return {static_cast<double>(reflection.GetInt64(message, &field))};
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return {reflection.GetDouble(message, &field)};
    default:
      return {};
  }
}

}  // namespace

std::string choice_name(const google::protobuf::EnumValueDescriptor& value) {
  std::string name = value.name();
  std::replace(name.begin(), name.end(), '_', '-');
  return name;
}

void set_field(google::protobuf::Message& message, const FieldDescriptor& field, std::string_view text) {
  const auto& reflection = *message.GetReflection();
  if (field.is_repeated()) return add_values(message, field, text);
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return reflection.SetInt32(&message, &field, parse_number<int32_t>(text, "a whole number"));
    case FieldDescriptor::CPPTYPE_INT64:
      return reflection.SetInt64(&message, &field, parse_number<int64_t>(text, "a whole number"));
    case FieldDescriptor::CPPTYPE_UINT64:
      return reflection.SetUInt64(&message, &field, parse_number<uint64_t>(text, "a whole number from 0"));
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return reflection.SetDouble(&message, &field, parse_number<double>(text, "a number"));
    case FieldDescriptor::CPPTYPE_BOOL:
      return reflection.SetBool(&message, &field, parse_bool(text));
    case FieldDescriptor::CPPTYPE_ENUM:
      return reflection.SetEnum(&message, &field, &parse_enum(field, text));
    case FieldDescriptor::CPPTYPE_STRING:
      return reflection.SetString(&message, &field, std::string(text));
    default:
      throw std::logic_error("options.proto: " + field.name() + " has a type that no option has");
  }
}

std::string field_problem(const google::protobuf::Message& message, const FieldDescriptor& field) {
  const proto::Flag& flag = field.options().GetExtension(proto::flag);
  if (field.cpp_type() == FieldDescriptor::CPPTYPE_STRING) {
    return text_problem(message.GetReflection()->GetString(message, &field), flag.kind());
  }
  const std::vector<double> values = numbers(message, field);
  if (flag.has_most_values() && static_cast<int64_t>(values.size()) > flag.most_values()) {
    return fmt::format("{} values are more than {}", values.size(), flag.most_values());
  }
  for (double value : values) {
    if (auto problem = number_problem(value, flag); !problem.empty()) return problem;
  }
  return "";
}

bool field_present(const google::protobuf::Message& message, const FieldDescriptor& field) {
  const auto& reflection = *message.GetReflection();
  return field.is_repeated() ? reflection.FieldSize(message, &field) > 0 : reflection.HasField(message, &field);
}

/// Where the system finds it: `..` after a link is beside what the link leads to. The last name stays as it is, a link
/// or not.
std::filesystem::path resolved(std::filesystem::path path) {
  if (!path.has_filename()) path = path.parent_path();  // folder/
  if (path.filename() == ".." || path.filename() == ".") return std::filesystem::weakly_canonical(path);
  return std::filesystem::weakly_canonical(path.parent_path()) / path.filename();
}

std::string absolute_path(const FieldDescriptor& field, const std::string& path, const std::filesystem::path& folder) {
  if ((field.name() == "prompts" && path == "-") || (field.name() == "dataset" && path == "random")) return path;
  try {
    const std::filesystem::path absolute = resolved(std::filesystem::absolute(folder / path));
    if (field.name() == "model" && !std::filesystem::exists(absolute)) return path;
    return absolute.string();
  } catch (const std::filesystem::filesystem_error& error) {
    throw Invalid(
        fmt::format("{}: \"{}\" leads nowhere: {}", field.name(), printable_line(path, 200), error.code().message()));
  }
}

namespace {

/// A number and its unit, times the unit; 0 where it is none.
double with_unit(std::string_view text, const std::map<std::string_view, double>& units) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const auto unit = units.find(text.substr(static_cast<size_t>(end - text.data())));
  return error != std::errc() || unit == units.end() ? 0 : value * unit->second;
}

}  // namespace

std::chrono::milliseconds parse_duration(std::string_view text) {
  static const std::map<std::string_view, double> units = {{"ms", 1}, {"s", 1e3}, {"min", 60e3}, {"h", 3600e3}};
  constexpr double longest = 365.0 * 24 * 3600e3;
  const double milliseconds = with_unit(text, units);
  if (!(milliseconds >= 1) || milliseconds > longest)
    throw Invalid(quoted(text) + " is not a time such as 500ms, 60s, 10min or 1h");
  return std::chrono::milliseconds(std::llround(milliseconds));
}

int64_t parse_memory(std::string_view text) {
  static const std::map<std::string_view, double> units = {{"MiB", 1 << 20}, {"GiB", 1 << 30}};
  constexpr double most = 0x1p50;
  const double bytes = with_unit(text, units);
  if (!(bytes >= 1) || bytes > most) throw Invalid(quoted(text) + " is not a size such as 14GiB or 14000MiB");
  return std::llround(bytes);
}

}  // namespace flux
