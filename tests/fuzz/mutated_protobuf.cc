#include <optional>

#include "tests/fuzz/mutation.h"

// The wire format of protocol buffers (protobuf.dev/programming-guides/encoding), without a schema.
namespace flux::fuzz {
namespace {

enum Wire : uint64_t { varint = 0, eight_bytes = 1, counted = 2, group_begin = 3, group_end = 4, four_bytes = 5 };

struct Field {
  uint64_t tag;         // number << 3 | wire type
  uint64_t number = 0;  // a varint's
  std::string bytes;    // those of the other types
  Wire wire() const { return static_cast<Wire>(tag & 7); }
};

std::optional<uint64_t> take_varint(const std::string& bytes, size_t& at) {
  uint64_t value = 0;
  for (int shift = 0; shift < 64 && at < bytes.size(); shift += 7) {
    const auto byte = static_cast<unsigned char>(bytes[at++]);
    value |= static_cast<uint64_t>(byte & 127) << shift;
    if (byte < 128) return value;
  }
  return std::nullopt;
}

void put_varint(uint64_t value, std::string& bytes) {
  for (; value >= 128; value >>= 7) bytes += static_cast<char>(value | 128);
  bytes += static_cast<char>(value);
}

std::optional<std::vector<Field>> parsed(const std::string& bytes) {
  std::vector<Field> fields;
  for (size_t at = 0; at < bytes.size();) {
    const auto tag = take_varint(bytes, at);
    if (!tag) return std::nullopt;
    Field field{*tag, 0, {}};
    size_t length = 0;
    if (field.wire() == varint || field.wire() == counted) {
      const auto number = take_varint(bytes, at);
      if (!number) return std::nullopt;
      if (field.wire() == varint) field.number = *number;
      if (field.wire() == counted) length = *number;
    }
    if (field.wire() == eight_bytes) length = 8;
    if (field.wire() == four_bytes) length = 4;
    if (length > bytes.size() - at) return std::nullopt;
    field.bytes = bytes.substr(at, length);
    at += length;
    fields.push_back(std::move(field));
  }
  return fields;
}

std::string serialized(const std::vector<Field>& fields) {
  std::string bytes;
  for (const Field& field : fields) {
    put_varint(field.tag, bytes);
    if (field.wire() == varint) put_varint(field.number, bytes);
    if (field.wire() == counted) put_varint(field.bytes.size(), bytes);
    bytes += field.bytes;
  }
  return bytes;
}

void change(Field& field, Random& random) {
  if (random() % 12 == 0) field.tag = interesting_number(random) % (1 << 12);
  if (field.wire() == varint) field.number = interesting_number(random);
  if (field.wire() == counted && random() % 3 != 0)
    field.bytes = mutated_protobuf(field.bytes, random);
  else
    field.bytes = mutated_bytes(field.bytes, field.bytes, random);
}

}  // namespace

std::string mutated_protobuf(const std::string& bytes, Random& random) {
  auto fields = parsed(bytes);
  if (!fields || fields->empty()) return mutated_bytes(bytes, bytes, random);
  // sentencepiece's thousands of pieces are alike: the last fields hold what differs.
  const size_t some = std::min<size_t>(fields->size(), 16);
  const size_t at = random() % 2 ? fields->size() - 1 - pick(some, random) : pick(fields->size(), random);
  const auto place = fields->begin() + static_cast<std::ptrdiff_t>(at);
  switch (random() % 8) {
    case 0:
      fields->erase(place);
      break;
    case 1:
      fields->push_back(*place);
      break;
    case 2:
      fields->insert(place, Field{interesting_number(random) % (1 << 10) << 3 | random() % 6, 1, {}});
      break;
    default:
      change(*place, random);
  }
  return serialized(*fields);
}

}  // namespace flux::fuzz
