package spool

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"hacheck/notify"
)

// usual are the rules of grouping that the configuration has by default. They
// are for tests with a clock of their own.
func usual() *Grouping {
	return &Grouping{
		Wait: 500 * time.Millisecond, Interval: 10 * time.Second,
		FlapThreshold: 4, FlapWindow: time.Minute, FlapSettle: 25 * time.Second, FlapNotice: 10 * time.Minute,
	}
}

// toldAfter is how long after it happened a transition was told.
func toldAfter(t *testing.T, r *reader, event notify.Event) time.Duration {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, notification := range r.got {
		for _, told := range notification.Events() {
			if told.ID == event.ID {
				return r.times[i].Sub(event.Time)
			}
		}
	}
	t.Fatalf("%s of %s was not told", event.State, event.Name)
	return 0
}

func TestAdvertsOfALowerPriorityHoldNoFaultBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spool := open(t, t.TempDir())
		mail := &reader{name: "mail"}
		policy := Policy{Grouping: usual(), Patience: 30 * time.Second}
		policy.Grouping.FlapNotice = time.Minute
		var hooks sync.WaitGroup
		happens := func(state notify.State) notify.Event {
			event := happened("VI_1", state)
			put(t, spool, event)
			hooks.Go(func() {
				if _, err := spool.Drain(t.Context(), []notify.Notifier{mail}, policy); err != nil {
					t.Error(err)
				}
			})
			return event
		}
		happens(notify.Master)
		var fault notify.Event
		for second := range 180 {
			time.Sleep(time.Second)
			happens(notify.MasterRxLowerPri)
			if second == 30 {
				time.Sleep(time.Millisecond)
				fault = happens(notify.Fault)
			}
		}
		hooks.Wait()
		if late := toldAfter(t, mail, fault); late > time.Second {
			t.Errorf("the FAULT was told after %s", late)
		}
		if n := len(mail.got); n > 9 {
			t.Errorf("%d messages in three minutes of adverts, with two in a minute", n)
		}
	})
}

func TestStopIsToldThoughItsInstanceFlaps(t *testing.T) {
	for _, changes := range []int{1, 2, 3, 6} {
		synctest.Test(t, func(t *testing.T) {
			spool := open(t, t.TempDir())
			mail := &reader{name: "mail"}
			policy := Policy{Grouping: usual(), Patience: time.Second}
			for n := range changes {
				put(t, spool, happened("VI_1", []notify.State{notify.Backup, notify.Master}[n%2]))
				drainFor(t, spool, policy, mail)
				time.Sleep(time.Second)
			}
			stop := happened("VI_1", notify.Stop)
			put(t, spool, stop)
			drainFor(t, spool, policy, mail)
			if late := toldAfter(t, mail, stop); late != stopWait {
				t.Errorf("after %d transitions the STOP was told after %s, want %s", changes, late, stopWait)
			}
		})
	}
}

func TestHurryEndsEveryWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spool := open(t, t.TempDir())
		mail := &reader{name: "mail"}
		policy := Policy{Grouping: usual(), Patience: time.Second}
		for n := range 6 {
			put(t, spool, happened("VI_1", []notify.State{notify.Master, notify.Backup}[n%2]))
			time.Sleep(time.Second)
			drainFor(t, spool, policy, mail)
		}
		hurry := make(chan struct{})
		close(hurry)
		policy.Hurry = hurry
		last := happened("VI_1", notify.Master)
		put(t, spool, last)
		if report := drainFor(t, spool, policy, mail); report.Held != 0 || report.Remaining != 0 {
			t.Errorf("left behind: %+v", report)
		}
		if late := toldAfter(t, mail, last); late != 0 {
			t.Errorf("the last transition was told after %s", late)
		}
	})
}

func TestEndOfAFlapWaitsForTheDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		spool := open(t, dir)
		mail := &reader{name: "mail"}
		policy := Policy{Grouping: usual()}
		for n := range 6 {
			put(t, spool, happened("VI_1", []notify.State{notify.Master, notify.Backup}[n%2]))
			time.Sleep(100 * time.Millisecond)
		}
		drainFor(t, spool, policy, mail)
		// Where the end of the flap would be written there is no room.
		tmp := filepath.Join(dir, "spool", tmpDir)
		policy.Patience = time.Minute
		timer := time.AfterFunc(time.Minute, func() { os.Rename(tmp+".away", tmp) })
		defer timer.Stop()
		spool.step = func(step string) {
			if step == "drain: scanned" {
				os.Rename(tmp, tmp+".away")
			}
		}
		report, err := spool.Drain(t.Context(), []notify.Notifier{mail}, policy)
		if err != nil || len(report.Warnings) == 0 || len(report.Warnings) > 13 || !strings.HasPrefix(report.Warnings[0].Error(), "group events: write event ") {
			t.Errorf("%d warnings in a minute, one in 5 s is due: %v, %v", len(report.Warnings), report.Warnings, err)
		}
		wantTold(t, mail, "flapping 6: VI_1 MASTER, VI_1 BACKUP, VI_1 MASTER, VI_1 BACKUP, VI_1 MASTER, VI_1 BACKUP", "settled 6: VI_1 BACKUP")
	})
}

// A signal that comes between the grouping and the wait leaves nothing behind.
func TestHurryInTheMiddleOfARound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spool := open(t, t.TempDir())
		hurry := make(chan struct{})
		mail := &reader{name: "mail"}
		journal := &reader{name: "journal", answer: func() error { close(hurry); return nil }}
		put(t, spool, happened("VI_1", notify.Stop))
		report := drainFor(t, spool, Policy{
			Grouping: usual(), Immediate: []string{"journal"}, LeaveImmediate: true,
			Hurry: hurry, Patience: 30 * time.Second, IgnoreBackoff: true,
		}, journal, mail)
		if report.Remaining != 0 || len(mail.got) != 1 {
			t.Errorf("mail was told %d times, %d remain", len(mail.got), report.Remaining)
		}
	})
}

// Who is in a hurry tells a transition at once, but not the third of a minute:
// a keepalived that is restarted again and again is a flap like any other.
func TestHurryHoldsAFlapBackAllTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spool := open(t, t.TempDir())
		mail := &reader{name: "mail"}
		hurry := make(chan struct{})
		close(hurry)
		policy := Policy{Grouping: usual(), Hurry: hurry, Patience: 30 * time.Second, IgnoreBackoff: true}
		for _, state := range []notify.State{notify.Backup, notify.Master, notify.Backup} {
			put(t, spool, happened("VI_1", state))
			drainFor(t, spool, policy, mail)
			time.Sleep(5 * time.Second)
		}
		wantTold(t, mail, "transition: VI_1 BACKUP", "transition: VI_1 MASTER")
	})
}
