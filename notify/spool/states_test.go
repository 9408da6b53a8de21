package spool

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"hacheck/notify"
)

func transition(name string, state notify.State, at time.Time) notify.Event {
	return notify.Event{ID: NewID(at), Time: at, Kind: notify.Instance, Name: name, State: state}
}

func save(t *testing.T, spool *Spool, event notify.Event) {
	t.Helper()
	if err := spool.SaveState(event); err != nil {
		t.Fatal(err)
	}
}

func wantState(t *testing.T, spool *Spool, name string, state notify.State, since time.Time) {
	t.Helper()
	got, at, ok, err := spool.LastState(notify.Instance, name)
	if err != nil || !ok || got != state || !at.Equal(since) {
		t.Errorf("last state of %.40q: %s since %s, %v, %v; want %s since %s", name, got, at, ok, err, state, since)
	}
}

func TestStatesAreRememberedInTheOrderOfTheirTimes(t *testing.T) {
	spool := open(t, t.TempDir())
	if _, _, ok, err := spool.LastState(notify.Instance, "VI_1"); ok || err != nil {
		t.Errorf("before anything: %v, %v", ok, err)
	}
	start := time.Now().Add(-time.Hour)
	at := func(n int) time.Time { return start.Add(time.Duration(n) * time.Second) }

	save(t, spool, transition("VI_1", notify.Backup, at(1)))
	save(t, spool, transition("VI_1", notify.Master, at(3)))
	wantState(t, spool, "VI_1", notify.Master, at(3))
	save(t, spool, transition("VI_1", notify.Fault, at(2))) // a slow hook
	wantState(t, spool, "VI_1", notify.Master, at(3))
	save(t, spool, transition("VI_1", notify.Master, at(4))) // told again
	wantState(t, spool, "VI_1", notify.Master, at(3))
	save(t, spool, transition("VI_1", notify.MasterRxLowerPri, at(5)))
	save(t, spool, transition("VI_1", notify.MasterPriority, at(5)))
	wantState(t, spool, "VI_1", notify.Master, at(3))
	save(t, spool, transition("VI_2", notify.Fault, at(1)))
	wantState(t, spool, "VI_1", notify.Master, at(3))
	group := transition("VI_1", notify.Stop, at(9))
	group.Kind = notify.Group
	save(t, spool, group)
	wantState(t, spool, "VI_1", notify.Master, at(3))
	save(t, spool, transition("VI_1", notify.Backup, at(6)))
	wantState(t, spool, "VI_1", notify.Backup, at(6))
}

func TestStateFromBeforeTheClockWasSetBack(t *testing.T) {
	spool := open(t, t.TempDir())
	now := time.Now()
	save(t, spool, transition("VI_1", notify.Master, now.Add(24*time.Hour)))
	save(t, spool, transition("VI_1", notify.Backup, now))
	wantState(t, spool, "VI_1", notify.Backup, now)
}

func TestHostileNamesAreOnlyNames(t *testing.T) {
	dir := t.TempDir()
	spool := open(t, dir)
	at := time.Now().Add(-time.Minute)
	names := []string{"", ".", "..", "../../x", "a\x00b", "a\nb", "\xff\xfe", "\xff\xfd", strings.Repeat("é", 5000), strings.Repeat("x", 10_000), "VI_1", "vi_1"}
	for n, name := range names {
		save(t, spool, transition(name, notify.Master, at.Add(time.Duration(n))))
	}
	for n, name := range names {
		wantState(t, spool, name, notify.Master, at.Add(time.Duration(n)))
	}
	files, err := os.ReadDir(filepath.Join(dir, "states"))
	if err != nil || len(files) != len(names)+1 { // and the lock
		t.Errorf("%d files for %d names, %v", len(files), len(names), err)
	}
}

func TestDamagedStateIsToldAndReplaced(t *testing.T) {
	dir := t.TempDir()
	spool := open(t, dir)
	path := filepath.Join(dir, "states", stateFile(notify.Instance, "VI_1"))
	for content, want := range map[string]string{
		"":              "it is not a state: unexpected end of JSON input",
		`{"version":2}`: "it has format version 2, this program knows 1",
		`{"version":1}`: "it holds no state",
	} {
		if err := os.WriteFile(path, []byte(content), 0o640); err != nil {
			t.Fatal(err)
		}
		_, _, ok, err := spool.LastState(notify.Instance, "VI_1")
		if ok || err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%q: %v, %v; want %q", content, ok, err, want)
		}
	}
	// What a killed hook left is no obstacle.
	if err := os.WriteFile(path+".tmp", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	save(t, spool, transition("VI_1", notify.Backup, now))
	wantState(t, spool, "VI_1", notify.Backup, now)
}

func TestStatesLockedByAStoppedProcess(t *testing.T) {
	spool := open(t, t.TempDir())
	lock, err := spool.give.tryLock(spool.states, statesLock)
	if err != nil || lock == nil {
		t.Fatal(lock, err)
	}
	defer lock.Close()
	err = spool.SaveState(transition("VI_1", notify.Backup, time.Now()))
	wantError(t, err, ErrLocked, "states/.lock")
}

func TestConcurrentHooksLeaveTheNewestState(t *testing.T) {
	spool := open(t, t.TempDir())
	start := time.Now().Add(-time.Hour)
	var hooks sync.WaitGroup
	for n := range 50 {
		hooks.Go(func() {
			state := notify.Backup
			if n%2 == 1 {
				state = notify.Master
			}
			if err := spool.SaveState(transition("VI_1", state, start.Add(time.Duration(n)*time.Second))); err != nil {
				t.Error(err)
			}
		})
	}
	hooks.Wait()
	wantState(t, spool, "VI_1", notify.Master, start.Add(49*time.Second))
}
