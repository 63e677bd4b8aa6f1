#pragma once

#include <ATen/ATen.h>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

namespace flux {

/// A message: a header whose bytes this room does not interpret, and CPU tensors of any dtype and shape.
struct Parcel {
  std::string header;
  std::vector<at::Tensor> tensors;
};

struct Received {
  int from;  // world rank
  Parcel parcel;
};

/// Messages between ranks (MPI: host memory). Messages from one rank to another arrive in the order sent.
class Mailbox {
 public:
  virtual ~Mailbox() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;

  /// From any thread; never blocks on the receiver. To oneself, tensors pass untouched.
  virtual void send(int to, Parcel parcel) = 0;

  /// From one thread. Waits without using the core; nothing after `patience`. Throws Aborted after abort().
  virtual std::optional<Received> receive(std::chrono::milliseconds patience) = 0;
};

}  // namespace flux
