#pragma once

#include <functional>
#include <string>
#include <thread>

namespace flux {

/// A thread under a name, for debuggers and for the last words of the process: up to 15 characters. Throws
/// std::runtime_error naming it where there are no more threads.
std::thread start_thread(const char* name, std::function<void()> body);

/// Names the calling thread.
void name_this_thread(const char* name);

/// "thread mpi" or "the main thread".
std::string this_thread();

}  // namespace flux
