//go:build lab

package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// runDir holds the nodes' overlays and logs while the lab runs.
const runDir = "/run/hacheck-lab"

// node is one booted Debian system.
type node struct {
	name    string // "a" or "b"; the host name is lab-a or lab-b
	address string // on host0, 192.0.2.0/24
	side    string // on net2, 203.0.113.0/24
	root    string // its root as this machine sees it
	cgroups []string
	leader  int // its PID 1, as this machine numbers it
	nspawn  *exec.Cmd
	exited  chan struct{}
	ns      netns.NsHandle
	vips    *addressLog
}

func (n *node) host() string { return "lab-" + n.name }

// bootNode lays an overlay over base, boots it in the network and waits until
// systemd has settled.
func bootNode(ctx context.Context, network *network, base, name, address, side string) (*node, error) {
	n := &node{name: name, address: address, side: side, exited: make(chan struct{}), ns: netns.None()}
	dir := filepath.Join(runDir, name)
	n.root = filepath.Join(dir, "root")
	upper, work := filepath.Join(dir, "upper"), filepath.Join(dir, "work")
	for _, d := range []string{n.root, upper, work} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return n, err
		}
	}
	if err := unix.Mount("overlay", n.root, "overlay", 0, fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", base, upper, work)); err != nil {
		return n, fmt.Errorf("mounting the overlay of node %s: %w", name, err)
	}
	if err := n.prepare(); err != nil {
		return n, fmt.Errorf("preparing node %s: %w", name, err)
	}
	var err error
	if n.cgroups, err = makeCgroups(n.host()); err != nil {
		return n, err
	}
	if err := n.start(); err != nil {
		return n, fmt.Errorf("starting node %s: %w", name, err)
	}
	if err := n.settle(ctx, network); err != nil {
		console, _ := os.ReadFile(n.console())
		return n, fmt.Errorf("booting node %s: %w\n%s", name, err, lastLines(string(console), 15))
	}
	return n, nil
}

func (n *node) console() string { return filepath.Join(runDir, n.name, "console.log") }

// prepare writes what differs from the base system.
func (n *node) prepare() error {
	files := map[string]string{
		"/etc/hostname": n.host() + "\n",
		"/etc/hosts":    "127.0.0.1 localhost\n" + labAddress + " mail.example.org\n" + n.address + " " + n.host() + "\n",
		// Whether systemd brings HAProxy back decides between a blink and a
		// failover, so a scenario chooses; the lab's many starts are not a
		// crash loop.
		"/etc/systemd/system/haproxy.service.d/lab.conf":    "[Unit]\nStartLimitIntervalSec=0\n[Service]\nRestart=no\n",
		"/etc/systemd/system/keepalived.service.d/lab.conf": "[Unit]\nStartLimitIntervalSec=0\n",
		"/etc/systemd/system/app@.service":                  "[Unit]\nDescription=App %i\n[Service]\nExecStart=/bin/sleep infinity\n",
	}
	// The project's own drop-in, as an operator installs it.
	shipped, err := os.ReadFile(filepath.Join("..", "..", "packaging", "keepalived.service.d", "hacheck.conf"))
	if err != nil {
		return err
	}
	files["/etc/systemd/system/keepalived.service.d/hacheck.conf"] = string(shipped)
	for path, text := range files {
		if err := n.write(path, text, 0o644); err != nil {
			return err
		}
	}
	// Each node makes its own identity at boot.
	return os.WriteFile(filepath.Join(n.root, "etc/machine-id"), nil, 0o444)
}

// write puts a file into the node, replacing it by rename.
func (n *node) write(path, text string, mode os.FileMode) error {
	full := filepath.Join(n.root, path)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(full+".new", []byte(text), mode); err != nil {
		return err
	}
	if err := os.Chmod(full+".new", mode); err != nil {
		return err
	}
	return os.Rename(full+".new", full)
}

// start runs systemd-nspawn. It gets SIGTERM, on which it shuts the node down,
// should this process die: the kernel ties that to the starting thread, which
// is why one is set aside until nspawn has ended.
func (n *node) start() error {
	log, err := os.Create(n.console())
	if err != nil {
		return err
	}
	defer log.Close()
	const enterCgroups = `while [ "$1" != -- ]; do echo $$ >"$1/cgroup.procs" || exit 1; shift; done; shift; exec "$@"`
	args := append([]string{"-c", enterCgroups, "sh"}, n.cgroups...)
	args = append(args, "--",
		"nsenter", "--net=/run/netns/"+nsName,
		"systemd-nspawn", "-q", "-D", n.root, "-M", n.host(), "--boot", "--register=no", "--keep-unit",
		"--network-bridge="+mainBridge, "--network-veth-extra="+n.sideVeth()+":net2",
		"--resolv-conf=off", "--timezone=off")
	n.nspawn = exec.Command("sh", args...)
	n.nspawn.Stdout, n.nspawn.Stderr = log, log
	n.nspawn.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGTERM}
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		err := n.nspawn.Start()
		started <- err
		if err == nil {
			_ = n.nspawn.Wait()
		}
		close(n.exited)
	}()
	return <-started
}

func (n *node) sideVeth() string { return "side-" + n.name }

// settle waits for systemd in the node and gives the node its addresses.
func (n *node) settle(ctx context.Context, network *network) error {
	err := waitFor(ctx, time.Minute, "systemd as nspawn's child", func() bool {
		n.leader = childNamed(n.nspawn.Process.Pid, "systemd")
		return n.leader != 0
	})
	if err != nil {
		return err
	}
	err = waitFor(ctx, time.Minute, "systemd to finish booting", func() bool {
		out := n.run(ctx, "systemctl", "is-system-running")
		state := strings.TrimSpace(out.stdout)
		return state == "running" || state == "degraded"
	})
	if err != nil {
		return err
	}
	if err := network.enslave(n.sideVeth()); err != nil {
		return err
	}
	if n.ns, err = netns.GetFromPath(fmt.Sprintf("/proc/%d/ns/net", n.leader)); err != nil {
		return err
	}
	return n.script(ctx, `
		ip addr add "$1/24" dev host0; ip link set host0 up
		ip addr add "$2/24" dev net2; ip link set net2 up
		# HAProxy binds the VIP on the backup too.
		sysctl -q -w net.ipv4.ip_nonlocal_bind=1
		systemctl stop haproxy keepalived
		`, n.address, n.side)
}

// result is what a command on a node gave.
type result struct {
	stdout, stderr string
	code           int // exit code; -1 if it could not be run or was killed
	took           time.Duration
	cpu            time.Duration
}

func (r result) text() string { return strings.TrimSpace(r.stdout + r.stderr) }

// run runs a command on the node, as root.
func (n *node) run(ctx context.Context, command ...string) result {
	args := append([]string{"-t", strconv.Itoa(n.leader), "-a", "--"}, command...)
	cmd := exec.CommandContext(ctx, "nsenter", args...)
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", "HOME=/root"}
	cmd.WaitDelay = time.Second
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	begin := time.Now()
	err := cmd.Run()
	r := result{stdout: stdout.String(), stderr: stderr.String(), took: time.Since(begin)}
	if state := cmd.ProcessState; state != nil {
		r.code = state.ExitCode()
		r.cpu = state.UserTime() + state.SystemTime()
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		r.code = -1
		r.stderr += err.Error()
	}
	return r
}

// script runs a shell script on the node; its first failing command ends it.
func (n *node) script(ctx context.Context, text string, args ...string) error {
	r := n.run(ctx, append([]string{"sh", "-ec", text, "sh"}, args...)...)
	if r.code != 0 {
		return fmt.Errorf("node %s: exit code %d of %q: %s", n.name, r.code, strings.TrimSpace(text), r.text())
	}
	return nil
}

// journal returns what the node's units and scripts logged after since.
func (n *node) journal(ctx context.Context, since time.Time, lines int) string {
	r := n.run(ctx, "journalctl", "--no-pager", "-q", "-o", "short-precise", "--since", "@"+strconv.FormatInt(since.Unix(), 10))
	return lastLines(r.stdout, lines)
}

// stop shuts the node down and takes away all that bootNode made.
func (n *node) stop() error {
	var errs []error
	if n.vips != nil {
		n.vips.close()
	}
	if n.ns.IsOpen() {
		_ = n.ns.Close()
	}
	if n.nspawn != nil && n.nspawn.Process != nil {
		// SIGRTMIN+4 asks systemd to power off (systemd(1)); the number is
		// 38 because glibc keeps the first two real-time signals.
		if n.leader != 0 {
			_ = syscall.Kill(n.leader, syscall.Signal(38))
		} else {
			_ = n.nspawn.Process.Kill()
		}
		select {
		case <-n.exited:
		case <-time.After(20 * time.Second):
			_ = n.nspawn.Process.Kill()
			<-n.exited
			errs = append(errs, fmt.Errorf("node %s did not power off in 20 s and was killed", n.name))
		}
	}
	if err := unix.Unmount(n.root, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		errs = append(errs, fmt.Errorf("unmounting node %s: %w", n.name, err))
	}
	return errors.Join(errs...)
}

// childNamed finds the child of parent whose command name is comm, or 0.
func childNamed(parent int, comm string) int {
	for _, stat := range processes() {
		if stat.parent == parent && stat.comm == comm {
			return stat.pid
		}
	}
	return 0
}

type process struct {
	pid, parent int
	comm        string
}

// processes reads proc(5).
func processes() []process {
	paths, _ := filepath.Glob("/proc/[0-9]*/stat")
	var found []process
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			continue // it ended meanwhile
		}
		// The name is in parentheses and may hold any character.
		text := string(data)
		open, end := strings.IndexByte(text, '('), strings.LastIndexByte(text, ')')
		if open < 0 || end < open {
			continue
		}
		fields := strings.Fields(text[end+1:])
		if len(fields) < 2 {
			continue
		}
		pid, _ := strconv.Atoi(strings.TrimSpace(text[:open]))
		parent, _ := strconv.Atoi(fields[1])
		found = append(found, process{pid, parent, text[open+1 : end]})
	}
	return found
}

// waitFor polls until done is true. It fails with what it waited for when
// limit passes or ctx ends.
func waitFor(ctx context.Context, limit time.Duration, what string, done func() bool) error {
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if done() {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w", what, context.Cause(ctx))
		case <-deadline.C:
			return fmt.Errorf("waited %s in vain for %s", limit, what)
		case <-tick.C:
		}
	}
}
