package checks

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"hacheck/haproxy"
	"hacheck/haproxy/haproxytest"
)

// A reload in master-worker mode leaves two processes for a while, one of them
// stopping. No check may take that for a failure.
func TestHAProxyThroughReloads(t *testing.T) {
	free := haproxytest.FreePorts(t, 4)
	listen(t, free[0])
	p := haproxytest.Start(t, haproxyGlobal+fmt.Sprintf(`
listen checked
    bind 127.0.0.1:%[2]d
    server s1 127.0.0.1:%[1]d check inter 1s
listen unchecked
    bind 127.0.0.1:%[3]d
    server s1 127.0.0.1:%[1]d
`, free[0], free[1], free[2]), "-W", "-S", "{dir}/master.sock")

	const runs, reloads = 5000, 20
	var checked atomic.Int64
	reloaded := make(chan error, 1)
	go func() {
		first, err := haproxy.NewClient(unixSocket(p.Socket)).Info(t.Context())
		pids := map[int]bool{first.Pid: true}
		for n := 0; n < reloads && err == nil; n++ {
			// Spread over the runs, so that all of them see some.
			for checked.Load() < int64(n*runs/reloads) && !t.Failed() {
				time.Sleep(time.Millisecond)
			}
			var asked time.Time
			for deadline := time.Now().Add(60 * time.Second); ; {
				// A master that is busy with the last reload loses the signal.
				if time.Since(asked) > time.Second {
					asked = time.Now()
					if err = syscall.Kill(p.Cmd.Process.Pid, syscall.SIGUSR2); err != nil {
						break
					}
				}
				info, infoErr := haproxy.NewClient(unixSocket(p.Socket)).Info(t.Context())
				if infoErr == nil && !pids[info.Pid] {
					pids[info.Pid] = true
					break
				}
				if time.Now().After(deadline) {
					err = fmt.Errorf("reload %d: no new process, %v", n+1, infoErr)
					break
				}
				time.Sleep(time.Millisecond)
			}
		}
		if err == nil && len(pids) < reloads+1 {
			err = fmt.Errorf("only %d processes were seen over %d reloads", len(pids), reloads)
		}
		reloaded <- err
	}()
	h := checkOf(p.Config)
	var worst time.Duration
	for n := 0; n < runs; n++ {
		start := time.Now()
		result := runWithin(t, h, 10*time.Second)
		worst = max(worst, time.Since(start))
		if result.Status != Pass || result.Reason != "2 of 2 backends up" {
			t.Fatalf("run %d: %s: %s\nparts: %+v", n+1, result.Status, result.Reason, result.Parts)
		}
		checked.Add(1)
	}
	if err := <-reloaded; err != nil {
		t.Fatal(err)
	}
	t.Logf("%d runs over %d reloads, the slowest took %v", runs, reloads, worst)
}

// notPermitted is the environment variable that makes this test binary run one
// check as an account that may not use the socket.
const notPermitted = "HACHECK_TEST_NOT_PERMITTED"

func TestHAProxySocketNotPermitted(t *testing.T) {
	socket := os.Getenv(notPermitted)
	if socket == "" {
		free := haproxytest.FreePorts(t, 2)
		p := haproxytest.Start(t, haproxyGlobal+fmt.Sprintf("listen app\n    bind 127.0.0.1:%d\n    server a1 127.0.0.1:%d\n", free[0], free[1]))
		// No mode at all keeps its owner out too, unless that is root.
		if err := os.Chmod(p.Socket, 0); err != nil {
			t.Fatal(err)
		}
		runUnprivileged(t, "TestHAProxySocketNotPermitted", notPermitted+"="+p.Socket)
		return
	}
	addr := unixSocket(socket)
	h := NewHAProxy(nil)
	h.Unit, h.Sockets = "", []haproxy.Address{addr}
	want := "admin socket " + socket + ": this account may not connect to it; with `stats socket … group haproxy mode 660` in haproxy.cfg " +
		"and `script_user hacheck haproxy` in keepalived.conf it may (supplementary groups are dropped there)"
	result := runWithin(t, h, time.Second)
	if result.Status != Unknown || result.Parts[1].Reason != want {
		t.Errorf("%s: %s", result.Status, result.Reason)
	}

	config := filepath.Join(filepath.Dir(socket), "haproxy.cfg")
	expect(t, runWithin(t, checkOf(config), time.Second), Warn, want+"; without the admin socket backends and a frozen haproxy are not seen")
}

// runUnprivileged runs one test of this binary in a process of its own, as
// nobody where this process is root.
func runUnprivileged(t *testing.T, test string, env ...string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// The test binary lies where only its builder may go.
	content, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	self = filepath.Join(openDir(t), "checks.test")
	if err := os.WriteFile(self, content, 0o755); err != nil {
		t.Fatal(err)
	}
	command := exec.Command(self, "-test.run=^"+test+"$")
	command.Env, command.Dir = append(os.Environ(), env...), "/"
	if os.Geteuid() == 0 {
		const nobody = 65534
		command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	if out, err := command.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
