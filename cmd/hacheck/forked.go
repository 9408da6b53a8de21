package main

import (
	"bytes"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// clockTick is the unit in which proc(5) tells times: a hundredth of a
	// second on every architecture Go knows.
	clockTick = 10 * time.Millisecond
	// longestStart is how long a process may need, or a script before it that
	// became it, until main runs. What began earlier was begun for something
	// else, such as a shell that was told to exec.
	longestStart = 5 * time.Second
)

// calledAt is when keepalived called the hook that began to run at started: the
// kernel remembers when it forked the process. On a machine that is overloaded, as
// machines are when they fail over, two hooks may begin to run in another order
// than they were called in, and the state told last would not be the last one.
func calledAt(started time.Time) time.Time {
	stat, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		return started
	}
	var boot unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &boot); err != nil {
		return started
	}
	since := time.Since(started)
	return forkedAt(started, time.Duration(boot.Nano())-since, stat)
}

// forkedAt gives the time at which the process of a /proc/PID/stat was forked, or
// started, if that makes no sense. uptime is what CLOCK_BOOTTIME showed at started.
//
// The kernel tells the tick alone. Within it the PIDs, which follow the order of
// the forks, keep two hooks apart: half a microsecond for each, so that no time
// lies after started.
func forkedAt(started time.Time, uptime time.Duration, stat []byte) time.Time {
	// The second field is a name in parentheses, in which anything may stand.
	const startTime = 22 - 3
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) <= startTime {
		return started
	}
	ticks, err := strconv.ParseInt(string(fields[startTime]), 10, 64)
	if err != nil || ticks < 0 || ticks > int64(uptime/clockTick) {
		return started
	}
	ago := uptime - time.Duration(ticks)*clockTick
	if ago > longestStart {
		return started
	}
	pid, _ := strconv.ParseInt(string(bytes.Fields(stat)[0]), 10, 64)
	within := time.Duration(pid&4095) * time.Microsecond / 2
	return started.Add(-max(0, ago-within))
}
