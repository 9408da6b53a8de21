// Package haproxytest runs a real HAProxy on loopback for as long as a test
// lasts. It is for tests only, and it knows nothing of package haproxy, whose
// own tests use it: what it asks HAProxy it asks over the socket itself.
package haproxytest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience is how long HAProxy may take for one thing on a busy machine.
const patience = 10 * time.Second

// Process is a running HAProxy.
type Process struct {
	// Cmd is the process that was started: the master where there is one. Its
	// end is awaited already; call Kill, not Cmd.Wait.
	Cmd *exec.Cmd
	// Dir is a directory of its own under a short path, which everybody may
	// enter. It is removed at the end of the test.
	Dir string
	// Config is the path of the configuration, haproxy.cfg in Dir.
	Config string
	// Socket is the path of the admin socket, admin.sock in Dir.
	Socket string

	exited chan struct{}
}

// Path returns the path of the installed HAProxy. The test fails where there is
// none, since without it the test would prove nothing.
func Path(t testing.TB) string {
	t.Helper()
	// Debian keeps it out of an ordinary user's PATH.
	for _, name := range []string{"haproxy", "/usr/sbin/haproxy"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Fatal("haproxy is not installed: run make test, which installs it")
	return ""
}

// Start runs HAProxy with the configuration and the arguments and returns when
// its admin socket answers. The configuration has to open that socket, as
// {dir}/admin.sock: in the configuration and in the arguments {dir} stands for
// Process.Dir. Without arguments HAProxy runs in the foreground as one process
// (-db); with arguments it is their business whether there is a master (-W).
//
// The process is killed at the end of the test. A test with which HAProxy does
// not start fails at once and shows what HAProxy printed.
func Start(t testing.TB, config string, args ...string) *Process {
	t.Helper()
	path := Path(t)
	// Not t.TempDir: the path of a unix socket may have 107 bytes only.
	dir, err := os.MkdirTemp("", "hap")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	p := &Process{
		Dir:    dir,
		Config: filepath.Join(dir, "haproxy.cfg"),
		Socket: filepath.Join(dir, "admin.sock"),
		exited: make(chan struct{}),
	}
	config = strings.ReplaceAll(config, "{dir}", dir)
	if err := errors.Join(os.Chmod(dir, 0o755), os.WriteFile(p.Config, []byte(config), 0o644)); err != nil {
		t.Fatal(err)
	}
	if len(args) == 0 {
		args = []string{"-db"} // which would forbid a master
	}
	p.Cmd = exec.Command(path, "-f", p.Config)
	for _, arg := range args {
		p.Cmd.Args = append(p.Cmd.Args, strings.ReplaceAll(arg, "{dir}", dir))
	}
	var output strings.Builder
	p.Cmd.Stdout, p.Cmd.Stderr = &output, &output
	p.Cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.Cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.exited)
		_ = p.Cmd.Wait() // it is killed, unless it could not start: then output says why
	}()
	t.Cleanup(p.Kill)

	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		answer, err := p.ask(ctx, "show info")
		if err == nil && answer != "" {
			return p
		}
		select {
		case <-p.exited:
			t.Fatalf("haproxy did not start: %s", output.String())
		case <-ctx.Done():
			p.Kill()
			t.Fatalf("haproxy does not answer: %q, %v: %s", answer, err, output.String())
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// Kill ends the process and its workers and waits for the end of the former. It
// may be called more than once.
func (p *Process) Kill() {
	select {
	case <-p.exited: // and its number may be another's by now
	default:
		_ = syscall.Kill(-p.Cmd.Process.Pid, syscall.SIGKILL) // it may have ended meanwhile
		<-p.exited
	}
}

// Signal sends a signal to the process and its workers.
func (p *Process) Signal(t testing.TB, signal syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(-p.Cmd.Process.Pid, signal); err != nil {
		t.Fatal(err)
	}
}

// Freeze stops the process and its workers with SIGSTOP and waits until no
// thread of the former runs. SIGCONT lets them go on.
func (p *Process) Freeze(t testing.TB) {
	t.Helper()
	p.Signal(t, syscall.SIGSTOP)
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", p.Cmd.Process.Pid))
		stopped := 0
		for _, thread := range threads {
			stat, _ := os.ReadFile(thread)
			if _, state, _ := strings.Cut(string(stat), ") "); strings.HasPrefix(state, "T") {
				stopped++
			}
		}
		if stopped > 0 && stopped == len(threads) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d threads are stopped, %v", stopped, len(threads), err)
		}
	}
}

// Command sends a command to the admin socket and returns the answer without
// the white space around it. HAProxy answers a command that changes something
// with nothing, or with what it has against it.
func (p *Process) Command(t testing.TB, command string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	answer, err := p.ask(ctx, command)
	if err != nil {
		t.Fatalf("%s: %v", command, err)
	}
	return answer
}

func (p *Process) ask(ctx context.Context, command string) (string, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "unix", p.Socket)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return "", err
	}
	if _, err := io.WriteString(conn, command+"\n"); err != nil {
		return "", err
	}
	answer, err := io.ReadAll(conn)
	return strings.TrimSpace(string(answer)), err
}

// FreePort returns a TCP port of 127.0.0.1 on which nobody listens.
func FreePort(t testing.TB) int {
	t.Helper()
	return FreePorts(t, 1)[0]
}

// FreePorts returns n different TCP ports of 127.0.0.1 on which nobody listens.
func FreePorts(t testing.TB, n int) []int {
	t.Helper()
	ports := make([]int, n)
	for i := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		ports[i] = l.Addr().(*net.TCPAddr).Port
	}
	return ports
}
