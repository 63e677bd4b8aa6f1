#include "runtime/step_reports.h"

#include <c10/core/impl/VirtualGuardImpl.h>

#include <utility>

namespace flux {

StepReports::StepReports(at::Device device, int64_t picture, std::function<void(const Step&)> report)
    : device_(device), picture_(picture), report_(std::move(report)) {}

void StepReports::operator()(int64_t step, int64_t steps) {
  if (device_.is_cpu()) return report_({picture_, step, steps});
  c10::Event done(device_.type());
  done.record(c10::impl::VirtualGuardImpl(device_.type()).getStream(device_));
  if (before_) before_->synchronize();
  before_.emplace(std::move(done));
  report_({picture_, step - 1, steps});
}

void StepReports::wait() const {
  if (device_.is_cpu()) return;
  const c10::impl::VirtualGuardImpl guard(device_.type());
  guard.synchronizeStream(guard.getStream(device_));
}

}  // namespace flux
