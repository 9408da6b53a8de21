package checks

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func kernelMaintenance() Maintenance {
	return Maintenance{Since: noon, Until: noon.Add(30 * time.Minute), Reason: "kernel", By: "alice", Drain: true}
}

// declare keeps a maintenance as 'maintenance on' does.
func declare(t *testing.T, stateDir, runDir string, m Maintenance) {
	t.Helper()
	if err := SaveMaintenance(stateDir, m); err != nil {
		t.Fatal(err)
	}
	if err := RestoreMaintenance(t.Context(), stateDir, runDir); err != nil {
		t.Fatal(err)
	}
}

func TestMaintenanceRoundTrip(t *testing.T) {
	top := t.TempDir()
	state, run := filepath.Join(top, "state"), filepath.Join(top, "run")
	want := kernelMaintenance()
	declare(t, state, run, want)
	got, ok, err := CurrentMaintenance(state, run, noon.Add(time.Minute))
	if err != nil || !ok || got != want {
		t.Errorf("got %+v, %t, %v, want %+v", got, ok, err, want)
	}
	for path, mode := range map[string]fs.FileMode{
		state: 0o750 | fs.ModeDir, run: 0o755 | fs.ModeDir,
		filepath.Join(state, "maintenance.json"): 0o644, filepath.Join(run, "maintenance.json"): 0o644,
	} {
		info, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != mode {
			t.Errorf("%s has mode %v, want %v", path, info.Mode(), mode)
		}
	}
	if err := ClearMaintenance(state); err != nil {
		t.Fatal(err)
	}
	if err := RestoreMaintenance(t.Context(), state, run); err != nil {
		t.Fatal(err)
	}
	if got, ok, err := CurrentMaintenance(state, run, noon.Add(time.Minute)); ok || err != nil {
		t.Errorf("after the end: %+v, %t, %v", got, ok, err)
	}
	for _, dir := range []string{state, run} {
		if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
			t.Errorf("%s still has %v, %v", dir, left, err)
		}
	}
	if err := ClearMaintenance(state); err != nil {
		t.Errorf("to end none: %v", err)
	}
	if err := ClearMaintenance(filepath.Join(top, "none")); err != nil {
		t.Errorf("to end none where there is no state directory: %v", err)
	}
}

func TestMaintenanceInForce(t *testing.T) {
	m := kernelMaintenance()
	for _, test := range []struct {
		after time.Duration
		want  bool
		err   string
	}{
		{0, true, ""},
		{30*time.Minute - 1, true, ""},
		{30 * time.Minute, false, ""},
		{100 * 365 * 24 * time.Hour, false, ""},
		// The clock was set back: a little, to the limit, by an hour, and as on
		// a machine that boots without one.
		{-time.Second, true, ""},
		{-30 * time.Minute, true, ""},
		{-time.Hour, false, "it begins at 2026-03-01T12:00:00Z, but it is 2026-03-01T11:00:00Z now (was the clock set back?)"},
		{-56 * 365 * 24 * time.Hour, false, "was the clock set back?"},
	} {
		got, err := m.InForce(noon.Add(test.after))
		if got != test.want || (err != nil) != (test.err != "") || err != nil && !strings.Contains(err.Error(), test.err) {
			t.Errorf("%s after its beginning: %t, %v; want %t, %q", test.after, got, err, test.want, test.err)
		}
	}
}

func TestSaveMaintenanceErrors(t *testing.T) {
	dir := t.TempDir()
	for want, change := range map[string]func(*Maintenance){
		"it has no beginning":           func(m *Maintenance) { m.Since = time.Time{} },
		"it has no end":                 func(m *Maintenance) { m.Until = time.Time{} },
		"it ends before it begins":      func(m *Maintenance) { m.Until = m.Since.Add(-1) },
		"it lasts longer than 168h0m0s": func(m *Maintenance) { m.Until = m.Since.Add(MaxMaintenance + 1) },
	} {
		m := kernelMaintenance()
		change(&m)
		if err := SaveMaintenance(dir, m); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", m, err, want)
		}
	}
	if err := SaveMaintenance("/proc/none", kernelMaintenance()); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "keep the maintenance in /proc/none: ") {
		t.Errorf("where no directory can be made: %v", err)
	}
}

// What is in the file's place, whatever it is, drains no node and hangs nobody.
func TestDamagedMaintenance(t *testing.T) {
	valid := `"since":"2026-03-01T12:00:00Z","until":"2026-03-01T12:30:00Z","drain":true`
	for name, test := range map[string]struct{ content, want string }{
		"empty":       {"", "unexpected end of JSON input"},
		"cut":         {"{" + valid, "unexpected end of JSON input"},
		"another":     {"[]", "cannot unmarshal array"},
		"no times":    {`{"drain":true}`, "it has no beginning"},
		"no end":      {`{"since":"2026-03-01T12:00:00Z","drain":true}`, "it has no end"},
		"too long":    {`{"since":"2026-03-01T12:00:00Z","until":"2026-03-08T12:00:01Z","drain":true}`, "it lasts longer than 168h0m0s"},
		"for ever":    {`{"since":"0001-01-01T00:00:01Z","until":"9999-12-31T23:59:59Z","drain":true}`, "it lasts longer than 168h0m0s"},
		"large":       {"{" + valid + strings.Repeat(" ", maxMaintenanceFile) + "}", "it is larger than 16384 bytes"},
		"wrong types": {`{"since":1,"until":"x","drain":"yes"}`, "Time.UnmarshalJSON"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "maintenance.json"), []byte(test.content), 0o644); err != nil {
				t.Fatal(err)
			}
			notInForce(t, dir, test.want)
		})
	}
	for name, put := range map[string]struct {
		want string
		make func(path string) error
	}{
		"FIFO":      {"it is not a regular file", func(path string) error { return syscall.Mkfifo(path, 0o644) }},
		"directory": {"it is not a regular file", func(path string) error { return os.Mkdir(path, 0o755) }},
		"link":      {"it is a symbolic link", func(path string) error { return os.Symlink("/etc/passwd", path) }},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := put.make(filepath.Join(dir, "maintenance.json")); err != nil {
				t.Fatal(err)
			}
			notInForce(t, dir, put.want)
		})
	}
}

// notInForce demands that the file of a state directory does nothing but say
// what is wrong with it, and that it can be removed and replaced.
func notInForce(t *testing.T, dir, want string) {
	t.Helper()
	run := filepath.Join(t.TempDir(), "run")
	m, ok, err := CurrentMaintenance(dir, run, noon.Add(time.Minute))
	if ok || err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), filepath.Join(dir, "maintenance.json")) {
		t.Errorf("%+v, %t, %v; want %q", m, ok, err, want)
	}
	if err := RestoreMaintenance(t.Context(), dir, run); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(run); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("something damaged was copied: %v", err)
	}
	if err := ClearMaintenance(dir); err != nil {
		t.Error(err)
	}
	declare(t, dir, run, kernelMaintenance())
	if _, ok, err := CurrentMaintenance(dir, run, noon); !ok || err != nil {
		t.Errorf("a new one is not in force: %v", err)
	}
}

func TestMaintenanceTextsAreCleaned(t *testing.T) {
	dir := t.TempDir()
	m := kernelMaintenance()
	m.Reason, m.By = "kernel\n\x1b[2J"+strings.Repeat("x", 1000), "a\u202eb"
	declare(t, dir, dir, m)
	got, _, err := CurrentMaintenance(dir, dir, noon)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(got.Reason, `kernel\n\x1b[2Jxx`) || len(got.Reason) > 210 || got.By != `a\u202eb` {
		t.Errorf("reason %q by %q", got.Reason, got.By)
	}
	// So is what somebody else wrote.
	content := `{"since":"2026-03-01T12:00:00Z","until":"2026-03-01T12:30:00Z","reason":"a\u001b[2J","more":{"x":1}}`
	if err := os.WriteFile(filepath.Join(dir, "maintenance.json"), []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	if got, _, err := CurrentMaintenance(dir, dir, noon); err != nil || got.Reason != `a\x1b[2J` {
		t.Errorf("reason %q, %v", got.Reason, err)
	}
}

// The copy comes back after a reboot and follows a change.
func TestRestoreMaintenance(t *testing.T) {
	top := t.TempDir()
	state, run := filepath.Join(top, "state"), filepath.Join(top, "run")
	restore := func() {
		t.Helper()
		if err := RestoreMaintenance(t.Context(), state, run); err != nil {
			t.Fatal(err)
		}
	}
	restore() // neither directory is there
	if _, err := os.Stat(run); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a run directory was made for nothing: %v", err)
	}
	declare(t, state, run, kernelMaintenance())
	if err := os.RemoveAll(run); err != nil {
		t.Fatal(err)
	}
	restore()
	sameFiles(t, state, run)
	if err := os.WriteFile(filepath.Join(run, "maintenance.json"), []byte("damaged"), 0o644); err != nil {
		t.Fatal(err)
	}
	restore()
	sameFiles(t, state, run)
	// A copy without its original, as when the state directory was replaced.
	if err := os.WriteFile(filepath.Join(run, "maintenance.json"), []byte("{}"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(state); err != nil {
		t.Fatal(err)
	}
	restore()
	if _, err := os.Stat(filepath.Join(run, "maintenance.json")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the copy without its original is still there: %v", err)
	}
}

func sameFiles(t *testing.T, state, run string) {
	t.Helper()
	original, err := os.ReadFile(filepath.Join(state, "maintenance.json"))
	if err != nil {
		t.Fatal(err)
	}
	copied, err := os.ReadFile(filepath.Join(run, "maintenance.json"))
	if err != nil || !bytes.Equal(original, copied) {
		t.Errorf("the copy is %q, %v; want %q", copied, err, original)
	}
}

// Several at once: one wins, and the copy is the winner's.
func TestMaintenanceConcurrently(t *testing.T) {
	top := t.TempDir()
	state, run := filepath.Join(top, "state"), filepath.Join(top, "run")
	for range 20 {
		var group sync.WaitGroup
		for i := range 8 {
			group.Go(func() {
				m := kernelMaintenance()
				m.Reason = fmt.Sprint("number ", i)
				if err := errors.Join(SaveMaintenance(state, m), RestoreMaintenance(t.Context(), state, run)); err != nil {
					t.Error(err)
				}
				if _, ok, err := CurrentMaintenance(state, run, noon); !ok || err != nil {
					t.Errorf("not in force in between: %v", err)
				}
			})
		}
		group.Wait()
		sameFiles(t, state, run)
		if left, err := os.ReadDir(state); err != nil || len(left) != 1 {
			t.Fatalf("%s has %v, %v", state, left, err)
		}
	}
}

// Who holds the lock for ever is waited for no longer than the context lives.
func TestRestoreMaintenanceLocked(t *testing.T) {
	top := t.TempDir()
	state, run := filepath.Join(top, "state"), filepath.Join(top, "run")
	if err := SaveMaintenance(state, kernelMaintenance()); err != nil {
		t.Fatal(err)
	}
	lock, err := lockFolder(t.Context(), state)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeoutCause(t.Context(), 20*time.Millisecond, errors.New("enough waited"))
	defer cancel()
	err = RestoreMaintenance(ctx, state, run)
	if err == nil || !strings.Contains(err.Error(), "lock "+state+", which another process holds: enough waited") {
		t.Errorf("got %v", err)
	}
	lock.Close()
	if err := RestoreMaintenance(t.Context(), state, run); err != nil {
		t.Error(err)
	}
}

func TestLockVerdicts(t *testing.T) {
	run := filepath.Join(t.TempDir(), "run")
	release, err := LockVerdicts(t.Context(), run)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := LockVerdicts(ctx, run); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a second holder: %v", err)
	}
	if err := SaveVerdict(run, verdictOf("haproxy")); err != nil {
		t.Errorf("the lock kept a verdict from being saved: %v", err)
	}
	release()
	if release, err = LockVerdicts(t.Context(), run); err != nil {
		t.Fatal(err)
	}
	release()
	if _, err := LockVerdicts(t.Context(), "/proc/none"); err == nil || !strings.Contains(err.Error(), "lock the verdicts in /proc/none: ") {
		t.Errorf("got %v", err)
	}
}

func FuzzMaintenance(f *testing.F) {
	f.Add([]byte(`{"since":"2026-03-01T12:00:00Z","until":"2026-03-01T12:30:00Z","reason":"kernel","by":"alice","drain":true,"mute":false}`))
	f.Add([]byte(`{"since":"0001-01-01T00:00:01Z","until":"9999-12-31T23:59:59Z"}`))
	f.Add([]byte(`{}`))
	f.Add([]byte(``))
	f.Fuzz(func(t *testing.T, content []byte) {
		m, err := parseMaintenance(content)
		if err != nil {
			if m != (Maintenance{}) {
				t.Errorf("with an error there is %+v", m)
			}
			return
		}
		if length := m.Until.Sub(m.Since); length <= 0 || length > MaxMaintenance {
			t.Errorf("it lasts %s", length)
		}
		for _, text := range []string{m.Reason, m.By} {
			if !isPlain(text) || len(text) > maxMaintenanceText+len("…") {
				t.Errorf("text %q", text)
			}
		}
		// In force for a time that has an end on both sides.
		if ok, _ := m.InForce(m.Until); ok {
			t.Error("in force after its end")
		}
		if ok, _ := m.InForce(m.Since.Add(-MaxMaintenance - 1)); ok {
			t.Error("in force long before its beginning")
		}
	})
}

// What every check pays without a maintenance.
func BenchmarkNoMaintenance(b *testing.B) {
	state, run := b.TempDir(), b.TempDir()
	b.ReportAllocs()
	for b.Loop() {
		if _, ok, err := CurrentMaintenance(state, run, noon); ok || err != nil {
			b.Fatal(err)
		}
	}
}

// Whoever may write into the directory, as HAProxy's workers where their group
// may, takes no node out of service.
func TestMaintenanceOfAStranger(t *testing.T) {
	state, run := t.TempDir(), t.TempDir()
	declare(t, state, run, kernelMaintenance())
	path := filepath.Join(state, "maintenance.json")
	for _, owners := range []struct {
		directory, file int
		trusted         bool
	}{{0, 0, true}, {61111, 61111, true}, {61111, 0, true}, {61111, 62222, false}, {0, 62222, false}} {
		if err := errors.Join(os.Chown(state, owners.directory, 0), os.Chown(path, owners.file, 0)); err != nil {
			t.Fatalf("the test gives files away, which needs root: %v", err)
		}
		_, ok, err := CurrentMaintenance(state, run, noon)
		if ok != owners.trusted || (err == nil) != owners.trusted {
			t.Errorf("%+v: in force %t, error %v", owners, ok, err)
		}
		if want := fmt.Sprintf("it belongs to uid %d, who is neither root nor the owner of the directory (uid %d)", owners.file, owners.directory); !owners.trusted && !strings.Contains(err.Error(), want) {
			t.Errorf("the error is %v, want it to say %q", err, want)
		}
	}
}
