package exec

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"hacheck/notify"
	"hacheck/notify/notifytest"
)

// folder is a directory whose path checkOwners accepts.
func folder(t *testing.T) string {
	t.Helper()
	path, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for at := path; at != os.TempDir() && at != "/"; at = filepath.Dir(at) {
		if err := os.Chmod(at, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

// script writes a shell script and returns its path.
func script(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(folder(t), "command")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func must(t *testing.T, cfg Config) *Notifier {
	t.Helper()
	if cfg.Name == "" {
		cfg.Name = "page"
	}
	n, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// wait polls until done, for as long as any machine may need.
func wait(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("no %s after 20s", what)
		}
	}
}

func TestDelivery(t *testing.T) {
	path := script(t, `cd "$(dirname "$0")" && cat >input && env | sort >environment && printf '%s\n' "$@" >arguments &&
		pwd >>arguments && touch file && mkdir directory && cat /proc/self/stat >/dev/null && echo fine`)
	at := filepath.Dir(path)
	// As keepalived starts the hook.
	before := unix.Umask(0o177)
	err := must(t, Config{Command: []string{path, "two words", "$HOME", "*"}}).Notify(t.Context(), notifytest.Notification())
	unix.Umask(before)
	if err != nil {
		t.Fatal(err)
	}
	read := func(name string) string {
		data, err := os.ReadFile(filepath.Join(at, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}

	input := read("input")
	want, err := notify.Document(notifytest.Notification(), notify.Render(notifytest.Notification(), notify.English))
	if err != nil || input != string(want)+"\n" {
		t.Errorf("standard input is\n%s, want\n%s (%v)", input, want, err)
	}
	var document struct {
		Version  int
		ID       string
		State    string
		Previous string
		Message  struct{ Subject, Text string }
	}
	if err := json.Unmarshal([]byte(input), &document); err != nil {
		t.Fatal(err)
	}
	if document.Version != 1 || document.ID != "01JQ0Z6K9W-lb1-VI-1" || document.State != "FAULT" || document.Previous != "MASTER" ||
		!strings.HasPrefix(document.Message.Subject, "[FAULT]") || document.Message.Text == "" {
		t.Errorf("the document is %+v", document)
	}
	environment := `HACHECK_EVENT_ID=01JQ0Z6K9W-lb1-VI-1
HACHECK_INSTANCE=VI_1
HACHECK_SEVERITY=critical
HACHECK_STATE=FAULT
HACHECK_STORY=transition
LANG=C.UTF-8
OLDPWD=/
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
PWD=` + at + "\n" // OLDPWD and PWD are the shell's own
	if got := read("environment"); got != environment {
		t.Errorf("environment is\n%s, want\n%s", got, environment)
	}
	if got, want := read("arguments"), "two words\n$HOME\n*\n"+at+"\n"; got != want {
		t.Errorf("arguments and directory are %q, want %q", got, want)
	}
	for name, want := range map[string]os.FileMode{"file": 0o644, "directory": os.ModeDir | 0o755} {
		info, err := os.Stat(filepath.Join(at, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != want {
			t.Errorf("the command's %s has mode %s, want %s", name, info.Mode(), want)
		}
	}
	if now := unix.Umask(before); now != before {
		t.Errorf("the umask of this process became %04o, want %04o", now, before)
	}
}

// TestExitCodes is the table of which exit codes are final.
func TestExitCodes(t *testing.T) {
	path := script(t, `exit $1`)
	final := []int{64, 65, 66, 67, 68, 77, 78}
	words := map[int]string{64: "wrong usage", 65: "bad data", 66: "no input", 67: "no such user", 68: "no such host", 75: "for now",
		77: "not permitted", 78: "bad configuration", 126: "a command in it cannot be executed", 127: "a command in it was not found"}
	for code := range 256 {
		if code > 2 && code < 60 || code > 130 && code < 250 {
			continue // as the others
		}
		err := must(t, Config{Command: []string{path, strconv.Itoa(code)}}).Notify(t.Context(), notifytest.Notification())
		if code == 0 {
			if err != nil {
				t.Error(err)
			}
			continue
		}
		want := fmt.Sprintf("exec %s: exit code %d", path, code)
		if word := words[code]; word != "" {
			want += " (" + word + ")"
		}
		if err == nil || err.Error() != want {
			t.Errorf("error is\n%v, want\n%s", err, want)
		}
		if notify.IsPermanent(err) != slices.Contains(final, code) {
			t.Errorf("%d: permanent is %t", code, notify.IsPermanent(err))
		}
	}
}

func TestFaults(t *testing.T) {
	at := folder(t)
	file := func(name, content string, mode os.FileMode) string {
		path := filepath.Join(at, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, test := range []struct{ name, path, want string }{
		{"missing", "/nowhere/command", "lstat /nowhere: no such file or directory"},
		{"a directory", at, "is not a regular file"},
		{"not executable", file("plain", "#!/bin/sh\n", 0o644), "permission denied; make it executable for this account: chmod 0755"},
		{"no first line", file("bare", "exit 0\n", 0o755), "exec format error; a script begins with #! and the path of its interpreter"},
		{"no interpreter", file("python", "#!/usr/bin/python9\n", 0o755), "no such file or directory; the interpreter its first line names is missing"},
		{"killed", script(t, "kill -9 $$"), "killed by SIGKILL"},
		{"killed with last words", script(t, "echo going down; kill -TERM $$"), `killed by SIGTERM, it said "going down"`},
		{"both outputs", script(t, "echo one; echo two >&2; printf 'three\\tfour'; exit 1"), `exit code 1, it said "one two three four"`},
		{"control characters", script(t, `printf '\033[2Jno "route"\000\377\n\n'; exit 75`), `exit code 75 (for now), it said "�[2Jno \"route\"��"`},
		{"too much", script(t, "yes 12345678 | head -n 200000; echo the reason >&2; exit 3"),
			`exit code 3, it said "…` + strings.Repeat("12345678 ", 40)[360-240+len("the reason"):] + `the reason"`},
		{"unread input", script(t, "exec <&-; exit 2"), "exit code 2"},
	} {
		t.Run(test.name, func(t *testing.T) {
			event := notifytest.Event()
			event.Notes = slices.Repeat([]string{strings.Repeat("x", 1000)}, 300) // larger than a pipe holds
			err := must(t, Config{Command: []string{test.path}}).Notify(t.Context(), notify.Notification{Event: event})
			if want := "exec " + test.path + ": " + test.want; err == nil || err.Error() != want || notify.IsPermanent(err) {
				t.Fatalf("error is\n%v, want temporary\n%s", err, want)
			}
			notifytest.CheckText(t, err, nil)
		})
	}
	t.Run("ignores its input", func(t *testing.T) {
		event := notifytest.Event()
		event.Notes = slices.Repeat([]string{strings.Repeat("x", 1000)}, 300)
		if err := must(t, Config{Command: []string{"/bin/true"}}).Notify(t.Context(), notify.Notification{Event: event}); err != nil {
			t.Error(err)
		}
	})
}

// alive tells whether a process is there and not only its remains.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, state, _ := bytes.Cut(stat, []byte(") "))
	return len(state) > 0 && state[0] != 'Z'
}

// pids waits for a file of process IDs, one a line, with count lines.
func pids(t *testing.T, path string, count int) []int {
	t.Helper()
	var numbers []int
	wait(t, "process IDs", func() bool {
		data, _ := os.ReadFile(path)
		numbers = nil
		for _, line := range strings.Fields(string(data)) {
			number, err := strconv.Atoi(line)
			if err != nil {
				t.Fatal(err)
			}
			numbers = append(numbers, number)
		}
		return len(numbers) == count && strings.HasSuffix(string(data), "\n")
	})
	return numbers
}

// slack is how long after its time Notify may return on a busy machine.
const slack = 5 * time.Second

// TestDeadline lets commands hang in every way they can.
func TestDeadline(t *testing.T) {
	for _, test := range []struct{ name, text string }{
		{"sleeps", `echo $$ >>"$0.pids"; echo waiting for the gateway; exec sleep 1000`},
		{"ignores signals", `trap '' TERM INT HUP; echo $$ >>"$0.pids"; echo waiting for the gateway; while :; do sleep 1000; done`},
		{"stops itself", `echo $$ >>"$0.pids"; echo waiting for the gateway; kill -STOP $$`},
		{"has a child that holds the output", `(trap '' TERM; echo waiting for the gateway; sleep 1000; true) & echo $! >>"$0.pids"; wait`},
		{"writes without end", `echo $$ >>"$0.pids"; yes waiting for the gateway`},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := script(t, test.text)
			n := must(t, Config{Command: []string{path}, Timeout: time.Second})
			start := time.Now()
			err := n.Notify(t.Context(), notifytest.Notification())
			if took := time.Since(start); took > time.Second+slack {
				t.Errorf("Notify took %s", took)
			}
			if !errors.Is(err, context.DeadlineExceeded) || notify.IsPermanent(err) ||
				!strings.HasPrefix(err.Error(), "exec "+path+": not done within 1s: context deadline exceeded, it said \"") || !strings.Contains(err.Error(), "waiting for the gateway") {
				t.Errorf("error is %v", err)
			}
			notifytest.CheckText(t, err, nil)
			for _, pid := range pids(t, path+".pids", 1) {
				wait(t, "end of the command", func() bool { return !alive(pid) })
			}
		})
	}
	t.Run("cancelled", func(t *testing.T) {
		path := script(t, `echo $$ >>"$0.pids"; exec sleep 1000`)
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			defer cancel()
			wait(t, "command", func() bool { _, err := os.Stat(path + ".pids"); return err == nil })
		}()
		err := must(t, Config{Command: []string{path}}).Notify(ctx, notifytest.Notification())
		if !errors.Is(err, context.Canceled) {
			t.Errorf("error is %v", err)
		}
		wait(t, "end of the command", func() bool { return !alive(pids(t, path+".pids", 1)[0]) })
	})
	t.Run("already over", func(t *testing.T) {
		path := script(t, `touch "$0.ran"`)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := must(t, Config{Command: []string{path}}).Notify(ctx, notifytest.Notification()); !errors.Is(err, context.Canceled) {
			t.Errorf("error is %v", err)
		}
		if _, err := os.Stat(path + ".ran"); err == nil {
			t.Error("the command was run")
		}
	})
}

// TestLeftBehind lets commands exit at once and leave something running.
func TestLeftBehind(t *testing.T) {
	for _, test := range []struct {
		name, text string
		killed     bool
	}{
		{"with its output", `sleep 1000 & echo $! >>"$0.pids"`, true},
		{"without its output", `sleep 1000 >/dev/null 2>&1 & echo $! >>"$0.pids"`, false},
		{"with its output in a session of its own", `setsid sleep 1000 & echo $! >>"$0.pids"`, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := script(t, test.text)
			start := time.Now()
			if err := must(t, Config{Command: []string{path}, Timeout: time.Minute}).Notify(t.Context(), notifytest.Notification()); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(start); took > slack {
				t.Errorf("Notify took %s", took)
			}
			pid := pids(t, path+".pids", 1)[0]
			t.Cleanup(func() { unix.Kill(pid, unix.SIGKILL) }) //nolint:errcheck // it may be gone
			if test.killed {
				wait(t, "end of what was left", func() bool { return !alive(pid) })
			} else if !alive(pid) {
				t.Error("what was left is gone")
			}
		})
	}
}

// TestInheritedFiles leaves a file open for children, as a careless parent of
// hacheck does.
func TestInheritedFiles(t *testing.T) {
	fd, err := unix.Open("/dev/null", unix.O_RDONLY, 0) // without O_CLOEXEC
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) }) //nolint:errcheck // only read
	path := script(t, `for fd in /proc/$$/fd/*; do echo "${fd##*/} $(readlink $fd)"; done >"$0.fds"`)
	if err := must(t, Config{Command: []string{path}}).Notify(t.Context(), notifytest.Notification()); err != nil {
		t.Fatal(err)
	}
	open, err := os.ReadFile(path + ".fds")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(open), "/dev/null") {
		t.Errorf("the command has the file %d of its grandparent; it has\n%s", fd, open)
	}
	if !strings.Contains(string(open), "pipe:") {
		t.Errorf("the command has no input:\n%s", open)
	}
}

// TestDeath kills the process that runs a command.
func TestDeath(t *testing.T) {
	if path := os.Getenv("HACHECK_TEST_COMMAND"); path != "" {
		must(t, Config{Command: []string{path}}).Notify(t.Context(), notifytest.Notification()) //nolint:errcheck // never returns
		return
	}
	path := script(t, `echo $$ >>"$0.pids"; exec sleep 1000`)
	parent := exec.Command(os.Args[0], "-test.run", "^TestDeath$")
	parent.Env = append(os.Environ(), "HACHECK_TEST_COMMAND="+path)
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	pid := pids(t, path+".pids", 1)[0]
	parent.Process.Kill() //nolint:errcheck // checked by what follows
	parent.Wait()         //nolint:errcheck // killed on purpose
	wait(t, "end of the command", func() bool { return !alive(pid) })
}

func TestOwners(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("files of other accounts can only be made by root")
	}
	const other = 4242
	at := folder(t)
	make := func(name string, mode os.FileMode, uid, gid int) string {
		path := filepath.Join(at, name)
		var err error
		if strings.HasSuffix(name, "/") {
			err = os.MkdirAll(path, 0o755)
		} else {
			err = os.WriteFile(path, []byte("#!/bin/sh\ntouch \"$0.ran\"\n"), 0o755)
		}
		for _, err := range []error{err, os.Chown(path, uid, gid), os.Chmod(path, mode)} {
			if err != nil {
				t.Fatal(err)
			}
		}
		return filepath.Clean(path)
	}
	link := func(name, target string) string {
		path := filepath.Join(at, name)
		if err := os.Symlink(target, path); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := make("good", 0o755, 0, 0)
	theirs := make("theirs", 0o755, other, 0)
	world := make("world", 0o757, 0, 0)
	group := make("group", 0o775, 0, other)
	open := make("open/", 0o777, 0, 0)
	in := make("open/command", 0o755, 0, 0)
	foreign := make("foreign/", 0o755, other, 0)
	inForeign := make("foreign/command", 0o755, 0, 0)
	loop := link("loop", "loop")
	foreignLink := link("foreign-link", good)
	if err := os.Lchown(foreignLink, other, other); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ name, path, want string }{
		{"root's", good, ""},
		{"root's group may write", make("wheel", 0o775, 0, 0), ""},
		{"in a sticky directory", filepath.Join(make("sticky/", os.ModeSticky|0o777, 0, 0), "..", "good"), ""},
		{"link", link("link", "./sticky/../good"), ""},
		{"absolute link", link("absolute", good), ""},
		{"another account's", theirs, "is not run, as " + theirs + " belongs to the account with number 4242, which could exchange it; chown it to root"},
		{"everybody's", world, "is not run, as every account may write to " + world + " (mode 0757); chmod o-w it"},
		{"a group's", group, "is not run, as the group with number 4242 may write to " + group + " (mode 0775); chmod g-w it"},
		{"in everybody's directory", in, "is not run, as every account may write to " + open + " (mode 0777); chmod o-w it"},
		{"in another's directory", inForeign, "is not run, as " + foreign + " belongs to the account with number 4242, which could exchange it; chown it to root"},
		{"link into everybody's directory", link("into", in), "is not run, as every account may write to " + open + " (mode 0777); chmod o-w it"},
		{"link to another's", link("to", theirs), "is not run, as " + theirs + " belongs to the account with number 4242, which could exchange it; chown it to root"},
		{"another's link", foreignLink, "is not run, as " + foreignLink + " belongs to the account with number 4242, which could exchange it; chown it to root"},
		{"link to itself", loop, "is behind too many symbolic links"},
		{"way through everybody's directory", filepath.Join(at, "open") + "/../good", "is not run, as every account may write to " + open + " (mode 0777); chmod o-w it"},
	} {
		t.Run(test.name, func(t *testing.T) {
			os.Remove(good + ".ran")
			n := must(t, Config{Command: []string{test.path}})
			err := n.Notify(t.Context(), notifytest.Notification())
			_, previewErr := n.Preview(notifytest.Notification())
			if test.want == "" {
				if err != nil || previewErr != nil || n.Warnings() != nil {
					t.Errorf("errors are %v and %v, warnings %q", err, previewErr, n.Warnings())
				}
				return
			}
			want := "exec " + test.path + ": " + test.want
			if err == nil || err.Error() != want || notify.IsPermanent(err) {
				t.Errorf("error is\n%v, want temporary\n%s", err, want)
			}
			if previewErr == nil || previewErr.Error() != want {
				t.Errorf("error of the preview is\n%v, want\n%s", previewErr, want)
			}
			if got := n.Warnings(); len(got) != 1 || got[0] != "command: "+test.path+": "+test.want {
				t.Errorf("warnings are %q", got)
			}
			if _, err := os.Stat(test.path + ".ran"); err == nil {
				t.Error("the command was run")
			}
		})
	}
}

func TestWarnings(t *testing.T) {
	path := script(t, "")
	if got := must(t, Config{Command: []string{path}}).Warnings(); got != nil {
		t.Errorf("warnings are %q, want none", got)
	}
	if got := must(t, Config{Command: []string{"/nowhere"}}).Warnings(); len(got) != 1 || got[0] != "command: /nowhere: lstat /nowhere: no such file or directory" {
		t.Errorf("warnings are %q", got)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if got := must(t, Config{Command: []string{path}}).Warnings(); len(got) != 1 ||
		got[0] != "command: "+path+": permission denied; make it executable for this account: chmod 0755" {
		t.Errorf("warnings are %q", got)
	}
}

func TestPreview(t *testing.T) {
	path := script(t, "touch \"$0.ran\"")
	n := must(t, Config{Command: []string{path, "--token", "s3cret-t0ken"}})
	got, err := n.Preview(notifytest.Notification())
	if err != nil {
		t.Fatal(err)
	}
	document, err := notify.Document(notifytest.Notification(), notify.Render(notifytest.Notification(), notify.English))
	if err != nil {
		t.Fatal(err)
	}
	want := "exec " + path + ` (arguments: 2, not shown; timeout: 10s)

environment:
  PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
  LANG=C.UTF-8
  HACHECK_EVENT_ID=01JQ0Z6K9W-lb1-VI-1
  HACHECK_INSTANCE=VI_1
  HACHECK_STATE=FAULT
  HACHECK_STORY=transition
  HACHECK_SEVERITY=critical

standard input:
` + string(document) + "\n"
	if got != want {
		t.Errorf("preview is\n%s, want\n%s", got, want)
	}
	if _, err := os.Stat(path + ".ran"); err == nil {
		t.Error("the preview ran the command")
	}
}

// TestSecrets gives commands a token that they repeat as they fail.
func TestSecrets(t *testing.T) {
	const token, url = "s3cret-t0ken", "https://hooks.example/T0/B0/k3y"
	for name, text := range map[string]string{
		"repeats its arguments": `echo "cannot send by $*" >&2; exit 1`,
		"repeats them for ever": `while :; do echo "$@"; done`,
		"is killed":             `echo "$@"; kill -9 $$`,
		"exits for good":        `echo "$2" "$3"; exit 78`,
		"says nothing":          `exit 0`,
	} {
		t.Run(name, func(t *testing.T) {
			command := []string{script(t, text), "-v", "--token=" + token, url, token, "/etc/gateway.conf"}
			notifytest.Secrets(t, must(t, Config{Command: command}), []string{token, url})
		})
	}
	err := must(t, Config{Command: []string{script(t, `echo "$* :/"; exit 1`), "-v", "--token=" + token, url, "/etc/gateway.conf"}}).
		Notify(t.Context(), notifytest.Notification())
	if err == nil || !strings.HasSuffix(err.Error(), `it said "-v --token=*** *** /etc/gateway.conf :/"`) {
		t.Errorf("error is %v", err)
	}
}

func TestHostileEvent(t *testing.T) {
	path := script(t, `env -0 >"$0.env"; cat >"$0.input"`)
	if err := must(t, Config{Command: []string{path}}).Notify(t.Context(), notify.Notification{Event: notifytest.Hostile()}); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path + ".env")
	if err != nil {
		t.Fatal(err)
	}
	if bytes.ContainsAny(data, "\n\r\x1b") || !utf8.Valid(data) {
		t.Errorf("environment is %q", data)
	}
	for variable := range bytes.SplitSeq(bytes.TrimRight(data, "\x00"), []byte{0}) {
		name, value, _ := strings.Cut(string(variable), "=")
		if !strings.HasPrefix(name, "HACHECK_") && name != "PATH" && name != "LANG" && name != "PWD" || utf8.RuneCountInString(value) > maxVariable {
			t.Errorf("variable %q", variable)
		}
	}
	if input, err := os.ReadFile(path + ".input"); err != nil || !json.Valid(input) || bytes.Count(input, []byte("\n")) != 1 {
		t.Errorf("standard input is %.200q (%v)", input, err)
	}
}

func TestNewErrors(t *testing.T) {
	for _, test := range []struct {
		cfg  Config
		want string
	}{
		{Config{}, "name: is missing"},
		{Config{Name: "x"}, "command: is missing; give a list: the absolute path of a program, then its arguments"},
		{Config{Name: "x", Command: []string{""}}, "command: is missing; give a list: the absolute path of a program, then its arguments"},
		{Config{Name: "x", Command: []string{"page"}}, `command[0]: "page" is not an absolute path`},
		{Config{Name: "x", Command: []string{"page --token s3cret"}}, "command[0]: is not an absolute path; give each argument as an item of its own"},
		{Config{Name: "x", Command: []string{"/page", "s3cret\x00"}}, "command[1]: holds a NUL byte"},
		{Config{Name: "x", Command: []string{"/page", strings.Repeat("x", 16<<10)}}, "command: has 16389 bytes, more than 16384"},
		{Config{Name: "x", Command: []string{"/page"}, Timeout: -1}, "timeout: -1ns is not within 0s to 5m0s"},
		{Config{Name: "x", Command: []string{"/page"}, Timeout: time.Hour}, "timeout: 1h0m0s is not within 0s to 5m0s"},
	} {
		if _, err := New(test.cfg); err == nil || err.Error() != test.want {
			t.Errorf("error is %v, want %s", err, test.want)
		}
	}
}

func FuzzEnvironment(f *testing.F) {
	f.Add("01JQ", "VI_1", "MASTER", "transition")
	f.Add("\x00\n", "a\r\nPATH=/tmp", "\xff", "\u2028")
	f.Fuzz(func(t *testing.T, id, name, state, story string) {
		event := notifytest.Event()
		event.ID, event.Name, event.State = id, name, notify.State(state)
		variables := environment(notify.Notification{Event: event, Story: notify.Story(story)})
		if len(variables) != 7 {
			t.Errorf("variables are %q", variables)
		}
		for _, variable := range variables {
			if strings.ContainsAny(variable, "\x00\r\n\x1b") || !utf8.ValidString(variable) || utf8.RuneCountInString(variable) > 300 {
				t.Errorf("variable %q", variable)
			}
		}
	})
}
