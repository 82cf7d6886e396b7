"""A separate wall clock for a process and its children, which a test moves while they run.

A preloaded library overrides the C library's time functions. The monotonic clock and every sleep are left
alone, as they are on a machine whose clock is set. (libfaketime answers Python's `time.sleep` with EINVAL.)
"""

import shutil
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

COMPILER = shutil.which("cc") or shutil.which("gcc")
_SOURCE = """
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile int64_t *shift_us;

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("SKEWED_CLOCK");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0) return;
    void *mapped = mmap(NULL, sizeof *shift_us, PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    if (mapped != MAP_FAILED) shift_us = mapped;
}

int clock_gettime(clockid_t clock, struct timespec *at)
{
    int failed = (int)syscall(SYS_clock_gettime, clock, at);
    if (!failed && shift_us && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        int64_t us = (int64_t)at->tv_sec * 1000000 + at->tv_nsec / 1000 + *shift_us;
        at->tv_sec = us / 1000000;
        at->tv_nsec = us % 1000000 * 1000;
    }
    return failed;
}

int gettimeofday(struct timeval *restrict at, void *restrict zone)
{
    struct timespec now;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &now)) return -1;
    at->tv_sec = now.tv_sec;
    at->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *at)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (at) *at = now.tv_sec;
    return now.tv_sec;
}
"""


@dataclass(frozen=True)
class SkewedClock:
    """`env` is for the process; `move` sets how far its clock is ahead, with immediate effect."""

    library: Path
    file: Path

    @property
    def env(self) -> dict[str, str]:
        return {"LD_PRELOAD": str(self.library), "SKEWED_CLOCK": str(self.file)}

    def move(self, seconds: float) -> None:
        with self.file.open("r+b") as file:
            file.write(struct.pack("@q", round(seconds * 1_000_000)))


def build_library(folder: Path) -> Path:
    """Compiles the library, in a fraction of a second."""
    source, library = folder / "skewed_clock.c", folder / "skewed_clock.so"
    source.write_text(_SOURCE)
    subprocess.run([str(COMPILER), "-shared", "-fPIC", "-O1", "-o", library, source], check=True)
    return library


def make_clock(library: Path, file: Path) -> SkewedClock:
    """A clock without an offset."""
    file.write_bytes(struct.pack("@q", 0))
    return SkewedClock(library, file)
