#include "runtime/options/option.h"

#include <algorithm>
#include <cctype>
#include <cmath>

#include "runtime/options.pb.h"
#include "runtime/options/field.h"

namespace flux {
namespace {

using google::protobuf::FieldDescriptor;

std::string upper(std::string text) {
  std::ranges::transform(text, text.begin(), [](unsigned char c) { return std::toupper(c); });
  return text;
}

std::string choices(const google::protobuf::EnumDescriptor& type) {
  std::string joined;
  for (int i = 0; i < type.value_count(); ++i) joined += (i > 0 ? "|" : "") + choice_name(*type.value(i));
  return joined;
}

std::string declared_default(const FieldDescriptor& field) {
  if (!field.has_default_value()) return "";
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return std::to_string(field.default_value_int32());
    case FieldDescriptor::CPPTYPE_INT64:
      return std::to_string(field.default_value_int64());
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return std::to_string(std::lround(field.default_value_double()));
    case FieldDescriptor::CPPTYPE_ENUM:
      return choice_name(*field.default_value_enum());
    default:
      return field.default_value_string();
  }
}

Option described(const FieldDescriptor& field) {
  const proto::Flag& flag = field.options().GetExtension(proto::flag);
  Option option;
  option.name = field.name();
  option.flag = "--" + field.name();
  std::ranges::replace(option.flag, '_', '-');
  option.environment = "FLUX_DIST_" + upper(field.name());
  option.short_flag = flag.short_flag();
  option.help = flag.help();
  option.metavar = field.enum_type() != nullptr ? choices(*field.enum_type()) : flag.metavar();
  option.default_text = flag.has_default_text() ? flag.default_text() : declared_default(field);
  option.group = flag.group();
  for (int verb : flag.verbs()) option.verbs.push_back(proto::Verb::Value_Name(static_cast<proto::Verb::Value>(verb)));
  for (int measure : flag.measures())
    option.measures.push_back(proto::Measure::Value_Name(static_cast<proto::Measure::Value>(measure)));
  option.yes_no = field.cpp_type() == FieldDescriptor::CPPTYPE_BOOL;
  option.per_request = flag.per_request();
  option.command_line_only = flag.command_line_only();
  return option;
}

}  // namespace

bool Option::belongs_to(std::string_view verb) const { return std::ranges::find(verbs, verb) != verbs.end(); }

bool Option::belongs_to_measure(std::string_view measure) const {
  if (!belongs_to("bench")) return false;
  return measures.empty() ? measure != "compare" : std::ranges::find(measures, measure) != measures.end();
}

const std::vector<Option>& all_options() {
  static const std::vector<Option> options = [] {
    const auto& message = *proto::Options::descriptor();
    std::vector<Option> result;
    result.reserve(static_cast<size_t>(message.field_count()));
    for (int i = 0; i < message.field_count(); ++i) result.push_back(described(*message.field(i)));
    return result;
  }();
  return options;
}

const Option* find_option(std::string_view name) {
  const auto found = std::ranges::find(all_options(), name, &Option::name);
  return found == all_options().end() ? nullptr : &*found;
}

const std::vector<std::string>& all_verbs() {
  static const std::vector<std::string> verbs = [] {
    const auto& type = *proto::Verb::Value_descriptor();
    std::vector<std::string> result;
    result.reserve(static_cast<size_t>(type.value_count()));
    for (int i = 0; i < type.value_count(); ++i) result.push_back(choice_name(*type.value(i)));
    return result;
  }();
  return verbs;
}

}  // namespace flux
