// Folders as disks, downloads, other users and enemies leave them. Whatever a file of a model is, reading it ends soon
// and says in one harmless line which file it is and what to do.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/fsuid.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <functional>

#include "model/checkpoint/checkpoint.h"
#include "model/files/printable.h"
#include "model/tokenizer/tokenizer.h"
#include "parallel/rank/errors.h"
#include "tests/model/checkpoint/scratch_folder.h"
#include "tests/reference.h"

namespace flux {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

/// What comes out of reading all of a model; nothing when it can be drawn with.
std::string complaint(const fs::path& model) {
  try {
    const ModelFolder folder(model);
    for (const char* component : {"transformer", "vae", "text_encoder", "text_encoder_2"}) {
      published(folder).open(component);
    }
    clip_tokenizer(model / "tokenizer");
    t5_tokenizer(model / "tokenizer_2");
    return "";
  } catch (const Invalid& error) {
    return error.what();
  }
}

void expect_one_harmless_line(const std::string& text) {
  constexpr size_t longest = 1000;
  EXPECT_EQ(printable_line(text, longest), text);
}

constexpr std::array<const char*, 14> files = {
    "model_index.json",
    "scheduler/scheduler_config.json",
    "text_encoder/config.json",
    "text_encoder/model.safetensors",
    "text_encoder_2/config.json",
    "text_encoder_2/model.safetensors",
    "tokenizer/merges.txt",
    "tokenizer/tokenizer_config.json",
    "tokenizer/vocab.json",
    "tokenizer_2/spiece.model",
    "tokenizer_2/tokenizer_config.json",
    "transformer/config.json",
    "vae/config.json",
    "vae/diffusion_pytorch_model.safetensors",
};

/// Something else where a file should be.
struct Kind {
  const char* name;
  std::function<void(const fs::path& path)> put;
  const char* complaint;
};

void put_socket(const fs::path& path) {
  const fs::path before = fs::current_path();
  fs::current_path(path.parent_path());  // the whole path may be too long for an address
  const int descriptor = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.filename().string().copy(address.sun_path, sizeof(address.sun_path) - 1);
  EXPECT_EQ(::bind(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  ::close(descriptor);
  fs::current_path(before);
}

void put_text(const fs::path& path, const std::string& text) { std::ofstream(path) << text; }

const Kind kinds[] = {
    {"a_named_pipe", [](const fs::path& path) { ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0); }, "is not a regular file"},
    {"an_endless_device", [](const fs::path& path) { fs::create_symlink("/dev/zero", path); }, "is not a regular file"},
    {"a_terminal", [](const fs::path& path) { fs::create_symlink("/dev/ptmx", path); }, "is not a regular file"},
    {"a_socket", put_socket, "is not a regular file"},
    {"a_folder", [](const fs::path& path) { fs::create_directory(path); }, "is not a regular file"},
    {"a_pointer_of_git_lfs",
     [](const fs::path& path) {
       put_text(path, "version https://git-lfs.github.com/spec/v1\noid sha256:" + std::string(64, 'a') +
                          "\nsize 246144152\n");
     },
     "git lfs pull"},
    {"anothers_file",
     [](const fs::path& path) {
       put_text(path, "{}");
       fs::permissions(path, fs::perms::none);
     },
     "Permission denied"},
};

/// The demo model, of which one file may be something else for a while.
class ModelCopy : public testing::Test {
 protected:
  ModelCopy() { fs::copy(source_folder() / "configs/demo", folder_.path(), fs::copy_options::recursive); }

  const ScratchFolder folder_;
};

class Hostile : public ModelCopy, public testing::WithParamInterface<Kind> {};

/// Of this thread, as root may read everything: permissions count.
class AsNobody {
 public:
  AsNobody() : before_(::setfsuid(65534)) {}
  ~AsNobody() { ::setfsuid(static_cast<uid_t>(before_)); }
  AsNobody(const AsNobody&) = delete;
  AsNobody& operator=(const AsNobody&) = delete;

 private:
  int before_;
};

TEST_P(Hostile, FileIsNamed) {
  ASSERT_EQ(complaint(folder_.path()), "");
  for (const char* name : files) {
    SCOPED_TRACE(name);
    const fs::path file = folder_.path() / name, aside = folder_.path() / "aside";
    fs::rename(file, aside);
    GetParam().put(file);
    std::string said;
    {
      const AsNobody nobody;
      said = complaint(folder_.path());
    }
    EXPECT_THAT(said, testing::StartsWith(file.string() + ": "));
    EXPECT_THAT(said, HasSubstr(GetParam().complaint));
    expect_one_harmless_line(said);
    fs::remove(file);
    fs::rename(aside, file);
  }
}

INSTANTIATE_TEST_SUITE_P(Files, Hostile, testing::ValuesIn(kinds), [](const auto& kind) { return kind.param.name; });

/// One file with other contents.
struct Contents {
  const char* file;
  std::string bytes;
  const char* complaint;
};

const std::string escape = "\x1b[2J\x1b]0;title\x07\r\nflux-dist: error: forged \xe2\x80\xae\xc2\x9b";

/// A file in fp8 of which a scale is not what it should be.
std::string in_fp8(const std::string& scale) {
  const std::string header = R"({"a.weight":{"dtype":"F8_E4M3","shape":[1,1],"data_offsets":[0,1]},")" + scale +
                             R"(":{"dtype":"F32","shape":[1],"data_offsets":[1,5]}})";
  return std::string(1, static_cast<char>(header.size())) + std::string(7, '\0') + header + std::string(5, '\0');
}

using HostileContents = ModelCopy;

TEST_F(HostileContents, AreNamedInOneHarmlessLine) {
  const std::string weights = "text_encoder/model.safetensors";
  const Contents cases[] = {
      {"model_index.json", "", "not valid JSON at byte"},
      {"model_index.json", R"({"_class_name": "\u001b[2J\n\u202e"})", "is not implemented (FluxPipeline)"},
      {"model_index.json", R"({"_class_name": ")" + std::string(100'000, 'x') + "\"}", "is not implemented"},
      {"text_encoder/config.json", escape, "not valid JSON at byte"},
      {"text_encoder/config.json", "{\"" + std::string(100'000, 'k') + "\": 1e999}", "a number that does not fit"},
      {"text_encoder/config.json", R"({"hidden_size": 1, "hidden_size": 2})", "key 'hidden_size' twice"},
      {"text_encoder/config.json", R"({"\u001b[2J": 1, "\u001b[2J": 2})", R"(key '\x1b[2J' twice)"},
      {"text_encoder/config.json", std::string(100'000, '['), "nested deeper"},
      {"tokenizer/tokenizer_config.json", R"({"model_max_length": 1})", "model_max_length: must leave room"},
      {"tokenizer_2/tokenizer_config.json", R"({"model_max_length": 1})", "model_max_length: must leave room"},
      {"text_encoder/model.safetensors", escape, "is it a safetensors file?"},
      {"text_encoder/model.safetensors", "", "0 bytes are no safetensors file"},
      {"text_encoder/model.safetensors", std::string(8, '\xff'), "is it a safetensors file?"},
      {"text_encoder_2/model.safetensors", in_fp8("a.scale_weight"), "a scale that is zero, negative or not finite"},
      {"text_encoder_2/model.safetensors", in_fp8("a.weight_scale_inv"), "scales blocks of a matrix"},
      {"text_encoder/model.safetensors", in_fp8("\\u001b[2J.weight_scale"),
       R"('text_model.\x1b[2J.weight_scale' is the)"},
  };
  for (const auto& [name, bytes, expected] : cases) {
    SCOPED_TRACE(std::string(name) + " " + printable_line(bytes, 80));
    const fs::path file = folder_.path() / name, aside = folder_.path() / "aside";
    fs::rename(file, aside);
    put_text(file, bytes);
    const std::string said = complaint(folder_.path());
    EXPECT_THAT(said, testing::StartsWith(file.string() + ": "));
    EXPECT_THAT(said, HasSubstr(expected));
    expect_one_harmless_line(said);
    fs::rename(aside, file);
  }
}

TEST_F(HostileContents, OfAFolderOfAnotherUser) {
  for (const char* closed : {".", "transformer", "tokenizer"}) {
    SCOPED_TRACE(closed);
    const fs::path folder = (folder_.path() / closed).lexically_normal();
    fs::permissions(folder, fs::perms::none);
    {
      const AsNobody nobody;
      EXPECT_THAT(complaint(folder_.path()),
                  testing::AllOf(HasSubstr(folder_.path().string()), HasSubstr("Permission denied")));
    }
    fs::permissions(folder, fs::perms::owner_all | fs::perms::others_read | fs::perms::others_exec);
  }
}

}  // namespace
}  // namespace flux
