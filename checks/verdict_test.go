package checks

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func verdictOf(name string) Verdict {
	return Verdict{
		Result: Result{Name: name, Status: Fail, Reason: "backend mysql has no usable server",
			Parts: []Result{{Name: "backends", Status: Fail, Reason: "mysql"}, {Name: "unit", Status: Pass, Reason: "haproxy.service is active"}}},
		Time: time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC),
		Took: 3100 * time.Microsecond,
	}
}

func TestVerdictRoundTrip(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	names := []string{"haproxy", "a/b", "../../etc/passwd", ".", "..", ".hidden", "a b\n", "主節點", "a~b", "a%7Eb", "A", "a",
		strings.Repeat("x", 10_000), strings.Repeat("x", 9_999), "\xff"}
	for _, name := range names {
		want := verdictOf(name)
		if err := SaveVerdict(dir, want); err != nil {
			t.Fatal(err)
		}
		if name == "\xff" { // JSON has no such text
			continue
		}
		got, err := LoadVerdict(dir, name)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
	entries, err := os.ReadDir(filepath.Join(dir, "verdict"))
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != len(names) {
		t.Errorf("%d files for %d names: %v", len(entries), len(names), entries)
	}
	parent, err := os.ReadDir(dir)
	if err != nil || len(parent) != 1 {
		t.Errorf("beside the verdicts there is something in the run directory: %v, %v", parent, err)
	}
}

func TestLastVerdicts(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	if got, err := LastVerdicts(dir); len(got) != 0 || err != nil {
		t.Errorf("of nothing: %v, %v", got, err)
	}
	for i, name := range []string{"old", "new", "middle"} {
		v := verdictOf(name)
		v.Time = v.Time.Add([]time.Duration{0, 2 * time.Hour, time.Hour}[i])
		if err := SaveVerdict(dir, v); err != nil {
			t.Fatal(err)
		}
	}
	writeFile(t, filepath.Join(dir, "verdict", "broken.json"), `{"name":`)
	writeFile(t, filepath.Join(dir, "verdict", ".half.tmp"), `{`)
	got, err := LastVerdicts(dir)
	var names []string
	for _, v := range got {
		names = append(names, v.Name)
	}
	if fmt.Sprint(names) != "[new middle old]" {
		t.Errorf("got %v", names)
	}
	want := "read the verdict in " + dir + "/verdict/broken.json: the file is damaged: unexpected end of JSON input"
	if err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestLoadVerdictErrors(t *testing.T) {
	dir := t.TempDir()
	if err := SaveVerdict(dir, verdictOf("other")); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(filepath.Join(dir, "verdict", "other.json"))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "verdict", "x.json")
	for _, test := range []struct {
		name string
		make func()
		want string
	}{
		{"missing", func() {}, `no verdict of "x" is kept in ` + dir + ` (has the check run?): file does not exist`},
		{"empty", func() { writeFile(t, path, "") }, "the file is damaged: unexpected end of JSON input"},
		{"another", func() { writeFile(t, path, string(good)) }, `x.json is damaged: it holds the verdict of "other"`},
		{"no name", func() { writeFile(t, path, "{}") }, "the file is damaged: it names no check"},
		{"no status", func() { writeFile(t, path, `{"name":"x"}`) }, "the file is damaged: it has no status"},
		{"no time", func() { writeFile(t, path, `{"name":"x","status":"pass"}`) }, "the file is damaged: it has no time"},
		{"bad status", func() { writeFile(t, path, `{"name":"x","status":"good"}`) },
			`the file is damaged: "good" is not a check status (pass, warn, fail, unknown)`},
		{"large", func() { writeFile(t, path, strings.Repeat(" ", maxVerdict+1)) }, "the file is damaged: it is larger than 1048576 bytes"},
		{"link", func() {
			if err := os.Symlink("other.json", path); err != nil {
				t.Fatal(err)
			}
		}, "x.json is not a regular file"},
		{"fifo", func() {
			if err := syscall.Mkfifo(path, 0o644); err != nil {
				t.Fatal(err)
			}
		}, "x.json is not a regular file"},
	} {
		t.Run(test.name, func(t *testing.T) {
			os.Remove(path)
			test.make()
			want := test.want
			if test.name != "missing" {
				want = `read the verdict of "x" in ` + dir + ": " + want
			}
			_, err := LoadVerdict(dir, "x")
			if err == nil || err.Error() != want {
				t.Errorf("got %v\nwant %s", err, want)
			}
			if errors.Is(err, fs.ErrNotExist) != (test.name == "missing") {
				t.Errorf("fs.ErrNotExist: %v", err)
			}
		})
	}
}

func TestLoadVerdictCleansText(t *testing.T) {
	dir := t.TempDir()
	if err := SaveVerdict(dir, verdictOf("x")); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "verdict", "x.json"),
		`{"name":"x","status":"fail","reason":"a\r\nBcc: b\u001b[2J","parts":[{"name":"p\n","status":"fail","reason":"\u202e"}],"time":"2026-03-01T12:00:00Z"}`)
	v, err := LoadVerdict(dir, "x")
	if err != nil {
		t.Fatal(err)
	}
	if v.Reason != `a\r\nBcc: b\x1b[2J` || v.Parts[0].Name != `p\n` || v.Parts[0].Reason != `\u202e` {
		t.Errorf("got %+v", v)
	}
}

func TestSaveVerdictErrors(t *testing.T) {
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain")
	writeFile(t, plain, "")
	target := filepath.Join(dir, "target")
	for _, path := range []string{target, filepath.Join(dir, "inside"), filepath.Join(dir, "inside", "elsewhere"), filepath.Join(dir, "outside")} {
		if err := os.Mkdir(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for link, to := range map[string]string{"inside/verdict": "elsewhere", "outside/verdict": target} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct{ dir, want string }{
		{dir + "/no/such", "mkdir " + dir + "/no/such: no such file or directory"},
		{plain, "open " + plain + ": not a directory"},
		{dir + "/inside", "open " + dir + "/inside/verdict: not a directory"},
		{dir + "/outside", "openat verdict: path escapes from parent"},
	} {
		err := SaveVerdict(test.dir, verdictOf("x"))
		if want := `keep the verdict of "x" in ` + test.dir + ": " + test.want; err == nil || err.Error() != want {
			t.Errorf("got %v\nwant %s", err, want)
		}
	}
	if err := SaveVerdict(dir, Verdict{}); err == nil || err.Error() != `keep the verdict of "" in `+dir+": a verdict names no check" {
		t.Errorf("no name: %v", err)
	}
	if err := SaveVerdict(dir, Verdict{Result: Result{Name: "x"}}); err == nil || !strings.HasSuffix(err.Error(), "0 is not a check status") {
		t.Errorf("no status: %v", err)
	}
	for _, path := range []string{target, filepath.Join(dir, "inside", "elsewhere")} {
		if entries, err := os.ReadDir(path); err != nil || len(entries) != 0 {
			t.Errorf("a link was followed: %v, %v", entries, err)
		}
	}
}

// TestSaveVerdictReplacesLink: what lies at the file's place is replaced, not
// written through.
func TestSaveVerdictReplacesLink(t *testing.T) {
	dir := t.TempDir()
	victim := filepath.Join(dir, "victim")
	writeFile(t, victim, "untouched")
	if err := os.Mkdir(filepath.Join(dir, "verdict"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../victim", filepath.Join(dir, "verdict", "x.json")); err != nil {
		t.Fatal(err)
	}
	if err := SaveVerdict(dir, verdictOf("x")); err != nil {
		t.Fatal(err)
	}
	if content, err := os.ReadFile(victim); err != nil || string(content) != "untouched" {
		t.Errorf("got %q, %v", content, err)
	}
	if _, err := LoadVerdict(dir, "x"); err != nil {
		t.Error(err)
	}
}

func TestSaveVerdictWithoutRoomForParts(t *testing.T) {
	dir := t.TempDir()
	v := verdictOf("x")
	v.Parts = []Result{{Name: strings.Repeat("p", maxVerdict), Status: Pass}}
	if err := SaveVerdict(dir, v); err != nil {
		t.Fatal(err)
	}
	got, err := LoadVerdict(dir, "x")
	if err != nil || len(got.Parts) != 0 || got.Reason != v.Reason {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestSaveVerdictConcurrently(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			for n := range 50 {
				v := verdictOf("x")
				v.Reason = fmt.Sprint(i, n, strings.Repeat("r", 10*n))
				if err := SaveVerdict(dir, v); err != nil {
					t.Error(err)
				}
				if _, err := LoadVerdict(dir, "x"); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	entries, err := os.ReadDir(filepath.Join(dir, "verdict"))
	if err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

// saveProcess, when set, makes TestSaveVerdictUnderKeepalivedsUmask the process
// that saveAs starts: a umask belongs to a whole process.
const saveProcess = "HACHECK_TEST_SAVE_VERDICT_IN"

func saveUnderUmask(dir string) error {
	syscall.Umask(0o177)
	v := verdictOf("x")
	v.Reason = fmt.Sprint("saved by ", os.Geteuid())
	return SaveVerdict(dir, v)
}

// saveAs runs SaveVerdict as uid under umask 0177.
func saveAs(t *testing.T, uid uint32, dir string) error {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if uid != uint32(os.Geteuid()) {
		// The test binary lies where only its builder may go.
		content, err := os.ReadFile(self)
		if err != nil {
			t.Fatal(err)
		}
		self = filepath.Join(filepath.Dir(dir), "save.test")
		if err := os.WriteFile(self, content, 0o755); err != nil && !errors.Is(err, syscall.ETXTBSY) {
			t.Fatal(err)
		}
	}
	command := exec.Command(self, "-test.run=^TestSaveVerdictUnderKeepalivedsUmask$")
	// The race detector waits a second at exit unless told not to.
	command.Env = append(os.Environ(), saveProcess+"="+dir, "GORACE=atexit_sleep_ms=0")
	command.Dir = "/"
	if uid != uint32(os.Geteuid()) {
		command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	}
	out, err := command.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

// openDir is a directory for other users, too, as t.TempDir's parents are closed
// to them.
func openDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "hacheck")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func wantMode(t *testing.T, path string, want fs.FileMode) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != want {
		t.Errorf("%s has mode %o, want %o", path, info.Mode().Perm(), want)
	}
}

func TestSaveVerdictUnderKeepalivedsUmask(t *testing.T) {
	if dir := os.Getenv(saveProcess); dir != "" {
		if err := saveUnderUmask(dir); err != nil {
			t.Fatal(err)
		}
		return
	}
	dir := filepath.Join(t.TempDir(), "run")
	for range 2 {
		if err := saveAs(t, uint32(os.Geteuid()), dir); err != nil {
			t.Fatal(err)
		}
		wantMode(t, dir, 0o755)
		wantMode(t, filepath.Join(dir, "verdict"), 0o755)
		wantMode(t, filepath.Join(dir, "verdict", "x.json"), 0o644)
		// A folder that was left without its mode is put right.
		if err := os.Chmod(filepath.Join(dir, "verdict"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestSaveVerdictTwoUsers: root and the script user take turns in one run
// directory, whoever comes first.
func TestSaveVerdictTwoUsers(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can act as two users")
	}
	const script = 65534
	for _, order := range [][]uint32{{0, script, 0, script}, {script, 0, script}} {
		dir := filepath.Join(openDir(t), "run")
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(dir, script, script); err != nil {
			t.Fatal(err)
		}
		for _, uid := range order {
			if err := saveAs(t, uid, dir); err != nil {
				t.Fatalf("%v, user %d: %v", order, uid, err)
			}
			v, err := LoadVerdict(dir, "x")
			if err != nil || v.Reason != fmt.Sprint("saved by ", uid) {
				t.Errorf("%v, user %d: %q, %v", order, uid, v.Reason, err)
			}
			wantMode(t, filepath.Join(dir, "verdict", "x.json"), 0o644)
		}
	}

	// In a directory of root's the script user is told so.
	dir := filepath.Join(openDir(t), "run")
	if err := saveAs(t, 0, dir); err != nil {
		t.Fatal(err)
	}
	err := saveAs(t, script, dir)
	if err == nil || !strings.Contains(err.Error(), `keep the verdict of "x" in `+dir+": openat .") || !strings.Contains(err.Error(), "permission denied") {
		t.Errorf("got %v", err)
	}
}

func FuzzVerdictFile(f *testing.F) {
	for _, seed := range []string{"haproxy", "../x", ".", "a~b", "\x00", strings.Repeat("é", 100)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		file, err := verdictFile(name)
		if err != nil {
			return
		}
		if len(file) > 255 || strings.ContainsAny(file, "/\x00\n") || file[0] == '.' || !strings.HasSuffix(file, ".json") {
			t.Errorf("%q gives the file name %q", name, file)
		}
	})
}

func FuzzParseVerdict(f *testing.F) {
	f.Add([]byte(`{"name":"x","status":"fail","reason":"r","parts":[{"name":"p","status":"pass","reason":""}],"time":"2026-03-01T12:00:00Z","took_ns":1}`))
	f.Add([]byte(`{"name":"x","status":""}`))
	f.Add([]byte(`[`))
	f.Fuzz(func(t *testing.T, content []byte) {
		v, err := parseVerdict(content)
		if err != nil {
			return
		}
		if strings.ContainsAny(v.Reason, "\r\n\x1b") || v.Name == "" || v.Time.IsZero() {
			t.Errorf("%q gives %+v", content, v)
		}
	})
}
