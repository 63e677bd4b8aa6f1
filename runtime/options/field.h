#pragma once

// One field of options.proto's messages, whichever way its value comes: one setter and one check for all types.

#include <google/protobuf/message.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace flux {

/// Sets the field from its text on a command line: a repeated one takes `3,4`. Throws Invalid("why"), without a prefix.
void set_field(google::protobuf::Message& message, const google::protobuf::FieldDescriptor& field,
               std::string_view text);

/// A value of an enum as it is given and shown: int8-weights.
std::string choice_name(const google::protobuf::EnumValueDescriptor& value);

/// What is wrong with the value that is set (range, NaN, UTF-8, duration); empty when nothing is.
std::string field_problem(const google::protobuf::Message& message, const google::protobuf::FieldDescriptor& field);

/// Whether the field is there, or holds values where it is repeated.
bool field_present(const google::protobuf::Message& message, const google::protobuf::FieldDescriptor& field);

/// A path option's value made absolute, from `folder` on (empty: the working directory): `-` stays, so does the dataset
/// `random`, and a model that is no folder there, perhaps an id of the Hugging Face cache. Throws Invalid where no path
/// can be made of it.
std::string absolute_path(const google::protobuf::FieldDescriptor& field, const std::string& path,
                          const std::filesystem::path& folder);

/// 500ms, 60s, 10min, 1h. Throws Invalid.
std::chrono::milliseconds parse_duration(std::string_view text);

/// 14GiB, 14.5GiB, 14000MiB: bytes. Throws Invalid.
int64_t parse_memory(std::string_view text);

}  // namespace flux
