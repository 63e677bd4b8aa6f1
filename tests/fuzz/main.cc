// fuzz NAME|all SECONDS [SEED]: first every input of the corpus, then ones made of them for so long, those kept that
// reach new code. An input that breaks the reader is written to ./fuzz-NAME-broken, which belongs into
// tests/fuzz/corpus/NAME once the reader is mended. fuzz --list: the names.

#include <sanitizer/common_interface_defs.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>

#include "parallel/rank/errors.h"
#include "tests/fuzz/coverage.h"
#include "tests/fuzz/mutation.h"
#include "tests/fuzz/target.h"
#include "tests/reference.h"

namespace flux::fuzz {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr unsigned slow = 20;  // seconds for one input, sanitizers and a busy machine included

/// The input being read, where whoever ends the process finds it.
struct Current {
  std::string name;
  std::string bytes;
};
Current& current() {
  static Current input;
  return input;
}

void write_current() {
  const std::string file = "fuzz-" + current().name + "-broken";
  std::ofstream(file, std::ios::binary) << current().bytes;
  std::cerr << "the input is in " << fs::current_path().string() << "/" << file << std::endl;
}

void too_slow(int) {
  std::cerr << current().name << ": one input took over " << slow << " s\n";
  write_current();
  _exit(1);
}

void read(const Target& target, const std::string& bytes) {
  current() = {target.name, bytes};
  alarm(slow);
  try {
    target.read(bytes);
  } catch (const Invalid&) {
  } catch (const std::exception& error) {
    std::cerr << target.name << ": not refused as invalid, but thrown: " << error.what() << "\n";
    write_current();
    std::exit(1);
  }
  alarm(0);
}

std::vector<std::string> corpus(const Target& target) {
  std::vector<fs::path> files;
  for (const std::string& seed : target.seeds) files.push_back(config(seed));
  const fs::path folder = source_folder() / "tests" / "fuzz" / "corpus" / target.name;
  if (fs::exists(folder))
    for (const auto& entry : fs::directory_iterator(folder)) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  std::vector<std::string> inputs;
  for (const fs::path& file : files) {
    std::ifstream stream(file, std::ios::binary);
    inputs.emplace_back(std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>());
  }
  return inputs;
}

void run(const Target& target, std::chrono::seconds time, uint64_t seed) {
  std::vector<std::string> inputs = corpus(target);
  if (inputs.empty()) throw std::runtime_error(target.name + ": no corpus to begin from");
  for (const std::string& input : inputs) read(target, input);
  const size_t given = inputs.size();
  Random random(seed);
  int64_t count = 0;
  for (const auto end = Clock::now() + time; Clock::now() < end; ++count) {
    const std::string input = mutated(inputs[pick(inputs.size(), random)], target.format, inputs, random);
    forget_coverage();
    read(target, input);
    if (newly_covered() > 0) inputs.push_back(input);
  }
  std::cout << target.name << ": " << count << " inputs, " << inputs.size() - given << " reached new code" << std::endl;
}

int main(const std::vector<std::string>& arguments) {
  if (arguments == std::vector<std::string>{"--list"}) {
    for (const Target& target : targets()) std::cout << target.name << "\n";
    return 0;
  }
  if (arguments.size() < 2) throw std::runtime_error("usage: fuzz NAME|all SECONDS [SEED], or fuzz --list");
  __sanitizer_set_death_callback(write_current);
  std::signal(SIGALRM, too_slow);
  const std::chrono::seconds time(std::stol(arguments[1]));
  const uint64_t seed = arguments.size() > 2 ? std::stoull(arguments[2]) : 1;
  int ran = 0;
  for (const Target& target : targets()) {
    if (arguments[0] != "all" && arguments[0] != target.name) continue;
    run(target, time, seed);
    ++ran;
  }
  if (ran == 0) throw std::runtime_error("no target " + arguments[0] + ": see fuzz --list");
  return 0;
}

}  // namespace
}  // namespace flux::fuzz

int main(int argc, char** argv) {
  try {
    return flux::fuzz::main({argv + 1, argv + argc});
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 2;
  }
}
