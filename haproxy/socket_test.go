package haproxy

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// process is a real HAProxy on loopback.
type process struct {
	cmd    *exec.Cmd
	dir    string
	config string
	socket string
	exited chan struct{}
}

// startHAProxy runs HAProxy with the configuration, in which {dir} stands for
// the test's directory, and waits until its admin socket answers.
func startHAProxy(t testing.TB, config string, args ...string) *process {
	t.Helper()
	path, err := exec.LookPath("haproxy")
	if err != nil {
		if path = "/usr/sbin/haproxy"; !isFile(path) {
			t.Fatal("haproxy is not installed: run make test, which installs it")
		}
	}
	// Not t.TempDir: the path of a unix socket may have 107 bytes only.
	dir, err := os.MkdirTemp("", "hap")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	p := &process{dir: dir, config: filepath.Join(dir, "haproxy.cfg"), socket: filepath.Join(dir, "admin.sock"), exited: make(chan struct{})}
	if err := os.WriteFile(p.config, []byte(strings.ReplaceAll(config, "{dir}", dir)), 0o644); err != nil {
		t.Fatal(err)
	}
	var output strings.Builder
	if len(args) == 0 {
		args = []string{"-db"} // which would forbid a master
	}
	p.cmd = exec.Command(path, append([]string{"-f", p.config}, args...)...)
	p.cmd.Stdout, p.cmd.Stderr = &output, &output
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.cmd.Wait()
		close(p.exited)
	}()
	t.Cleanup(p.kill)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for {
		_, err := NewClient(p.addr()).Info(ctx)
		if err == nil {
			return p
		}
		select {
		case <-p.exited:
			t.Fatalf("haproxy did not start: %s", output.String())
		case <-ctx.Done():
			t.Fatalf("haproxy does not answer: %v", err)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func (p *process) addr() Address { return Address{Network: NetworkUnix, Addr: p.socket} }

// kill ends the process with its workers.
func (p *process) kill() {
	syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	<-p.exited
}

// freeze stops the process and waits until none of its threads runs.
func (p *process) freeze(t testing.TB) {
	t.Helper()
	p.signal(t, syscall.SIGSTOP)
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", p.cmd.Process.Pid))
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

// signal sends a signal to the process and its workers.
func (p *process) signal(t testing.TB, s syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(-p.cmd.Process.Pid, s); err != nil {
		t.Fatal(err)
	}
}

func isFile(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// freePort returns a TCP port of 127.0.0.1 on which nobody listens.
func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

const plainConfig = `
global
    stats socket {dir}/admin.sock mode 600 level admin
    stats timeout 10s
defaults
    mode tcp
    timeout connect 1s
    timeout client 5s
    timeout server 5s
`

func TestStatOfARealProcess(t *testing.T) {
	port := freePort(t)
	p := startHAProxy(t, plainConfig+fmt.Sprintf(`
frontend www
    bind 127.0.0.1:%d
    default_backend www
backend www
    server s1 127.0.0.1:1 weight 1 inter 3s
    server s2 [::1]:2
`, port))
	client := NewClient(p.addr())
	snapshot, err := client.Stat(t.Context(), StatQuery{})
	if err != nil {
		t.Fatal(err)
	}
	if snapshot.Info.Pid != p.cmd.Process.Pid || snapshot.Info.Stopping || !strings.HasPrefix(snapshot.Info.Version, "2.") {
		t.Errorf("info = %+v", snapshot.Info)
	}
	var got []string
	for _, row := range snapshot.Rows {
		got = append(got, fmt.Sprintf("%s/%s %d #%d %s %s", row.Proxy, row.Server, row.Type, row.ProxyID, row.Status, row.Addr))
	}
	want := "www/FRONTEND 0 #2 OPEN \nwww/s1 2 #3 no check 127.0.0.1:1\nwww/s2 2 #3 no check [::1]:2\nwww/BACKEND 1 #3 UP "
	if strings.Join(got, "\n") != want {
		t.Errorf("rows:\n%s\nwant:\n%s", strings.Join(got, "\n"), want)
	}
	// By name HAProxy finds the frontend, by id the backend.
	byName, err := client.Stat(t.Context(), StatQuery{Proxy: "www", Servers: true, Backends: true}, StatQuery{Proxy: "nobody"})
	if err != nil || len(byName.Rows) != 0 {
		t.Errorf("by name: %v, %v", byName.Rows, err)
	}
	byID, err := client.Stat(t.Context(), StatQuery{Proxy: "nobody"}, StatQuery{ProxyID: 3, Servers: true})
	if err != nil || len(byID.Rows) != 2 {
		t.Errorf("by id: %v, %v", byID.Rows, err)
	}
}
