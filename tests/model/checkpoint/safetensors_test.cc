#include "model/checkpoint/safetensors.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>

#include <random>

#include "parallel/rank/errors.h"
#include "tests/model/checkpoint/scratch_folder.h"

namespace flux {
namespace {

using nlohmann::json;
using testing::HasSubstr;

/// Two tensors of 24 and 8 bytes.
const std::string good_header =
    R"({"__metadata__":{"format":"pt"},"a.weight":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},)"
    R"("b":{"dtype":"BF16","shape":[4],"data_offsets":[24,32]}})";
constexpr int64_t good_bytes = 32;

std::string length(uint64_t bytes) {
  std::string text(8, '\0');
  for (int i = 0; i < 8; ++i) text[i] = static_cast<char>(bytes >> (8 * i));
  return text;
}

std::string file_of(const std::string& header, int64_t data_bytes = good_bytes) {
  return length(header.size()) + header + std::string(data_bytes, '\x01');
}

/// What the header's reader says; nothing when it accepts.
std::string complaint(const std::string& header, int64_t data_bytes = good_bytes) {
  try {
    parse_safetensors_header(header, data_bytes, "some.safetensors");
    return "";
  } catch (const Invalid& error) {
    return error.what();
  }
}

/// The complaint when one field of `a.weight` is replaced.
std::string complaint_with(const std::string& field, const json& value) {
  json header = json::parse(good_header);
  header["a.weight"][field] = value;
  return complaint(header.dump());
}

TEST(SafetensorsHeader, AcceptsWhatIsTrue) {
  EXPECT_EQ(complaint(good_header), "");
  EXPECT_EQ(complaint(good_header + "   "), "");  // the library pads with spaces
  EXPECT_EQ(complaint("{}", 0), "");
  EXPECT_EQ(complaint(R"({"scalar":{"dtype":"F64","shape":[],"data_offsets":[0,8]}})", 8), "");
  EXPECT_EQ(complaint(R"({"none":{"dtype":"I8","shape":[0,9],"data_offsets":[0,0]}})", 0), "");
}

TEST(SafetensorsHeader, NamesFileTensorAndFault) {
  const std::string who = "some.safetensors: tensor 'a.weight' ";
  EXPECT_EQ(complaint_with("dtype", "F 31"), who + "has the dtype 'F 31', which is no name of one");
  EXPECT_EQ(complaint_with("dtype", "\n"), who + "has the dtype '\\x0a', which is no name of one");
  EXPECT_THAT(complaint_with("dtype", std::string(1000, 'F')), HasSubstr("which is no name of one"));
  EXPECT_EQ(complaint_with("dtype", "BF16"), who + "has 24 bytes by its data_offsets, 12 by its dtype and shape");
  EXPECT_EQ(complaint_with("dtype", 7), who + "has a dtype that is not a string");
  EXPECT_EQ(complaint_with("shape", {2, 4}), who + "has 24 bytes by its data_offsets, 32 by its dtype and shape");
  for (const json& shape : {json{2, -3}, json{2, 3.0}, json{2, 1e30}, json{2, "3"}, json{2, json{3}}}) {
    EXPECT_EQ(complaint_with("shape", shape), who + "has a shape that is not made of counts") << shape;
  }
  const uint64_t huge = uint64_t{1} << 62;
  EXPECT_EQ(complaint_with("shape", {huge, huge}), who + "has a shape that overflows");
  EXPECT_EQ(complaint_with("shape", {0, huge, huge}), who + "has a shape that overflows");
  EXPECT_EQ(complaint_with("shape", 6), who + "has a shape that is not a list");
  EXPECT_EQ(complaint_with("shape", std::vector<int>(9, 1)), who + "has 9 dimensions");
  EXPECT_THAT(complaint_with("data_offsets", {0, 64}), HasSubstr("has 64 bytes by its data_offsets"));
  EXPECT_EQ(complaint_with("data_offsets", {24, 0}), who + "ends before it begins by its data_offsets");
  EXPECT_EQ(complaint_with("data_offsets", {-24, 0}), who + "has data_offsets that are not counts");
  EXPECT_EQ(complaint_with("data_offsets", {0, UINT64_MAX}), who + "has data_offsets that are not counts");
  EXPECT_EQ(complaint_with("data_offsets", {0}), who + "has data_offsets that are not [begin, end]");
  EXPECT_THAT(complaint_with("data_offsets", {9, 33}), HasSubstr("truncated"));
  EXPECT_EQ(complaint_with("data_offsets", {4, 28}), who + "leaves a hole before it");
  EXPECT_EQ(complaint(good_header, 31).substr(0, 30), "some.safetensors: tensor 'b' e");
  EXPECT_EQ(complaint(good_header, 40), "some.safetensors: 8 bytes after the last tensor belong to none");
  const std::string both = R"({"x":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
                           R"("y":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}})";
  EXPECT_EQ(complaint(both, 6), "some.safetensors: tensor 'y' overlaps the one before it");
}

TEST(SafetensorsHeader, ListsTensorsOfDtypesThatCameLater) {
  for (const char* dtype : {"F4", "F8_E8M0", "MXFP4", "F6_E2M3", "C64"}) {
    json header = json::parse(good_header);
    header["a.weight"]["dtype"] = dtype;
    header["a.weight"]["shape"] = {24, 2};  // of half a byte each
    const auto tensors = parse_safetensors_header(header.dump(), good_bytes, "some.safetensors");
    EXPECT_EQ(tensors[0].info.dtype, at::ScalarType::Undefined);
    EXPECT_EQ(tensors[0].info.stored_as, dtype);
    EXPECT_EQ(tensors[0].info.bytes, 24);
    EXPECT_EQ(tensors[1].info.stored_as, "BF16");
    header["a.weight"]["data_offsets"] = {0, 20};  // such a tensor too lies where it says
    EXPECT_THAT(complaint(header.dump()), HasSubstr("'b' leaves a hole before it"));
    header["a.weight"]["data_offsets"] = {0, 24};
    header["a.weight"]["shape"] = {uint64_t{1} << 62, uint64_t{1} << 62};
    EXPECT_THAT(complaint(header.dump()), HasSubstr("has a shape that overflows"));
  }
}

TEST(SafetensorsHeader, RefusesOtherJson) {
  EXPECT_THAT(complaint(""), HasSubstr("does not begin with '{'"));
  EXPECT_THAT(complaint(" " + good_header), HasSubstr("does not begin with '{'"));
  EXPECT_THAT(complaint("{\"a\":"), HasSubstr("not valid JSON at byte"));
  EXPECT_THAT(complaint("{\"\xff\":{}}"), HasSubstr("not valid JSON at byte"));
  EXPECT_THAT(complaint(R"({"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},
                            "a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}})"),
              HasSubstr("key 'a' twice"));
  EXPECT_THAT(complaint(R"({"__metadata__":{},"__metadata__":{}})"), HasSubstr("key '__metadata__' twice"));
  EXPECT_THAT(complaint(R"({"__metadata__":{"n":"1","n":"2"}})"), HasSubstr("key 'n' twice"));
  EXPECT_THAT(complaint(R"({"a":1e999})"), HasSubstr("number that does not fit"));
  EXPECT_THAT(complaint(R"({"a":5})"), HasSubstr("not described by a JSON object"));
  EXPECT_THAT(complaint(R"({"__metadata__":{"n":1}})"), HasSubstr("__metadata__"));
  EXPECT_THAT(complaint("{\"a\":" + std::string(1'000'000, '[')), HasSubstr("nested deeper"));
  // A name is never printed as it stands: it could move a terminal's cursor.
  EXPECT_THAT(complaint("{\"\\u001b[2J\\u000a" + std::string(1000, 'x') + "\":5}"),
              testing::StartsWith("some.safetensors: tensor '\\x1b[2J\\x0axxx"));
  EXPECT_LT(complaint("{\"" + std::string(1000, 'x') + "\":5}").size(), 300);
}

/// Damage as a disk, a network or an enemy does it. The reader answers each with Invalid or with tensors that lie
/// inside the file; the same tests run under AddressSanitizer and UBSan.
class Mutation : public testing::TestWithParam<int> {};

std::string mutated(int number) {
  std::mt19937 random(static_cast<unsigned>(number));
  const auto below = [&](size_t n) { return std::uniform_int_distribution<size_t>(0, n - 1)(random); };
  const std::vector<std::string> pieces = {"-1",
                                           "18446744073709551615",
                                           "18446744073709551616",
                                           "9223372036854775807",
                                           "1e308",
                                           "0",
                                           "null",
                                           "[]",
                                           "{}",
                                           "[[[[",
                                           "}}",
                                           "\"",
                                           "\\u0000",
                                           "\\ud800",
                                           ",",
                                           "\"data_offsets\"",
                                           "\"shape\"",
                                           "\"F16\"",
                                           "\"BOOL\"",
                                           "[0,24]"};
  std::string text = good_header;
  const size_t changes = 1 + below(3);
  for (size_t change = 0; change < changes && !text.empty(); ++change) {
    const size_t at = below(text.size());
    switch (number % 6) {
      case 0:
        text[at] = static_cast<char>(text[at] ^ (1 << below(8)));
        break;
      case 1:
        text.resize(at);
        break;
      case 2:
        text.insert(at, pieces[below(pieces.size())]);
        break;
      case 3:
        text.erase(at, 1 + below(8));
        break;
      case 4:
        text.insert(at, text.substr(below(text.size()), 1 + below(40)));
        break;
      default: {  // another number in place of one
        const size_t digit = text.find_first_of("0123456789", at);
        if (digit != std::string::npos) {
          const size_t end = text.find_first_not_of("0123456789", digit);
          text.replace(digit, end - digit, pieces[below(6)]);
        }
      }
    }
  }
  return text;
}

TEST_P(Mutation, OfTheHeaderIsRefusedOrHarmless) {
  const ScratchFolder folder;
  const std::string header = mutated(GetParam());
  // A lying length too: the header one byte shorter or longer than it says.
  for (const int64_t lie : {0, -1, 1}) {
    const uint64_t said = std::max<int64_t>(0, static_cast<int64_t>(header.size()) + lie);
    const auto path = folder.write("m.safetensors", length(said) + header + std::string(good_bytes, '\x01'));
    try {
      const SafetensorsFile file(path);
      for (const StoredTensor& tensor : file.tensors()) {
        if (tensor.info.dtype == at::ScalarType::Undefined) continue;
        const at::Tensor into = at::empty(tensor.info.shape, tensor.info.dtype);
        file.read(tensor, 0, into.dim() == 0 ? into.view({1}) : into);
      }
    } catch (const Invalid& error) {
      EXPECT_THAT(error.what(), HasSubstr(path.string()));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Safetensors, Mutation, testing::Range(0, 600));

TEST(SafetensorsFile, RefusesTruncatedAndLyingFiles) {
  const ScratchFolder folder;
  const std::string whole = file_of(good_header);
  for (size_t bytes = 0; bytes < whole.size(); ++bytes) {
    EXPECT_THROW(SafetensorsFile{folder.write("cut", whole.substr(0, bytes))}, Invalid) << bytes;
  }
  const auto refused = [&](const std::string& bytes) -> std::string {
    try {
      SafetensorsFile{folder.write("lie", bytes)};
    } catch (const Invalid& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_THAT(refused(length(100'000'001) + "{}"), HasSubstr("100 MB"));
  EXPECT_THAT(refused(length(UINT64_MAX) + "{}"), HasSubstr("100 MB"));
  EXPECT_THAT(refused(length(100'000'000) + "{}"), HasSubstr("ends inside its header"));
}

TEST(SafetensorsFile, SaysWhichTensorAFileThatShrinksLacks) {
  const ScratchFolder folder;
  const auto path = folder.write("shrinks", file_of(good_header));
  const SafetensorsFile file(path);
  std::filesystem::resize_file(path, std::filesystem::file_size(path) - 9);
  const at::Tensor into = at::empty({2, 3});
  try {
    file.read(file.tensors()[0], 0, into);
    FAIL() << "read past the end of the file";
  } catch (const Invalid& error) {
    EXPECT_THAT(error.what(), HasSubstr(path.string()));
    EXPECT_THAT(error.what(), HasSubstr("'a.weight'"));
  }
}

TEST(SafetensorsFile, OpensRegularFilesAlone) {
  const ScratchFolder folder;
  EXPECT_THROW(SafetensorsFile{folder.path()}, Invalid);
  EXPECT_THROW(SafetensorsFile{folder.path() / "absent"}, Invalid);
  const auto pipe = folder.path() / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_THROW(SafetensorsFile{pipe}, Invalid);  // and does not wait for a writer
}

}  // namespace
}  // namespace flux
