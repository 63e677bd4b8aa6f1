#include "parallel/mpi/siblings.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>

#include "parallel/mpi/launcher.h"
#include "parallel/rank/thread_name.h"
#include "parallel/world.h"

namespace flux {
namespace {

namespace fs = std::filesystem;

constexpr const char* kSpoke = "last words";  // the name of the main thread of a rank that has spoken

std::string text_of(const fs::path& file) {
  std::ostringstream text;
  text << std::ifstream(file, std::ios::binary).rdbuf();
  return text.str();
}

std::optional<int> number(const std::optional<std::string>& text) {
  int value = 0;
  if (!text || std::from_chars(text->data(), text->data() + text->size(), value).ec != std::errc()) return std::nullopt;
  return value;
}

/// What follows the name in /proc/PID/stat: the state, the number of the parent, ...
std::string status_of(const fs::path& process) {
  const std::string status = text_of(process / "stat");
  const size_t name_ends = status.rfind(')');
  return name_ends == std::string::npos || name_ends + 2 >= status.size() ? "Z 0" : status.substr(name_ends + 2);
}

/// The process that started it, past shells that started one.
std::string launcher_of(std::string process) {
  do {
    const std::string status = status_of(fs::path("/proc") / process);
    process = std::to_string(number(status.substr(2)).value_or(0));
  } while (ProcessEnvironment(process)("PMI_RANK"));
  return process;
}

/// The same for all processes of a job, and for no others of this host. MPICH's launcher gives its jobs no name.
std::string job_of(const std::string& process, const ProcessEnvironment& value) {
  if (const auto name = value("PMIX_NAMESPACE")) return *name;
  if (value("PMI_RANK")) return "of " + launcher_of(process);
  return value("SLURM_JOB_ID").value_or("") + "." + value("SLURM_STEP_ID").value_or("");
}

/// Which ranks the launcher started on this host, where it says.
std::set<int> started_here() {
  std::set<int> ranks;
  const ProcessEnvironment& own = own_environment();
  const auto local_size = own("OMPI_COMM_WORLD_LOCAL_SIZE");
  if (const auto here = number(local_size ? local_size : own("MPI_LOCALNRANKS"))) {
    for (int rank = 0; *here == launched_ranks() && rank < *here; ++rank) ranks.insert(rank);
  } else if (const auto listed = own("SLURM_GTIDS")) {
    for (size_t at = 0; at < listed->size(); at = std::min(listed->find(',', at), listed->size() - 1) + 1)
      if (const auto rank = number(listed->substr(at))) ranks.insert(*rank);
  }
  return ranks;
}

fs::path program_of(const fs::path& process) {
  std::error_code gone;
  return fs::read_symlink(process / "exe", gone);
}

bool has_thread(const fs::path& process, const char* name) {
  std::error_code gone;
  for (fs::directory_iterator thread(process / "task", gone), end; !gone && thread != end; thread.increment(gone))
    if (text_of(thread->path() / "comm") == std::string(name) + "\n") return true;
  return false;
}

}  // namespace

Siblings::Siblings() : job_(job_of("self", own_environment())), known_(started_here()) {}

void Siblings::look() {
  alive_.clear();
  alive_[launched_rank()].in_mpi = true;
  std::error_code gone;
  for (fs::directory_iterator entry("/proc", gone), end; !gone && entry != end; entry.increment(gone))
    if (const std::string name = entry->path().filename(); std::isdigit(static_cast<unsigned char>(name.front())))
      notice(name);
  for (const auto& [rank, process] : alive_) known_.insert(rank);
}

/// A rank may be several processes: a shell that started it, and itself.
void Siblings::notice(const std::string& process) {
  const fs::path folder = fs::path("/proc") / process;
  const ProcessEnvironment environment(process);
  if (environment.empty() || job_ == "." || job_of(process, environment) != job_) return;
  const auto rank = rank_in(environment);
  const char state = status_of(folder).front();  // T is stopped, Z has ended
  if (!rank || *rank == launched_rank() || state == 'Z' || state == 'X') return;
  Process& seen = alive_[*rank];
  seen.stopped |= state == 'T';
  seen.in_mpi |= has_thread(folder, kMpiThread);
  seen.this_program |= program_of(folder) == program_of("/proc/self");
  another_spoke_ |= spoke(std::stoi(process));
}

std::vector<int> Siblings::stopped() const {
  std::vector<int> ranks;
  for (const auto& [rank, process] : alive_)
    if (process.stopped) ranks.push_back(rank);
  return ranks;
}

std::vector<int> Siblings::gone() const {
  std::vector<int> ranks;
  if (alive_.empty()) return ranks;  // it has not looked yet
  for (int rank : known_)
    if (!alive_.contains(rank)) ranks.push_back(rank);
  return ranks;
}

std::vector<int> Siblings::outside_mpi() const {
  std::vector<int> ranks;
  for (const auto& [rank, process] : alive_)
    if (!process.in_mpi) ranks.push_back(rank);
  return ranks;
}

std::vector<int> Siblings::others() const {
  std::vector<int> ranks;
  for (const auto& [rank, process] : alive_)
    if (process.this_program && rank != launched_rank()) ranks.push_back(rank);
  return ranks;
}

bool Siblings::this_rank_speaks() const {
  return std::none_of(alive_.begin(), alive_.end(),
                      [](const auto& other) { return other.first < launched_rank() && !other.second.stopped; });
}

void Siblings::show_that_this_rank_spoke() { name_this_thread(kSpoke); }

bool Siblings::spoke(int process) {
  return text_of(fs::path("/proc") / std::to_string(process) / "comm") == std::string(kSpoke) + "\n";
}

}  // namespace flux
