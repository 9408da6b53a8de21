package checks

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"net"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
)

// fakeManager answers as org.freedesktop.systemd1.Manager on a real
// dbus-daemon, so that every state of a unit can be shown. Real units are
// checked on booted nodes.
type fakeManager struct{ units []listedUnit }

func (m fakeManager) ListUnitsByNames(names []string) ([]listedUnit, *dbus.Error) {
	var found []listedUnit
	for _, name := range names {
		i := slices.IndexFunc(m.units, func(u listedUnit) bool { return u.Name == name || u.Following == name })
		if i < 0 {
			found = append(found, listedUnit{Name: name, Load: "not-found", Active: "inactive", Sub: "dead", Path: "/x", JobPath: "/"})
			continue
		}
		found = append(found, m.units[i])
	}
	return found, nil
}

func (m fakeManager) ListUnitsByPatterns(states, patterns []string) ([]listedUnit, *dbus.Error) {
	found := []listedUnit{}
	for _, unit := range m.units {
		if slices.ContainsFunc(patterns, func(p string) bool { ok, _ := path.Match(p, unit.Name); return ok }) {
			found = append(found, unit)
		}
	}
	return found, nil
}

// fakeResult answers Properties.Get for one unit.
type fakeResult string

func (r fakeResult) Get(iface, property string) (dbus.Variant, *dbus.Error) {
	if iface != "org.freedesktop.systemd1.Service" || property != "Result" {
		return dbus.Variant{}, dbus.NewError("org.freedesktop.DBus.Error.UnknownProperty", nil)
	}
	return dbus.MakeVariant(string(r)), nil
}

// startBus runs a dbus-daemon of its own and returns its address.
func startBus(t testing.TB) string {
	t.Helper()
	binary, err := exec.LookPath("dbus-daemon")
	if err != nil {
		t.Fatal("dbus-daemon is not installed: run make test, which installs it (package dbus)")
	}
	daemon := exec.Command(binary, "--session", "--nofork", "--nopidfile", "--print-address",
		"--address=unix:path="+filepath.Join(t.TempDir(), "bus"))
	out, err := daemon.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		daemon.Process.Kill()
		daemon.Wait()
	})
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal("dbus-daemon gave no address: ", err)
	}
	return strings.TrimSpace(address)
}

func exportSystemd(t testing.TB, address string, units []listedUnit, results map[string]string) {
	t.Helper()
	conn, err := dbus.Connect(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	for i, unit := range units {
		units[i].Path = dbus.ObjectPath("/org/freedesktop/systemd1/unit/u" + string(rune('a'+i)))
		units[i].JobPath = "/"
		if result, ok := results[unit.Name]; ok {
			if err := conn.Export(fakeResult(result), units[i].Path, "org.freedesktop.DBus.Properties"); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := conn.Export(fakeManager{units}, "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager"); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.RequestName(systemdService, 0); err != nil {
		t.Fatal(err)
	}
}

func TestSystemdStates(t *testing.T) {
	address := startBus(t)
	exportSystemd(t, address, []listedUnit{
		{Name: "haproxy.service", Load: "loaded", Active: "active", Sub: "running"},
		{Name: "oneshot.service", Load: "loaded", Active: "active", Sub: "exited"},
		{Name: "reloading.service", Load: "loaded", Active: "reloading", Sub: "reload"},
		{Name: "refreshing.service", Load: "loaded", Active: "refreshing", Sub: "refresh"},
		{Name: "starting.service", Load: "loaded", Active: "activating", Sub: "start"},
		{Name: "crashing.service", Load: "loaded", Active: "activating", Sub: "auto-restart"},
		{Name: "stopping.service", Load: "loaded", Active: "deactivating", Sub: "stop-sigterm"},
		{Name: "failed.service", Load: "loaded", Active: "failed", Sub: "failed"},
		{Name: "silent.service", Load: "loaded", Active: "failed", Sub: "failed"},
		{Name: "stopped.service", Load: "loaded", Active: "inactive", Sub: "dead"},
		{Name: "masked.service", Load: "masked", Active: "inactive", Sub: "dead"},
		{Name: "broken.service", Load: "bad-setting", Active: "inactive", Sub: "dead"},
		{Name: "sshd.service", Following: "ssh.service", Load: "loaded", Active: "active", Sub: "running"},
		{Name: "app@1.service", Load: "loaded", Active: "active", Sub: "running"},
		{Name: "app@2.service", Load: "loaded", Active: "failed", Sub: "failed"},
		{Name: "app@3.service", Load: "loaded", Active: "active", Sub: "running"},
		{Name: "app@4.service", Load: "not-found", Active: "inactive", Sub: "dead"},
		{Name: "app.socket", Load: "loaded", Active: "active", Sub: "listening"},
	}, map[string]string{"failed.service": "exit-code", "crashing.service": "signal", "app@2.service": "signal"})

	require := func(text string) Require {
		r, err := ParseRequire(text)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	for _, test := range []struct {
		units   string
		require string
		status  Status
		reason  string
	}{
		{"haproxy", "any", Pass, "haproxy.service is active"},
		{"haproxy.service", "all", Pass, "haproxy.service is active"},
		{"oneshot", "any", Pass, "oneshot.service is active (exited)"},
		{"reloading", "any", Pass, "reloading.service is reloading"},
		{"refreshing", "any", Pass, "refreshing.service is refreshing"},
		{"starting", "any", Fail, "starting.service is activating (start)"},
		{"crashing", "any", Fail, "crashing.service is activating (auto-restart after signal)"},
		{"stopping", "any", Fail, "stopping.service is deactivating (stop-sigterm)"},
		{"failed", "any", Fail, "failed.service is failed (exit-code)"},
		{"silent", "any", Fail, "silent.service is failed"},
		{"stopped", "any", Fail, "stopped.service is inactive (dead)"},
		{"masked", "any", Fail, "masked.service is inactive and its unit file is masked"},
		{"broken", "any", Fail, "broken.service is inactive and its unit file is bad-setting"},
		{"missing", "any", Fail, "missing.service is not installed"},
		{"ssh", "any", Pass, "ssh.service is active"},
		{"app.socket", "any", Pass, "app.socket is active"},
		{"app@9*", "any", Fail, "app@9*.service matches no loaded unit"},
		{"app@*.service", "any", Pass, "2 of 3 units app@*.service active: app@2.service is failed (signal)"},
		{"app@*.service", "all", Fail, "2 of 3 units app@*.service active (3 needed): app@2.service is failed (signal)"},
		{"app@*.service", "60%", Pass, "2 of 3 units app@*.service active: app@2.service is failed (signal)"},
		{"app@*.service", "4", Fail, "2 of 3 units app@*.service active (4 needed): app@2.service is failed (signal)"},
		{"app@*", "2", Pass, "2 of 3 units app@*.service active: app@2.service is failed (signal)"},
		{"haproxy app@*.service app@1.service", "all", Fail, "3 of 4 units active (4 needed): app@2.service is failed (signal)"},
		{"haproxy app@9*", "all", Fail, "1 of 2 units active (2 needed): app@9*.service matches no loaded unit"},
		{"app.*", "any", Pass, "app.socket is active"},
	} {
		t.Run(test.units+" "+test.require, func(t *testing.T) {
			check, err := NewSystemd("units", strings.Fields(test.units), require(test.require))
			if err != nil {
				t.Fatal(err)
			}
			check.bus = systemdBus{address: address}
			expectRun(t, check, "units", test.status, test.reason)
		})
	}
}

func TestQueryUnitsFollowsTheEnvironment(t *testing.T) {
	address := startBus(t)
	exportSystemd(t, address, []listedUnit{{Name: "haproxy.service", Load: "loaded", Active: "active", Sub: "running"}}, nil)
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", address)
	states, err := queryUnits(t.Context(), []string{"haproxy"})
	if err != nil {
		t.Fatal(err)
	}
	want := unitState{Name: "haproxy.service", Load: "loaded", Active: "active", Sub: "running"}
	if len(states) != 1 || states[0] != want {
		t.Errorf("got %+v, want %+v", states, want)
	}
	if _, err := queryUnits(t.Context(), []string{"a b"}); err == nil || err.Error() != `"a b" is not the name of a unit: ' ' cannot be in one` {
		t.Errorf("a name with a space: %v", err)
	}
}

func TestSystemdWithoutAnswer(t *testing.T) {
	dir := t.TempDir()
	nobody := filepath.Join(dir, "nobody")
	listener, err := net.Listen("unix", nobody)
	if err != nil {
		t.Fatal(err)
	}
	listener.(*net.UnixListener).SetUnlinkOnClose(false)
	listener.Close() // the file stays, nobody listens
	empty := startBus(t)
	emptySocket, err := busSocket(empty)
	if err != nil {
		t.Fatal(err)
	}

	for _, test := range []struct {
		name      string
		bus       systemdBus
		noSystemd bool
		reason    string
	}{
		{"not booted with systemd", systemdBus{address: empty, booted: dir + "/none"}, true,
			"systemd does not run here (there is no " + dir + "/none)"},
		{"no bus", systemdBus{address: "unix:path=" + dir + "/none"}, false,
			"ask systemd over " + dir + "/none: connect: no such file or directory"},
		{"dead bus and no private socket", systemdBus{address: "unix:path=" + nobody, private: dir + "/none"}, false,
			"ask systemd over " + nobody + ": connect: connection refused"},
		{"bus without systemd", systemdBus{address: empty}, false,
			"ask systemd over " + emptySocket + ": ListUnitsByNames: Name \"org.freedesktop.systemd1\" does not exist"},
		{"no address", systemdBus{address: "tcp:host=x"}, false,
			`ask systemd over tcp:host=x: D-Bus address "tcp:host=x" names no unix socket`},
	} {
		t.Run(test.name, func(t *testing.T) {
			check, err := NewSystemd("unit", []string{"haproxy"}, RequireAny)
			if err != nil {
				t.Fatal(err)
			}
			check.bus = test.bus
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			if got := check.Run(ctx); got.Status != Unknown || got.Reason != test.reason {
				t.Errorf("got %s %q\nwant unknown %q", got.Status, got.Reason, test.reason)
			}
			if _, err := test.bus.query(ctx, []string{"haproxy.service"}); errors.Is(err, errNoSystemd) != test.noSystemd {
				t.Errorf("errNoSystemd: %v", err)
			}
		})
	}
}

// TestSystemdPrivateSocket shows that root asks systemd itself when the bus is
// down: a peer that authenticates, is not told Hello, and answers.
func TestSystemdPrivateSocket(t *testing.T) {
	dir := t.TempDir()
	private := filepath.Join(dir, "private")
	listener, err := net.Listen("unix", private)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	served := make(chan error, 1)
	go func() { served <- servePrivate(listener) }()

	bus := systemdBus{address: "unix:path=" + dir + "/none", private: private}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	states, err := bus.query(ctx, []string{"haproxy.service"})
	if err != nil {
		t.Fatal(err, <-served)
	}
	if len(states) != 1 || states[0].Active != "active" {
		t.Errorf("got %+v", states)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// servePrivate is the other end of a peer-to-peer D-Bus connection.
func servePrivate(listener net.Listener) error {
	conn, err := listener.Accept()
	if err != nil {
		return err
	}
	defer conn.Close()
	in := bufio.NewReader(conn)
	if _, err := in.ReadByte(); err != nil { // the NUL that comes first
		return err
	}
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return err
		}
		answer := "OK 0123456789abcdef0123456789abcdef\r\n"
		switch strings.TrimSpace(line) {
		case "AUTH":
			answer = "REJECTED EXTERNAL\r\n"
		case "BEGIN":
			return answerPrivate(conn, in)
		}
		if _, err := conn.Write([]byte(answer)); err != nil {
			return err
		}
	}
}

func answerPrivate(conn net.Conn, in *bufio.Reader) error {
	call, err := dbus.DecodeMessage(in)
	if err != nil {
		return err
	}
	if member := call.Headers[dbus.FieldMember].Value(); member != "ListUnitsByNames" {
		return errors.New("the first call is not ListUnitsByNames")
	}
	body := []listedUnit{{Name: "haproxy.service", Load: "loaded", Active: "active", Sub: "running", Path: "/u", JobPath: "/"}}
	reply := &dbus.Message{Type: dbus.TypeMethodReply, Body: []any{body}, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldReplySerial: dbus.MakeVariant(call.Serial()),
		dbus.FieldSignature:   dbus.MakeVariant(dbus.SignatureOf(body)),
	}}
	var out strings.Builder
	if err := reply.EncodeTo(&out, binary.LittleEndian); err != nil {
		return err
	}
	// EncodeTo leaves serial 0, which the protocol forbids in its sender.
	raw := []byte(out.String())
	binary.LittleEndian.PutUint32(raw[8:], 1)
	_, err = conn.Write(raw)
	return err
}

func TestNewSystemdErrors(t *testing.T) {
	for _, test := range []struct {
		units []string
		count string
		want  string
	}{
		{nil, "any", "no unit is named: name one such as haproxy.service, or a pattern such as app@*.service"},
		{[]string{""}, "any", "a unit's name is empty"},
		{[]string{"a b"}, "any", `"a b" is not the name of a unit: ' ' cannot be in one`},
		{[]string{"é"}, "any", `"é" is not the name of a unit: 'é' cannot be in one`},
		{[]string{"a\nb"}, "any", `"a\nb" is not the name of a unit: '\n' cannot be in one`},
		{[]string{"/mnt/x"}, "any", `"/mnt/x" is a path: name the unit (systemd-escape --path --suffix=mount PATH tells it)`},
		{[]string{".service"}, "any", `".service" is not the name of a unit`},
		{[]string{"app@"}, "any", `"app@.service" is a template: name an instance, such as app@1.service, or a pattern, such as app@*.service`},
		{[]string{strings.Repeat("x", 300)}, "any", `"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"… is not the name of a unit: it has 308 characters, at most 255 are allowed`},
		{[]string{"a", "a.service"}, "any", "unit a.service is named twice"},
		{[]string{"a", "b"}, "3", "3 of 2 units can never be active"},
	} {
		require, err := ParseRequire(test.count)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := NewSystemd("units", test.units, require); err == nil || err.Error() != test.want {
			t.Errorf("%q: got %v\nwant %s", test.units, err, test.want)
		}
	}
	if _, err := NewSystemd("", []string{"a"}, RequireAny); err == nil || err.Error() != "a check needs a name" {
		t.Errorf("no name: %v", err)
	}
}

func TestUnitName(t *testing.T) {
	for text, want := range map[string]string{
		"haproxy":          "haproxy.service",
		"haproxy.service":  "haproxy.service",
		"app.v2":           "app.v2.service",
		"app.socket":       "app.socket",
		"app@1":            "app@1.service",
		`app@a\x2db.mount`: `app@a\x2db.mount`,
		"app@*":            "app@*.service",
		"app@*.service":    "app@*.service",
		"app.*":            "app.*",
		"app[12]":          "app[12].service",
	} {
		if got, err := unitName(text); err != nil || got != want {
			t.Errorf("unitName(%q) = %q, %v, want %q", text, got, err, want)
		}
	}
}

func FuzzUnitName(f *testing.F) {
	for _, seed := range []string{"haproxy", "app@*.service", "app@", ".", "a.b.*", "\xff", "@.service", "[", ".service"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		name, err := unitName(text)
		if err != nil {
			return
		}
		if again, err := unitName(name); err != nil || again != name {
			t.Errorf("unitName(%q) = %q, and of that %q, %v", text, name, again, err)
		}
	})
}

func TestBusSocket(t *testing.T) {
	for address, want := range map[string]string{
		"unix:path=/run/dbus/system_bus_socket":                    "/run/dbus/system_bus_socket",
		"unix:path=/tmp/a%20b,guid=00":                             "/tmp/a b",
		"unix:abstract=/tmp/x":                                     "@/tmp/x",
		"tcp:host=localhost,port=1;unix:guid=0,path=/run/x":        "/run/x",
		"unix:tmpdir=/tmp;unix:path=/var/run/dbus/system_bus_sock": "/var/run/dbus/system_bus_sock",
	} {
		if got, err := busSocket(address); err != nil || got != want {
			t.Errorf("busSocket(%q) = %q, %v, want %q", address, got, err, want)
		}
	}
	for address, want := range map[string]string{
		"":                     `D-Bus address "" names no unix socket`,
		"unix:path=%zz":        `D-Bus address "unix:path=%zz": invalid URL escape "%zz"`,
		"unix:path=relative":   `D-Bus address "unix:path=relative": "relative" is not the path of a unix socket: it begins with / (or with @ for an abstract one)`,
		"autolaunch:scope=any": `D-Bus address "autolaunch:scope=any" names no unix socket`,
	} {
		if _, err := busSocket(address); err == nil || err.Error() != want {
			t.Errorf("busSocket(%q): %v\nwant %s", address, err, want)
		}
	}
}

func BenchmarkSystemd(b *testing.B) {
	address := startBus(b)
	exportSystemd(b, address, []listedUnit{{Name: "haproxy.service", Load: "loaded", Active: "active", Sub: "running"}}, nil)
	bus := systemdBus{address: address}
	for b.Loop() {
		if _, err := bus.query(b.Context(), []string{"haproxy.service"}); err != nil {
			b.Fatal(err)
		}
	}
}

func TestValidateUnit(t *testing.T) {
	for _, name := range []string{"haproxy", "haproxy.service", "haproxy@*.service"} {
		if err := ValidateUnit(name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := ValidateUnit("ha proxy"); err == nil || err.Error() != `"ha proxy" is not the name of a unit: ' ' cannot be in one` {
		t.Errorf("err = %v", err)
	}
}
