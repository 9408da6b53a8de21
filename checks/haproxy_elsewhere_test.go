package checks

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"hacheck/haproxy"
	"hacheck/haproxy/haproxytest"
)

// unitIs lets systemd say that the unit is in this state.
func unitIs(h *HAProxy, active string) {
	h.Unit = "haproxy.service"
	h.units = func(context.Context, []string) ([]unitState, error) {
		return []unitState{{Name: h.Unit, Load: "loaded", Active: active}}, nil
	}
}

// rewrite changes haproxy.cfg under a running HAProxy.
func rewrite(t *testing.T, p *haproxytest.Process, pairs ...string) {
	t.Helper()
	text, err := os.ReadFile(p.Config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p.Config, []byte(strings.NewReplacer(pairs...).Replace(string(text))), 0o644); err != nil {
		t.Fatal(err)
	}
}

// A HAProxy that lives must not fail because the socket named is not the one it
// has; one that is dead must, whatever else is left of it.
func TestHAProxySocketElsewhere(t *testing.T) {
	free := haproxytest.FreePorts(t, 3)
	listen(t, free[0])
	start := func(t *testing.T) *haproxytest.Process {
		return haproxytest.Start(t, haproxyGlobal+fmt.Sprintf("listen app\n    bind 127.0.0.1:%d\n    bind 127.0.0.1:%d\n    server a1 127.0.0.1:%d\n",
			free[1], free[2], free[0]))
	}
	const notSeen = "; without the admin socket backends and a frozen haproxy are not seen"
	noSocket := func(path string) string {
		return "admin socket " + path + ": there is no socket of this name, haproxy is not running or was started with another configuration"
	}
	refused := func(path string) string {
		return "admin socket " + path + ": nobody listens on it, haproxy is not running"
	}
	// lives is what becomes of these words when something proves that it runs.
	lives := func(words string) string {
		found, _, _ := strings.Cut(words, ", haproxy is not running")
		return found + ", but haproxy runs, with another socket"
	}
	gone := fmt.Sprintf("0 of 2 addresses listen, not 127.0.0.1:%d, 127.0.0.1:%d", free[1], free[2])

	t.Run("haproxy.cfg not reloaded yet", func(t *testing.T) {
		p := start(t)
		later := filepath.Join(p.Dir, "later.sock")
		rewrite(t, p, p.Socket, later)
		h := checkOf(p.Config)
		expect(t, runWithin(t, h, 5*time.Second), Warn, lives(noSocket(later))+notSeen)
		unitIs(h, "active")
		expect(t, runWithin(t, h, 5*time.Second), Warn, lives(noSocket(later))+notSeen)
		h.WantListeners.Skip = true
		expect(t, runWithin(t, h, 5*time.Second), Warn, lives(noSocket(later))+notSeen)
		h.Unit = ""
		expect(t, runWithin(t, h, 5*time.Second), Fail, noSocket(later))
		h.WantListeners.Skip = false
		p.Kill()
		expect(t, runWithin(t, h, 5*time.Second), Fail, noSocket(later)+"; "+gone)
		unitIs(h, "failed")
		expect(t, runWithin(t, h, 5*time.Second), Fail, noSocket(later)+"; haproxy.service is failed; "+gone)
	})
	t.Run("a typing mistake in the option", func(t *testing.T) {
		p := start(t)
		h := checkOf(p.Config)
		h.Sockets = []haproxy.Address{unixSocket(p.Socket + "x")}
		expect(t, runWithin(t, h, 5*time.Second), Warn, lives(noSocket(p.Socket+"x"))+notSeen)
	})
	t.Run("a socket that an earlier one left", func(t *testing.T) {
		p := start(t)
		stale := filepath.Join(p.Dir, "stale.sock")
		leave(t, stale)
		rewrite(t, p, p.Socket, stale)
		h := checkOf(p.Config)
		expect(t, runWithin(t, h, 5*time.Second), Warn, lives(refused(stale))+notSeen)
		p.Freeze(t)
		h.Sockets = []haproxy.Address{unixSocket(stale), unixSocket(p.Socket)}
		result := runWithin(t, h, 200*time.Millisecond)
		if result.Status != Fail || !strings.HasPrefix(result.Reason, "admin socket "+p.Socket+": haproxy did not answer in time") {
			t.Errorf("frozen: %s: %s", result.Status, result.Reason)
		}
		p.Signal(t, syscall.SIGCONT)
	})
	t.Run("a variable of HAProxy's environment", func(t *testing.T) {
		p := start(t)
		rewrite(t, p, p.Socket, `"`+p.Dir+`/${HACHECK_TEST_SOCKET}.sock"`)
		h := checkOf(p.Config)
		unitIs(h, "active")
		result := runWithin(t, h, 5*time.Second)
		if result.Status != Warn || !strings.HasPrefix(result.Reason, "admin socket "+p.Dir+"/.sock: there is no socket of this name; name HAProxy's") {
			t.Errorf("%s: %s", result.Status, result.Reason)
		}
	})
	t.Run("killed, and another program has its address", func(t *testing.T) {
		p := start(t)
		h := checkOf(p.Config)
		p.Kill()
		unit := *h
		unitIs(&unit, "active")
		expect(t, runWithin(t, &unit, 5*time.Second), Fail, gone)
		listen(t, free[1])
		// Other processes named haproxy may run on this machine meanwhile.
		for what, reason := range map[presence]string{absent: refused(p.Socket), hidden: refused(p.Socket)} {
			h.process = func(context.Context) presence { return what }
			expect(t, runWithin(t, h, 5*time.Second), Fail, reason)
		}
		unitIs(h, "activating")
		h.process = nil
		expect(t, runWithin(t, h, 5*time.Second), Fail, refused(p.Socket)+"; haproxy.service is activating")
	})
}

// leave lets a socket of this name be there on which nobody listens.
func leave(t *testing.T, path string) {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	if err := syscall.Bind(fd, &syscall.SockaddrUnix{Name: path}); err != nil {
		t.Fatal(err)
	}
}

func TestFindProcess(t *testing.T) {
	haproxytest.Start(t, haproxyGlobal)
	if got := findProcess(t.Context(), "/proc"); got != present {
		t.Errorf("got %d with one that runs", got)
	}
	proc := t.TempDir()
	if got := findProcess(t.Context(), proc); got != hidden {
		t.Errorf("got %d without processes to be seen", got)
	}
	for pid, stat := range map[string]string{"1": "1 (systemd) S 0", "20": "20 (haproxy) Z 1", "30": "30 (a (haproxy) S 1", "self": "40 (haproxy) S 1", "50": ""} {
		if err := os.Mkdir(filepath.Join(proc, pid), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(proc, pid, "stat"), []byte(stat), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got := findProcess(t.Context(), proc); got != absent {
		t.Errorf("got %d with none that runs", got)
	}
}

// Without access to the socket nothing but the listening addresses speaks for
// HAProxy, and a haproxy.cfg that is ahead of it must not make it fail.
func TestHAProxyConfigAhead(t *testing.T) {
	free := haproxytest.FreePorts(t, 2)
	p := haproxytest.Start(t, haproxyGlobal+fmt.Sprintf("listen app\n    bind 127.0.0.1:%d\n", free[0]))
	rewrite(t, p, fmt.Sprint(free[0]), fmt.Sprint(free[1]), p.Socket, filepath.Join(p.Dir, "later.sock"))
	gone := fmt.Sprintf("0 of 1 addresses listen, not 127.0.0.1:%d", free[1])
	missing := "admin socket " + filepath.Join(p.Dir, "later.sock") + ": there is no socket of this name, haproxy is not running or was started with another configuration"
	const notSeen = "; without the admin socket backends and a frozen haproxy are not seen"
	h := checkOf(p.Config)
	expect(t, runWithin(t, h, 5*time.Second), Fail, missing+"; "+gone)
	unitIs(h, "active")
	expect(t, runWithin(t, h, 5*time.Second), Warn, strings.Replace(missing, "haproxy is not running or was started with another configuration", "but haproxy runs, with another socket", 1)+"; "+gone+", although haproxy.service is active: was haproxy.cfg changed since the last reload?"+notSeen)

	// What is left is what an account without access to the socket sees.
	answers := answer{part: Result{Status: Unknown}}
	failed := Result{Status: Fail, Reason: gone}
	partly := sources{config: &haproxy.Config{Unread: []string{"/etc/haproxy/conf.d/a.cfg"}}}
	for _, test := range []struct {
		name   string
		source sources
		answer answer
		unit   Status
		status Status
		reason string
	}{
		{"active", sources{}, answers, Pass, Warn, gone + ", although it is active: was haproxy.cfg changed since the last reload?"},
		{"no unit", sources{}, answers, Unknown, Fail, gone},
		{"no unit, and a file not read", partly, answers, Unknown, Unknown, gone + ", but others may: /etc/haproxy/conf.d/a.cfg cannot be read"},
		{"active and refused", partly, answer{part: Result{Status: Fail}, gone: true, refused: true}, Pass, Fail, gone},
		{"active and frozen", partly, answer{part: Result{Status: Fail}}, Pass, Fail, gone},
	} {
		t.Run(test.name, func(t *testing.T) {
			expect(t, h.excuseListeners(test.source, test.answer, Result{Status: test.unit, Reason: "it is active"}, failed), test.status, test.reason)
		})
	}
}

// A haproxy.cfg that names no socket, for a moment or for want of the right to
// read all of it, leaves the usual places to be asked.
func TestHAProxyGuessedSockets(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "haproxy.cfg")
	for text, want := range map[string]int{
		"":                             0,
		"global\n    daemon\n":         0,
		"global\n stats socket fd@3\n": 0,
		"global\n stats socket /a\n":   1,
		"global\n stats socket /a\n stats socket \"/${HACHECK_TEST_SOCKET}\"\n":          2,
		"global\n stats socket \"/${HACHECK_TEST_SOCKET}b\"\n":                           1,
		"global\n.if defined(HACHECK_TEST_SOCKET)\n stats socket /conditional\n.endif\n": 1,
	} {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		s := checkOf(file).sources(t.Context())
		named := 0
		for _, socket := range s.sockets {
			if socket.named {
				named++
			}
		}
		guessed := len(s.sockets) - want
		if wantGuessed := len(haproxy.DefaultSockets()); s.err != nil || named > 1 || named == 0 && guessed != wantGuessed || named == 1 && guessed != 0 {
			t.Errorf("%q: %+v, %v", text, s.sockets, s.err)
		}
	}
}

// A socket at an address that this node does not have now would be answered by the
// node that has it.
func TestHAProxySocketOnTheVIP(t *testing.T) {
	free := haproxytest.FreePorts(t, 2)
	listen(t, free[0])
	p := haproxytest.Start(t, haproxyGlobal+fmt.Sprintf("listen app\n    bind 127.0.0.1:%d\n    server a1 127.0.0.1:%d\n", free[1], free[0]))
	// 192.0.2.0/24 is for documentation: nobody has an address of it.
	const away = "admin socket 192.0.2.99:9999: this node does not have the address now, so that another would answer: add `stats socket /run/haproxy/admin.sock mode 660 level user` to haproxy.cfg"
	rewrite(t, p, "stats socket ", "stats socket ipv4@192.0.2.99:9999 level user\n    stats socket ")
	expect(t, runWithin(t, checkOf(p.Config), 5*time.Second), Pass, "1 of 1 backends up")
	rewrite(t, p, "stats socket "+p.Socket, "# ")
	expect(t, runWithin(t, checkOf(p.Config), 5*time.Second), Warn, away+"; without the admin socket backends and a frozen haproxy are not seen")
	p.Kill()
	result := runWithin(t, checkOf(p.Config), 5*time.Second)
	if result.Status != Fail {
		t.Errorf("a dead HAProxy is %s: %s", result.Status, result.Reason)
	}

	for address, want := range map[string]int{"/run/a.sock": 0, "abns@a": 0, "127.0.0.1:1": 0, "ipv4@*:1": 0, "[::1]:1": 0, "192.0.2.99:1": 1, "localhost:1": 1} {
		parsed, err := haproxy.ParseAddress(address)
		if err != nil {
			t.Fatal(err)
		}
		if got := (adminSocket{Address: parsed}).distance(); got != want {
			t.Errorf("distance of %s is %d, want %d", address, got, want)
		}
	}
	if (adminSocket{Address: haproxy.Address{Network: haproxy.NetworkTCP, Addr: "192.0.2.99:1"}, named: true}).away() {
		t.Error("a socket that the operator names is not asked because of its address")
	}
}

// Where haproxy.cfg has no admin socket, one at a usual place may be another
// HAProxy's: what that says is no word about this one.
func TestHAProxyOfAnotherConfiguration(t *testing.T) {
	free := haproxytest.FreePorts(t, 3)
	listen(t, free[0])
	p := haproxytest.Start(t, haproxyGlobal+fmt.Sprintf("listen app\n    bind 127.0.0.1:%d\n    server a1 127.0.0.1:%d\n", free[1], free[0]))
	for _, test := range []struct {
		name, config string
		lives        bool
	}{
		{"another", fmt.Sprintf("global\n    daemon\nlisten web\n    bind 127.0.0.1:%d\n", free[2]), false},
		{"the same", fmt.Sprintf("global\n    daemon\nlisten app\n    bind 127.0.0.1:%d\nlisten more\n    bind 127.0.0.1:%d\n", free[1], free[2]), true},
		{"the same, if a condition holds", fmt.Sprintf("global\n    daemon\n.if feature(X)\nlisten app\n    bind 127.0.0.1:%d\n.endif\nlisten more\n    bind 127.0.0.1:%d\n", free[1], free[2]), true},
		{"one without frontends", "global\n    daemon\n", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "haproxy.cfg")
			if err := os.WriteFile(file, []byte(test.config), 0o644); err != nil {
				t.Fatal(err)
			}
			for _, include := range [][]string{nil, {"app"}} {
				h := checkOf(file)
				h.WantBackends.Include = include
				s := h.sources(t.Context())
				if !s.none {
					t.Fatalf("the configuration has sockets: %+v", s.sockets)
				}
				s.sockets = []adminSocket{{Address: unixSocket(p.Socket)}} // as if it were at a usual place
				a, _ := h.look(t.Context(), s, time.Second, func(int) {})
				if a.lives != test.lives {
					t.Errorf("include %v: lives %t, want %t: %s", include, a.lives, test.lives, a.part.Reason)
				}
				want := "haproxy.cfg has no admin socket, and the haproxy on " + p.Socket + " has none of its frontends: add `stats socket` to its global section, or name the socket with --socket"
				if !test.lives && (a.part.Status != Unknown || a.part.Reason != want) {
					t.Errorf("include %v: %s: %s", include, a.part.Status, a.part.Reason)
				}
			}
		})
	}
}

// HAProxy 1.8 to 2.2 call a frontend FULL while its maxconn is reached. No such
// version is installed here.
func TestHAProxyFrontendIsFull(t *testing.T) {
	h := NewHAProxy(nil)
	row := func(status string) haproxy.Row {
		return haproxy.Row{Proxy: "web", Server: "FRONTEND", Type: haproxy.RowFrontend, Status: status}
	}
	for status, want := range map[string]Status{"OPEN": Pass, "FULL": Pass, "STOP": Fail, "PAUSED": Fail, "": Fail} {
		a := answer{lives: true, snapshot: haproxy.Snapshot{Rows: []haproxy.Row{row(status)}}}
		if part := h.listeners(sources{err: errNoConfig}, a, kernelListeners{}); part.Status != want {
			t.Errorf("%s: %s: %s", status, part.Status, part.Reason)
		}
	}
}
