#include "parallel/mpi/transfer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <functional>

#include "parallel/rank/errors.h"

namespace flux {
namespace {

// Each chunk that arrives keeps the engine awake for the next. Where OpenMPI copies twice (containers, Yama's
// ptrace_scope), a larger one takes longer than the engine polls without a nap.
constexpr size_t kChunk = size_t{512} * 1024;

/// At least one chunk: an empty transfer still tells the other rank that this one has come so far.
void for_chunks(size_t bytes, const std::function<void(size_t offset, int size)>& chunk) {
  size_t offset = 0;
  do {
    const size_t size = std::min(kChunk, bytes - offset);
    chunk(offset, static_cast<int>(size));
    offset += size;
  } while (offset < bytes);
}

}  // namespace

void check_mpi(int code, const char* call) {
  if (code == MPI_SUCCESS) return;
  std::array<char, MPI_MAX_ERROR_STRING> text{};
  int length = 0;
  MPI_Error_string(code, text.data(), &length);
  throw Aborted(fmt::format("{}: {}", call, text.data()));
}

void check_mpi(int code, const char* call, int peer) {
  if (code != MPI_SUCCESS) check_mpi(code, fmt::format("{} with rank {}", call, peer).c_str());
}

void Transfer::send(MPI_Comm comm, int tag, const char* data, int size) {
  sizes_.push_back(size);
  check_mpi(MPI_Isend(data, size, MPI_BYTE, peer_, tag, comm, &requests_.emplace_back(MPI_REQUEST_NULL)), "MPI_Isend",
            peer_);
  ++open_;
}

Transfer Transfer::sending(MPI_Comm comm, int to, int tag, const void* data, size_t bytes) {
  Transfer transfer(to, false);
  for_chunks(bytes,
             [&](size_t offset, int size) { transfer.send(comm, tag, static_cast<const char*>(data) + offset, size); });
  return transfer;
}

Transfer Transfer::message(MPI_Comm comm, int to, int tag, std::string_view bytes) {
  Transfer transfer(to, false);
  transfer.send(comm, tag, bytes.data(), static_cast<int>(bytes.size()));
  return transfer;
}

Transfer Transfer::receiving(MPI_Comm comm, int from, int tag, void* data, size_t bytes) {
  Transfer transfer(from, true);
  for_chunks(bytes, [&](size_t offset, int size) {
    transfer.sizes_.push_back(size);
    check_mpi(MPI_Irecv(static_cast<char*>(data) + offset, size, MPI_BYTE, from, tag, comm,
                        &transfer.requests_.emplace_back(MPI_REQUEST_NULL)),
              "MPI_Irecv", from);
  });
  transfer.open_ = transfer.requests_.size();
  return transfer;
}

bool Transfer::progress() {
  if (finished()) return false;
  bool moved = false;
  for (size_t i = 0; i < requests_.size(); ++i) {
    if (requests_[i] == MPI_REQUEST_NULL) continue;
    int done = 0;
    MPI_Status status;
    check_mpi(MPI_Test(&requests_[i], &done, &status), receives_ ? "MPI_Irecv" : "MPI_Isend", peer_);
    if (!done) break;  // chunks go in order
    moved = true;
    --open_;
    int size = sizes_[i];
    if (receives_) check_mpi(MPI_Get_count(&status, MPI_BYTE, &size), "MPI_Get_count", peer_);
    if (size != sizes_[i])
      throw Aborted(fmt::format("rank {} sent {} bytes where {} were expected", peer_, size, sizes_[i]));
  }
  return moved;
}

bool all_finished(const std::vector<Transfer>& transfers) {
  return std::all_of(transfers.begin(), transfers.end(), [](const Transfer& transfer) { return transfer.finished(); });
}

}  // namespace flux
