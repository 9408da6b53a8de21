package checks

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"hacheck/haproxy"
	"hacheck/haproxy/haproxytest"
)

// checkOf returns the check of the HAProxy with this configuration, as it runs
// without options on a node where systemd is not asked.
func checkOf(config string) *HAProxy {
	h := NewHAProxy(func(ctx context.Context, only haproxy.Want) (*haproxy.Config, error) {
		return haproxy.LoadConfig(ctx, []string{config}, haproxy.ConfigOptions{Only: only})
	})
	h.Unit = ""
	return h
}

// unixSocket is the address of a unix socket.
func unixSocket(path string) haproxy.Address {
	return haproxy.Address{Network: haproxy.NetworkUnix, Addr: path}
}

// runWithin runs the check with a deadline and demands that it keeps it.
func runWithin(t testing.TB, h *HAProxy, timeout time.Duration) Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	start := time.Now()
	result := h.Run(ctx)
	if took := time.Since(start); took > timeout+3*time.Second { // a busy machine is late, a hang is later
		t.Errorf("the check took %v with a deadline of %v", took, timeout)
	}
	return result
}

// expect compares a result's status and reason.
func expect(t testing.TB, got Result, status Status, reason string) {
	t.Helper()
	if got.Status != status || got.Reason != reason {
		t.Errorf("got  %s: %s\nwant %s: %s\nparts: %+v", got.Status, got.Reason, status, reason, got.Parts)
	}
}

// listen opens a port that accepts connections.
func listen(t testing.TB, port int) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

const haproxyGlobal = `
global
    stats socket {dir}/admin.sock mode 600 level admin
defaults
    mode tcp
    timeout connect 1s
    timeout client 5s
    timeout server 5s
`

// tenListens is the configuration with ten listens whose servers HAProxy does
// not check, moved to loopback. Each server has a port of its own.
func tenListens(t testing.TB) (config string, servers map[string]int) {
	t.Helper()
	file, err := os.Open("testdata/haproxy/ten-listens.cfg")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	free := haproxytest.FreePorts(t, 40)
	next := func() int {
		port := free[0]
		free = free[1:]
		return port
	}
	servers = map[string]int{}
	var b strings.Builder
	b.WriteString("global\n    stats socket {dir}/admin.sock mode 600 level admin\n")
	skip := false
	for lines := bufio.NewScanner(file); lines.Scan(); {
		words := strings.Fields(lines.Text())
		line := lines.Text()
		switch {
		case len(words) == 0:
		case words[0] == "global":
			skip = true
		case words[0] == "defaults":
			skip = false
		case words[0] == "bind":
			line = fmt.Sprintf("    bind 127.0.0.1:%d", next())
		case words[0] == "server":
			servers[words[1]] = next()
			line = strings.Replace(line, words[2], fmt.Sprintf("127.0.0.1:%d", servers[words[1]]), 1)
		case line == "    log     global":
			continue
		}
		if !skip {
			fmt.Fprintln(&b, line)
		}
	}
	return b.String(), servers
}

func TestHAProxyTenListensWithoutChecks(t *testing.T) {
	config, servers := tenListens(t)
	p := haproxytest.Start(t, config)

	dead := func(name string) string {
		return fmt.Sprintf("%s is not checked by HAProxy, 127.0.0.1:%d: connection refused", name, servers[name])
	}
	result := runWithin(t, checkOf(p.Config), 900*time.Millisecond)
	expect(t, result, Fail, "backend mysql has no usable server ("+dead("mysql-1")+"); "+
		"backend redis has no usable server ("+dead("redis-1")+"); "+
		"backend files has no usable server ("+dead("files-1")+", "+dead("files-2")+"); "+
		"and 7 more; 0 of 10 backends up")
	if n := len(result.Parts[3].Parts); n != 10 {
		t.Errorf("%d backends are parts of the result, not 10", n)
	}

	listen(t, servers["search-2"])
	result = runWithin(t, checkOf(p.Config), 900*time.Millisecond)
	if result.Status != Warn || !strings.HasSuffix(result.Reason, "; and 6 more; 1 of 10 backends up") {
		t.Errorf("with one live server: %s: %s", result.Status, result.Reason)
	}

	for name, port := range servers {
		if strings.HasSuffix(name, "-1") {
			listen(t, port)
		}
	}
	expect(t, runWithin(t, checkOf(p.Config), 900*time.Millisecond), Pass, "10 of 10 backends up")

	off := checkOf(p.Config)
	off.ProbeUnchecked = false
	result = runWithin(t, off, 900*time.Millisecond)
	if result.Status != Warn || !strings.HasPrefix(result.Reason, "backend mysql is up by HAProxy's word alone (mysql-1 is not checked by HAProxy); ") ||
		!strings.HasSuffix(result.Reason, "and 7 more; 0 of 10 backends up, 10 not known") {
		t.Errorf("without probes: %s: %s", result.Status, result.Reason)
	}
}

// A probe must not be seen by the application, which would log it every second
// or, like MySQL, lock this node out.
func TestProbeIsNotSeenByTheServer(t *testing.T) {
	l := listen(t, 0)
	for range 200 {
		if use, words := dialServer(t.Context(), l.Addr().String(), 5*time.Second); use != usable {
			t.Fatalf("%v: %s", use, words)
		}
	}
	l.(*net.TCPListener).SetDeadline(time.Now().Add(50 * time.Millisecond))
	seen := 0
	for {
		conn, err := l.Accept()
		if err != nil {
			break
		}
		conn.Close()
		seen++
	}
	// A busy machine may send the held-back packet before the reset.
	if seen > 20 {
		t.Errorf("the server saw %d of 200 probes", seen)
	}
}

func TestHAProxyFrozenStoppedGone(t *testing.T) {
	config, servers := tenListens(t)
	p := haproxytest.Start(t, config)
	listen(t, servers["mysql-1"])
	h := checkOf(p.Config)

	p.Freeze(t)
	// After some ten clients the queue is full, which must not look better.
	for range 15 {
		result := runWithin(t, h, 100*time.Millisecond)
		if result.Status != Fail || !strings.HasPrefix(result.Reason, "admin socket "+p.Socket+": ") {
			t.Fatalf("frozen: %s: %s", result.Status, result.Reason)
		}
	}
	p.Signal(t, syscall.SIGCONT)
	if result := runWithin(t, h, 5*time.Second); result.Status != Warn {
		t.Errorf("thawed: %s: %s", result.Status, result.Reason)
	}

	p.Kill()
	result := runWithin(t, h, 5*time.Second)
	socket := "admin socket " + p.Socket + ": "
	if result.Status != Fail || !strings.HasPrefix(result.Reason, socket+"nobody listens on it, haproxy is not running; 0 of 10 addresses listen, not 127.0.0.1:") {
		t.Errorf("killed: %s: %s", result.Status, result.Reason)
	}
	if err := os.Remove(p.Socket); err != nil {
		t.Fatal(err)
	}
	result = runWithin(t, h, 5*time.Second)
	if result.Status != Fail || !strings.HasPrefix(result.Reason, socket+"there is no socket of this name, haproxy is not running or was started with another configuration; 0 of 10") {
		t.Errorf("no socket: %s: %s", result.Status, result.Reason)
	}
}

func TestHAProxyPolicies(t *testing.T) {
	free := haproxytest.FreePorts(t, 8)
	live, dead := free[0], free[1]
	listen(t, live)
	p := haproxytest.Start(t, haproxyGlobal+fmt.Sprintf(`
frontend web
    bind 127.0.0.1:%[3]d
    default_backend app
frontend api
    bind 127.0.0.1:%[4]d
    default_backend api
backend app
    server a1 127.0.0.1:%[1]d check inter 50ms
    server a2 127.0.0.1:%[2]d check inter 50ms fall 1
backend api
    server p1 127.0.0.1:%[1]d
backend mysql
    server m1 127.0.0.1:%[2]d check inter 50ms fall 1
    server m2 127.0.0.1:%[1]d weight 0
backend old
    server o1 127.0.0.1:%[1]d disabled
    server o2 127.0.0.1:%[1]d disabled
backend empty
listen stats
    bind 127.0.0.1:%[5]d
    mode http
    stats enable
`, live, dead, free[2], free[3], free[4]))
	h := checkOf(p.Config)
	h.WantBackends.Exclude = []string{"old"}
	// HAProxy's own checks need a moment.
	const mysqlDead = "backend mysql has no usable server (m1 DOWN: L4CON Connection refused, m2 has weight 0)"
	deadline := time.Now().Add(10 * time.Second)
	for {
		if strings.HasPrefix(runWithin(t, h, time.Second).Reason, mysqlDead) || time.Now().After(deadline) {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	half, err := ParseRequire("50%")
	if err != nil {
		t.Fatal(err)
	}
	three, err := ParseRequire("3")
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		policy BackendPolicy
		status Status
		reason string
	}{
		{"any", BackendPolicy{Exclude: []string{"old"}}, Warn, mysqlDead + "; 2 of 3 backends up"},
		{"all", BackendPolicy{Require: RequireAll}, Fail,
			mysqlDead + "; backend old has no usable server (o1 MAINT, o2 MAINT); 2 of 4 backends up, all required"},
		{"half", BackendPolicy{Require: half}, Warn,
			mysqlDead + "; backend old has no usable server (o1 MAINT, o2 MAINT); 2 of 4 backends up, 50% required"},
		{"three", BackendPolicy{Require: three, Exclude: []string{"old"}}, Fail, mysqlDead + "; 2 of 3 backends up, 3 required"},
		{"one by name", BackendPolicy{Include: []string{"app"}}, Pass, "1 of 1 backends up"},
		{"a dead one by name", BackendPolicy{Include: []string{"mysql"}}, Fail, mysqlDead + "; 0 of 1 backends up"},
		{"all in maintenance", BackendPolicy{Include: []string{"old"}}, Fail, "backend old has no usable server (o1 MAINT, o2 MAINT); 0 of 1 backends up"},
		{"one hidden by a frontend of its name", BackendPolicy{Include: []string{"api"}}, Pass, "1 of 1 backends up"},
		{"by pattern", BackendPolicy{Include: []string{"a*"}, Require: RequireAll}, Pass, "2 of 2 backends up"},
		{"no such name", BackendPolicy{Include: []string{"app", "nobody"}}, Fail, "there is no backend named nobody in the running haproxy; 1 of 1 backends up"},
		{"no such pattern", BackendPolicy{Include: []string{"x*"}}, Fail, "no backend matches x*"},
		{"empty", BackendPolicy{Include: []string{"empty", "stats"}}, Fail, "backend empty has no server; backend stats has no server; 0 of 2 backends up"},
		{"empty and another", BackendPolicy{Include: []string{"empty", "app"}}, Warn, "backend empty has no server; 1 of 2 backends up"},
		{"empty and all required", BackendPolicy{Include: []string{"empty", "app"}, Require: RequireAll}, Fail, "backend empty has no server; 1 of 2 backends up, all required"},
		{"empty by pattern", BackendPolicy{Include: []string{"emp*"}}, Warn, "no backend has servers to be judged"},
		{"all excluded", BackendPolicy{Exclude: []string{"*"}}, Warn, "no backend has servers to be judged"},
		{"included and excluded", BackendPolicy{Include: []string{"app"}, Exclude: []string{"a*"}}, Warn, "no backend has servers to be judged"},
		{"three of none", BackendPolicy{Include: []string{"emp*"}, Require: three}, Fail, "no backend has servers to be judged, 3 required"},
		{"minimum", BackendPolicy{Include: []string{"app"}, Minimum: []BackendMinimum{{"a*", RequireAll}, {"app", RequireAny}}}, Fail,
			"backend app has 1 usable of 2 servers, 2 required (a2 DOWN: L4CON Connection refused); 0 of 1 backends up"},
		{"minimum, and named twice", BackendPolicy{Include: []string{"app", "app"}, Minimum: []BackendMinimum{{"app", RequireAll}}}, Fail,
			"backend app has 1 usable of 2 servers, 2 required (a2 DOWN: L4CON Connection refused); 0 of 1 backends up"},
		{"minimum that is met", BackendPolicy{Include: []string{"app"}, Minimum: []BackendMinimum{{"app", half}}}, Pass, "1 of 1 backends up"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h := checkOf(p.Config)
			h.WantBackends = test.policy
			result := runWithin(t, h, 5*time.Second)
			// While a check is under way HAProxy has no words for the last one.
			for again := 0; again < 50 && result.Reason != test.reason; again++ {
				time.Sleep(10 * time.Millisecond)
				result = runWithin(t, h, 5*time.Second)
			}
			expect(t, result, test.status, test.reason)
		})
	}

	t.Run("no open frontend", func(t *testing.T) {
		for _, name := range []string{"web", "api", "stats"} {
			if answer := p.Command(t, "disable frontend "+name); answer != "" {
				t.Fatalf("%s: %s", name, answer)
			}
		}
		for _, include := range [][]string{nil, {"app"}} {
			h := checkOf(p.Config)
			h.WantBackends.Include = include
			result := runWithin(t, h, 5*time.Second)
			if result.Status != Fail || !strings.HasPrefix(result.Reason, "no frontend is open (web is PAUSED: by hand, or by a reload that cannot bind an address?)") && !strings.HasPrefix(result.Reason, "no frontend is open (web is STOP)") {
				t.Errorf("%s: %s", result.Status, result.Reason)
			}
		}
	})
}

// Without a backend that has servers there is nothing to judge, which is fine
// unless somebody says what is to be judged.
func TestHAProxyWithoutBackends(t *testing.T) {
	free := haproxytest.FreePorts(t, 1)
	p := haproxytest.Start(t, haproxyGlobal+fmt.Sprintf("listen stats\n    bind 127.0.0.1:%d\n    mode http\n    stats enable\n", free[0]))
	h := checkOf(p.Config)
	expect(t, runWithin(t, h, 5*time.Second), Pass, "no backend has servers to be judged")
	h.WantBackends.Exclude = []string{"old"}
	expect(t, runWithin(t, h, 5*time.Second), Pass, "no backend has servers to be judged")
}

// HAProxy can be told to begin its answers with their severity.
func TestHAProxySeverityOutput(t *testing.T) {
	for _, severity := range []string{"number", "string"} {
		t.Run(severity, func(t *testing.T) {
			free := haproxytest.FreePorts(t, 2)
			listen(t, free[1])
			config := strings.Replace(haproxyGlobal, "level admin", "level user severity-output "+severity, 1)
			p := haproxytest.Start(t, config+fmt.Sprintf("listen app\n    bind 127.0.0.1:%d\n    server a1 127.0.0.1:%d\n", free[0], free[1]))
			h := checkOf(p.Config)
			expect(t, runWithin(t, h, 5*time.Second), Pass, "1 of 1 backends up")
			h.WantBackends.Include = []string{"nobody"}
			expect(t, runWithin(t, h, 5*time.Second), Fail, "there is no backend named nobody in the running haproxy")
		})
	}
}

func TestHAProxyBackendsForAReport(t *testing.T) {
	free := haproxytest.FreePorts(t, 3)
	listen(t, free[0])
	p := haproxytest.Start(t, haproxyGlobal+fmt.Sprintf(`
listen one
    bind 127.0.0.1:%[2]d
    server s1 127.0.0.1:%[1]d
listen two
    bind 127.0.0.1:%[3]d
    server s2 127.0.0.1:%[1]d disabled
`, free[0], free[1], free[2]))
	results, err := checkOf(p.Config).Backends(t.Context())
	if err != nil || len(results) != 2 {
		t.Fatalf("%+v, %v", results, err)
	}
	expect(t, results[0], Fail, "backend two has no usable server (s2 MAINT)")
	expect(t, results[1], Unknown, "backend one is up by HAProxy's word alone (s1 is not checked by HAProxy)")
	p.Kill()
	if _, err := checkOf(p.Config).Backends(t.Context()); err == nil || !strings.Contains(err.Error(), "nobody listens on it") {
		t.Errorf("err = %v", err)
	}
}

// After a start or a reload HAProxy calls each server UP until its first check
// has ended. That must not turn a dead backend into a live one.
func TestHAProxyJustStarted(t *testing.T) {
	free := haproxytest.FreePorts(t, 4)
	live, dead := free[0], free[1]
	listen(t, live)
	// HAProxy spreads the first checks over the interval: the second one begins
	// half a minute after the start.
	p := haproxytest.Start(t, haproxyGlobal+fmt.Sprintf(`
listen first
    bind 127.0.0.1:%[3]d
    server a1 127.0.0.1:%[1]d check inter 60s
listen second
    bind 127.0.0.1:%[4]d
    server b1 127.0.0.1:%[2]d check inter 60s
backend follows
    server c1 127.0.0.1:%[2]d track second/b1
backend further
    server d1 127.0.0.1:%[2]d track follows/c1
`, live, dead, free[2], free[3]))
	refused := fmt.Sprintf("was not checked yet, 127.0.0.1:%d: connection refused", dead)
	expect(t, runWithin(t, checkOf(p.Config), 5*time.Second), Warn,
		"backend second has no usable server (b1 "+refused+"); backend follows has no usable server (c1 "+refused+"); backend further has no usable server (d1 "+refused+"); 1 of 4 backends up")
	for backend, server := range map[string]string{"follows": "c1", "further": "d1"} {
		h := checkOf(p.Config) // the backends that it tracks are not asked for by themselves
		h.WantBackends.Include = []string{backend}
		expect(t, runWithin(t, h, 5*time.Second), Fail, "backend "+backend+" has no usable server ("+server+" "+refused+"); 0 of 1 backends up")
	}
	listen(t, dead)
	expect(t, runWithin(t, checkOf(p.Config), 5*time.Second), Pass, "4 of 4 backends up")
}

func TestHAProxyLevelUserShowsNoAddresses(t *testing.T) {
	free := haproxytest.FreePorts(t, 2)
	p := haproxytest.Start(t, strings.Replace(haproxyGlobal, "level admin", "level user", 1)+fmt.Sprintf(`
listen app
    bind 127.0.0.1:%[2]d
    server a1 127.0.0.1:%[1]d
    server a2 unix@{dir}/none.sock
`, free[0], free[1]))
	h := checkOf(p.Config)
	result := runWithin(t, h, 5*time.Second)
	expect(t, result, Warn, fmt.Sprintf("backend app is up by HAProxy's word alone (a1 is not checked by HAProxy, 127.0.0.1:%d: connection refused, "+
		"a2 is not checked by HAProxy, it has no address to be dialled (is it a unix socket, or a name that does not resolve?)); 0 of 1 backends up, 1 not known", free[0]))
	listen(t, free[0])
	expect(t, runWithin(t, h, 5*time.Second), Pass, "1 of 1 backends up")
}

func TestHAProxyServerOnTheClientsPort(t *testing.T) {
	free := haproxytest.FreePorts(t, 1)
	p := haproxytest.Start(t, haproxyGlobal+fmt.Sprintf(`
listen app
    bind 127.0.0.1:%d
    server a1 127.0.0.1:+1
    server a2 127.0.0.1
    server-template b 1-2 127.0.0.1:-1
`, free[0]))
	const none = " is not checked by HAProxy, it has no port of its own"
	result := runWithin(t, checkOf(p.Config), 5*time.Second)
	expect(t, result, Warn, "backend app is up by HAProxy's word alone (a1"+none+", a2"+none+", b1"+none+" and 1 more); 0 of 1 backends up, 1 not known")
}

func TestHAProxyUnit(t *testing.T) {
	free := haproxytest.FreePorts(t, 2)
	listen(t, free[0])
	p := haproxytest.Start(t, haproxyGlobal+fmt.Sprintf(`
listen app
    bind 127.0.0.1:%[2]d
    server a1 127.0.0.1:%[1]d
`, free[0], free[1]))
	socket, dead := unixSocket(p.Socket), unixSocket(filepath.Join(t.TempDir(), "none"))
	hang := func(ctx context.Context, _ []string) ([]unitState, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	deaf := func(ctx context.Context, _ []string) ([]unitState, error) {
		<-t.Context().Done()
		return nil, nil
	}
	answer := func(states ...unitState) func(context.Context, []string) ([]unitState, error) {
		return func(context.Context, []string) ([]unitState, error) { return states, nil }
	}
	lives := fmt.Sprintf("pid %d of version ", p.Cmd.Process.Pid)
	tests := []struct {
		name   string
		units  func(context.Context, []string) ([]unitState, error)
		socket haproxy.Address
		status Status
		part   string
		reason []string
	}{
		{"active", answer(unitState{"haproxy.service", "loaded", "active", "running", "success"}), socket, Pass, "haproxy.service is active", []string{"1 of 1 backends up"}},
		{"reloading", answer(unitState{"haproxy.service", "loaded", "reloading", "reload", "success"}), socket, Pass, "haproxy.service is reloading (reload)", []string{"1 of 1 backends up"}},
		{"not found", answer(unitState{"haproxy.service", "not-found", "inactive", "dead", "success"}), socket, Pass, "haproxy.service is not a unit of this node", nil},
		{"no systemd", func(context.Context, []string) ([]unitState, error) { return nil, errors.New("no bus here") }, socket, Pass, "haproxy.service: systemd was not asked: no bus here", nil},
		{"named, but not found", answer(unitState{"haproxy.service", "not-found", "inactive", "dead", "success"}), socket, Warn, "haproxy.service is not a unit of this node", []string{"haproxy.service is not a unit of this node; 1 of 1 backends up"}},
		{"named, not found, and gone", answer(unitState{"haproxy.service", "not-found", "inactive", "dead", "success"}), dead, Fail, "haproxy.service is not a unit of this node", []string{"there is no socket of this name"}},
		{"hanging D-Bus", hang, socket, Pass, "haproxy.service: systemd was not asked: context deadline exceeded", nil},
		{"D-Bus that hangs whatever the context says", deaf, socket, Pass, "haproxy.service: systemd: no answer in time", nil},
		{"failed, yet it serves", answer(unitState{"haproxy.service", "loaded", "failed", "failed", "signal"}), socket, Warn, "haproxy.service is failed, its last run ended by signal, yet " + lives, []string{"; 1 of 1 backends up"}},
		{"restarting and gone", answer(unitState{"haproxy.service", "loaded", "activating", "auto-restart", "signal"}), dead, Fail, "haproxy.service is activating (auto-restart), its last run ended by signal", []string{"there is no socket of this name"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h := checkOf(p.Config)
			h.Unit, h.units, h.Sockets = "haproxy.service", test.units, []haproxy.Address{test.socket}
			h.UnitNamed, h.WantListeners.Skip = strings.HasPrefix(test.name, "named"), test.socket == dead
			result := runWithin(t, h, 900*time.Millisecond)
			if result.Status != test.status {
				t.Errorf("status %s: %s", result.Status, result.Reason)
			}
			if part := result.Parts[0].Reason; !strings.HasPrefix(part, test.part) {
				t.Errorf("unit: %s", part)
			}
			for _, reason := range test.reason {
				if !strings.Contains(result.Reason, reason) {
					t.Errorf("reason %q lacks %q", result.Reason, reason)
				}
			}
		})
	}
}

func TestHAProxyListeners(t *testing.T) {
	free := haproxytest.FreePorts(t, 3)
	listen(t, free[0])
	p := haproxytest.Start(t, haproxyGlobal+fmt.Sprintf(`
listen app
    bind 127.0.0.1:%[2]d
    server a1 127.0.0.1:%[1]d
`, free[0], free[1]))
	there, gone := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(free[1])), netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(free[2]))
	tests := []struct {
		name   string
		policy ListenerPolicy
		status Status
		reason string
	}{
		{"of haproxy.cfg", ListenerPolicy{}, Pass, "1 of 1 addresses listen"},
		{"one of two", ListenerPolicy{Addresses: []netip.AddrPort{there, gone}}, Warn, fmt.Sprintf("1 of 2 addresses listen, not %s", gone)},
		{"all of two", ListenerPolicy{Addresses: []netip.AddrPort{there, gone}, Require: RequireAll}, Fail, fmt.Sprintf("1 of 2 addresses listen, not %s (all required)", gone)},
		{"none", ListenerPolicy{Addresses: []netip.AddrPort{gone}}, Fail, fmt.Sprintf("0 of 1 addresses listen, not %s", gone)},
		{"skipped", ListenerPolicy{Skip: true, Addresses: []netip.AddrPort{gone}}, Pass, "1 of 1 frontends open"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h := checkOf(p.Config)
			h.WantListeners = test.policy
			result := runWithin(t, h, 5*time.Second)
			expect(t, result.Parts[2], test.status, test.reason)
			if result.Status != test.status {
				t.Errorf("%s: %s", result.Status, result.Reason)
			}
		})
	}
	t.Run("haproxy.cfg edited since the start", func(t *testing.T) {
		text, err := os.ReadFile(p.Config)
		if err != nil {
			t.Fatal(err)
		}
		edited := filepath.Join(t.TempDir(), "haproxy.cfg")
		if err := os.WriteFile(edited, []byte(strings.ReplaceAll(string(text), fmt.Sprint(free[1]), fmt.Sprint(free[2]))), 0o600); err != nil {
			t.Fatal(err)
		}
		h := checkOf(p.Config)
		h.Config = func(ctx context.Context, only haproxy.Want) (*haproxy.Config, error) {
			return haproxy.LoadConfig(ctx, []string{edited}, haproxy.ConfigOptions{Only: only})
		}
		expect(t, runWithin(t, h, 5*time.Second), Warn, fmt.Sprintf("0 of 1 addresses listen, not %s, although haproxy has open frontends: was haproxy.cfg changed since the last reload?; 1 of 1 backends up", gone))
	})
	t.Run("no haproxy.cfg", func(t *testing.T) {
		h := checkOf(p.Config)
		h.Config, h.Sockets = nil, []haproxy.Address{unixSocket(p.Socket)}
		result := runWithin(t, h, 5*time.Second)
		expect(t, result.Parts[2], Pass, "1 of 1 frontends open")
		if result.Status != Pass {
			t.Errorf("%s: %s", result.Status, result.Reason)
		}
	})
}
