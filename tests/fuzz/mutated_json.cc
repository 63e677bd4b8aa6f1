#include <nlohmann/json.hpp>

#include "tests/fuzz/mutation.h"

namespace flux::fuzz {
namespace {

using Json = nlohmann::ordered_json;

void collect(Json& json, std::vector<Json*>& nodes) {
  nodes.push_back(&json);
  if (json.is_structured())
    for (Json& child : json) collect(child, nodes);
}

Json interesting_value(Random& random) {
  switch (random() % 8) {
    case 0:
      return nullptr;
    case 1:
      return random() % 2 == 0;
    case 2:
      return static_cast<int64_t>(interesting_number(random));
    case 3:
      return interesting_number(random);
    case 4:
      return static_cast<double>(interesting_number(random)) * 1e-3;
    case 5:
      return std::string(random() % 300, static_cast<char>('!' + random() % 90));
    case 6:
      return Json::array({1, "a", nullptr});
    default:
      return Json::object({{"a", 1}});
  }
}

void change(Json& node, const Json& other, Random& random) {
  switch (random() % 6) {
    case 0:
      node = interesting_value(random);
      break;
    case 1:
      if (node.is_structured() && !node.empty())
        node.erase(std::next(node.begin(), static_cast<std::ptrdiff_t>(pick(node.size(), random))));
      break;
    case 2:
      if (node.is_object()) node["extra" + std::to_string(random() % 9)] = other;
      if (node.is_array()) node.push_back(other);
      break;
    case 3:
      node = other;
      break;
    case 4:
      for (size_t depth = random() % 80; depth > 0; --depth) node = Json::array({std::move(node)});
      break;
    default:
      if (node.is_number_integer()) node = static_cast<int64_t>(node.get<uint64_t>() + random() % 5 - 2);  // or around
      if (node.is_string()) node = mutated_bytes(node.get<std::string>(), node.get<std::string>(), random);
  }
}

/// The same key twice: nothing that a tree can hold.
std::string with_a_key_twice(const std::string& text, Random& random) {
  const size_t colon = text.find("\":", pick(text.size(), random));
  if (colon == std::string::npos || colon == 0) return text;
  const size_t begin = text.rfind('"', colon - 1);
  if (begin == std::string::npos) return text;
  return text.substr(0, begin) + text.substr(begin, colon + 2 - begin) + "0," + text.substr(begin);
}

}  // namespace

std::string mutated_json(const std::string& bytes, Random& random) {
  Json json = Json::parse(bytes, nullptr, false);
  if (json.is_discarded()) return mutated_bytes(bytes, bytes, random);
  std::vector<Json*> nodes;
  collect(json, nodes);
  const Json other = *nodes[pick(nodes.size(), random)];
  change(*nodes[pick(nodes.size(), random)], other, random);
  const std::string text = json.dump(-1, ' ', false, Json::error_handler_t::ignore);
  return random() % 16 == 0 ? with_a_key_twice(text, random) : text;
}

}  // namespace flux::fuzz
