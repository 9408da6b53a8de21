// Command bench measures hacheck as keepalived runs it, whole processes against
// their peers in the same run: the usual shell script and an empty Go program.
// The runs of the contestants are interleaved, so that whatever else the
// machine does hits all of them alike; medians are reported, and ratios of
// medians, because only ratios carry over to another machine.
package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"
)

func main() {
	binary := flag.String("hacheck", "bin/hacheck", "the hacheck to measure")
	empty := flag.String("empty", "bin/empty", "the empty Go program")
	rounds := flag.Int("rounds", 200, "runs of each contestant")
	flag.Parse()
	if err := run(*binary, *empty, *rounds); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

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

func run(binary, empty string, rounds int) error {
	dir, err := os.MkdirTemp("", "hacheck-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)

	backend, err := listen()
	if err != nil {
		return err
	}
	defer backend.Close()
	small, err := startHAProxy(dir, "small", 5, 2, backend.Addr().String())
	if err != nil {
		return err
	}
	defer small.stop()
	large, err := startHAProxy(dir, "large", 1000, 10, backend.Addr().String())
	if err != nil {
		return err
	}
	defer large.stop()

	_, systemdErr := os.Stat("/run/systemd/system")
	systemd := systemdErr == nil
	usual := []string{"bench/usual/check_haproxy.sh"}
	if !systemd {
		// Without systemd its client fails at once; the script's other half
		// would never run. A stand-in that answers "active" for nothing keeps
		// the comparison fair to the script.
		if err := os.WriteFile(filepath.Join(dir, "systemctl"), []byte("#!/bin/sh\nexit 0\n"), 0o755); err != nil {
			return err
		}
		usual = append([]string{"env", "PATH=" + dir + ":" + os.Getenv("PATH")}, usual...)
	}
	check := func(h *haproxy, more ...string) []string {
		return append([]string{binary, "haproxy", "--config", h.hacheckYAML, "--haproxy-cfg", h.cfg, "--run-dir", dir}, more...)
	}
	contestants := []*contestant{
		{name: "empty Go program", args: []string{empty}},
		{name: "usual script, 5 ports", args: append(usual, small.ports...)},
		{name: "hacheck haproxy, 5 backends", args: check(small)},
		{name: "hacheck haproxy, 5 backends, one named", args: check(small, "--backend", "b0")},
		{name: "hacheck haproxy, 10,000 servers", args: check(large)},
		{name: "hacheck haproxy, 10,000 servers, one named", args: check(large, "--backend", "b0")},
	}
	for round := range rounds + 5 {
		for _, c := range contestants {
			if err := c.once(); err != nil {
				return err
			}
			if round < 5 {
				c.runs = nil
			}
		}
	}
	report(contestants, systemd, rounds)
	return hook(binary, dir, rounds)
}

func report(contestants []*contestant, systemd bool, rounds int) {
	empty, usual, small, smallNamed, large, largeNamed := contestants[0], contestants[1], contestants[2], contestants[3], contestants[4], contestants[5]
	fmt.Printf("Medians of %d interleaved runs each, whole processes.", rounds)
	if systemd {
		fmt.Println(" systemd answers both contestants.")
	} else {
		fmt.Println(" No systemd here: the script's systemctl is a stand-in that costs nothing but its start.")
	}
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "\twall ms\tCPU ms\tmax RSS MB\t")
	for _, c := range contestants {
		fmt.Fprintf(table, "%s\t%.2f\t%.2f\t%.1f\t\n", c.name, ms(c.wall()), ms(c.cpu()), float64(c.rss())/1024)
	}
	table.Flush()
	fmt.Println()
	ratio := func(what string, value, budget float64) {
		verdict := "within"
		if value > budget {
			verdict = "OVER"
		}
		fmt.Printf("%-58s %6.2f  (budget %g: %s)\n", what, value, budget, verdict)
	}
	ratio("healthy check / usual script, wall", div(small.wall(), usual.wall()), 0.4)
	ratio("healthy check / usual script, CPU", div(small.cpu(), usual.cpu()), 0.4)
	ratio("healthy check / empty Go program, wall", div(small.wall(), empty.wall()), 4)
	ratio("10,000 servers, default policy, wall in ms", ms(large.wall()), 15)
	ratio("10,000 servers, default policy, max RSS in MB", float64(large.rss())/1024, 25)
	ratio("one named backend, 10,000 servers / small, wall", div(largeNamed.wall(), smallNamed.wall()), 1.2)
}

// hook measures the time from the start of 'hacheck notify' until it says that
// the event is on disk.
func hook(binary, dir string, rounds int) error {
	conf := filepath.Join(dir, "keepalived.conf")
	content := "vrrp_instance VI_1 {\n interface lo\n virtual_router_id 51\n virtual_ipaddress {\n 192.0.2.100/24\n }\n}\n"
	if err := os.WriteFile(conf, []byte(content), 0o600); err != nil {
		return err
	}
	var times []time.Duration
	for range rounds {
		command := exec.Command(binary, "notify", "--config", "/dev/null", "--keepalived-conf", conf, "--state-dir", filepath.Join(dir, "state"), "--run-dir", dir, "MASTER", "VI_1")
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
		if _, err := io.Copy(io.Discard, stdout); err != nil {
			return err
		}
		if err := command.Wait(); err != nil {
			return err
		}
		if err := os.RemoveAll(filepath.Join(dir, "state", "spool", "queue")); err != nil {
			return err
		}
	}
	slices.Sort(times)
	fmt.Printf("\nhook until the event is on disk, %d runs: median %.2f ms (budget 10), p99 %.2f ms (budget 50)\n",
		rounds, ms(times[len(times)/2]), ms(times[len(times)*99/100]))
	return nil
}

func ms(d time.Duration) float64     { return float64(d.Microseconds()) / 1000 }
func div(a, b time.Duration) float64 { return float64(a) / float64(b) }

// haproxy is one running HAProxy.
type haproxy struct {
	command          *exec.Cmd
	cfg, hacheckYAML string
	ports            []string
}

func (h *haproxy) stop() {
	h.command.Process.Kill()
	h.command.Wait()
}

// startHAProxy runs HAProxy with so many backends of so many servers. One
// server is checked and the others track it: ten thousand checks would measure
// HAProxy.
func startHAProxy(dir, name string, backends, servers int, address string) (*haproxy, error) {
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
	if err := os.WriteFile(h.hacheckYAML, nil, 0o600); err != nil {
		return nil, err
	}
	h.command = exec.Command("haproxy", "-db", "-f", h.cfg)
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
