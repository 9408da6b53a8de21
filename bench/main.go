// Command bench measures hacheck as keepalived runs it, whole processes against
// their peers in the same run: the usual shell script and an empty Go program.
// The runs of the contestants are interleaved, so that whatever else the
// machine does hits all of them alike; medians are reported, and ratios of
// medians, because only ratios carry over to another machine.
package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	var o options
	flag.StringVar(&o.hacheck, "hacheck", "bin/hacheck", "the hacheck to measure")
	flag.StringVar(&o.empty, "empty", "bin/empty", "the empty Go program")
	flag.StringVar(&o.script, "script", "bench/usual/check_haproxy.sh", "the usual script")
	flag.IntVar(&o.rounds, "rounds", 200, "runs of each contestant")
	flag.IntVar(&o.frozen, "frozen", 20, "runs against a frozen HAProxy, about a second each")
	flag.BoolVar(&o.systemd, "systemd", false, "run each HAProxy as a unit of systemd, as a pair does; haproxy.service must be active, for the script")
	flag.StringVar(&o.output, "output", "text", "text or json")
	flag.Parse()
	if err := o.run(os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

type options struct {
	hacheck, empty, script string
	rounds, frozen         int
	systemd                bool
	runDir                 string
	output                 string
}

// warmUp is how many first rounds do not count.
const warmUp = 5

// contestant is one command to start again and again.
type contestant struct {
	name string
	args []string
	// wantExit is the exit code a run must have to count.
	wantExit int
	runs     []cost
}

// cost is what one run took. Children count, as a script is mostly those.
type cost struct {
	wall, cpu time.Duration
	maxRSS    int64 // KiB
}

func (c *contestant) once() error {
	command := exec.Command(c.args[0], c.args[1:]...)
	began := time.Now()
	err := command.Run()
	wall := time.Since(began)
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return err
	}
	state := command.ProcessState
	if state.ExitCode() != c.wantExit {
		return fmt.Errorf("%s: exit code %d instead of %d", c.name, state.ExitCode(), c.wantExit)
	}
	c.runs = append(c.runs, cost{
		wall: wall, cpu: state.UserTime() + state.SystemTime(),
		maxRSS: state.SysUsage().(*syscall.Rusage).Maxrss,
	})
	return nil
}

func median[T int64 | time.Duration](runs []cost, of func(cost) T) T {
	values := make([]T, len(runs))
	for i, run := range runs {
		values[i] = of(run)
	}
	slices.Sort(values)
	return values[len(values)/2]
}

func (c *contestant) wall() time.Duration {
	return median(c.runs, func(r cost) time.Duration { return r.wall })
}
func (c *contestant) cpu() time.Duration {
	return median(c.runs, func(r cost) time.Duration { return r.cpu })
}
func (c *contestant) rss() int64 { return median(c.runs, func(r cost) int64 { return r.maxRSS }) }

func (o *options) run(w io.Writer) error {
	if o.rounds < 1 || o.frozen < 1 {
		return errors.New("-rounds and -frozen must be at least 1")
	}
	if o.output != "text" && o.output != "json" {
		return fmt.Errorf("-output %q is neither text nor json", o.output)
	}
	dir, err := os.MkdirTemp("", "hacheck-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	// /run is a tmpfs, and what the check writes there costs less than on a disk.
	if o.runDir, err = os.MkdirTemp("/dev/shm", "hacheck-bench-"); err != nil {
		return err
	}
	defer os.RemoveAll(o.runDir)

	// As installed: the page cache serves a file that was copied in one go faster
	// than the same as the linker left it.
	for _, program := range []*string{&o.hacheck, &o.empty} {
		installed := filepath.Join(dir, filepath.Base(*program))
		if output, err := exec.Command("install", "-m", "0755", *program, installed).CombinedOutput(); err != nil {
			return fmt.Errorf("install %s: %w: %s", *program, err, output)
		}
		*program = installed
	}

	load, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return err
	}
	r := &report{Rounds: o.rounds, Load: strings.Fields(string(load))[0]}
	if err := o.checks(r, dir); err != nil {
		return err
	}
	if err := o.freeze(r, dir); err != nil {
		return err
	}
	if err := o.hook(r, dir); err != nil {
		return err
	}
	if o.output == "json" {
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		return encoder.Encode(r)
	}
	return r.print(w)
}

// check is the command line of 'hacheck haproxy' against one HAProxy.
func (o *options) check(h *haproxy, more ...string) []string {
	return append([]string{o.hacheck, "haproxy", "--config", h.hacheckYAML, "--haproxy-cfg", h.cfg, "--run-dir", o.runDir}, more...)
}

// checks runs the contestants for a healthy HAProxy.
func (o *options) checks(r *report, dir string) error {
	backend, err := listen()
	if err != nil {
		return err
	}
	defer backend.Close()
	address := backend.Addr().String()
	smallHAProxy, err := o.startHAProxy(dir, "small", 5, 2, address)
	if err != nil {
		return err
	}
	defer smallHAProxy.stop()
	largeHAProxy, err := o.startHAProxy(dir, "large", 1000, 10, address)
	if err != nil {
		return err
	}
	defer largeHAProxy.stop()

	unit, err := unitPart(o.check(smallHAProxy, "--output", "json"))
	if err != nil {
		return err
	}
	r.Systemd, r.Unit = unit.Status == "pass", unit.Reason
	usual := []string{o.script}
	switch {
	case r.Systemd:
	case o.systemd:
		return fmt.Errorf("hacheck haproxy does not find its unit active: %s: %s", unit.Status, unit.Reason)
	default:
		// Without an active unit the script ends at once; its other half would
		// never run. A stand-in that answers "active" for nothing keeps the
		// comparison fair to the script.
		if err := os.WriteFile(filepath.Join(dir, "systemctl"), []byte("#!/bin/sh\nexit 0\n"), 0o755); err != nil {
			return err
		}
		usual = []string{"env", "PATH=" + dir + ":" + os.Getenv("PATH"), o.script}
	}
	script := func(ports ...string) []string { return slices.Concat(usual, ports) }
	var (
		empty      = &contestant{name: "empty Go program", args: []string{o.empty}}
		onePort    = &contestant{name: "usual script, 1 port", args: script(smallHAProxy.ports[0])}
		allPorts   = &contestant{name: "usual script, 5 ports", args: script(smallHAProxy.ports...)}
		small      = &contestant{name: "hacheck haproxy, 5 backends", args: o.check(smallHAProxy)}
		smallNamed = &contestant{name: "hacheck haproxy, 5 backends, one named", args: o.check(smallHAProxy, "--backend", "b0")}
		large      = &contestant{name: "hacheck haproxy, 10,000 servers", args: o.check(largeHAProxy)}
		largeNamed = &contestant{name: "hacheck haproxy, 10,000 servers, one named", args: o.check(largeHAProxy, "--backend", "b0")}
	)
	contestants := []*contestant{empty, onePort, allPorts, small, smallNamed, large, largeNamed}
	for round := range warmUp + o.rounds {
		for _, c := range contestants {
			if err := c.once(); err != nil {
				return err
			}
			if round < warmUp {
				c.runs = nil
			}
		}
	}
	if r.LeastRSS, err = ownRSS(); err != nil {
		return err
	}
	for _, c := range contestants {
		r.Contestants = append(r.Contestants, figures{c.name, ms(c.wall()), ms(c.cpu()), mb(c.rss())})
	}
	r.compare("healthy check / usual script with 5 ports, wall", div(small.wall(), allPorts.wall()), 0.4)
	r.compare("healthy check / usual script with 5 ports, CPU", div(small.cpu(), allPorts.cpu()), 0.4)
	r.compare("healthy check / usual script with 1 port, wall", div(small.wall(), onePort.wall()), 0)
	r.compare("healthy check / usual script with 1 port, CPU", div(small.cpu(), onePort.cpu()), 0)
	r.compare("healthy check / empty Go program, wall", div(small.wall(), empty.wall()), 4)
	r.compare("10,000 servers, default policy, wall in ms", ms(large.wall()), 15)
	r.compare("10,000 servers, default policy, max RSS in MB", mb(large.rss()), 25)
	r.compare("one named backend, 10,000 servers / small, wall", div(largeNamed.wall(), smallNamed.wall()), 1.2)
	return nil
}

// ownRSS is the most memory this program itself has had, in MB. getrusage(2)
// would count the one that started it, too.
func ownRSS() (float64, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			var kib int64
			if _, err := fmt.Sscan(value, &kib); err != nil {
				return 0, fmt.Errorf("/proc/self/status: %q: %w", line, err)
			}
			return mb(kib), nil
		}
	}
	return 0, errors.New("/proc/self/status has no VmHWM")
}

// part is what hacheck says about one part of a check.
type part struct{ Name, Status, Reason string }

// unitPart runs a check once and gives its part about the unit: contestants
// that are to ask systemd must get an answer from it.
func unitPart(args []string) (part, error) {
	output, err := exec.Command(args[0], args[1:]...).Output()
	if err != nil {
		return part{}, fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, output)
	}
	var verdict struct{ Parts []part }
	if err := json.Unmarshal(output, &verdict); err != nil {
		return part{}, fmt.Errorf("%s: %w", strings.Join(args, " "), err)
	}
	for _, p := range verdict.Parts {
		if p.Name == "unit" {
			return p, nil
		}
	}
	return part{}, fmt.Errorf("%s: the answer has no part named unit: %s", strings.Join(args, " "), output)
}

// A check's deadline, and what it may take past it: keepalived gives a script
// one second by default.
const (
	deadline  = 900 * time.Millisecond
	allowance = 50 * time.Millisecond
)

// freeze measures how long a check takes to give up on a HAProxy that takes
// connections and answers none.
func (o *options) freeze(r *report, dir string) error {
	backend, err := listen()
	if err != nil {
		return err
	}
	defer backend.Close()
	h, err := o.startHAProxy(dir, "frozen", 5, 2, backend.Addr().String())
	if err != nil {
		return err
	}
	defer h.stop()
	if err := h.signal(syscall.SIGSTOP); err != nil {
		return err
	}
	c := &contestant{name: "hacheck haproxy, frozen HAProxy", args: o.check(h), wantExit: 1}
	for range o.frozen {
		if err := c.once(); err != nil {
			return err
		}
	}
	longest := slices.MaxFunc(c.runs, func(a, b cost) int { return cmp.Compare(a.wall, b.wall) })
	r.compare(fmt.Sprintf("frozen HAProxy, %d runs, median in ms", o.frozen), ms(c.wall()), ms(deadline+allowance))
	r.compare(fmt.Sprintf("frozen HAProxy, %d runs, longest in ms", o.frozen), ms(longest.wall), ms(deadline+allowance))
	return nil
}

// hook measures the time from the start of 'hacheck notify' until it says that
// the event is on disk.
func (o *options) hook(r *report, dir string) error {
	conf := filepath.Join(dir, "keepalived.conf")
	content := "vrrp_instance VI_1 {\n interface lo\n virtual_router_id 51\n virtual_ipaddress {\n 192.0.2.100/24\n }\n}\n"
	if err := os.WriteFile(conf, []byte(content), 0o600); err != nil {
		return err
	}
	var times []time.Duration
	for range o.rounds {
		command := exec.Command(o.hacheck, "notify", "--config", "/dev/null", "--keepalived-conf", conf, "--state-dir", filepath.Join(dir, "state"), "--run-dir", o.runDir, "MASTER", "VI_1")
		stdout, err := command.StdoutPipe()
		if err != nil {
			return err
		}
		began := time.Now()
		if err := command.Start(); err != nil {
			return err
		}
		line, err := bufio.NewReader(stdout).ReadString('\n')
		times = append(times, time.Since(began))
		if err != nil || !strings.Contains(line, "recorded as") {
			return fmt.Errorf("hacheck notify said %q: %w", line, err)
		}
		// What follows is delivery, which lasts as long as the peers let it.
		if err := command.Process.Kill(); err != nil {
			return err
		}
		_, _ = io.Copy(io.Discard, stdout)
		_ = command.Wait()
		if err := os.RemoveAll(filepath.Join(dir, "state", "spool", "queue")); err != nil {
			return err
		}
	}
	slices.Sort(times)
	r.compare(fmt.Sprintf("hook until the event is on disk, %d runs, median in ms", o.rounds), ms(times[len(times)/2]), 10)
	r.compare(fmt.Sprintf("hook until the event is on disk, %d runs, p99 in ms", o.rounds), ms(times[len(times)*99/100]), 50)
	return nil
}

func mb(kib int64) float64           { return float64(kib) / 1024 }
func ms(d time.Duration) float64     { return float64(d.Microseconds()) / 1000 }
func div(a, b time.Duration) float64 { return float64(a) / float64(b) }

// haproxy is one running HAProxy.
type haproxy struct {
	command          *exec.Cmd
	unit             string // of systemd, if it runs as one
	cfg, hacheckYAML string
	ports            []string
}

func (h *haproxy) stop() {
	h.signal(syscall.SIGKILL)
	h.command.Wait()
}

// signal sends a signal to HAProxy, which systemd does for its units.
func (h *haproxy) signal(signal syscall.Signal) error {
	if h.unit == "" {
		return h.command.Process.Signal(signal)
	}
	return exec.Command("systemctl", "kill", "--signal="+strconv.Itoa(int(signal)), h.unit).Run()
}

// startHAProxy runs HAProxy with so many backends of so many servers. One
// server is checked and the others track it: ten thousand checks would measure
// HAProxy.
func (o *options) startHAProxy(dir, name string, backends, servers int, address string) (*haproxy, error) {
	h := &haproxy{cfg: filepath.Join(dir, name+".cfg"), hacheckYAML: filepath.Join(dir, name+".yaml")}
	socket := filepath.Join(dir, name+".sock")
	var cfg strings.Builder
	fmt.Fprintf(&cfg, "global\n stats socket %s mode 600 level user\ndefaults\n mode tcp\n timeout connect 1s\n timeout client 9s\n timeout server 9s\n", socket)
	for i := range 5 {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		_, port, _ := net.SplitHostPort(listener.Addr().String())
		listener.Close()
		h.ports = append(h.ports, port)
		fmt.Fprintf(&cfg, "frontend f%d\n bind 127.0.0.1:%s\n default_backend b%d\n", i, port, i)
	}
	fmt.Fprintf(&cfg, "backend probe\n server p %s check inter 1s\n", address)
	for b := range backends {
		fmt.Fprintf(&cfg, "backend b%d\n", b)
		for s := range servers {
			fmt.Fprintf(&cfg, " server s%d %s track probe/p\n", s, address)
		}
	}
	if err := os.WriteFile(h.cfg, []byte(cfg.String()), 0o600); err != nil {
		return nil, err
	}
	var yaml string
	h.command = exec.Command("haproxy", "-db", "-f", h.cfg)
	if o.systemd {
		// hacheck.yaml names the unit in place of haproxy.service.
		unit := "hacheck-bench-" + name
		yaml = "checks:\n  haproxy:\n    unit: " + unit + ".service\n"
		h.command = exec.Command("systemd-run", append([]string{"--quiet", "--collect", "--pipe", "--wait", "--unit=" + unit}, h.command.Args...)...)
		h.unit = unit + ".service"
	}
	if err := os.WriteFile(h.hacheckYAML, []byte(yaml), 0o600); err != nil {
		return nil, err
	}
	h.command.Stderr = os.Stderr
	if err := h.command.Start(); err != nil {
		return nil, err
	}
	deadline := time.Now().Add(20 * time.Second)
	for {
		answer, err := ask(socket, "show stat probe 4 -1")
		if err == nil && strings.Contains(answer, "L4OK") {
			return h, nil
		}
		if time.Now().After(deadline) {
			h.stop()
			return nil, fmt.Errorf("haproxy %s is not ready after 20 s: %w", name, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func ask(socket, command string) (string, error) {
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Second)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(conn, command+"\n"); err != nil {
		return "", err
	}
	answer, err := io.ReadAll(conn)
	return string(answer), err
}

// listen accepts and closes connections: a live server.
func listen() (net.Listener, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			conn.Close()
		}
	}()
	return listener, nil
}
