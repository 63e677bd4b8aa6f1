#include "runtime/source/json_request.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <optional>
#include <string>

#include "model/files/printable.h"
#include "parallel/rank/errors.h"
#include "runtime/options/field.h"
#include "runtime/options/option.h"

namespace flux {
namespace {

using google::protobuf::FieldDescriptor;

/// Fills options while the parser runs, so that neither depth nor duplicates can hide. Every callback returns whether
/// to go on.
class RequestFields : public nlohmann::json_sax<nlohmann::json> {
 public:
  const proto::Options& options() const { return options_; }
  const std::string& error() const { return error_; }

  bool start_object(size_t) override {
    if (inside_) return refuse("is an object; a text or a number is wanted");
    return inside_ = true;
  }
  bool end_object() override { return true; }
  bool start_array(size_t) override { return refuse("is an array; a text or a number is wanted"); }
  bool end_array() override { return true; }
  bool null() override { return refuse("is null; leave it out"); }
  bool boolean(bool) override { return refuse("is a truth value; a text or a number is wanted"); }
  bool binary(binary_t&) override { return refuse("is binary"); }
  bool number_integer(int64_t value) override { return number(std::to_string(value)); }
  bool number_unsigned(uint64_t value) override { return number(std::to_string(value)); }
  bool number_float(double, const std::string& text) override { return number(text); }

  bool key(std::string& name) override {
    const Option* option = find_option(name);
    if (option == nullptr || !option->per_request)
      return fail(fmt::format("there is no field \"{}\"", printable_line(name, 40)));
    field_ = proto::Options::descriptor()->FindFieldByName(name);
    return !field_present(options_, *field_) || refuse("is there twice");
  }

  bool string(std::string& text) override {
    if (field_ == nullptr) return fail(not_an_object);
    const auto type = field_->cpp_type();
    if (type != FieldDescriptor::CPPTYPE_STRING && type != FieldDescriptor::CPPTYPE_ENUM) {
      return refuse("is a text; a number is wanted");
    }
    return take(text);
  }

  bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception& error) override {
    const std::string text = error.what();  // [json.exception...] parse error at line 1, column 9: what is wrong
    const size_t colon = text.find(": ");
    const std::string why = colon == std::string::npos ? text : text.substr(colon + 2);
    return fail(fmt::format("is not JSON at column {}: {}", position, why.substr(0, why.find("; last read"))));
  }

 private:
  static constexpr const char* not_an_object = "is no JSON object such as {\"prompt\": \"a red circle\"}";

  bool number(const std::string& text) {
    if (field_ == nullptr) return fail(not_an_object);
    const auto type = field_->cpp_type();
    if (type == FieldDescriptor::CPPTYPE_STRING || type == FieldDescriptor::CPPTYPE_ENUM) {
      return refuse("is a number; a text is wanted");
    }
    return take(text);
  }

  bool take(const std::string& text) {
    try {
      set_field(options_, *field_, text);
    } catch (const Invalid& error) {
      return refuse(error.what());
    }
    const std::string problem = field_problem(options_, *field_);
    return problem.empty() || refuse(problem);
  }

  bool refuse(const std::string& why) {
    if (field_ == nullptr) return fail(not_an_object);
    return fail(fmt::format("{}: {}", field_->name(), why));
  }

  bool fail(const std::string& why) {
    if (error_.empty()) error_ = why;
    return false;
  }

  proto::Options options_;
  const FieldDescriptor* field_ = nullptr;  // of the key just read
  bool inside_ = false;
  std::string error_;
};

}  // namespace

proto::Options read_json_request(std::string_view line) {
  RequestFields fields;
  const bool read = nlohmann::json::sax_parse(line.begin(), line.end(), &fields);
  if (!read || !fields.error().empty()) throw Invalid(fields.error());
  if (!fields.options().has_prompt()) throw Invalid("there is no \"prompt\"");
  return fields.options();
}

}  // namespace flux
