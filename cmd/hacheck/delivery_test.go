package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hacheck/config"
	"hacheck/notify"
)

// Two hundred hooks at a time: each event is told once, by nobody but them, all
// locks are free in the end, and each hook is back within what it may take.
func TestManyHooksAtATime(t *testing.T) {
	const hooks = 200
	receivers := startReceivers(t)
	n := newNode(t, receivers.channels(""))
	settings, err := config.Load(filepath.Join(n.dir, "hacheck.yaml"), true)
	if err != nil {
		t.Fatal(err)
	}
	// Looking up what to tell, and delivering. The time to write the event is
	// that of the disk.
	budget := gatherBudget + settings.Notify.Budget
	took := make([]time.Duration, hooks)
	var running sync.WaitGroup
	for i := range hooks {
		running.Go(func() {
			began := time.Now()
			if output, err := n.command("notify", "MASTER", fmt.Sprintf("VI_%d", i)).CombinedOutput(); err != nil {
				t.Errorf("hook %d: %v\n%s", i, err, output)
			}
			took[i] = time.Since(began)
		})
	}
	running.Wait()
	slices.Sort(took)
	t.Logf("%d hooks: the median took %s, the slowest %s of %s", hooks, took[hooks/2], took[hooks-1], budget)
	if took[hooks-1] > budget {
		t.Errorf("the slowest hook took %s, more than %s", took[hooks-1], budget)
	}
	if left := n.queued(); len(left) > 0 {
		t.Errorf("%d events still wait", len(left))
	}
	receivers.check(t)
	for _, channel := range []string{"mail", "hook"} {
		told := receivers.told(channel)
		for i := range hooks {
			if keys := told[fmt.Sprintf("VI_%d", i)]; len(keys) != 1 {
				t.Errorf("%s told of VI_%d %d times", channel, i, len(keys))
			}
		}
		t.Logf("%s: %d messages told of %d transitions", channel, len(receivers.on(channel)), len(told))
	}
	for _, lock := range []string{"spool/lock", "spool/change", "states/.lock"} {
		n.checkFree(lock)
	}
}

// checkFree fails the test if another process holds a lock.
func (n *node) checkFree(lock string) {
	n.t.Helper()
	file, err := os.Open(filepath.Join(n.dir, "state", lock))
	if err != nil {
		n.t.Error(err)
		return
	}
	defer file.Close()
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		n.t.Errorf("%s is still held: %v", lock, err)
	}
}

// failOver runs the hooks of several instances at a time.
func (n *node) failOver(state notify.State, names ...string) {
	n.t.Helper()
	var hooks sync.WaitGroup
	for _, name := range names {
		hooks.Go(func() {
			if output, err := n.command("notify", string(state), name).CombinedOutput(); err != nil {
				n.t.Errorf("%s %s: %v\n%s", state, name, err, output)
			}
		})
	}
	hooks.Wait()
}

// A failover of two VIPs is one message on each channel, which comes within a
// second. On a machine that is overloaded it may be late: it has three tries.
func TestFailoverOfTwoVIPsIsOneMessageWithinASecond(t *testing.T) {
	const tries = 3
	for try := 1; ; try++ {
		receivers := startReceivers(t)
		n := newNode(t, receivers.channels(""))
		began := time.Now()
		n.failOver(notify.Master, "VI_1", "VI_2")
		receivers.check(t)
		slowest := time.Duration(0)
		for _, channel := range []string{"mail", "hook"} {
			came := receivers.on(channel)
			if len(came) != 1 {
				t.Fatalf("%s: %d messages, want 1", channel, len(came))
			}
			// The mail may also name instances that it is not about.
			for _, name := range []string{"VI_1", "VI_2"} {
				if !slices.Contains(came[0].names, name) {
					t.Errorf("%s: the message is about %q", channel, came[0].names)
				}
			}
			slowest = max(slowest, came[0].at.Sub(began))
		}
		t.Logf("try %d: the last of two messages came %s after the transition", try, slowest)
		if slowest <= time.Second {
			return
		}
		if try == tries {
			t.Fatalf("the message came after %s, later than a second, %d times", slowest, tries)
		}
	}
}

// An instance that changes twenty times is three messages at most, the last of
// which says how it ended; none of the transitions is missing.
func TestFlapOfTwentyTransitionsIsThreeMessages(t *testing.T) {
	t.Parallel()
	const transitions = 20
	for _, pause := range []time.Duration{50 * time.Millisecond, 500 * time.Millisecond} {
		t.Run(pause.String(), func(t *testing.T) {
			t.Parallel()
			receivers := startReceivers(t)
			n := newNode(t, receivers.channels(""))
			var hooks sync.WaitGroup
			for i := range transitions {
				state := []notify.State{notify.Master, notify.Backup}[i%2]
				// In this order: hooks that begin to run in another one tell when they were called.
				hook := n.command("notify", string(state), "VI_1")
				if err := hook.Start(); err != nil {
					t.Fatal(err)
				}
				hooks.Go(func() {
					if err := hook.Wait(); err != nil {
						t.Errorf("%s: %v", state, err)
					}
				})
				time.Sleep(pause) // the pace of the flap
			}
			hooks.Wait()
			receivers.check(t)
			if left := n.queued(); len(left) > 0 {
				t.Errorf("%d events still wait", len(left))
			}
			for _, channel := range []string{"mail", "hook"} {
				if count := len(receivers.on(channel)); count > 3 {
					t.Errorf("%s: %d messages, want 3 at most", channel, count)
				}
			}
			events := map[string]notify.Event{}
			var last notify.Notification
			for _, came := range receivers.on("hook") {
				last = came.notification
				t.Logf("%s of %d: %s at %s", last.Story, last.Count, last.State, last.Time.Format("05.000"))
				for _, event := range last.Events() {
					// A flap's end that is told alone tells its last event again.
					event.ID = strings.TrimSuffix(event.ID, "-settled")
					events[event.ID] = event
				}
			}
			if len(events) != transitions {
				t.Errorf("told of %d transitions, want %d", len(events), transitions)
			}
			final := notify.Event{}
			for _, event := range events {
				if event.Time.After(final.Time) {
					final = event
				}
			}
			if last.Story != notify.Settled || last.Count != transitions || last.State != final.State {
				t.Errorf("in the end: %s of %d, %s; want settled of %d, %s", last.Story, last.Count, last.State, transitions, final.State)
			}
		})
	}
}
