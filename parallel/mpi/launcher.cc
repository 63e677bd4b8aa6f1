#include "parallel/mpi/launcher.h"

#include <charconv>
#include <fstream>
#include <initializer_list>
#include <sstream>

#include "parallel/world.h"

namespace flux {
namespace {

/// The first of the variables that holds a number.
std::optional<int> number_in(const ProcessEnvironment& environment, std::initializer_list<const char*> variables) {
  for (const char* variable : variables) {
    const std::optional<std::string> text = environment(variable);
    if (!text) continue;
    int number = 0;
    const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), number);
    if (error == std::errc() && end == text->data() + text->size()) return number;
  }
  return std::nullopt;
}

}  // namespace

ProcessEnvironment::ProcessEnvironment(const std::string& process) {
  std::ostringstream text;
  text << std::ifstream("/proc/" + process + "/environ", std::ios::binary).rdbuf();
  text_ = '\0' + text.str();
}

std::optional<std::string> ProcessEnvironment::operator()(std::string_view variable) const {
  for (size_t at = text_.find(variable); at != std::string::npos; at = text_.find(variable, at + 1))
    if (text_[at - 1] == '\0' && text_[at + variable.size()] == '=') return text_.c_str() + at + variable.size() + 1;
  return std::nullopt;
}

const ProcessEnvironment& own_environment() {
  static const ProcessEnvironment own("self");
  return own;
}

// Slurm's come last: mpirun inside a Slurm job starts its daemons with srun, whose variables count those.
// PMI_*: MPICH, Intel MPI and Cray.
std::optional<int> rank_in(const ProcessEnvironment& environment) {
  return number_in(environment, {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "SLURM_PROCID"});
}

int launched_ranks() {
  return number_in(own_environment(), {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"}).value_or(1);
}

int launched_rank() { return rank_in(own_environment()).value_or(0); }

}  // namespace flux
