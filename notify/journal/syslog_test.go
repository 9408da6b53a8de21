package journal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"hacheck/notify"
	"hacheck/notify/notifytest"
)

// rsyslogConfig sets up a syslog daemon that listens at one socket of its own,
// apart from any of this machine, and tells all it made of each line.
const rsyslogConfig = `module(load="imuxsock" SysSock.Use="off")
input(type="imuxsock" Socket="%[1]s/log" CreatePath="off")
template(name="all" type="string" string="%%syslogfacility-text%%.%%syslogseverity-text%%|%%programname%%|%%procid%%|%%timegenerated:::date-rfc3339%%|%%timereported:::date-rfc3339%%|%%msg%%\n")
*.* action(type="omfile" file="%[1]s/messages" template="all")
`

// startRsyslog runs rsyslog for the length of the test. It returns its folder,
// with its socket log and its file messages, and its process.
func startRsyslog(t *testing.T) (string, *os.Process) {
	t.Helper()
	const daemon = "/usr/sbin/rsyslogd"
	if _, err := os.Stat(daemon); err != nil {
		t.Fatalf("%s is not installed: run make test, which installs it (package rsyslog)", daemon)
	}
	folder := t.TempDir()
	if err := os.WriteFile(folder+"/conf", fmt.Appendf(nil, rsyslogConfig, folder), 0o644); err != nil {
		t.Fatal(err)
	}
	command := exec.Command(daemon, "-n", "-f", folder+"/conf", "-i", folder+"/pid")
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var output bytes.Buffer
	command.Stdout, command.Stderr = &output, &output
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		command.Process.Kill() //nolint:errcheck // it may be gone
		command.Wait()         //nolint:errcheck // killed on purpose
		if t.Failed() {
			t.Logf("rsyslogd said: %s", output.Bytes())
		}
	})
	wait(t, "rsyslog's socket", func() bool {
		conn, err := net.Dial("unixgram", folder+"/log")
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	return folder, command.Process
}

func TestRealSyslog(t *testing.T) {
	folder, daemon := startRsyslog(t)
	nowhere := filepath.Join(t.TempDir(), "socket")
	lines := func(count int) []string {
		var all []string
		wait(t, "lines of syslog", func() bool {
			data, _ := os.ReadFile(folder + "/messages")
			all = strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
			return len(data) > 0 && len(all) >= count
		})
		return all
	}
	for i, language := range []notify.Language{notify.English, notify.SimplifiedChinese} {
		n, err := New(Config{Name: "journal", Socket: nowhere, Syslog: folder + "/log", Style: notify.Style{Language: language}})
		if err != nil {
			t.Fatal(err)
		}
		if err := n.Notify(t.Context(), notifytest.Notification()); err != nil {
			t.Fatal(err)
		}
		fields := strings.SplitN(lines(i + 1)[i], "|", 6)
		want := " " + notify.Title(notifytest.Notification(), language) + " [event 01JQ0Z6K9W-lb1-VI-1]"
		if fields[0] != "daemon.crit" || fields[1] != "hacheck" || fields[2] != fmt.Sprint(os.Getpid()) || fields[5] != want {
			t.Errorf("syslog has\n%q, want the message\n%q", fields, want)
		}
		generated, err := time.Parse(time.RFC3339, fields[3])
		reported, reportedErr := time.Parse(time.RFC3339, fields[4])
		if err != nil || reportedErr != nil || generated.Sub(reported).Abs() > 10*time.Second {
			t.Errorf("syslog has the times %s and %s", fields[3], fields[4])
		}
	}
	t.Run("a message of its own", func(t *testing.T) {
		to := target{nowhere, folder + "/log", Identifier}
		if err := to.only(t.Context(), Warning, "the verdict changed\nto fail", nil); err != nil {
			t.Fatal(err)
		}
		if got := lines(3)[2]; !strings.HasPrefix(got, "daemon.warning|hacheck|") || !strings.HasSuffix(got, "| the verdict changed to fail") {
			t.Errorf("syslog has %q", got)
		}
	})
	t.Run("both gone", func(t *testing.T) {
		daemon.Kill() //nolint:errcheck // checked by what follows
		n, err := New(Config{Name: "journal", Socket: nowhere, Syslog: folder + "/log"})
		if err != nil {
			t.Fatal(err)
		}
		wait(t, "refusal", func() bool {
			err = n.Notify(t.Context(), notifytest.Notification())
			return err != nil
		})
		want := "journal " + nowhere + ": connect: no such file or directory; no journald runs here; and syslog " + folder + "/log: connect: connection refused"
		if err.Error() != want || notify.IsPermanent(err) || !errors.Is(err, unix.ENOENT) || !errors.Is(err, unix.ECONNREFUSED) {
			t.Errorf("error is\n%v, want temporary\n%s", err, want)
		}
	})
}

// syslogAt is a syslog daemon that takes datagrams; what it got is read by the
// function.
func syslogAt(t *testing.T, path string) func() string {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return func() string {
		t.Helper()
		conn.SetReadDeadline(time.Now().Add(10 * time.Second)) //nolint:errcheck // the read tells
		buffer := make([]byte, 64<<10)
		n, err := conn.Read(buffer)
		if err != nil {
			t.Fatal(err)
		}
		return string(buffer[:n])
	}
}

// lineOf is what the tests' message looks like to syslog.
var lineOf = regexp.MustCompile(`^<28>[A-Z][a-z]{2} [ 0-9][0-9] [0-9:]{8} hacheck\[[0-9]+\]: hello$`)

// fill makes a socket take no more.
func fill(t *testing.T, socket string) {
	t.Helper()
	for {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		err := to(socket).only(ctx, Info, "x", nil)
		cancel()
		if err != nil {
			return
		}
	}
}

func TestSyslogAtHand(t *testing.T) {
	t.Run("journald frozen", func(t *testing.T) {
		_, frozen := listen(t)
		fill(t, frozen)
		path := filepath.Join(t.TempDir(), "log")
		read := syslogAt(t, path)
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		if err := (target{frozen, path, Identifier}).only(ctx, Warning, "hello", nil); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took < 900*time.Millisecond {
			t.Errorf("journald had %s of 2s", took)
		}
		if got := read(); !lineOf.MatchString(got) {
			t.Errorf("syslog got %q", got)
		}
	})
	t.Run("both frozen", func(t *testing.T) {
		_, frozen := listen(t)
		fill(t, frozen)
		path := filepath.Join(t.TempDir(), "log")
		syslogAt(t, path)
		fill(t, path)
		err := (target{frozen, path, Identifier}).only(t.Context(), Warning, "hello", nil)
		want := fmt.Sprintf("journal %s: took no message within 500ms: context deadline exceeded; and syslog %s: took no message within 1s: context deadline exceeded", frozen, path)
		if err == nil || err.Error() != want || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error is\n%v, want\n%s", err, want)
		}
	})
	t.Run("listens for connections", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "log")
		listener, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		if err := (target{"/nowhere/socket", path, Identifier}).only(t.Context(), Warning, "hello", nil); err != nil {
			t.Fatal(err)
		}
		conn, err := listener.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if got, err := io.ReadAll(conn); err != nil || !lineOf.Match(bytes.TrimSuffix(got, []byte("\n"))) || !bytes.HasSuffix(got, []byte("\n")) {
			t.Errorf("syslog got %q (%v)", got, err)
		}
	})
	t.Run("cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		path := filepath.Join(t.TempDir(), "log")
		if err := (target{"/nowhere/socket", path, Identifier}).only(ctx, Warning, "hello", nil); !errors.Is(err, context.Canceled) {
			t.Errorf("error is %v", err)
		}
	})
}

// TestJournaldsOwnSyslogSocket has the sockets of a machine with systemd.
func TestJournaldsOwnSyslogSocket(t *testing.T) {
	machine := func(t *testing.T) (run, dev string) {
		run, dev = t.TempDir(), t.TempDir()
		if err := os.Symlink(run+"/dev-log", dev+"/log"); err != nil {
			t.Fatal(err)
		}
		return run, dev
	}
	send := func(t *testing.T, run, dev string) error {
		return target{run + "/socket", dev + "/log", Identifier}.only(t.Context(), Warning, "hello", nil)
	}
	ownSocket := func(run, dev string) string {
		return "journal " + run + "/socket: connect: no such file or directory; no journald runs here; and syslog " + dev +
			"/log: is journald's own socket " + run + "/dev-log, and no syslog daemon listens at " + run + "/syslog"
	}
	t.Run("with its socket left", func(t *testing.T) {
		run, dev := machine(t)
		syslogAt(t, run+"/dev-log") // open, as systemd keeps it, and read by nobody
		if err := send(t, run, dev); err == nil || err.Error() != ownSocket(run, dev) {
			t.Errorf("error is\n%v, want\n%s", err, ownSocket(run, dev))
		}
	})
	t.Run("with the link left", func(t *testing.T) {
		run, dev := machine(t)
		if err := send(t, run, dev); err == nil || err.Error() != ownSocket(run, dev) {
			t.Errorf("error is\n%v, want\n%s", err, ownSocket(run, dev))
		}
	})
	t.Run("with the daemon behind it", func(t *testing.T) {
		run, dev := machine(t)
		syslogAt(t, run+"/dev-log")
		read := syslogAt(t, run+"/syslog")
		if err := send(t, run, dev); err != nil {
			t.Fatal(err)
		}
		if got := read(); !lineOf.MatchString(got) {
			t.Errorf("syslog got %q", got)
		}
	})
	t.Run("the same socket by another name", func(t *testing.T) {
		run, dev := machine(t)
		syslogAt(t, run+"/dev-log")
		for _, err := range []error{os.Remove(dev + "/log"), os.Link(run+"/dev-log", dev+"/log")} {
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := send(t, run, dev); err == nil || err.Error() != ownSocket(run, dev) {
			t.Errorf("error is\n%v, want\n%s", err, ownSocket(run, dev))
		}
	})
	t.Run("a daemon of its own", func(t *testing.T) {
		run, dev := machine(t)
		syslogAt(t, run+"/dev-log")
		if err := os.Remove(dev + "/log"); err != nil {
			t.Fatal(err)
		}
		read := syslogAt(t, dev+"/log")
		if err := send(t, run, dev); err != nil {
			t.Fatal(err)
		}
		if got := read(); !lineOf.MatchString(got) {
			t.Errorf("syslog got %q", got)
		}
	})
}

func TestPreview(t *testing.T) {
	n, err := New(Config{Name: "journal"})
	if err != nil {
		t.Fatal(err)
	}
	notification := notifytest.Notification()
	notification.RunbookURL = "https://wiki.example/lb"
	notification.Maintenance = &notify.Maintenance{Until: notification.Time.Add(time.Hour), Reason: "kernel"}
	got, err := n.Preview(notification)
	if err != nil {
		t.Fatal(err)
	}
	notifytest.CheckPreview(t, got, nil)
	title := notify.Title(notification, notify.English)
	for _, want := range []string{
		"journal /run/systemd/journal/socket\n\nDOCUMENTATION=https://wiki.example/lb\nHACHECK_BACKENDS=up: web api; down: mysql\n",
		"\nHACHECK_MAINTENANCE=until 2025-03-02T15:05:06+08:00 kernel\n", "\nHACHECK_TEXT=\n  ",
		"\nMESSAGE=" + title + "\nMESSAGE_ID=" + TransitionID + fmt.Sprintf("\nPRIORITY=%d", priority(notification)) + "\nSYSLOG_IDENTIFIER=hacheck\n",
		"\n\nif journald does not take it, syslog /dev/log\n\n" + title + " [event 01JQ0Z6K9W-lb1-VI-1]\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("preview has no\n%q:\n%s", want, got)
		}
	}
	notification.Story = notify.Test
	if got, err := n.Preview(notification); err != nil || strings.Contains(got, TransitionID) || !strings.Contains(got, "HACHECK_STORY=test\n") {
		t.Errorf("preview of a test is\n%s (%v)", got, err)
	}
}

// TestSecrets is the test all channels share. This one has no secret; what it
// says is held to the same form.
func TestSecrets(t *testing.T) {
	_, frozen := listen(t)
	fill(t, frozen)
	for _, cfg := range []Config{
		{Socket: frozen}, {Socket: frozen, Syslog: NoSyslog}, {Socket: "/nowhere/socket", Syslog: "/nowhere/log"},
	} {
		cfg.Name = "journal"
		if cfg.Syslog == "" {
			cfg.Syslog = filepath.Join(t.TempDir(), "log")
			syslogAt(t, cfg.Syslog)
		}
		n, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		notifytest.Secrets(t, n, []string{"s3cret"})
	}
}

func FuzzSyslogLine(f *testing.F) {
	f.Add("hello")
	f.Add("two\nlines\x00<0>")
	f.Add(strings.Repeat("长", 350))
	now := time.Date(2025, 3, 2, 14, 5, 6, 0, time.UTC)
	f.Fuzz(func(t *testing.T, message string) {
		line := syslogLine(Identifier, Warning, message, now)
		if len(line) > maxLine || !utf8.Valid(line) || bytes.ContainsAny(line, "\n\r\x00\x1b") || !bytes.HasPrefix(line, []byte("<28>")) {
			t.Errorf("%q becomes %q (%d bytes)", message, line, len(line))
		}
	})
}
