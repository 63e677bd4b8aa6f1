#include "runtime/source/request_fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "model/files/printable.h"
#include "parallel/rank/errors.h"
#include "runtime/options/field.h"
#include "runtime/options/option.h"

namespace flux {
namespace {

using google::protobuf::FieldDescriptor;

bool is_text(const FieldDescriptor& field) {
  return field.cpp_type() == FieldDescriptor::CPPTYPE_STRING || field.cpp_type() == FieldDescriptor::CPPTYPE_ENUM;
}

/// What a table numbers its rows by is a number, and a text here.
bool is_id(const FieldDescriptor& field) { return field.number() == proto::Options::kIdFieldNumber; }

bool is_whole(const FieldDescriptor& field) {
  return field.cpp_type() == FieldDescriptor::CPPTYPE_INT64 || field.cpp_type() == FieldDescriptor::CPPTYPE_UINT64 ||
         is_id(field);
}

/// Bytes of the text or number that `token` ends with; else 0. The parser hands over what came before it too, but not
/// before a text.
size_t length_of_last(const std::string& token) {
  if (token.ends_with('"')) return token.size();
  return token.size() - (token.find_last_not_of("+-.0123456789eE") + 1);
}

}  // namespace

void RequestFields::begin() {
  on_begin_();
  options_.Clear();
  error_.clear();
  field_ = nullptr;
}

void RequestFields::finish() {
  if (error_.empty() && !options_.has_prompt()) error_ = "there is no \"prompt\"";
  on_request_(options_, error_);
}

/// The first thing that is wrong counts.
void RequestFields::refuse(const std::string& why) {
  if (error_.empty() && field_ != nullptr) error_ = fmt::format("{}: {}", field_->name(), why);
}

/// In place of an object.
bool RequestFields::no_request() {
  begin();
  error_ = listed_ ? "is neither an object such as {\"prompt\": \"a red circle\"} nor a text"
                   : "is no JSON object such as {\"prompt\": \"a red circle\"}";
  finish();
  return true;
}

bool RequestFields::start_object(size_t) {
  if (skipped_ > 0 || place_ == Place::object || place_ == Place::values) {
    if (skipped_++ == 0) refuse("is an object; a text or a number is wanted");
    return true;
  }
  begin();
  place_ = Place::object;
  return true;
}

bool RequestFields::end_object() {
  if (skipped_ > 0) {
    --skipped_;
    return true;
  }
  finish();
  place_ = listed_ ? Place::list : Place::outside;
  return true;
}

bool RequestFields::start_array(size_t) {
  if (skipped_ > 0) {
    ++skipped_;
  } else if (place_ == Place::outside) {
    listed_ = true;
    place_ = Place::list;
  } else if (place_ == Place::object && field_ != nullptr && field_->is_repeated()) {
    values_.clear();
    place_ = Place::values;
  } else {
    ++skipped_;
    if (place_ == Place::list) return no_request();
    refuse("is an array; a text or a number is wanted");
  }
  return true;
}

bool RequestFields::end_array() {
  if (skipped_ > 0) {
    --skipped_;
  } else if (place_ == Place::values) {
    place_ = Place::object;
    if (values_.empty()) {
      refuse("is empty; leave it out");
    } else {
      take(values_);
    }
  } else {
    listed_ = false;
    place_ = Place::outside;
  }
  return true;
}

bool RequestFields::key(std::string& name) {
  if (skipped_ > 0) return true;
  const Option* option = find_option(name);
  field_ = nullptr;
  if (option == nullptr || !option->per_request) {
    if (error_.empty()) error_ = fmt::format("there is no field \"{}\"", printable_line(name, 40));
    return true;
  }
  field_ = proto::Options::descriptor()->FindFieldByName(name);
  if (field_present(options_, *field_)) {
    refuse("is there twice");
    field_ = nullptr;
  }
  return true;
}

bool RequestFields::string(std::string& text) {
  if (skipped_ > 0) return true;
  if (place_ == Place::outside) return no_request();
  if (place_ == Place::list) {
    begin();
    field_ = proto::Options::descriptor()->FindFieldByNumber(proto::Options::kPromptFieldNumber);
    take(text);
    finish();
  } else if (field_ != nullptr && (place_ == Place::values || !is_text(*field_))) {
    refuse("is a text; a number is wanted");
  } else {
    take(text);
  }
  return true;
}

bool RequestFields::null() {
  const bool not_there = skipped_ == 0 && place_ == Place::object;
  return not_there || odd("is null; a number is wanted");
}

bool RequestFields::number_float(double value, const std::string& text) {
  constexpr double exact = 1LL << 53;  // whole numbers up to here are what they seem
  const bool whole = value == std::trunc(value) && std::abs(value) <= exact;
  return number(whole && field_ != nullptr && is_whole(*field_) ? fmt::format("{:.0f}", value) : text);
}

bool RequestFields::number(const std::string& text) {
  if (skipped_ > 0) return true;
  if (place_ == Place::outside || place_ == Place::list) return no_request();
  if (place_ == Place::values) {
    values_ += (values_.empty() ? "" : ",") + text;
  } else if (field_ != nullptr && is_text(*field_) && !is_id(*field_)) {
    refuse("is a number; a text is wanted");
  } else if (field_ != nullptr && field_->is_repeated()) {
    refuse("is a number; an array of numbers is wanted");
  } else {
    take(text);
  }
  return true;
}

/// Neither text nor number.
bool RequestFields::odd(const std::string& why) {
  if (skipped_ > 0) return true;
  if (place_ == Place::outside || place_ == Place::list) return no_request();
  refuse(why);
  return true;
}

void RequestFields::take(const std::string& text) {
  if (field_ == nullptr) return;
  try {
    set_field(options_, *field_, text);
    if (const std::string problem = field_problem(options_, *field_); !problem.empty()) refuse(problem);
  } catch (const Invalid& error) {
    refuse(error.what());
  }
}

bool RequestFields::parse_error(size_t position, const std::string& token, const nlohmann::detail::exception& error) {
  error_position_ = position;
  error_length_ = std::clamp<size_t>(length_of_last(token), 1, position);
  number_too_large_ = dynamic_cast<const nlohmann::json::out_of_range*>(&error) != nullptr;
  return false;
}

}  // namespace flux
