package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"hacheck/notify"
)

// mountState gives the node a state directory that is a small file system of its
// own.
func (n *node) mountState(options string) (dir string) {
	n.t.Helper()
	dir = filepath.Join(n.dir, "state")
	if err := os.Mkdir(dir, 0o750); err != nil {
		n.t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		n.t.Fatalf("mount a tmpfs: %v (run the tests as root)", err)
	}
	n.t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

// recordOnly runs a hook that is killed when its event is on disk, and nothing
// decided yet about what it is told with.
func (n *node) recordOnly(state notify.State, name string) {
	n.t.Helper()
	hook := n.command("notify", string(state), name)
	hook.Env = append(os.Environ(), killAt+"=1 put: durable")
	if err := hook.Run(); err == nil {
		n.t.Fatalf("%s %s: the hook was not killed", state, name)
	}
}

// run runs a command and gives its exit code and all it says.
func (n *node) run(args ...string) (code int, output string) {
	n.t.Helper()
	content, err := n.command(args...).CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		n.t.Fatal(err)
	}
	if exit != nil {
		code = exit.ExitCode()
	}
	return code, string(content)
}

// wantOnce fails the test unless each channel told of each instance once, and of
// no other.
func wantOnce(t *testing.T, receivers *receivers, names ...string) {
	t.Helper()
	receivers.check(t)
	slices.Sort(names)
	for _, channel := range []string{"mail", "hook"} {
		var told []string
		for name, keys := range receivers.told(channel) {
			for range keys {
				told = append(told, name)
			}
		}
		slices.Sort(told)
		if !slices.Equal(told, names) {
			t.Errorf("%s told of %q, want %q", channel, told, names)
		}
	}
}

// On a full disk a new event goes out at once, what waits goes out once, together
// or not, though one channel does not work; and nothing comes again when there is
// space.
func TestFullDiskLosesAndRepeatsNothing(t *testing.T) {
	for _, together := range []bool{false, true} {
		t.Run(fmt.Sprintf("told together before: %t", together), func(t *testing.T) {
			receivers := startReceivers(t)
			// With the default budget each hook would stay 30 s for the channel that
			// does not work.
			n := newNode(t, strings.Replace(receivers.channels("  budget: 1s\n"), "channels:", "channels:\n    - {type: journald, syslog: none}", 1))
			state := n.mountState("size=512k")
			var hookWorks, mailWorks atomic.Bool
			receivers.answerWith(func(came arrival) error {
				if came.channel == "hook" && !hookWorks.Load() || came.channel == "mail" && !mailWorks.Load() {
					return errors.New("not now")
				}
				return nil
			})
			if together {
				n.failOver(notify.Master, "VI_1", "VI_2")
			} else {
				n.recordOnly(notify.Master, "VI_1")
				n.recordOnly(notify.Master, "VI_2")
			}
			free := fillDisk(t, state)
			mailWorks.Store(true)
			for range 3 {
				if code, output := n.run("deliver", "--now"); code != 1 {
					t.Errorf("deliver on the full disk: exit code %d\n%s", code, output)
				}
			}
			if told := receivers.keys("mail"); len(told["VI_1"]) != 1 || len(told["VI_2"]) != 1 {
				t.Errorf("on the full disk mail told %v", told)
			}
			hookWorks.Store(true)
			code, output := n.run("notify", "FAULT", "VI_3")
			if code != 1 || !strings.Contains(output, "is delivered by") || !strings.Contains(output, "disk full") {
				t.Errorf("a hook on the full disk: exit code %d\n%s", code, output)
			}
			free()
			n.run("deliver", "--now")
			n.run("deliver", "--now")
			wantOnce(t, receivers, "VI_1", "VI_2", "VI_3")
		})
	}
}

// fillDisk uses up the space of a file system.
func fillDisk(t *testing.T, dir string) (free func()) {
	t.Helper()
	path := filepath.Join(dir, "ballast")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for {
		if _, err := file.Write(make([]byte, 4096)); err != nil {
			if !errors.Is(err, syscall.ENOSPC) {
				t.Fatal(err)
			}
			return func() { os.Remove(path) }
		}
	}
}

// While the spool cannot be written a new event goes out at once, and what waits
// keeps waiting: its outcome could not be kept.
func TestReadOnlySpoolLosesAndRepeatsNothing(t *testing.T) {
	receivers := startReceivers(t)
	n := newNode(t, receivers.channels(""))
	state := n.mountState("")
	n.recordOnly(notify.Master, "VI_1")
	n.recordOnly(notify.Master, "VI_2")
	remount := func(flags uintptr) {
		if err := unix.Mount("", state, "", unix.MS_REMOUNT|flags, ""); err != nil {
			t.Fatal(err)
		}
	}
	remount(unix.MS_RDONLY)
	code, output := n.run("notify", "FAULT", "VI_3")
	if code != 1 || !strings.Contains(output, "is delivered by hook, ") || !strings.Contains(output, "read-only file system") {
		t.Errorf("a hook without a spool: exit code %d\n%s", code, output)
	}
	if code, output := n.run("deliver"); code != 1 || !strings.Contains(output, "read-only file system") {
		t.Errorf("deliver: exit code %d\n%s", code, output)
	}
	wantOnce(t, receivers, "VI_3")
	remount(0)
	if code, output := n.run("deliver", "--until-empty"); code != 0 {
		t.Errorf("deliver: exit code %d\n%s", code, output)
	}
	wantOnce(t, receivers, "VI_1", "VI_2", "VI_3")
	if came := receivers.on("mail"); len(came) != 2 {
		t.Errorf("%d mails, want one at once and one for the two that waited", len(came))
	}
}

// inProcess runs the program within the test, with the clock that the test has.
func (n *node) inProcess(args ...string) (exitCode, string) {
	var output bytes.Buffer
	a := &app{stdin: strings.NewReader(""), stdout: &output, stderr: &output, started: time.Now()}
	code := a.main(append([]string{"--config", filepath.Join(n.dir, "hacheck.yaml")}, args...))
	return code, output.String()
}

// All that a node remembers is of a time to come: its clock was wrong, and has
// been set back by years. Nothing waits for the time to be there again.
func TestClockSetBackLosesAndDelaysNothing(t *testing.T) {
	receivers := startReceivers(t)
	n := newNode(t, receivers.channels(""))
	// Told, and remembered.
	n.failOver(notify.Master, "VI_1", "VI_2")
	// Waiting for others, and after a failure.
	n.recordOnly(notify.Backup, "VI_1")
	n.recordOnly(notify.Master, "VI_3")
	synctest.Test(t, func(t *testing.T) { // whose clock begins in 2000
		began := time.Now()
		if code, output := n.inProcess("notify", "FAULT", "VI_2"); code != exitHealthy {
			t.Errorf("the hook: exit code %d\n%s", code, output)
		}
		if code, output := n.inProcess("deliver", "--until-empty"); code != exitHealthy {
			t.Errorf("deliver: exit code %d\n%s", code, output)
		}
		if took := time.Since(began); took > 30*time.Second {
			t.Errorf("it took %s", took)
		}
	})
	wantOnce(t, receivers, "VI_1", "VI_1", "VI_2", "VI_2", "VI_3")
	if left := n.queued(); len(left) > 0 {
		t.Errorf("%d events still wait", len(left))
	}
}

// For an hour neither the relay nor the web server is there. Then all is told, of
// each instance in its order, and nothing twice.
func TestOutageOfAnHourLosesAndRepeatsNothing(t *testing.T) {
	receivers := &receivers{}
	mails, posts := listenLoopback(t), listenLoopback(t)
	receivers.mail, receivers.hook = mails.Addr().String(), posts.Addr().String()
	mails.Close()
	posts.Close()
	n := newNode(t, receivers.channels(""))
	states := []notify.State{notify.Backup, notify.Fault, notify.Backup, notify.Master}
	events := 0
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		for minute := 0; time.Since(began) < time.Hour; minute++ {
			if minute%5 == 0 {
				state := string(states[minute/5%len(states)])
				for _, name := range []string{"VI_1", "VI_2"} {
					if code, output := n.inProcess("notify", state, name); code != exitHealthy {
						t.Errorf("the hook: exit code %d\n%s", code, output)
					}
					events++
				}
			}
			// As the timer does it, but for a while only: the events come
			// from this goroutine.
			if code, output := n.inProcess("deliver"); code != exitUnhealthy && code != exitHealthy {
				t.Errorf("deliver: exit code %d\n%s", code, output)
			}
			time.Sleep(time.Until(began.Add(time.Duration(minute+1) * time.Minute)))
		}
	})
	if waiting := len(n.queued()); waiting != events {
		t.Errorf("%d events wait, want %d", waiting, events)
	}
	receivers.serveMail(t, listenAgain(t, receivers.mail))
	receivers.servePosts(t, listenAgain(t, receivers.hook))
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(61 * time.Minute)
		began := time.Now()
		if code, output := n.inProcess("deliver", "--until-empty"); code != exitHealthy {
			t.Errorf("deliver: exit code %d\n%s", code, output)
		}
		t.Logf("all was delivered %s after the receivers came back", time.Since(began))
	})
	if left := n.queued(); len(left) > 0 {
		t.Errorf("%d events still wait", len(left))
	}
	receivers.check(t)
	// What a mail tells of stands in the post under the same key.
	told := map[string][]notify.Event{}
	for _, came := range receivers.on("hook") {
		told[came.key] = came.notification.Events()
	}
	for _, channel := range []string{"mail", "hook"} {
		order := map[string][]notify.Event{}
		ids := map[string]int{}
		for _, came := range receivers.on(channel) {
			for _, event := range told[came.key] {
				ids[event.ID]++
				order[event.Name] = append(order[event.Name], event)
			}
		}
		for id, count := range ids {
			if count != 1 {
				t.Errorf("%s told of %s %d times", channel, id, count)
			}
		}
		if len(ids) != events {
			t.Errorf("%s told of %d events, want %d", channel, len(ids), events)
		}
		for name, events := range order {
			if !slices.IsSortedFunc(events, func(a, b notify.Event) int { return a.Time.Compare(b.Time) }) {
				t.Errorf("%s: %s is not in its order: %v", channel, name, events)
			}
		}
		t.Logf("%s: %d transitions in %d messages", channel, len(ids), len(receivers.on(channel)))
	}
	var mailed, posted []string
	for _, came := range receivers.on("mail") {
		mailed = append(mailed, came.key)
	}
	for _, came := range receivers.on("hook") {
		posted = append(posted, came.key)
	}
	slices.Sort(mailed)
	slices.Sort(posted)
	if !slices.Equal(mailed, posted) || len(slices.Compact(mailed)) != len(posted) {
		t.Errorf("mails %q, posts %q", mailed, posted)
	}
}

// A relay and a web server that say a byte at a time, without an end, do not keep
// a hook beyond its budget, which ends before they would be given up. The event
// waits for a later run.
func TestTarpitsKeepNoHookBeyondItsBudget(t *testing.T) {
	mails, posts := listenLoopback(t), listenLoopback(t)
	// Each byte is progress, and none is the last.
	for listener, greeting := range map[net.Listener]string{mails: "220-relay.test", posts: "HTTP/1.1 200 OK\r\nX-"} {
		go func() {
			for {
				conn, err := listener.Accept()
				if err != nil {
					return
				}
				go func() {
					defer conn.Close()
					_, err := io.WriteString(conn, greeting)
					for ; err == nil; time.Sleep(50 * time.Millisecond) {
						_, err = io.WriteString(conn, "x")
					}
				}()
			}
		}()
	}
	const budget, patient = 2 * time.Second, time.Minute
	host, port, _ := net.SplitHostPort(mails.Addr().String())
	n := newNode(t, fmt.Sprintf(`notify:
  budget: %[1]s
  channels:
    - {type: smtp, host: %[2]s, port: %[3]s, tls: none, from: lb@example.org, to: ops@example.org, timeout: %[4]s}
    - {type: webhook, name: hook, url: 'http://%[5]s/', timeout: %[4]s}
`, budget, host, port, patient, posts.Addr()))
	began := time.Now()
	code, output := n.run("notify", "MASTER", "VI_1")
	// What a busy machine adds is far from what the channels would take.
	if took := time.Since(began); took < budget || took > patient/2 {
		t.Errorf("the hook took %s of %s", took, budget)
	}
	if code != 0 || strings.Count(output, `msg="not delivered" channel=`) != 2 {
		t.Errorf("exit code %d\n%s", code, output)
	}
	if left := n.queued(); len(left) != 1 {
		t.Errorf("%d events wait, want 1", len(left))
	}
}
