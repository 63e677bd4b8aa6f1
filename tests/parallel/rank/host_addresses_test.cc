#include "parallel/rank/host_addresses.h"

#include <gtest/gtest.h>

namespace flux {
namespace {

TEST(HostAddresses, AreNotLoopback) {
  for (const std::string& address : host_addresses()) {
    EXPECT_FALSE(address.starts_with("127.")) << address;
    EXPECT_NE(address, "::1");
    EXPECT_FALSE(address.starts_with("fe80")) << address;
  }
}

// That one which is gone does not answer is shown where a cable can be cut: tests/runtime/two_hosts_test.py.
TEST(HostAddresses, AHostAnswersByRefusing) { EXPECT_TRUE(host_answers({"127.0.0.2"})); }

TEST(HostAddresses, WhatCannotBeAskedIsTakenToBeThere) {
  EXPECT_TRUE(host_answers({}));
  EXPECT_TRUE(host_answers(host_addresses()));
  EXPECT_TRUE(host_answers({"no address\xff"}));
}

}  // namespace
}  // namespace flux
