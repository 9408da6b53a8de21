package journal

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"hacheck/notify"
	"hacheck/notify/notifytest"
)

// journald is a real systemd-journald of this test's own, without systemd as
// PID 1: it lives in a mount namespace with an empty /run, and its socket is
// reached through /proc.
type journald struct {
	process *os.Process
	socket  string
	pid     int
}

// to is a journald without a syslog beside it.
func to(socket string) target { return target{socket, NoSyslog, Identifier} }

// only sends a message that has no other line for syslog.
func (to target) only(ctx context.Context, priority Priority, message string, fields map[string]string) error {
	return to.send(ctx, priority, message, message, fields)
}

// script prepares the namespace and becomes journald. kmsg and the audit
// socket are left alone.
const script = `set -e
mount --make-rprivate /
machine=$(cat /etc/machine-id 2>/dev/null || true)
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/journal /run/log/journal
[ -n "$machine" ] || { touch /etc/machine-id; echo 0123456789abcdef0123456789abcdef > /run/machine-id; mount --bind /run/machine-id /etc/machine-id; }
mkdir -p /run/systemd/journald.conf.d
printf '[Journal]\nStorage=volatile\nReadKMsg=no\nAudit=no\nForwardToSyslog=no\nRateLimitIntervalSec=0\n' > /run/systemd/journald.conf.d/test.conf
exec /lib/systemd/systemd-journald`

func startJournald(t *testing.T) *journald {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("a journald of the test's own needs root, for a mount namespace")
	}
	for _, tool := range []string{"/lib/systemd/systemd-journald", "/usr/bin/journalctl", "/usr/bin/unshare"} {
		if _, err := os.Stat(tool); err != nil {
			t.Fatalf("%s is not installed: run make test, which installs it (packages systemd and util-linux)", tool)
		}
	}
	command := exec.Command("/usr/bin/unshare", "--mount", "/bin/sh", "-c", script)
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var output bytes.Buffer
	command.Stdout, command.Stderr = &output, &output
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	j := &journald{process: command.Process, pid: command.Process.Pid}
	t.Cleanup(func() {
		j.process.Signal(syscall.SIGCONT) //nolint:errcheck // it may be gone
		j.process.Kill()                  //nolint:errcheck // it may be gone
		command.Wait()                    //nolint:errcheck // killed on purpose
		if t.Failed() {
			t.Logf("journald said: %s", output.Bytes())
		}
	})
	j.socket = fmt.Sprintf("/proc/%d/root%s", j.pid, Socket)
	wait(t, "journald's socket", func() bool {
		conn, err := net.Dial("unixgram", j.socket)
		if err == nil {
			conn.Close()
		}
		// Before the namespace is made, /proc leads to this machine's own.
		comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", j.pid))
		return err == nil && strings.HasPrefix(string(comm), "systemd-journal")
	})
	return j
}

// wait polls until done or the test has waited for long enough on any machine.
func wait(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("no %s after 20s", what)
		}
	}
}

// entry waits for the journal's entry with a field of a value.
func (j *journald) entry(t *testing.T, name, value string) map[string]any {
	t.Helper()
	var found map[string]any
	wait(t, "entry "+name+"="+value, func() bool {
		found = nil
		out, err := exec.Command("/usr/bin/journalctl", "-D", fmt.Sprintf("/proc/%d/root/run/log/journal", j.pid),
			"--all", "--no-pager", "-o", "json", name+"="+value).Output()
		if err != nil {
			return false
		}
		decoder := json.NewDecoder(bytes.NewReader(out))
		for decoder.Decode(&found) == nil {
		}
		return found != nil
	})
	return found
}

func TestRealJournald(t *testing.T) {
	j := startJournald(t)
	n, err := New(Config{Name: "journal", Socket: j.socket, Syslog: NoSyslog})
	if err != nil {
		t.Fatal(err)
	}

	t.Run("event", func(t *testing.T) {
		event := notifytest.Event()
		if err := n.Notify(t.Context(), notify.Notification{Event: event}); err != nil {
			t.Fatal(err)
		}
		entry := j.entry(t, "HACHECK_EVENT_ID", event.ID)
		for name, want := range map[string]string{
			"MESSAGE":           notify.Title(notify.Notification{Event: event}, notify.English),
			"MESSAGE_ID":        TransitionID,
			"PRIORITY":          "2",
			"SYSLOG_IDENTIFIER": "hacheck",
			"_TRANSPORT":        "journal",
			"HACHECK_INSTANCE":  "VI_1",
			"HACHECK_KIND":      "INSTANCE",
			"HACHECK_STATE":     "FAULT",
			"HACHECK_PREVIOUS":  "MASTER",
			"HACHECK_PRIORITY":  "105",
			"HACHECK_VRID":      "51",
			"HACHECK_INTERFACE": "eth0",
			"HACHECK_HOST":      "lb1.example.com",
			"HACHECK_ROUTER_ID": "LVS_LB1",
			"HACHECK_TIME":      "2025-03-02T14:05:06.789+08:00",
			"HACHECK_VIPS":      "192.0.2.10/24 eth0 present, 2001:db8::10/64 eth0 absent",
			"HACHECK_STATUS":    "fail",
			"HACHECK_REASON":    event.Verdict.Reason,
			"HACHECK_BACKENDS":  "up: web api; down: mysql",
			"HACHECK_NOTES":     "the configuration of the peer is not known",
			"HACHECK_TEXT":      notify.Render(notify.Notification{Event: event}, notify.English).Text,
		} {
			if got := entry[name]; got != want {
				t.Errorf("%s is %q, want %q", name, got, want)
			}
		}
		if _, ok := entry["HACHECK_MEMBERS"]; ok {
			t.Error("a field without a value was written")
		}
	})

	t.Run("hostile names", func(t *testing.T) {
		event := notifytest.Hostile()
		event.ID = "hostile"
		if err := n.Notify(t.Context(), notify.Notification{Event: event}); err != nil {
			t.Fatal(err)
		}
		entry := j.entry(t, "HACHECK_EVENT_ID", "hostile")
		if entry["PRIORITY"] == "0" {
			t.Error("the name set the priority")
		}
		if got := fmt.Sprint(entry["SYSLOG_IDENTIFIER"]); got != "hacheck" {
			t.Errorf("SYSLOG_IDENTIFIER is %q", got)
		}
		for name := range entry {
			if strings.HasPrefix(name, "Bcc") || strings.HasPrefix(name, "X-") || name == "QUIT" {
				t.Errorf("field %s was injected", name)
			}
		}
	})

	t.Run("larger than a datagram", func(t *testing.T) {
		large := strings.Repeat("long line é\n", 50_000)
		if err := to(j.socket).only(t.Context(), Info, "large", map[string]string{"HACHECK_LARGE": large, "HACHECK_CASE": "large"}); err != nil {
			t.Fatal(err)
		}
		if got := j.entry(t, "HACHECK_CASE", "large")["HACHECK_LARGE"]; got != large {
			t.Errorf("the field came back with %d bytes, want %d", len(fmt.Sprint(got)), len(large))
		}
	})

	t.Run("frozen", func(t *testing.T) {
		if err := j.process.Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		defer j.process.Signal(syscall.SIGCONT) //nolint:errcheck // cleaned up below in any case
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		sent := 0
		for ; ; sent++ {
			short, done := context.WithTimeout(ctx, 300*time.Millisecond)
			start := time.Now()
			err := to(j.socket).only(short, Info, "frozen "+strconv.Itoa(sent), nil)
			done()
			if ctx.Err() != nil {
				t.Fatalf("journald still took messages after %d", sent)
			}
			if err == nil {
				continue
			}
			if !errors.Is(err, context.DeadlineExceeded) || notify.IsPermanent(err) {
				t.Errorf("error is %v, want a temporary context.DeadlineExceeded", err)
			}
			if took := time.Since(start); took > 3*time.Second {
				t.Errorf("the attempt took %s, want about 300ms", took)
			}
			break
		}
		t.Logf("a frozen journald took %d messages", sent)
		if err := n.Notify(t.Context(), notifytest.Notification()); err == nil || !strings.HasSuffix(err.Error(), ": took no message within 2s: context deadline exceeded") {
			t.Errorf("error is %v", err)
		}
		// Thawed in the middle of an attempt, the message arrives.
		got := make(chan error, 1)
		go func() {
			got <- to(j.socket).only(t.Context(), Info, "thawed", map[string]string{"HACHECK_CASE": "thawed"})
		}()
		if err := j.process.Signal(syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		if err := <-got; err != nil {
			t.Fatal(err)
		}
		j.entry(t, "HACHECK_CASE", "thawed")
	})

	t.Run("killed", func(t *testing.T) {
		// Keeps the namespace's /run in reach after journald is gone.
		root, err := os.Open(fmt.Sprintf("/proc/%d/root/run/systemd/journal", j.pid))
		if err != nil {
			t.Fatal(err)
		}
		defer root.Close()
		socket := fmt.Sprintf("/proc/self/fd/%d/socket", root.Fd())
		if err := j.process.Kill(); err != nil {
			t.Fatal(err)
		}
		wait(t, "refusal", func() bool {
			err = to(socket).only(t.Context(), Info, "gone", nil)
			return err != nil
		})
		if !errors.Is(err, unix.ECONNREFUSED) || !strings.HasSuffix(err.Error(), "connection refused; journald is stopped") {
			t.Errorf("error is %v, want ECONNREFUSED with its meaning", err)
		}
	})
}

// listen is a journald that takes datagrams and leaves them unread.
func listen(t *testing.T) (*net.UnixConn, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "socket")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn, path
}

func TestStalledReader(t *testing.T) {
	_, path := listen(t)
	fill := func() error {
		for {
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			err := to(path).only(ctx, Info, "x", nil)
			cancel()
			if err != nil {
				return err
			}
		}
	}
	if err := fill(); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("error is %v", err)
	}
	t.Run("cancel", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		timer := time.AfterFunc(100*time.Millisecond, cancel)
		defer timer.Stop()
		if err := to(path).only(ctx, Info, "x", nil); !errors.Is(err, context.Canceled) {
			t.Errorf("error is %v, want context.Canceled", err)
		}
	})
	t.Run("large message", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		if err := to(path).only(ctx, Info, strings.Repeat("x", 1<<20), nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error is %v, want context.DeadlineExceeded", err)
		}
	})
	t.Run("no deadline of its own", func(t *testing.T) {
		var usage [2]unix.Rusage
		unix.Getrusage(unix.RUSAGE_SELF, &usage[0]) //nolint:errcheck // cannot fail for oneself
		err := to(path).only(t.Context(), Info, "x", nil)
		unix.Getrusage(unix.RUSAGE_SELF, &usage[1]) //nolint:errcheck // cannot fail for oneself
		if err == nil || !strings.HasSuffix(err.Error(), ": took no message within 1s: context deadline exceeded") {
			t.Errorf("error is %v", err)
		}
		// Waiting must not be spinning.
		used := time.Duration(usage[1].Utime.Nano()+usage[1].Stime.Nano()-usage[0].Utime.Nano()-usage[0].Stime.Nano()) * time.Nanosecond
		if used > 500*time.Millisecond {
			t.Errorf("one second of waiting took %s of CPU", used)
		}
	})
}

func TestNoJournald(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	n, err := New(Config{Name: "journal", Socket: path, Syslog: NoSyslog})
	if err != nil {
		t.Fatal(err)
	}
	err = n.Notify(t.Context(), notifytest.Notification())
	want := "journal " + path + ": connect: no such file or directory; no journald runs here"
	if err == nil || err.Error() != want || notify.IsPermanent(err) || !errors.Is(err, unix.ENOENT) {
		t.Errorf("error is %v, want temporary %s", err, want)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := n.Notify(ctx, notifytest.Notification()); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v, want context.Canceled", err)
	}
}

func TestNewErrors(t *testing.T) {
	for _, test := range []struct {
		cfg  Config
		want string
	}{
		{Config{}, "name: is missing"},
		{Config{Name: "j", Socket: "run/socket"}, `socket: "run/socket" is not an absolute path`},
		{Config{Name: "j", Syslog: "dev/log"}, `syslog: "dev/log" is not an absolute path, nor none`},
		{Config{Name: "j", Identifier: "ha check"}, `identifier: "ha check" has characters other than letters, digits, '-', '_' and '.', or more than 32`},
		{Config{Name: "j", Timeout: -1}, "timeout: -1ns is not within 0s to 1m0s"},
		{Config{Name: "j", Timeout: time.Hour}, "timeout: 1h0m0s is not within 0s to 1m0s"},
	} {
		if _, err := New(test.cfg); err == nil || err.Error() != test.want {
			t.Errorf("error is %v, want %s", err, test.want)
		}
	}
}

func TestInvalidFields(t *testing.T) {
	_, path := listen(t)
	for _, name := range []string{"", "lower", "_TRUSTED", "1ST", "MESSAGE", "PRIORITY", "SYSLOG_IDENTIFIER", "A=B", "A\nB", strings.Repeat("A", 65)} {
		err := to(path).only(t.Context(), Info, "x", map[string]string{name: "v"})
		if want := fmt.Sprintf("journal: %q is not the name of a journal field", name); err == nil || err.Error() != want {
			t.Errorf("error is %v, want %s", err, want)
		}
	}
	if err := to(path).only(t.Context(), 8, "x", nil); err == nil || err.Error() != "journal: priority 8 is not within 0 to 7" {
		t.Errorf("error is %v", err)
	}
}

// decode reads the native protocol as its description says, for the tests.
func decode(data []byte) (map[string]string, error) {
	fields := make(map[string]string)
	for len(data) > 0 {
		line, rest, found := bytes.Cut(data, []byte("\n"))
		if !found {
			return nil, io.ErrUnexpectedEOF
		}
		name, value, inline := strings.Cut(string(line), "=")
		data = rest
		if !inline {
			if len(data) < 8 {
				return nil, io.ErrUnexpectedEOF
			}
			size := binary.LittleEndian.Uint64(data)
			data = data[8:]
			if size >= uint64(len(data)) || data[size] != '\n' {
				return nil, io.ErrUnexpectedEOF
			}
			value, data = string(data[:size]), data[size+1:]
		}
		if _, twice := fields[name]; twice {
			return nil, fmt.Errorf("field %s comes twice", name)
		}
		fields[name] = value
	}
	return fields, nil
}

func FuzzEncode(f *testing.F) {
	f.Add("message", "HACHECK_A", "value")
	f.Add("two\nlines", "HACHECK_A", "\nPRIORITY=0\n")
	f.Add("\xff\x00", "MESSAGE", "=")
	f.Fuzz(func(t *testing.T, message, name, value string) {
		data, err := encode(Identifier, Notice, message, map[string]string{name: value})
		if err != nil {
			if validName(name) {
				t.Errorf("field %q: %v", name, err)
			}
			return
		}
		fields, err := decode(data)
		if err != nil {
			t.Fatalf("%q does not decode: %v", data, err)
		}
		if len(fields) != 4 || fields["PRIORITY"] != "5" || fields["SYSLOG_IDENTIFIER"] != Identifier {
			t.Errorf("fields are %q", fields)
		}
		if utf8.ValidString(message) && utf8.ValidString(value) && (fields["MESSAGE"] != message || fields[name] != value) {
			t.Errorf("fields are %q, want %q and %q", fields, message, value)
		}
	})
}

func BenchmarkSend(b *testing.B) {
	path := filepath.Join(b.TempDir(), "socket")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	go io.Copy(io.Discard, conn) //nolint:errcheck // ends with the benchmark
	for b.Loop() {
		if err := to(path).only(b.Context(), Info, "a verdict changed", nil); err != nil {
			b.Fatal(err)
		}
	}
}
