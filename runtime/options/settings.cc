#include "runtime/options/settings.h"

#include <fmt/format.h>
#include <google/protobuf/text_format.h>

#include "parallel/rank/errors.h"
#include "runtime/options.pb.h"
#include "runtime/options/config_file.h"
#include "runtime/options/field.h"
#include "runtime/options/option.h"

namespace flux {
namespace {

using google::protobuf::FieldDescriptor;

const FieldDescriptor& descriptor_of(std::string_view name) {
  const auto* field = proto::Options::descriptor()->FindFieldByName(std::string(name));
  if (field == nullptr) throw std::logic_error("options.proto has no " + std::string(name));
  return *field;
}

std::string value_text(const proto::Options& message, const FieldDescriptor& field, int index) {
  google::protobuf::TextFormat::Printer printer;
  printer.SetUseUtf8StringEscaping(true);
  std::string value;
  printer.PrintFieldValueToString(message, &field, field.is_repeated() ? index : -1, &value);
  return value;
}

/// name: value, one line for each value of a repeated field.
std::string printed(const proto::Options& message, const FieldDescriptor& field, const std::string& comment) {
  const int count = field.is_repeated() ? message.GetReflection()->FieldSize(message, &field) : 1;
  std::string lines;
  for (int i = 0; i < count; ++i) {
    lines += fmt::format("{}: {}  # {}\n", field.name(), value_text(message, field, i), comment);
  }
  return lines;
}

/// For a textproto that may lie anywhere: relative paths become absolute.
proto::Options with_absolute_paths(const proto::Options& options) {
  proto::Options result = options;
  const auto& reflection = *result.GetReflection();
  for (int i = 0; i < options.GetDescriptor()->field_count(); ++i) {
    const FieldDescriptor& field = *options.GetDescriptor()->field(i);
    const std::string path = field.options().GetExtension(proto::flag).kind() == proto::Flag::path
                                 ? reflection.GetString(result, &field)
                                 : "";
    if (path.empty()) continue;
    reflection.SetString(&result, &field, absolute_path(field, path, ""));
  }
  return result;
}

bool has_default(const FieldDescriptor& field) {
  return !field.is_repeated() && (field.has_default_value() || field.cpp_type() == FieldDescriptor::CPPTYPE_BOOL);
}

}  // namespace

Settings::Settings() : message_(std::make_unique<proto::Options>()) {}
Settings::Settings(Settings&&) noexcept = default;
Settings& Settings::operator=(Settings&&) noexcept = default;
Settings::~Settings() = default;

void Settings::set(std::string_view name, std::string_view text, const std::string& origin) {
  const FieldDescriptor& field = descriptor_of(name);
  proto::Options read;
  try {
    set_field(read, field, text);
  } catch (const Invalid& error) {
    throw Invalid(origin + ": " + error.what());
  }
  if (const auto problem = field_problem(read, field); !problem.empty()) throw Invalid(origin + ": " + problem);
  if (field_present(*message_, field)) return;
  message_->MergeFrom(read);
  origins_[field.name()] = origin;
}

void Settings::set_default(std::string_view name, std::string_view text, const std::string& origin) {
  if (has(name)) return;
  set(name, text, origin);
  defaults_.emplace(name);
}

void Settings::add_file(const std::filesystem::path& file) {
  ConfigFile config = read_config_file(file);
  for (const auto& [name, origin] : config.origins) {
    const FieldDescriptor& field = descriptor_of(name);
    if (field_present(*message_, field)) {
      config.options->GetReflection()->ClearField(config.options.get(), &field);
    } else {
      origins_[name] = origin;
    }
  }
  message_->MergeFrom(*config.options);
}

bool Settings::has(std::string_view name) const { return field_present(*message_, descriptor_of(name)); }

bool Settings::given(std::string_view name) const { return has(name) && !defaults_.contains(name); }

void Settings::clear(std::string_view name) {
  message_->GetReflection()->ClearField(message_.get(), &descriptor_of(name));
  origins_.erase(std::string(name));
}

const std::string& Settings::origin(std::string_view name) const {
  static const std::string standard = "default";
  const auto found = origins_.find(name);
  return found == origins_.end() ? standard : found->second;
}

std::string Settings::text(std::string_view name) const { return value_text(*message_, descriptor_of(name), 0); }

std::string Settings::print(std::string_view verb) const {
  const proto::Options shown = with_absolute_paths(*message_);
  std::string text;
  for (const Option& option : all_options()) {
    if (!option.belongs_to(verb) || option.command_line_only) continue;
    const FieldDescriptor& field = descriptor_of(option.name);
    if (field_present(shown, field) || has_default(field)) {
      text += printed(shown, field, origin(option.name));
    } else {
      text += fmt::format("# {}: {}\n", option.name, option.default_text.empty() ? "none" : option.default_text);
    }
  }
  return text;
}

std::string Settings::serialized() const { return message_->SerializeAsString(); }

Settings Settings::deserialized(const std::string& bytes) {
  Settings settings;
  if (!settings.message_->ParseFromString(bytes)) throw std::logic_error("options from rank 0 are not readable");
  return settings;
}

}  // namespace flux
