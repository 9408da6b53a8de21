package spool

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"hacheck/notify"
)

// The hook of an event that comes while another's budget ends finds that one at
// work and leaves the event to it, which must learn of it.
func TestEventThatComesWhileTheTimeEndsIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		spool, others := open(t, dir), open(t, dir)
		put(t, spool, event("VI_1", 1))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		relay := &fake{name: "mail", answer: func(ctx context.Context, _ notify.Event) error {
			<-ctx.Done()
			put(t, others, event("VI_2", 2))
			if report := drain(t, others, Policy{}, &fake{name: "mail"}); !report.Busy {
				t.Error("the other drain was not busy")
			}
			return ctx.Err()
		}}
		report, err := spool.Drain(ctx, []notify.Notifier{relay}, Policy{})
		if err != nil || report.Late.IsZero() || !report.Interrupted || report.Remaining != 2 {
			t.Errorf("%+v, %v", report, err)
		}
	})
}

func TestEventsThatWereThereBeforeAreNotReportedAsLate(t *testing.T) {
	spool := open(t, t.TempDir())
	put(t, spool, event("VI_1", 1), event("VI_2", 2))
	ctx, cancel := context.WithCancel(t.Context())
	spool.step = func(step string) {
		if step == "drain: listed" {
			cancel()
		}
	}
	report, err := spool.Drain(ctx, []notify.Notifier{&fake{name: "mail"}}, Policy{})
	if err != nil || !report.Late.IsZero() || !report.Interrupted || report.Remaining != 2 {
		t.Errorf("%+v, %v", report, err)
	}
}

// What a drain tells by itself does not make the hook stay that drains.
func TestWhatADrainMakesIsNotReportedAsLate(t *testing.T) {
	t.Run("reminder", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			spool := open(t, t.TempDir())
			remember(t, spool, happened("VI_1", notify.Fault))
			time.Sleep(5 * time.Hour)
			mail := &reader{name: "mail"}
			if report := drainFor(t, spool, reminding(), mail); !report.Late.IsZero() {
				t.Errorf("an event is said to have come at %s", report.Late)
			}
			wantTold(t, mail, "reminder: VI_1 FAULT")
		})
	})
	t.Run("end of a flap", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			spool := open(t, t.TempDir())
			putFlap(t, spool, 6)
			mail := &reader{name: "mail"}
			if report := drainFor(t, spool, Policy{Grouping: usual(), Patience: 30 * time.Second}, mail); !report.Late.IsZero() {
				t.Errorf("an event is said to have come at %s", report.Late)
			}
			if len(mail.got) != 2 || mail.got[1].Story != notify.Settled {
				t.Errorf("%d messages, want the flap and its end", len(mail.got))
			}
		})
	})
}

// An entry may become unreadable after it was loaded: its owner is another
// account, or the disk fails.
func TestEntryThatBecomesUnreadableIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		spool := open(t, dir)
		put(t, spool, event("VI_1", 1), event("VI_2", 2))
		name := filepath.Join(dir, "spool", queueDir, entryName(event("VI_1", 1)))
		spool.step = func(step string) {
			if step == "drain: scanned" {
				// A file that even root cannot read: it leads to itself.
				if err := errors.Join(os.Remove(name), os.Symlink(filepath.Base(name), name)); err != nil {
					t.Error(err)
				}
			}
		}
		mail := &fake{name: "mail"}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		report, err := spool.Drain(ctx, []notify.Notifier{mail}, Policy{Patience: time.Hour})
		if err != nil || len(report.Warnings) != 0 || len(report.SetAside) != 1 {
			t.Errorf("%d warnings, set aside %v, %v", len(report.Warnings), report.SetAside, err)
		}
		wantSeen(t, mail, "VI-2-002")
	})
}

// unreadable lays a file that fails to be read over an entry, and gives what takes
// it away again.
func unreadable(t *testing.T, dir string, event notify.Event) (readable func()) {
	t.Helper()
	name := filepath.Join(dir, "spool", queueDir, entryName(event))
	if err := unix.Mount("/proc/self/mem", name, "", unix.MS_BIND, ""); err != nil { // nothing is at its beginning
		t.Fatalf("mount over %s: %v", name, err)
	}
	t.Cleanup(func() { unix.Unmount(name, unix.MNT_DETACH) })
	return func() {
		if err := unix.Unmount(name, 0); err != nil {
			t.Error(err)
		}
	}
}

// An entry that cannot be read for some seconds is not overtaken.
func TestLaterEventsWaitForAnEntryThatCannotBeRead(t *testing.T) {
	needRoot(t)
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		spool := open(t, dir)
		put(t, spool, event("VI_1", 1), event("VI_1", 2), event("VI_2", 3))
		spool.step = func(step string) {
			if step == "drain: scanned" {
				time.AfterFunc(3*time.Second, unreadable(t, dir, event("VI_1", 1)))
			}
		}
		mail := &fake{name: "mail"}
		report := drain(t, spool, Policy{Patience: time.Minute, IgnoreBackoff: true}, mail)
		if len(report.SetAside) != 0 || report.Remaining != 0 {
			t.Errorf("set aside %v, %d remain", report.SetAside, report.Remaining)
		}
		wantSeen(t, mail, "VI-2-003", "VI-1-001", "VI-1-002")
	})
}

// One that stays so is told of and holds nothing up any longer.
func TestLaterEventsWaitForOneMoreTryOnly(t *testing.T) {
	needRoot(t)
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		spool := open(t, dir)
		put(t, spool, event("VI_1", 1), event("VI_1", 2))
		spool.step = func(step string) {
			if step == "drain: scanned" {
				unreadable(t, dir, event("VI_1", 1))
			}
		}
		mail, chat := &fake{name: "mail"}, &fake{name: "chat"}
		began := time.Now()
		report := drain(t, spool, Policy{Patience: time.Minute}, mail, chat)
		if len(report.SetAside) != 1 || report.SetAside[0].Dir != queueDir || report.Remaining != 1 {
			t.Errorf("set aside %v, %d remain", report.SetAside, report.Remaining)
		}
		wantSeen(t, mail, "VI-1-002")
		wantSeen(t, chat, "VI-1-002")
		if took := mail.times[0].Sub(began); took < 5*time.Second || took > 6*time.Second {
			t.Errorf("the later one came after %s", took)
		}
	})
}

// One entry that cannot be read does not tear a group apart.
func TestGroupGoesWithoutAnEntryThatCannotBeRead(t *testing.T) {
	needRoot(t)
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		spool := open(t, dir)
		var events []notify.Event
		for _, name := range []string{"VI_1", "VI_2", "VI_3"} {
			events = append(events, happened(name, notify.Master))
			time.Sleep(time.Millisecond)
		}
		put(t, spool, events...)
		spool.step = func(step string) {
			if step == "drain: scanned" {
				time.AfterFunc(3*time.Second, unreadable(t, dir, events[1]))
			}
		}
		mail := &reader{name: "mail"}
		drainFor(t, spool, Policy{Grouping: usual(), Patience: 30 * time.Second}, mail)
		wantTold(t, mail, "transition: VI_1 MASTER, VI_3 MASTER", ": VI_2 MASTER")
	})
}

// Somebody removes the folder of the dead letters to be rid of them.
func TestDeadLettersWithoutAFolder(t *testing.T) {
	dir := t.TempDir()
	spool := open(t, dir)
	folder := filepath.Join(dir, "spool", deadDir)
	if err := os.WriteFile(filepath.Join(dir, "spool", queueDir, "rubbish"), []byte("x"), 0o640); err != nil {
		t.Fatal(err)
	}
	refusedEvent := event("VI_1", 1)
	put(t, spool, refusedEvent)
	passes := 0
	spool.step = func(step string) {
		switch step {
		case "drain: locked":
			passes++
			fallthrough
		case "drain: trying":
			if err := os.RemoveAll(folder); err != nil {
				t.Error(err)
			}
		}
	}
	refused := &fake{name: "mail", answer: func(context.Context, notify.Event) error {
		return fmt.Errorf("mail: %w", &notify.PermanentError{Err: errors.New("550 rejected")})
	}}
	report := drain(t, spool, Policy{}, refused)
	if passes != 1 || len(report.Warnings) != 0 || report.Dead != 1 || report.Remaining != 0 {
		t.Errorf("%d passes, %+v", passes, report)
	}
	if left, err := os.ReadDir(folder); err != nil || len(left) != 1 || left[0].Name() != entryName(refusedEvent) {
		t.Errorf("the dead letters are %v, %v", left, err)
	}
}

func TestQueueIsBoundedWhileADrainStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spool := open(t, t.TempDir())
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		put(t, spool, event("VI_1", 0))
		go func() {
			for n := range 100 {
				time.Sleep(time.Second)
				put(t, spool, event("VI_1", n+1))
			}
		}()
		if _, err := spool.Drain(ctx, []notify.Notifier{&fake{name: "mail", answer: fail("connection refused")}}, Policy{MaxEntries: 10, Patience: time.Hour}); err != nil {
			t.Fatal(err)
		}
		entries, _, err := spool.List(t.Context())
		if err != nil || len(entries) != 10 || entries[9].Event.ID != "VI-1-100" {
			t.Errorf("%d entries wait, %v", len(entries), err)
		}
	})
}

// A limit whose file would grow too large to be read again.
func TestGreatLimitIsKeptAcrossDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		zone := time.FixedZone("far east", 8*60*60)
		used := usage{Version: formatVersion, Channel: "mail"}
		for n := range MaxLimit {
			used.Times = append(used.Times, time.Now().In(zone).Add(time.Duration(n+1)))
		}
		data, err := json.Marshal(used)
		if err != nil || len(data) > maxState {
			t.Fatalf("it has %d bytes, %v", len(data), err)
		}
		spool := open(t, dir)
		if err := os.WriteFile(filepath.Join(dir, "states", usageFile("mail")), data, 0o640); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		put(t, spool, event("VI_1", 1))
		mail := &fake{name: "mail"}
		policy := Policy{Limits: map[string]Limit{"mail": {Count: 2 * MaxLimit, Per: time.Hour}}}
		if report := drain(t, spool, policy, mail); report.Remaining != 1 || len(mail.seen()) != 0 {
			t.Errorf("%+v", report)
		}
	})
}

// The end of a flap that is told with events of others is not told if none of
// these is there: it is put off, and not noted as told.
func TestEndOfAFlapIsNotToldWithEventsThatAreGone(t *testing.T) {
	d := &drainer{s: open(t, t.TempDir())}
	gone := []*item{{name: "20260314T092653589Z-9f86d081884c7d65.json"}}
	over := []notify.Event{happened("VI_2", notify.Backup)}
	if err := d.combine(t.Context(), gone, over, notify.Settled, 4, time.Now()); err == nil {
		t.Error("the end is taken for told")
	}
	if err := d.combine(t.Context(), gone, nil, notify.Settled, 4, time.Now()); err != nil {
		t.Errorf("with nothing to be told: %v", err)
	}
}
