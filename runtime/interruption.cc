#include "runtime/interruption.h"

#include <spdlog/spdlog.h>

#include <csignal>
#include <cstdlib>
#include <iostream>
#include <thread>

namespace flux {
namespace {

volatile std::sig_atomic_t noted = 0;  // all that a signal handler may touch

void note(int signal) { noted = signal; }

void handle(void (*handler)(int)) {
  struct sigaction action{};
  action.sa_handler = handler;
  sigaction(SIGTERM, &action, nullptr);
  sigaction(SIGINT, &action, nullptr);
}

}  // namespace

Interruption::Interruption() {
  noted = 0;
  handle(note);
}

Interruption::~Interruption() { handle(SIG_DFL); }

int Interruption::signal() const { return noted; }

void leave(int exit_code, std::chrono::milliseconds after) {
  spdlog::default_logger()->flush();
  std::cout.flush();
  std::this_thread::sleep_for(after);
  std::_Exit(exit_code);
}

}  // namespace flux
