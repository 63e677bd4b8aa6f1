// flux-dist VERB [options]: reads what is wanted, joins the other ranks where the verb needs them, and turns errors
// into one message and an exit code.

#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <exception>
#include <iostream>
#include <string_view>

#include "launch/on_ranks.h"
#include "launch/say.h"
#include "launch/verbs.h"
#include "parallel/mpi/launcher.h"
#include "parallel/rank/errors.h"
#include "runtime/bench/device_trace.h"
#include "runtime/options/convert.h"
#include "runtime/options/invocation.h"
#include "runtime/source/model_defaults.h"

namespace flux {
namespace {

constexpr int done = 0, invalid = 2, failed = 3;

/// Runs before the libraries' constructors: where the working directory is gone, libtorch's ends the process with words
/// of its own.
void demand_working_directory(int, char**, char**) {
  constexpr std::string_view line =
      "flux-dist: error: the working directory was deleted; change to one that is there\n";
  std::array<char, PATH_MAX> path;
  if (getcwd(path.data(), path.size()) != nullptr || errno != ENOENT) return;
  if (write(STDERR_FILENO, line.data(), line.size()) < 0) _exit(failed);
  _exit(invalid);
}

[[gnu::section(".preinit_array"), gnu::used]] void (*const before_libraries)(int, char**,
                                                                             char**) = demand_working_directory;

/// Of tasks that a launcher started together one speaks. A shell within a task inherits Slurm's variables, but it is
/// not the process that they were made for.
bool speaks() {
  if (launched_ranks() == 1 || launched_rank() == 0) return true;
  const ProcessEnvironment& given = own_environment();
  const bool of_slurm = given("SLURM_PROCID") && !given("OMPI_COMM_WORLD_RANK") && !given("MPI_LOCALRANKID");
  return of_slurm && given("SLURM_TASK_PID") != std::to_string(getpid());
}

int say_once(const std::string& error, int code) {
  if (speaks()) say_error(error);
  return code;
}

int print_once(const std::string& text) {
  if (speaks()) std::cout << text << std::flush;
  return done;
}

/// The other end of a pipe is closed: whoever read the results has had enough.
bool reader_is_gone() {
  pollfd output{STDOUT_FILENO, POLLOUT, 0};
  return poll(&output, 1, 0) == 1 && (output.revents & (POLLERR | POLLHUP)) != 0;
}

int print_config(Invocation& invocation) {
  if (invocation.settings.has("model")) {
    const ModelFolder folder(model_path(invocation.settings));
    add_model_defaults(invocation.settings, folder);
    if (invocation.verb == "generate") add_noise_defaults(invocation.settings, folder);
  }
  return print_once(invocation.settings.print(invocation.verb));
}

/// Verbs that need no ranks never initialise MPI.
int run_alone(Invocation& invocation) {
  if (!speaks()) return done;
  start_logging(operation_options(invocation.settings), 0);
  if (invocation.verb == "plan") return plan(std::move(invocation.settings));
  if (invocation.verb == "inspect") return inspect(invocation.settings);
  if (invocation.verb == "quantize") return quantize(invocation.settings);
  if (invocation.verb == "bench") return bench_compare(invocation.settings);
  return tokenize(invocation.settings);
}

int run(const std::vector<std::string>& arguments, Departure& departure) {
  start_logging({}, launched_rank());
  const std::string verb = arguments.empty() ? "" : arguments.front();
  const bool joint = verb == "generate" || verb == "doctor" || verb == "bench";
  Invocation invocation;
  std::string error;
  try {
    invocation = read_invocation(arguments, environment_of(environ));
  } catch (const Invalid& caught) {
    if (!joint) throw;
    error = caught.what();
  }
  if (!invocation.answer.empty()) return print_once(invocation.answer);
  if (invocation.print_config) return print_config(invocation);
  if (!joint || (verb == "bench" && invocation.settings.text("measure") == "compare")) return run_alone(invocation);
  if (verb == "generate") departure.drains();
  if (verb == "bench") silence_profiler();
  return on_ranks({std::move(invocation.settings), error}, departure, [&](Settings settings, World& world) {
    if (verb == "generate") return generate(std::move(settings), world, departure);
    return verb == "doctor" ? doctor(settings, world) : bench(std::move(settings), world, departure);
  });
}

/// The exit code, once everything is said.
int outcome(const std::vector<std::string>& arguments, Departure& departure) {
  try {
    const int code = run(arguments, departure);
    if (code != done || std::cout.flush() || reader_is_gone()) return code;
    return say_once("the results could not be written to standard output", invalid);
  } catch (const Invalid& error) {
    return say_once(error.what(), invalid);
  } catch (const std::exception& error) {
    return say_once(error.what(), failed);
  }
}

}  // namespace
}  // namespace flux

int main(int argc, char** argv) {
  try {
    flux::Departure departure([](const std::string& line) { flux::say_error(line); });
    // Nothing is torn down: threads that may hang go on, and libtorch takes half a second in which no rank would notice
    // that another is killed.
    departure.now(flux::outcome({argv + 1, argv + argc}, departure));
  } catch (const std::exception& error) {
    return flux::say_once(error.what(), flux::failed);
  }
}
