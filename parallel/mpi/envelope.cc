#include "parallel/mpi/envelope.h"

namespace flux {
namespace {

template <class T>
void put(std::string& envelope, T value) {
  envelope.append(reinterpret_cast<const char*>(&value), sizeof(value));
}

template <class T>
T take(std::string_view& envelope) {
  T value;
  envelope.copy(reinterpret_cast<char*>(&value), sizeof(value));
  envelope.remove_prefix(sizeof(value));
  return value;
}

}  // namespace

std::string sealed(const Parcel& parcel) {
  std::string envelope;
  put<uint64_t>(envelope, parcel.header.size());
  envelope += parcel.header;
  put<uint32_t>(envelope, static_cast<uint32_t>(parcel.tensors.size()));
  for (const at::Tensor& tensor : parcel.tensors) {
    put<int8_t>(envelope, static_cast<int8_t>(tensor.scalar_type()));
    put<uint32_t>(envelope, static_cast<uint32_t>(tensor.dim()));
    for (int64_t size : tensor.sizes()) put<int64_t>(envelope, size);
  }
  return envelope;
}

Parcel opened(std::string_view envelope) {
  Parcel parcel;
  const auto header = take<uint64_t>(envelope);
  parcel.header = envelope.substr(0, header);
  envelope.remove_prefix(header);
  const auto tensors = take<uint32_t>(envelope);
  for (uint32_t i = 0; i < tensors; ++i) {
    const auto dtype = static_cast<at::ScalarType>(take<int8_t>(envelope));
    std::vector<int64_t> sizes(take<uint32_t>(envelope));
    for (int64_t& size : sizes) size = take<int64_t>(envelope);
    parcel.tensors.push_back(at::empty(sizes, dtype));
  }
  return parcel;
}

}  // namespace flux
