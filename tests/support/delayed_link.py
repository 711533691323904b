"""A link of a given rate and delay between two TUN devices, which the caller moves to two hosts: delayed_link.py DEVICE DEVICE
BITS_PER_SECOND SECONDS. Each way a packet is sent when those before it have been, bits / rate long, and arrives the delay (one way)
later: none is lost or overtaken. Says "up" when the devices are there, carries until its standard input ends. Needs root; large
packets, checksums left out and a real-time priority keep it exact beside busy ranks, at a fifth of a core for 1 Gbit/s."""

import collections
import fcntl
import os
import select
import struct
import sys
import time

MTU = 60000
TUNSETIFF, TUNSETOFFLOAD = 0x400454CA, 0x400454D0
IFF_TUN, IFF_NO_PI, IFF_VNET_HDR, TUN_F_CSUM = 0x1, 0x1000, 0x4000, 0x1
HEADER = 10  # bytes of struct virtio_net_hdr before each packet: the checksum that the sender left out


def device(name):
    end = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    fcntl.ioctl(end, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI | IFF_VNET_HDR))
    fcntl.ioctl(end, TUNSETOFFLOAD, TUN_F_CSUM)
    return end


class Way:
    """From one end to the other."""

    def __init__(self, source, sink, bits_per_second, delay):
        self.source, self.sink, self.bits_per_second, self.delay = source, sink, bits_per_second, delay
        self.packets = collections.deque()  # (when it arrives, its bytes)
        self.free_at = 0.0

    def take(self, now):
        try:
            while True:
                packet = os.read(self.source, HEADER + MTU)
                self.free_at = max(now, self.free_at) + 8 * (len(packet) - HEADER) / self.bits_per_second
                self.packets.append((self.free_at + self.delay, packet))
        except BlockingIOError:
            pass

    def give(self):
        while self.packets and self.packets[0][0] <= time.monotonic():
            try:
                os.write(self.sink, self.packets.popleft()[1])
            except OSError:
                pass  # the device is down: lost, as on a wire

    def wait(self, now):
        """Seconds to the next arrival; None: nothing is on its way."""
        return max(0.0, self.packets[0][0] - now) if self.packets else None


def carry(ends, bits_per_second, delay):
    ways = [Way(*pair, bits_per_second, delay) for pair in (ends, ends[::-1])]
    while True:
        now = time.monotonic()
        waits = [wait for way in ways if (wait := way.wait(now)) is not None]
        ready = select.select([*ends, sys.stdin], [], [], min(waits, default=None))[0]
        if sys.stdin in ready:
            return
        now = time.monotonic()
        for way in ways:
            if way.source in ready:
                way.take(now)
            way.give()


def main():
    names, rate, delay = sys.argv[1:3], float(sys.argv[3]), float(sys.argv[4])
    ends = [device(name) for name in names]
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    print("up", flush=True)
    carry(ends, rate, delay)


if __name__ == "__main__":
    main()
