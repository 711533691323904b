// Against sockets of this process.
#include "launcher/reachable.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

namespace rankwise {
namespace {

TEST(Reachable, OnlyWhereSomebodyListens) {
  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  ASSERT_EQ(bind(listener, reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size), 0);
  const std::string text = fmt::format("127.0.0.1:{}", ntohs(address.sin_port));
  EXPECT_FALSE(is_reachable(text)) << "nobody listens yet";
  ASSERT_EQ(listen(listener, 1), 0);
  EXPECT_TRUE(is_reachable(text));
  close(listener);
  EXPECT_FALSE(is_reachable(text));
}

TEST(Reachable, WhatIsNoAddressIsNot) {
  for (const char* text : {"", "127.0.0.1", "host:1", ":22", "192.0.2.1:9"})
    EXPECT_FALSE(is_reachable(text)) << text;
}

}  // namespace
}  // namespace rankwise
