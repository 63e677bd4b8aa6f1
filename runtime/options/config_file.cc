#include "runtime/options/config_file.h"

#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/text_format.h>

#include <utility>
#include <vector>

#include "model/files/readable_file.h"
#include "parallel/rank/errors.h"
#include "runtime/options/field.h"
#include "runtime/options/plain_text.h"

namespace flux {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::TextFormat;

constexpr int64_t largest_file = 1 << 20;  // bytes; a config is a page

std::string read_text(const std::filesystem::path& file) {
  std::string bytes;
  try {
    bytes = read_whole_file(file, largest_file);
  } catch (const Invalid& error) {
    throw Invalid(std::string(error.what()) + "; --config takes a textproto of options");
  }
  try {
    return plain_text(bytes);
  } catch (const Invalid& error) {
    throw Invalid(file.string() + ": " + error.what());
  }
}

std::string at(const std::filesystem::path& file, int line, int column) {
  return file.string() + ":" + std::to_string(line + 1) + ":" + std::to_string(column + 1);
}

/// protobuf's words where they help, ours where they name its internals.
std::string reworded(const std::string& message) {
  constexpr std::string_view unknown = "has no field named \"";
  const size_t found = message.find(unknown);
  if (found == std::string::npos) return message;
  const size_t start = found + unknown.size();
  return "there is no option \"" + message.substr(start, message.find('"', start) - start) + "\"; see --help";
}

class FirstError : public google::protobuf::io::ErrorCollector {
 public:
  explicit FirstError(const std::filesystem::path& file) : file_(file) {}
  void AddError(int line, google::protobuf::io::ColumnNumber column, const std::string& message) override {
    if (text_.empty()) text_ = at(file_, line, column) + ": " + reworded(message);
  }
  const std::string& text() const { return text_; }

 private:
  const std::filesystem::path& file_;
  std::string text_;
};

void check(const proto::Options& options, const FieldDescriptor& field, const std::string& where) {
  const proto::Flag& flag = field.options().GetExtension(proto::flag);
  if (flag.command_line_only()) throw Invalid(where + ": " + field.name() + " belongs on the command line");
  if (auto problem = field_problem(options, field); !problem.empty()) {
    throw Invalid(where + ": " + field.name() + ": " + problem);
  }
}

}  // namespace

ConfigFile read_config_file(const std::filesystem::path& file) {
  ConfigFile config{std::make_unique<proto::Options>(), {}};
  TextFormat::ParseInfoTree positions;
  FirstError error(file);
  TextFormat::Parser parser;
  parser.RecordErrorsTo(&error);
  parser.WriteLocationsTo(&positions);
  if (!parser.ParseFromString(read_text(file), config.options.get())) throw Invalid(error.text());

  const auto& reflection = *config.options->GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection.ListFields(*config.options, &fields);
  for (const FieldDescriptor* field : fields) {
    const auto position = positions.GetLocation(field, field->is_repeated() ? 0 : -1);
    check(*config.options, *field, at(file, position.line, position.column));
    config.origins[field->name()] = file.string() + ":" + std::to_string(position.line + 1);
    if (field->options().GetExtension(proto::flag).kind() != proto::Flag::path) continue;
    const std::string path = reflection.GetString(*config.options, field);
    reflection.SetString(config.options.get(), field, absolute_path(*field, path, file.parent_path()));
  }
  return config;
}

}  // namespace flux
