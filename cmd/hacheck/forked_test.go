package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

func TestForkedAt(t *testing.T) {
	started := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	const uptime = 1000 * time.Second
	const pid = 812 * time.Microsecond / 2 // what the PID adds
	stat := func(ticks any) string {
		return fmt.Sprintf("812 (a) b (c) S 1 812 812 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 %v 1 2 3\n", ticks)
	}
	later := strings.Replace(stat(99_999), "812", "813", 1)
	if a, b := forkedAt(started, uptime, []byte(stat(99_999))), forkedAt(started, uptime, []byte(later)); !a.Before(b) {
		t.Errorf("the second of two in one tick is of %v, the first of %v", b, a)
	}
	for _, test := range []struct {
		name, stat string
		late       time.Duration
	}{
		{"in the same tick", stat(100_000), 0},
		{"in the tick before", stat(99_999), 10*time.Millisecond - pid},
		{"two ticks before", stat(99_998), 20*time.Millisecond - pid},
		{"a second before", stat(99_900), time.Second - pid},
		{"at the limit", stat(99_500), 5*time.Second - pid},
		{"a shell of long ago", stat(99_499), 0},
		{"at boot", stat(0), 0},
		{"in the future", stat(100_001), 0},
		{"negative", stat(-1), 0},
		{"not a number", stat("x"), 0},
		{"beyond 64 bits", stat("99999999999999999999"), 0},
		{"the largest", stat(int64(1<<63 - 1)), 0},
		{"cut off", "812 (hacheck) S 1 812", 0},
		{"without a name", "812", 0},
		{"empty", "", 0},
	} {
		if got := forkedAt(started, uptime, []byte(test.stat)); started.Sub(got) != test.late {
			t.Errorf("%s: %v before, want %v", test.name, started.Sub(got), test.late)
		}
	}
}

func FuzzForkedAt(f *testing.F) {
	stat, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(stat, int64(time.Hour))
	f.Fuzz(func(t *testing.T, stat []byte, uptime int64) {
		started := time.Unix(1e9, 0)
		if got := forkedAt(started, time.Duration(uptime), stat); got.After(started) || started.Sub(got) > longestStart {
			t.Errorf("%v", got)
		}
	})
}

// A hook that waits for its turn on an overloaded machine tells when it was
// called, not when it had its turn.
func TestEventHasTheTimeOfTheCall(t *testing.T) {
	t.Parallel()
	n := newNode(t, startReceivers(t).channels(""))
	hook := n.command("notify", "MASTER", "VI_1")
	const delay = 700 * time.Millisecond
	script := exec.Command("sh", append([]string{"-c", fmt.Sprintf(`sleep %v; exec "$@"`, delay.Seconds()), "sh"}, hook.Args...)...)
	script.Env, script.Dir = hook.Env, hook.Dir
	called := time.Now()
	output, err := script.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	_, id, found := strings.Cut(string(output), "recorded as ")
	if !found || len(id) < 19 {
		t.Fatalf("the hook said %q", output)
	}
	// An ID begins with the time: 20060102T150405000Z.
	at, err := time.Parse("20060102T150405.000Z", id[:15]+"."+id[15:19])
	if err != nil {
		t.Fatal(err)
	}
	// The shell itself may have been late to be forked.
	if told := at.Sub(called); told < -40*time.Millisecond || told >= delay {
		t.Errorf("the event is of %v after the call, the hook ran %v after it", told, delay)
	}
}
