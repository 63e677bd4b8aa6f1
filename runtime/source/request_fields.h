#pragma once

#include <nlohmann/json.hpp>

#include <functional>
#include <string>

#include "runtime/options.pb.h"

namespace flux {

/// Takes JSON while the parser runs, so that neither depth nor duplicates can hide: an object, or an array of objects
/// and texts. What is no request is said of that one alone, and the parser goes on. As pandas writes tables, a null is
/// a field that is not there, and 42.0 a whole number.
class RequestFields : public nlohmann::json_sax<nlohmann::json> {
 public:
  using OnBegin = std::function<void()>;
  /// `error`: not empty where the object cannot be used.
  using OnRequest = std::function<void(const proto::Options&, const std::string& error)>;

  RequestFields(OnBegin on_begin, OnRequest on_request)
      : on_begin_(std::move(on_begin)), on_request_(std::move(on_request)) {}

  size_t error_position() const { return error_position_; }  // bytes that the parser had read; the end counts as one
  size_t error_length() const { return error_length_; }      // of what it could not use, the last of them
  bool number_too_large() const { return number_too_large_; }

  bool start_object(size_t) override;
  bool end_object() override;
  bool start_array(size_t) override;
  bool end_array() override;
  bool key(std::string& name) override;
  bool string(std::string& text) override;
  bool null() override;
  bool boolean(bool) override { return odd("is a truth value; a text or a number is wanted"); }
  bool binary(binary_t&) override { return odd("is binary"); }
  bool number_integer(int64_t value) override { return number(std::to_string(value)); }
  bool number_unsigned(uint64_t value) override { return number(std::to_string(value)); }
  bool number_float(double value, const std::string& text) override;
  bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception& error) override;

 private:
  enum class Place { outside, list, object, values };  // values: an array of numbers within an object

  void begin();
  void finish();
  void refuse(const std::string& why);
  bool no_request();
  bool odd(const std::string& why);
  bool number(const std::string& text);
  void take(const std::string& text);

  OnBegin on_begin_;
  OnRequest on_request_;
  Place place_ = Place::outside;
  bool listed_ = false;                                       // there is an array around the objects
  int64_t skipped_ = 0;                                       // depth within what was refused
  proto::Options options_;                                    // of the object at hand
  const google::protobuf::FieldDescriptor* field_ = nullptr;  // of the key just read; none: it was refused
  std::string values_;                                        // 1,0.5 of an array
  std::string error_;
  size_t error_position_ = 0, error_length_ = 0;
  bool number_too_large_ = false;
};

}  // namespace flux
