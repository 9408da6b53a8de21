package checks

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"
)

// Systemd checks that units are active, as systemd itself says over D-Bus.
//
// A unit that is active, reloading or refreshing is healthy. One that is
// starting, waits to be restarted, is stopping, has failed, is stopped, is
// masked or is not installed is not. Where systemd cannot be asked the answer
// is Unknown.
type Systemd struct {
	name    string
	units   []string
	require Require
	bus     systemdBus
}

// NewSystemd returns a check of units of which as many as require says must be
// active. A unit is an exact name such as haproxy.service (".service" may be
// left out) or a pattern such as app@*.service with *, ? and [].
//
// A pattern stands for the units that systemd has loaded: those that run,
// failed, or are referred to by another one. An instance that was stopped is
// usually no longer loaded and then does not count, so that "all" of a pattern
// means all that are meant to run now. Use exact names or a number where a
// stopped one must count.
func NewSystemd(name string, units []string, require Require) (*Systemd, error) {
	if name == "" {
		return nil, errors.New("a check needs a name")
	}
	if len(units) == 0 {
		return nil, errors.New("no unit is named: name one such as haproxy.service, or a pattern such as app@*.service")
	}
	normal := make([]string, len(units))
	patterns := false
	for i, unit := range units {
		var err error
		if normal[i], err = unitName(unit); err != nil {
			return nil, err
		}
		if slices.Contains(normal[:i], normal[i]) {
			return nil, fmt.Errorf("unit %s is named twice", normal[i])
		}
		patterns = patterns || isUnitPattern(unit)
	}
	if !patterns && require.Of(len(units)) > len(units) {
		return nil, fmt.Errorf("%s of %d units can never be active", require, len(units))
	}
	return &Systemd{name: name, units: normal, require: require, bus: localSystemd()}, nil
}

// Name returns the name given to NewSystemd.
func (s *Systemd) Name() string { return s.name }

// Run asks systemd once.
func (s *Systemd) Run(ctx context.Context) Result {
	states, err := s.bus.query(ctx, s.units)
	if err != nil {
		return Result{Name: s.name, Status: Unknown, Reason: oneLine(err.Error())}
	}
	parts := make([]Result, len(states))
	for i, state := range states {
		parts[i] = Result{Name: state.Name, Status: Fail, Reason: oneLine(state.words())}
		if state.healthy() {
			parts[i].Status = Pass
		}
	}
	claim := "units active"
	if len(s.units) == 1 {
		claim = "units " + s.units[0] + " active"
	}
	return combine(s.name, s.require, claim, parts)
}

// unitState is what systemd says about one unit, in its own words
// (org.freedesktop.systemd1(5)).
type unitState struct {
	Name string // as asked for, with its suffix
	// Load is loaded, not-found, masked, bad-setting or error. It is
	// not-found, too, for a pattern that no loaded unit matches.
	Load   string
	Active string // active, reloading, inactive, failed, activating, deactivating, maintenance, refreshing
	Sub    string // running, exited, auto-restart, dead and others, by the kind of unit
	// Result tells why the last run ended: exit-code, signal, timeout and
	// others. It is asked for units that failed or are about to be restarted
	// only, and empty for others.
	Result string
}

// healthy reports whether the unit does its work.
func (u unitState) healthy() bool {
	return u.Active == "active" || u.Active == "reloading" || u.Active == "refreshing"
}

// words is a predicate to the unit's name.
func (u unitState) words() string {
	switch {
	case u.healthy() && u.Sub == "exited":
		return "is active (exited)"
	case u.healthy():
		return "is " + u.Active
	case u.Load == "not-found" && isUnitPattern(u.Name):
		return "matches no loaded unit"
	case u.Load == "not-found":
		return "is not installed"
	case u.Load != "loaded":
		return "is " + u.Active + " and its unit file is " + u.Load
	case u.Active == "failed" && u.Result != "":
		return "is failed (" + u.Result + ")"
	case u.Sub == "auto-restart" && u.Result != "":
		return "is " + u.Active + " (auto-restart after " + u.Result + ")"
	case u.Active == "failed" && u.Sub == "failed":
		return "is failed"
	}
	return "is " + u.Active + " (" + u.Sub + ")"
}

// errNoSystemd says that systemd does not run this machine, so that there are
// no units to ask about.
var errNoSystemd = errors.New("systemd does not run here")

// queryUnits asks systemd for the states of units by exact name or pattern.
// Each exact name and each pattern without a match gives one state; a unit
// that several patterns match gives one. The error is errNoSystemd where there
// is no systemd.
func queryUnits(ctx context.Context, patterns []string) ([]unitState, error) {
	names := make([]string, len(patterns))
	for i, pattern := range patterns {
		var err error
		if names[i], err = unitName(pattern); err != nil {
			return nil, err
		}
	}
	return localSystemd().query(ctx, names)
}

// systemdBus tells where systemd is found.
type systemdBus struct {
	address string // the system bus, as in DBUS_SYSTEM_BUS_ADDRESS
	private string // systemd's own socket, for root only; empty for none
	booted  string // the directory that shows systemd runs the machine, as for sd_booted(3); empty to not ask
}

// localSystemd returns the systemd of this machine.
func localSystemd() systemdBus {
	bus := systemdBus{address: os.Getenv("DBUS_SYSTEM_BUS_ADDRESS")}
	if bus.address != "" {
		return bus
	}
	bus = systemdBus{address: "unix:path=/run/dbus/system_bus_socket", booted: "/run/systemd/system"}
	if os.Geteuid() == 0 {
		bus.private = "/run/systemd/private"
	}
	return bus
}

// query asks for names that unitName returned.
func (b systemdBus) query(ctx context.Context, names []string) ([]unitState, error) {
	start := time.Now()
	if b.booted != "" {
		if _, err := os.Stat(b.booted); errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("%w (there is no %s)", errNoSystemd, b.booted)
		}
	}
	manager, socket, err := b.connect(ctx)
	if err == nil {
		defer manager.close()
		var states []unitState
		if states, err = manager.query(ctx, names); err == nil {
			return states, nil
		}
	}
	if ctx.Err() != nil || isTimeout(err) {
		return nil, fmt.Errorf("systemd gave no answer over %s within %s", socket, budget(ctx, start))
	}
	var denied dbus.Error
	if errors.As(err, &denied) && denied.Name == "org.freedesktop.DBus.Error.AccessDenied" {
		return nil, fmt.Errorf("ask systemd over %s: not allowed to (a D-Bus or SELinux policy): %w", socket, err)
	}
	return nil, fmt.Errorf("ask systemd over %s: %w", socket, err)
}

// connect reaches systemd over the system bus or, when there is no bus and
// this is root, over systemd's private socket. It always names the socket.
func (b systemdBus) connect(ctx context.Context) (*systemdConn, string, error) {
	socket, err := busSocket(b.address)
	if err != nil {
		return nil, b.address, err
	}
	conn, err := dial(ctx, "unix", socket)
	if err == nil {
		manager, err := openSystemd(ctx, conn, true)
		return manager, socket, err
	}
	if b.private == "" || ctx.Err() != nil {
		return nil, socket, err
	}
	if conn, err := dial(ctx, "unix", b.private); err == nil {
		manager, err := openSystemd(ctx, conn, false)
		return manager, b.private, err
	}
	return nil, socket, err
}

// busSocket returns the first unix socket of a list of D-Bus addresses, with
// @ for an abstract one (D-Bus Specification, "Server Addresses").
func busSocket(addresses string) (string, error) {
	for address := range strings.SplitSeq(addresses, ";") {
		options, ok := strings.CutPrefix(address, "unix:")
		if !ok {
			continue
		}
		for option := range strings.SplitSeq(options, ",") {
			key, value, _ := strings.Cut(option, "=")
			if key != "path" && key != "abstract" {
				continue
			}
			socket, err := dbus.UnescapeBusAddressValue(value)
			if err != nil {
				return "", fmt.Errorf("D-Bus address %q: %w", address, err)
			}
			if key == "abstract" {
				socket = "@" + socket
			}
			if err := checkSocketPath(socket); err != nil {
				return "", fmt.Errorf("D-Bus address %q: %w", address, err)
			}
			return socket, nil
		}
	}
	return "", fmt.Errorf("D-Bus address %q names no unix socket", addresses)
}

// systemdConn is a connection on which systemd's manager object answers.
type systemdConn struct {
	bus  *dbus.Conn
	stop func() bool
}

// maxBusBytes bounds what is read from a bus in one check. A unit takes about
// 300 bytes in a list, and systemd has at most 131,072.
const maxBusBytes = 64 << 20

// boundedConn is what godbus reads and writes: buffered, because godbus reads
// field by field, and bounded.
type boundedConn struct {
	net.Conn
	reader *bufio.Reader
}

func (c boundedConn) Read(p []byte) (int, error) { return c.reader.Read(p) }

// openSystemd authenticates on conn, which it owns. The private socket has no
// bus daemon to say Hello to. godbus is used without go-systemd's layer
// because that opens a second connection for signals, which doubles the time.
func openSystemd(ctx context.Context, conn net.Conn, hello bool) (*systemdConn, error) {
	stop := bindContext(ctx, conn)
	bus, err := dbus.NewConn(boundedConn{conn, bufio.NewReader(io.LimitReader(conn, maxBusBytes))}, dbus.WithContext(ctx))
	if err != nil {
		stop()
		conn.Close()
		return nil, err
	}
	c := &systemdConn{bus: bus, stop: stop}
	// The numeric user id: looking up a name may need more than this binary has.
	err = bus.Auth([]dbus.Auth{dbus.AuthExternal(strconv.Itoa(os.Geteuid()))})
	if err == nil && hello {
		err = bus.Hello()
	}
	if err != nil {
		c.close()
		return nil, fmt.Errorf("open D-Bus: %w", err)
	}
	return c, nil
}

func (c *systemdConn) close() {
	c.stop()
	c.bus.Close()
}

const systemdService = "org.freedesktop.systemd1"

// listedUnit is one row of ListUnitsByNames and ListUnitsByPatterns.
type listedUnit struct {
	Name, Description, Load, Active, Sub, Following string
	Path                                            dbus.ObjectPath
	JobID                                           uint32
	JobType                                         string
	JobPath                                         dbus.ObjectPath
}

// maxResults bounds the units whose Result is asked for, one call each.
const maxResults = maxWords

func (c *systemdConn) query(ctx context.Context, names []string) ([]unitState, error) {
	exact := slices.DeleteFunc(slices.Clone(names), isUnitPattern)
	var byName []listedUnit
	if len(exact) > 0 {
		// This loads what is not loaded, as LoadUnit does, in one call for all.
		if err := c.list(ctx, &byName, "ListUnitsByNames", exact); err != nil {
			return nil, err
		}
		if len(byName) != len(exact) {
			return nil, fmt.Errorf("systemd told of %d units when asked for %d", len(byName), len(exact))
		}
	}

	var found []listedUnit
	seen := make(map[string]bool, len(names))
	add := func(unit listedUnit) {
		if !seen[unit.Name] {
			seen[unit.Name] = true
			found = append(found, unit)
		}
	}
	for _, name := range names {
		if !isUnitPattern(name) {
			unit := byName[0]
			byName = byName[1:]
			unit.Name = name // an alias answers with the name of what it stands for
			add(unit)
			continue
		}
		var matched []listedUnit
		if err := c.list(ctx, &matched, "ListUnitsByPatterns", []string{}, []string{name}); err != nil {
			return nil, err
		}
		// Units that are only mentioned by others (After=) are listed, too.
		matched = slices.DeleteFunc(matched, func(unit listedUnit) bool { return unit.Load == "not-found" && unit.Active == "inactive" })
		if len(matched) == 0 {
			matched = []listedUnit{{Name: name, Load: "not-found", Active: "inactive", Sub: "dead"}}
		}
		slices.SortFunc(matched, func(a, b listedUnit) int { return strings.Compare(a.Name, b.Name) })
		for _, unit := range matched {
			add(unit)
		}
	}

	states := make([]unitState, len(found))
	asked := 0
	for i, unit := range found {
		states[i] = unitState{Name: unit.Name, Load: unit.Load, Active: unit.Active, Sub: unit.Sub}
		if asked < maxResults && (unit.Active == "failed" || unit.Sub == "auto-restart") {
			states[i].Result = c.result(ctx, unit)
			asked++
		}
	}
	return states, nil
}

// list calls a method of the manager that returns units. It does not let the
// bus start a systemd that is not there.
func (c *systemdConn) list(ctx context.Context, units *[]listedUnit, method string, args ...any) error {
	manager := c.bus.Object(systemdService, "/org/freedesktop/systemd1")
	call := manager.CallWithContext(ctx, systemdService+".Manager."+method, dbus.FlagNoAutoStart, args...)
	if err := call.Store(units); err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	return nil
}

// result asks why the unit's last run ended. It is a detail: without an answer
// the state alone is told.
func (c *systemdConn) result(ctx context.Context, unit listedUnit) string {
	_, kind, _ := cutLast(unit.Name, ".")
	if kind == "" || !unit.Path.IsValid() {
		return ""
	}
	iface := systemdService + "." + strings.ToUpper(kind[:1]) + kind[1:]
	var result dbus.Variant
	err := c.bus.Object(systemdService, unit.Path).
		CallWithContext(ctx, "org.freedesktop.DBus.Properties.Get", dbus.FlagNoAutoStart, iface, "Result").
		Store(&result)
	if err != nil {
		return ""
	}
	text, _ := result.Value().(string)
	return text
}

// isUnitPattern reports whether systemd would match name as a pattern.
func isUnitPattern(name string) bool { return strings.ContainsAny(name, "*?[") }

// ValidateUnit returns an error for what can be neither the name of a unit nor a
// pattern for such names, as systemd.unit(5) has them. ".service" may be left
// out.
func ValidateUnit(name string) error {
	_, err := unitName(name)
	return err
}

// unitName returns the full name of a unit: ".service" is added to a name
// without the suffix of a kind of unit, and to a pattern without a dot.
// The rules are systemd.unit(5)'s.
func unitName(text string) (string, error) {
	const chars = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:-_.\\@"
	allowed := chars
	if isUnitPattern(text) {
		allowed += "*?[]!^"
	}
	switch bad := []rune(strings.Trim(text, allowed)); {
	case text == "":
		return "", errors.New("a unit's name is empty")
	case strings.HasPrefix(text, "/"):
		return "", fmt.Errorf("%q is a path: name the unit (systemd-escape --path --suffix=mount PATH tells it)", text)
	case len(bad) > 0:
		return "", fmt.Errorf("%q is not the name of a unit: %q cannot be in one", text, bad[0])
	}

	kinds := []string{"service", "socket", "target", "timer", "path", "mount", "automount", "swap", "slice", "scope", "device"}
	prefix, kind, dotted := cutLast(text, ".")
	switch {
	case dotted && slices.Contains(kinds, kind):
	case isUnitPattern(text) && dotted && isUnitPattern(kind):
		prefix = text // the pattern may stand for any kind of unit
	default:
		prefix = text
		text += ".service"
	}
	switch {
	case prefix == "":
		return "", fmt.Errorf("%q is not the name of a unit", text)
	case strings.HasSuffix(prefix, "@") && !isUnitPattern(text):
		return "", fmt.Errorf("%q is a template: name an instance, such as %s1%s, or a pattern, such as %s*%s",
			text, prefix, text[len(prefix):], prefix, text[len(prefix):])
	case len(text) > 255:
		return "", fmt.Errorf("%.40q… is not the name of a unit: it has %d characters, at most 255 are allowed", text, len(text))
	}
	return text, nil
}

// cutLast is strings.Cut at the last separator.
func cutLast(text, separator string) (before, after string, found bool) {
	if i := strings.LastIndex(text, separator); i >= 0 {
		return text[:i], text[i+len(separator):], true
	}
	return text, "", false
}
