package spool

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"hacheck/notify"
)

// childRole is the variable that makes the test binary another process of the
// same spool; its arguments are key=value words in childArgs.
const (
	childRole = "SPOOL_TEST_CHILD"
	childArgs = "SPOOL_TEST_ARGS"
)

// child is the other process. It prints what it achieved, line by line.
func child(role string) int {
	args := make(map[string]string)
	for word := range strings.FieldsSeq(os.Getenv(childArgs)) {
		key, value, _ := strings.Cut(word, "=")
		args[key] = value
	}
	syscall.Umask(0o177) // keepalived's
	spool, err := Open(args["dir"])
	if err != nil {
		fmt.Println(err)
		return 1
	}
	if step := args["kill"]; step != "" {
		left, _ := strconv.Atoi(args["nth"])
		var mu sync.Mutex
		spool.step = func(name string) {
			mu.Lock()
			defer mu.Unlock()
			if strings.ReplaceAll(name, " ", "_") != step {
				return
			}
			if left--; left <= 0 {
				syscall.Kill(os.Getpid(), syscall.SIGKILL)
				select {} // the signal is on its way
			}
		}
	}
	channels := []notify.Notifier{
		&peerChannel{name: "mail", address: args["peer"]},
		&peerChannel{name: "hook", address: args["peer"]},
	}
	policy := Policy{IgnoreBackoff: args["now"] != ""}
	switch role {
	case "open":
	case "put":
		if err := spool.Put(event(args["event"], 0)); err != nil {
			fmt.Println(err)
			return 1
		}
		fmt.Println("put " + event(args["event"], 0).ID)
	case "drain":
		report, err := spool.Drain(context.Background(), channels, policy)
		fmt.Printf("delivered %d, remaining %d, busy %v, warnings %v, set aside %v, error %v\n",
			report.Delivered, report.Remaining, report.Busy, report.Warnings, report.SetAside, err)
	case "hooks": // many hooks side by side in one process
		count, _ := strconv.Atoi(args["count"])
		var hooks sync.WaitGroup
		var mu sync.Mutex
		for n := range count {
			hooks.Go(func() {
				e := event(args["event"], n)
				if err := spool.Put(e); err != nil {
					fmt.Println(err)
					return
				}
				mu.Lock()
				fmt.Println("put " + e.ID)
				mu.Unlock()
				if report, err := spool.Drain(context.Background(), channels, policy); err != nil || len(report.Warnings) > 0 {
					fmt.Println("drain:", err, report.Warnings)
				}
			})
		}
		hooks.Wait()
	}
	return 0
}

// account is who runs a child.
type account *syscall.Credential

var (
	asRoot   account
	asNobody account = &syscall.Credential{Uid: 61234, Gid: 61234}
)

func startChild(t *testing.T, who account, role string, args ...string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if who != nil {
		binary = readableBinary(t, binary)
	}
	cmd := exec.Command(binary)
	cmd.Env = append(os.Environ(), childRole+"="+role, childArgs+"="+strings.Join(args, " "))
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: who}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, &out
}

func runChild(t *testing.T, who account, role string, args ...string) string {
	t.Helper()
	cmd, out := startChild(t, who, role, args...)
	cmd.Wait() // the output says how it went
	return out.String()
}

// readableBinary copies the test binary to where another account can run it.
func readableBinary(t *testing.T, binary string) string {
	t.Helper()
	to := filepath.Join(openToAll(t), "spool.test")
	data, err := os.ReadFile(binary)
	if err == nil {
		err = errors.Join(os.WriteFile(to, data, 0o755), os.Chmod(to, 0o755))
	}
	if err != nil {
		t.Fatal(err)
	}
	return to
}

// peer is the receiver of what the channels of all processes send, on a real
// socket: it outlives them and counts.
type peer struct {
	address string

	mu      sync.Mutex
	got     []string // "channel ID"
	refused string
}

func newPeer(t *testing.T) *peer {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{address: listener.Addr().String()}
	var connections sync.WaitGroup
	connections.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			connections.Go(func() { p.serve(conn) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		connections.Wait()
	})
	return p
}

func (p *peer) serve(conn net.Conn) {
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return // killed before it sent all
	}
	line = strings.TrimSpace(line)
	p.mu.Lock()
	name, _, _ := strings.Cut(line, " ")
	answer := "refused\n"
	if name != p.refused {
		p.got = append(p.got, line)
		answer = "ok\n"
	}
	p.mu.Unlock()
	io.WriteString(conn, answer)
}

// refuse makes the peer refuse one channel; empty for none.
func (p *peer) refuse(channel string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refused = channel
}

func (p *peer) channel(name string) notify.Notifier {
	return &peerChannel{name: name, address: p.address}
}

// count says how often each event came on a channel.
func (p *peer) count(channel string) map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	counts := make(map[string]int)
	for _, line := range p.got {
		if id, ok := strings.CutPrefix(line, channel+" "); ok {
			counts[id]++
		}
	}
	return counts
}

type peerChannel struct{ name, address string }

func (c *peerChannel) Name() string { return c.name }

func (c *peerChannel) Notify(ctx context.Context, event notify.Notification) error {
	if c.name == "hook" && event.Name == "VI_refused" {
		return &notify.PermanentError{Err: errors.New("410 gone")}
	}
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", c.address)
	if err != nil {
		return err
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		conn.SetDeadline(deadline)
	}
	if _, err := fmt.Fprintf(conn, "%s %s\n", c.name, event.ID); err != nil {
		return err
	}
	answer, err := bufio.NewReader(io.LimitReader(conn, 64)).ReadString('\n')
	if err != nil {
		return err
	}
	if answer != "ok\n" {
		return errors.New(strings.TrimSpace(answer))
	}
	return nil
}

// ageTmp makes what a killed process left in tmp look a while old.
func ageTmp(t *testing.T, spool *Spool) {
	t.Helper()
	names, err := spool.names(tmpDir)
	if err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-2 * tmpAge)
	for _, name := range names {
		if err := os.Chtimes(spool.path(tmpDir+"/"+name), old, old); err != nil {
			t.Fatal(err)
		}
	}
}

// steps notes every step that a whole life of some events passes, so that no
// step is left out of the crash test when one is added.
func steps(t *testing.T) (put, drained []string) {
	spool := open(t, t.TempDir())
	var mu sync.Mutex
	note := func(list *[]string) func(string) {
		return func(name string) {
			mu.Lock()
			defer mu.Unlock()
			if !slices.Contains(*list, name) {
				*list = append(*list, name)
			}
		}
	}
	peer := newPeer(t)
	spool.step = note(&put)
	for _, e := range crashEvents() {
		if err := spool.Put(e); err != nil {
			t.Fatal(err)
		}
	}
	spool.step = note(&drained)
	drain(t, spool, Policy{}, peer.channel("mail"), peer.channel("hook"))
	return put, drained
}

// crashEvents are delivered, but for one that is refused for good on one
// channel.
func crashEvents() []notify.Event {
	return []notify.Event{event("VI_1", 1), event("VI_refused", 2), event("VI_1", 3), event("VI_2", 4)}
}

func TestKilledAtEveryStepOfPut(t *testing.T) {
	atSteps, _ := steps(t)
	want := []string{"put: created", "put: written", "put: synced", "put: renamed", "put: durable"}
	if !slices.Equal(atSteps, want) {
		t.Fatalf("Put passes %q, want %q", atSteps, want)
	}
	for n, step := range atSteps {
		t.Run(step, func(t *testing.T) {
			dir, peer := t.TempDir(), newPeer(t)
			out := runChild(t, asRoot, "put", "dir="+dir, "event=VI_1", "kill="+strings.ReplaceAll(step, " ", "_"), "nth=1")
			if out != "" {
				t.Fatalf("the process was not killed: %s", out)
			}
			spool := open(t, dir)
			ageTmp(t, spool)
			for range 2 {
				drain(t, spool, Policy{}, peer.channel("mail"))
			}
			// Before the first byte is written there is nothing to deliver.
			want := 1
			if n < 1 {
				want = 0
			}
			if got := peer.count("mail")["VI-1-000"]; got != want {
				t.Errorf("delivered %d times, want %d", got, want)
			}
			if left, _ := spool.names(tmpDir); len(left) != 0 {
				t.Errorf("tmp has %q", left)
			}
		})
	}
}

func TestKilledAtEveryStepOfDrain(t *testing.T) {
	_, atSteps := steps(t)
	for _, step := range []string{"drain: delivered", "record: renamed", "record: removed", "record: moved to dead"} {
		if !slices.Contains(atSteps, step) {
			t.Fatalf("Drain passes %q, without %q", atSteps, step)
		}
	}
	runs, duplicates := 0, 0
	for _, step := range atSteps {
		for nth := 1; nth <= 3; nth++ {
			dir, peer := t.TempDir(), newPeer(t)
			spool := open(t, dir)
			events := crashEvents()
			put(t, spool, events...)
			out := runChild(t, asRoot, "drain", "dir="+dir, "peer="+peer.address, "kill="+strings.ReplaceAll(step, " ", "_"), "nth="+strconv.Itoa(nth))
			if out != "" && nth == 1 {
				t.Fatalf("%s: the process was not killed: %s", step, out)
			}
			runs++
			ageTmp(t, spool)
			report := drain(t, spool, Policy{}, peer.channel("mail"), peer.channel("hook"))
			if report.Remaining != 0 || report.Busy || len(report.SetAside) != 0 {
				t.Errorf("%s, %d: %+v", step, nth, report)
			}
			for _, channel := range []string{"mail", "hook"} {
				counts, twice := peer.count(channel), 0
				for _, event := range events {
					refused := channel == "hook" && event.Name == "VI_refused"
					switch got := counts[event.ID]; {
					case refused && got == 0, !refused && got == 1:
					case !refused && got == 2:
						twice++
					default:
						t.Errorf("%s, %d: %s had event %s %d times", step, nth, channel, event.ID, got)
					}
				}
				if twice > 1 {
					t.Errorf("%s, %d: %s had %d events twice", step, nth, channel, twice)
				}
				duplicates += twice
			}
			letters, _, err := spool.Dead(context.Background())
			if err != nil || len(letters) != 1 || letters[0].Event.Name != "VI_refused" {
				t.Errorf("%s, %d: dead letters %+v, %v", step, nth, letters, err)
			}
			if left, _ := spool.names(tmpDir); len(left) != 0 {
				t.Errorf("%s, %d: tmp has %q", step, nth, left)
			}
		}
	}
	t.Logf("%d runs killed at %d steps: nothing lost, %d duplicates", runs, len(atSteps), duplicates)
}

func TestKilledAtRandom(t *testing.T) {
	dir, peer := t.TempDir(), newPeer(t)
	spool := open(t, dir)
	const runs = 100
	told := make(map[string]bool)
	killed := 0
	for run := range runs {
		cmd, out := startChild(t, asRoot, "hooks", "dir="+dir, "peer="+peer.address, fmt.Sprintf("event=VI_r%d", run), "count=5")
		time.AfterFunc(time.Duration(rand.IntN(40_000))*time.Microsecond, func() { cmd.Process.Kill() })
		if err := cmd.Wait(); err != nil {
			killed++
		}
		for line := range strings.Lines(out.String()) {
			if id, ok := strings.CutPrefix(strings.TrimSpace(line), "put "); ok {
				told[id] = true
			} else {
				t.Errorf("a hook says %q", line)
			}
		}
		ageTmp(t, spool)
		report := drain(t, spool, Policy{IgnoreBackoff: true}, peer.channel("mail"), peer.channel("hook"))
		if report.Remaining != 0 || report.Busy {
			t.Errorf("run %d: %+v", run, report)
		}
	}
	for _, channel := range []string{"mail", "hook"} {
		counts, duplicates := peer.count(channel), 0
		for id := range told {
			if counts[id] == 0 {
				t.Errorf("%s never had %s, whose Put returned", channel, id)
			}
		}
		for id, count := range counts {
			if count > 2 {
				t.Errorf("%s had %s %d times", channel, id, count)
			}
			duplicates += count - 1
		}
		if duplicates > killed {
			t.Errorf("%s: %d duplicates from %d kills", channel, duplicates, killed)
		}
		t.Logf("%s: %d of %d runs killed, %d events put, %d arrived, %d duplicates", channel, killed, runs, len(told), len(counts), duplicates)
	}
}

func TestConcurrentHooksLoseNothingAndRepeatNothing(t *testing.T) {
	dir, peer := t.TempDir(), newPeer(t)
	const processes, hooks = 8, 25
	var children []*exec.Cmd
	var outputs []*bytes.Buffer
	for n := range processes {
		cmd, out := startChild(t, asRoot, "hooks", "dir="+dir, "peer="+peer.address, fmt.Sprintf("event=VI_%d", n), fmt.Sprintf("count=%d", hooks))
		children, outputs = append(children, cmd), append(outputs, out)
	}
	for n, cmd := range children {
		if err := cmd.Wait(); err != nil {
			t.Errorf("process %d: %v", n, err)
		}
		if lines := strings.Count(outputs[n].String(), "put "); lines != hooks || strings.Count(outputs[n].String(), "\n") != hooks {
			t.Errorf("process %d says %s", n, outputs[n])
		}
	}
	// No drain but theirs: no wake-up was lost.
	spool := open(t, dir)
	if names, _ := spool.names(queueDir); len(names) != 0 {
		t.Errorf("%d events were left behind", len(names))
	}
	for _, channel := range []string{"mail", "hook"} {
		counts := peer.count(channel)
		if len(counts) != processes*hooks {
			t.Errorf("%s had %d events", channel, len(counts))
		}
		for id, count := range counts {
			if count != 1 {
				t.Errorf("%s had %s %d times", channel, id, count)
			}
		}
	}
	for _, name := range []string{drainLock, changeLock} {
		lock, err := spool.give.tryLock(spool.root, name)
		if err != nil || lock == nil {
			t.Errorf("lock %s is still held: %v", name, err)
			continue
		}
		lock.Close()
	}
}
