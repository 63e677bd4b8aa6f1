#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace flux {

/// A GPU as this process sees it. Processes on one host may number the same card differently; the UUID tells.
struct Card {
  int index = 0;  // CUDA's number in this process
  std::string uuid;
  std::string name;
  int capability = 0;       // 10 * major + minor: 75, 80, 90
  int64_t total_bytes = 0;  // of memory
  // To each card that the process sees, as distances_between() has them; empty where the driver does not say.
  std::vector<int> distances{};
};

std::string host_name();

/// Another each time the host starts.
std::string boot_of_this_host();

/// Cores that this process may run on.
int usable_cores();

/// The cards that CUDA shows to this process, without touching them; none without a driver, or where CUDA was not
/// compiled in. Throws Invalid for a driver too old for this program.
std::vector<Card> visible_cards();

/// Bytes of a card's memory that nobody uses, asked of the driver's management library; 0 where it does not say.
int64_t free_bytes(const std::string& uuid);

/// Whether a card reads another's memory, asked of the driver's management library; nothing where it does not say.
std::optional<bool> reads_memory_of(const std::string& uuid, const std::string& other);

constexpr int kNvlink = 0;  // of distances_between

/// From each card to each, by what lies between: 0 NVLink, 10 one PCIe switch, 20 several, 30 a host bridge, 40 a
/// socket, 50 more of them. Empty where the driver's management library does not say.
std::vector<std::vector<int>> distances_between(const std::vector<std::string>& uuids);

/// Binds the calling thread, and those that it starts, to the cores that lie at a card, of those that the process may
/// run on; nothing changes where these are none or the driver's management library does not say.
void run_near(const std::string& uuid);

/// What a card is doing, asked of the driver's management library; absent where it does not say.
struct CardState {
  std::optional<double> sm_mhz;   // clock of the multiprocessors
  std::optional<double> watts;    // that it draws
  std::optional<double> celsius;  // of the chip
  bool held_down_for_heat = false;
};
CardState card_state(const std::string& uuid);

/// Joules that a card has used since its driver was loaded; nothing where the driver's management library does not say:
/// of a slice of a card, or of one before Volta.
using EnergyCounter = std::function<std::optional<double>()>;

/// Keeps the management library open, so that reading it often is cheap; the driver counts on some ten times a second.
EnergyCounter energy_counter(const std::string& uuid);

/// The driver's release, "580.95.05"; empty without one.
std::string driver_release();

}  // namespace flux
