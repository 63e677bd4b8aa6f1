// flux-dist VERB [options]: reads what is wanted, joins the other ranks where the verb needs them, and turns errors
// into one message and an exit code.

#include <unistd.h>

#include <exception>
#include <iostream>

#include "launch/on_ranks.h"
#include "launch/say.h"
#include "launch/verbs.h"
#include "parallel/rank/errors.h"
#include "runtime/options/convert.h"
#include "runtime/options/invocation.h"
#include "runtime/source/jobs.h"

namespace flux {
namespace {

constexpr int done = 0, invalid = 2, failed = 3;

/// Under mpirun every process gets here; one of them speaks.
int say_once(const std::string& error, int code) {
  if (launched_rank() == 0) say_error(error);
  return code;
}

int print_once(const std::string& text) {
  if (launched_rank() == 0) std::cout << text << std::flush;
  return done;
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
  if (launched_rank() != 0) return done;
  start_logging(operation_options(invocation.settings), 0);
  if (invocation.verb == "plan") return plan(std::move(invocation.settings));
  if (invocation.verb == "inspect") return inspect(invocation.settings);
  return tokenize(invocation.settings);
}

int run(const std::vector<std::string>& arguments, Departure& departure) {
  start_logging({}, launched_rank());
  const bool joint = !arguments.empty() && (arguments.front() == "generate" || arguments.front() == "doctor");
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
  if (!joint) return run_alone(invocation);
  return on_ranks({std::move(invocation.settings), error}, departure, [&](Settings settings, World& world) {
    return arguments.front() == "generate" ? generate(std::move(settings), world, departure) : doctor(settings, world);
  });
}

}  // namespace
}  // namespace flux

int main(int argc, char** argv) {
  flux::Departure departure([](const std::string& line) { flux::say_error(line); });
  try {
    const int code = flux::run({argv + 1, argv + argc}, departure);
    if (code != flux::done || std::cout.flush()) return code;
    return flux::say_once("the results could not be written to standard output", flux::invalid);
  } catch (const flux::Invalid& error) {
    return flux::say_once(error.what(), flux::invalid);
  } catch (const std::exception& error) {
    return flux::say_once(error.what(), flux::failed);
  }
}
