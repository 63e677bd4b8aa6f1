#include <dlfcn.h>
#include <sched.h>

#include <array>
#include <climits>
#include <memory>

#include "parallel/rank/device.h"

// NVML comes with the driver, not with CUDA: it is opened where it is.
namespace flux {
namespace {

/// nvmlMemory_t
struct NvmlMemory {
  unsigned long long total, free, used;
};

class Nvml {
 public:
  Nvml() : library_(dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL), &close) {
    const auto start = find<int()>("nvmlInit_v2");
    if (start == nullptr || start() != 0) library_.reset();
  }
  ~Nvml() {
    if (const auto stop = find<int()>("nvmlShutdown")) stop();
  }
  Nvml(const Nvml&) = delete;
  Nvml& operator=(const Nvml&) = delete;

  template <class Function>
  Function* find(const char* name) const {
    return library_ ? reinterpret_cast<Function*>(dlsym(library_.get(), name)) : nullptr;
  }

  /// NVML's handle of a card; null where it knows none.
  void* card(const std::string& uuid) const {
    const auto handle_of = find<int(const char*, void**)>("nvmlDeviceGetHandleByUUID");
    void* handle = nullptr;
    return handle_of != nullptr && handle_of(uuid.c_str(), &handle) == 0 ? handle : nullptr;
  }

 private:
  static void close(void* library) { dlclose(library); }
  std::unique_ptr<void, void (*)(void*)> library_;
};

/// What a function of NVML writes through its last argument, times `unit`.
template <typename Function, typename... Arguments>
std::optional<double> asked(const Nvml& nvml, const char* name, double unit, Arguments... arguments) {
  const auto function = nvml.find<Function>(name);
  unsigned value = 0;
  if (function == nullptr || function(arguments..., &value) != 0) return std::nullopt;
  return value * unit;
}

}  // namespace

int64_t free_bytes(const std::string& uuid) {
  const Nvml nvml;
  const auto memory_of = nvml.find<int(void*, NvmlMemory*)>("nvmlDeviceGetMemoryInfo");
  void* handle = nvml.card(uuid);
  NvmlMemory memory{};
  if (memory_of == nullptr || handle == nullptr) return 0;
  return memory_of(handle, &memory) == 0 ? static_cast<int64_t>(memory.free) : 0;
}

std::optional<bool> reads_memory_of(const std::string& uuid, const std::string& other) {
  constexpr int reading = 0, possible = 0;  // NVML_P2P_CAPS_INDEX_READ, NVML_P2P_STATUS_OK
  const Nvml nvml;
  const auto status_of = nvml.find<int(void*, void*, int, int*)>("nvmlDeviceGetP2PStatus");
  void *mine = nvml.card(uuid), *theirs = nvml.card(other);
  int status = 0;
  if (status_of == nullptr || mine == nullptr || theirs == nullptr || status_of(mine, theirs, reading, &status) != 0)
    return std::nullopt;
  return status == possible;
}

std::vector<std::vector<int>> distances_between(const std::vector<std::string>& uuids) {
  constexpr int over_nvlink = 2, possible = 0;  // NVML_P2P_CAPS_INDEX_NVLINK, NVML_P2P_STATUS_OK
  const Nvml nvml;
  const auto status_of = nvml.find<int(void*, void*, int, int*)>("nvmlDeviceGetP2PStatus");
  const auto ancestor_of = nvml.find<int(void*, void*, int*)>("nvmlDeviceGetTopologyCommonAncestor");
  if (status_of == nullptr || ancestor_of == nullptr) return {};
  std::vector<std::vector<int>> distances(uuids.size(), std::vector<int>(uuids.size(), 0));
  for (size_t i = 0; i < uuids.size(); ++i) {
    for (size_t j = 0; j < uuids.size(); ++j) {
      void *card = nvml.card(uuids[i]), *other = nvml.card(uuids[j]);
      if (card == nullptr || other == nullptr) return {};
      int linked = -1;
      if (i == j || (status_of(card, other, over_nvlink, &linked) == 0 && linked == possible)) continue;
      if (ancestor_of(card, other, &distances[i][j]) != 0) return {};
    }
  }
  return distances;
}

void run_near(const std::string& uuid) {
  constexpr size_t bits = sizeof(unsigned long) * CHAR_BIT;
  const Nvml nvml;
  const auto cores_of = nvml.find<int(void*, unsigned, unsigned long*)>("nvmlDeviceGetCpuAffinity");
  void* card = nvml.card(uuid);
  std::array<unsigned long, CPU_SETSIZE / bits> words{};
  cpu_set_t allowed, near;
  if (cores_of == nullptr || card == nullptr || cores_of(card, words.size(), words.data()) != 0 ||
      sched_getaffinity(0, sizeof allowed, &allowed) != 0)
    return;
  CPU_ZERO(&near);
  for (size_t core = 0; core < CPU_SETSIZE; ++core)
    if ((words[core / bits] >> core % bits & 1) != 0 && CPU_ISSET(core, &allowed)) CPU_SET(core, &near);
  if (CPU_COUNT(&near) > 0) sched_setaffinity(0, sizeof near, &near);
}

CardState card_state(const std::string& uuid) {
  constexpr int sm_clock = 1, chip = 0;             // NVML_CLOCK_SM, NVML_TEMPERATURE_GPU
  constexpr unsigned long long heat = 0x20 | 0x40;  // nvmlClocksEventReasonSwThermalSlowdown, HwThermalSlowdown
  const Nvml nvml;
  void* handle = nvml.card(uuid);
  if (handle == nullptr) return {};
  CardState state;
  using Value = int(void*, unsigned*);
  using ValueOf = int(void*, int, unsigned*);
  state.sm_mhz = asked<ValueOf>(nvml, "nvmlDeviceGetClockInfo", 1, handle, sm_clock);
  state.watts = asked<Value>(nvml, "nvmlDeviceGetPowerUsage", 1e-3, handle);
  state.celsius = asked<ValueOf>(nvml, "nvmlDeviceGetTemperature", 1, handle, chip);
  // By its older name, which newer drivers know too.
  const auto reasons_of = nvml.find<int(void*, unsigned long long*)>("nvmlDeviceGetCurrentClocksThrottleReasons");
  unsigned long long reasons = 0;
  state.held_down_for_heat = reasons_of != nullptr && reasons_of(handle, &reasons) == 0 && (reasons & heat) != 0;
  return state;
}

EnergyCounter energy_counter(const std::string& uuid) {
  const auto nvml = std::make_shared<Nvml>();
  const auto energy_of = nvml->find<int(void*, unsigned long long*)>("nvmlDeviceGetTotalEnergyConsumption");
  void* handle = nvml->card(uuid);
  if (energy_of == nullptr || handle == nullptr) return [] { return std::nullopt; };
  return [nvml, energy_of, handle]() -> std::optional<double> {
    unsigned long long millijoules = 0;
    if (energy_of(handle, &millijoules) != 0) return std::nullopt;
    return 1e-3 * static_cast<double>(millijoules);
  };
}

std::string driver_release() {
  const Nvml nvml;
  const auto version = nvml.find<int(char*, unsigned)>("nvmlSystemGetDriverVersion");
  std::array<char, 96> text{};
  if (version == nullptr || version(text.data(), text.size()) != 0) return "";
  return text.data();
}

}  // namespace flux
