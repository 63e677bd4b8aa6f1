#include <dlfcn.h>

#include <array>
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
  const auto handle_of = nvml.find<int(const char*, void**)>("nvmlDeviceGetHandleByUUID");
  const auto memory_of = nvml.find<int(void*, NvmlMemory*)>("nvmlDeviceGetMemoryInfo");
  void* handle = nullptr;
  NvmlMemory memory{};
  if (handle_of == nullptr || memory_of == nullptr || handle_of(uuid.c_str(), &handle) != 0) return 0;
  return memory_of(handle, &memory) == 0 ? static_cast<int64_t>(memory.free) : 0;
}

std::optional<bool> reads_memory_of(const std::string& uuid, const std::string& other) {
  constexpr int reading = 0, possible = 0;  // NVML_P2P_CAPS_INDEX_READ, NVML_P2P_STATUS_OK
  const Nvml nvml;
  const auto handle_of = nvml.find<int(const char*, void**)>("nvmlDeviceGetHandleByUUID");
  const auto status_of = nvml.find<int(void*, void*, int, int*)>("nvmlDeviceGetP2PStatus");
  void *mine = nullptr, *theirs = nullptr;
  int status = 0;
  if (handle_of == nullptr || status_of == nullptr || handle_of(uuid.c_str(), &mine) != 0 ||
      handle_of(other.c_str(), &theirs) != 0 || status_of(mine, theirs, reading, &status) != 0)
    return std::nullopt;
  return status == possible;
}

CardState card_state(const std::string& uuid) {
  constexpr int sm_clock = 1, chip = 0;             // NVML_CLOCK_SM, NVML_TEMPERATURE_GPU
  constexpr unsigned long long heat = 0x20 | 0x40;  // nvmlClocksEventReasonSwThermalSlowdown, HwThermalSlowdown
  const Nvml nvml;
  const auto handle_of = nvml.find<int(const char*, void**)>("nvmlDeviceGetHandleByUUID");
  void* handle = nullptr;
  if (handle_of == nullptr || handle_of(uuid.c_str(), &handle) != 0) return {};
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
  const auto handle_of = nvml->find<int(const char*, void**)>("nvmlDeviceGetHandleByUUID");
  const auto energy_of = nvml->find<int(void*, unsigned long long*)>("nvmlDeviceGetTotalEnergyConsumption");
  void* handle = nullptr;
  if (handle_of == nullptr || energy_of == nullptr || handle_of(uuid.c_str(), &handle) != 0)
    return [] { return std::nullopt; };
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
