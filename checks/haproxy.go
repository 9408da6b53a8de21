package checks

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"hacheck/haproxy"
)

// HAProxy is the composite check of this node's HAProxy: its unit, its admin
// socket, its listening addresses and its backends. Fill the exported fields
// before the first Run; NewHAProxy sets those whose default is not the zero
// value.
//
// A part that fails makes the whole fail. A part of which nothing could be
// found out does not, as long as another proves that HAProxy lives; nor does a
// socket on which nobody listens, which may not be the one HAProxy runs with.
type HAProxy struct {
	// Label is the name the result carries; empty means "haproxy".
	Label string
	// Unit is the systemd unit, or a pattern; empty means that none is asked
	// for. It is not a finding when systemd or the unit does not exist here.
	Unit string
	// UnitNamed says that the operator named the unit, so that it is a warning
	// when systemd has none of this name.
	UnitNamed bool
	// Sockets are the admin sockets to ask, the first that answers counts.
	// Empty means those of haproxy.cfg, or where it names none that can be
	// dialled the places distributions use.
	Sockets []haproxy.Address
	// Config reads those parts of haproxy.cfg that are asked for. Nil means
	// that there is none to be read.
	Config func(ctx context.Context, only haproxy.Want) (*haproxy.Config, error)
	// WantListeners and WantBackends say what must be there.
	WantListeners ListenerPolicy
	WantBackends  BackendPolicy
	// ProbeUnchecked has servers dialled that HAProxy does not check, or has
	// not checked yet.
	ProbeUnchecked bool
	// ProbeLimit is how many are dialled at the same time, 0 means 512, or as many
	// as this process may open files.
	// ProbeTimeout is how long one may take, 0 means 300 ms; it is cut to half
	// of the time Run has.
	ProbeLimit   int
	ProbeTimeout time.Duration

	// units, listening and process stand in for systemd, the kernel and /proc
	// where a test needs an answer they would not give here. Nil means the
	// real ones.
	units     func(ctx context.Context, patterns []string) ([]unitState, error)
	listening func(ctx context.Context) ([]netip.AddrPort, error)
	process   func(ctx context.Context) presence
}

// ListenerPolicy says which addresses must accept connections.
type ListenerPolicy struct {
	// Skip leaves the addresses out; an open frontend is still asked for.
	Skip bool
	// Require is how many of the addresses must be there; zero means any.
	Require Require
	// Addresses are the ones to look for. Empty means the TCP addresses that
	// haproxy.cfg binds.
	Addresses []netip.AddrPort
}

// BackendPolicy says which backends must be able to serve. Patterns are those
// of path.Match, which for a name without * ? [ is the name itself.
type BackendPolicy struct {
	// Require is how many of the backends must be up; zero means any.
	Require Require
	// Include names the backends that count; empty means all. Each of its
	// patterns must match a backend of the running HAProxy. One that is named
	// without a pattern and has no server is down.
	Include []string
	// Exclude names backends that do not count.
	Exclude []string
	// Minimum says how many usable servers a backend needs to be up. The first
	// pattern that matches counts; without one it is one server.
	Minimum []BackendMinimum
}

// BackendMinimum is how many servers the backends matching Pattern need.
type BackendMinimum struct {
	Pattern string
	Servers Require
}

// NewHAProxy returns the check as it runs without any configuration: the unit
// haproxy.service, sockets and addresses from haproxy.cfg as config reads it
// (nil for none), any listener, any backend, servers HAProxy does not check
// dialled.
func NewHAProxy(config func(ctx context.Context, only haproxy.Want) (*haproxy.Config, error)) *HAProxy {
	return &HAProxy{Unit: "haproxy.service", Config: config, ProbeUnchecked: true}
}

const (
	// haproxyTimeout is the time a Run takes at most whose context has no
	// deadline: below keepalived's default of 1 s.
	haproxyTimeout = 900 * time.Millisecond
	// maxReloads bounds how often a look at HAProxy starts anew because a
	// reload came in between.
	maxReloads = 5
)

// Name returns the check's label.
func (h *HAProxy) Name() string {
	if h.Label == "" {
		return "haproxy"
	}
	return h.Label
}

// Run looks at all parts side by side. Its parts are unit, socket, listeners
// and backends; those of backends are the single backends, worst first, at most
// 100.
func (h *HAProxy) Run(ctx context.Context) Result {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, haproxyTimeout)
		defer cancel()
	}
	done := make(chan Result, 1)
	go func() { done <- h.run(ctx) }()
	select {
	case result := <-done:
		return result
	case <-ctx.Done():
	}
	// Every step ends with its own context a little earlier, so this is a file
	// system that hangs, or a machine with no time for this process.
	select {
	case result := <-done:
		return result
	case <-time.After(20 * time.Millisecond):
		return Result{Name: h.Name(), Status: Unknown, Reason: "no answer of this machine itself in time: reading files or being scheduled took too long"}
	}
}

// run is Run with time kept back for putting the result together.
func (h *HAProxy) run(ctx context.Context) Result {
	deadline, _ := ctx.Deadline()
	left := time.Until(deadline)
	ctx, cancel := context.WithDeadline(ctx, deadline.Add(-min(left/10, 20*time.Millisecond)))
	defer cancel()

	unit := make(chan Result, 1)
	pid := make(chan int, 1)
	var once sync.Once
	answered := func(process int) { once.Do(func() { pid <- process }) }
	go func() { unit <- h.unit(ctx, pid, min(unitTimeout, left/2)) }()
	kernel := make(chan kernelListeners, 1)
	go func() { kernel <- h.kernelListeners(ctx) }()

	sources := h.sources(ctx)
	answer, backends := h.look(ctx, sources, h.patience(left), answered)
	listeners := h.listeners(sources, answer, await(ctx, kernel, kernelListeners{err: errLate}))
	systemd := await(ctx, unit, Result{Name: "unit", Status: Unknown, Reason: h.Unit + ": systemd: " + errLate.Error()})
	listeners = h.excuseListeners(sources, answer, systemd, listeners)
	if answer.gone && h.livesElsewhere(ctx, systemd, listeners) {
		found, _, _ := strings.Cut(answer.part.Reason, notRunning)
		answer.part.Status, answer.part.Reason = Warn, found+", but haproxy runs, with another socket"
	}
	return compose(h.Name(), systemd, answer.part, listeners, backends)
}

// livesElsewhere reports whether HAProxy runs for sure, although nobody listens
// on the socket it was asked at: haproxy.cfg was changed and not reloaded yet,
// or it was started with another one. Its unit proves that; without one, its
// addresses do, as long as there is a process that they can belong to.
func (h *HAProxy) livesElsewhere(ctx context.Context, unit, listeners Result) bool {
	switch {
	case unit.Status == Pass:
		return true
	case unit.Status == Fail || !listeners.Status.Healthy():
		return false
	}
	look := h.process
	if look == nil {
		look = func(ctx context.Context) presence { return findProcess(ctx, "/proc") }
	}
	switch look(ctx) {
	case present:
		return true
	case hidden:
		// Another program may have taken one address, hardly all of them.
		return listeners.Status == Pass
	}
	return false
}

// errAway says that an admin socket cannot be asked.
var errAway = errors.New("this node does not have the address now, so that another would answer: add `stats socket /run/haproxy/admin.sock mode 660 level user` to haproxy.cfg")

// errLate says that a part outstayed its context.
var errLate = errors.New("no answer in time")

// await returns what comes from ch, or late when ctx ends first. It is there so
// that one part that hangs cannot take the others' verdict with it.
func await[T any](ctx context.Context, ch <-chan T, late T) T {
	select {
	case value := <-ch:
		return value
	case <-ctx.Done():
	}
	select {
	case value := <-ch: // both were ready
		return value
	default:
		return late
	}
}

// patience is how long one dialled server may take.
func (h *HAProxy) patience(left time.Duration) time.Duration {
	patience := h.ProbeTimeout
	if patience <= 0 {
		patience = probeTimeout
	}
	return max(min(patience, left/2), time.Millisecond)
}

// compose makes one result of the four parts.
func compose(name string, unit, socket, listeners, backends Result) Result {
	lives := socket.Status == Pass
	if lives && unit.Status == Fail {
		// It serves, however it was started.
		unit.Status = Warn
		unit.Reason += ", yet " + socket.Reason
	}
	parts := []Result{unit, socket, listeners, backends}
	result := Result{Name: name, Parts: parts}
	has := func(s Status) bool {
		return slices.ContainsFunc(parts, func(p Result) bool { return p.Status == s })
	}
	var words []string
	add := func(p Result) {
		if !slices.Contains(words, p.Reason) {
			words = append(words, p.Reason)
		}
	}
	switch {
	case has(Fail):
		result.Status = Fail
		for _, p := range []Result{socket, unit, listeners, backends} {
			if p.Status == Fail {
				add(p)
			}
		}
	case !lives && unit.Status != Pass && !listeners.Status.Healthy():
		result.Status = Unknown
		for _, p := range []Result{socket, unit, listeners} {
			add(p)
		}
	case has(Warn), socket.Status == Unknown, backends.Status == Unknown:
		result.Status = Warn
		for _, p := range parts {
			if p.Status == Warn {
				add(p)
			}
		}
		if socket.Status == Unknown {
			add(socket)
		}
		add(backends)
	default:
		result.Status = Pass
		add(backends)
	}
	result.Reason = oneLine(strings.Join(words, "; "))
	return result
}

// sources are what haproxy.cfg and the options say about where to look.
type sources struct {
	sockets []adminSocket
	none    bool // haproxy.cfg was read and has no socket
	config  *haproxy.Config
	err     error // why there is no config
}

// adminSocket is where HAProxy may be asked.
type adminSocket struct {
	haproxy.Address
	named bool // by an option or by haproxy.cfg, not guessed
	ours  bool // by haproxy.cfg, so that it is this node's HAProxy that has it
}

// distance is 0 for a socket that only this node can have, 1 for another.
func (s adminSocket) distance() int {
	if s.Network != haproxy.NetworkTCP {
		return 0
	}
	if addr, err := netip.ParseAddrPort(s.Addr); err == nil && addr.Addr().IsLoopback() {
		return 0
	}
	return 1
}

// away reports whether a socket of this node's HAProxy is at an address that this
// node does not have now: on a BACKUP a socket on the VIP is the MASTER's.
func (s adminSocket) away() bool {
	if !s.ours || s.distance() == 0 {
		return false
	}
	addr, err := netip.ParseAddrPort(s.Addr)
	if err != nil {
		return false // a name
	}
	here, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	return !slices.ContainsFunc(here, func(a net.Addr) bool {
		prefix, err := netip.ParsePrefix(a.String())
		return err == nil && prefix.Addr() == addr.Addr().Unmap().WithZone("")
	})
}

// stat asks the socket, unless another node would answer.
func (s adminSocket) stat(ctx context.Context, client *haproxy.Client, queries []haproxy.StatQuery) (haproxy.Snapshot, error) {
	if s.away() {
		return haproxy.Snapshot{}, fmt.Errorf("admin socket %s: %w", s.Address, errAway)
	}
	return client.Stat(ctx, queries...)
}

var errNoConfig = errors.New("no haproxy.cfg is known")

// sources reads as much of haproxy.cfg as is needed.
func (h *HAProxy) sources(ctx context.Context) sources {
	s := sources{err: errNoConfig}
	for _, addr := range h.Sockets {
		s.sockets = append(s.sockets, adminSocket{Address: addr, named: true})
	}
	var want haproxy.Want
	if len(h.Sockets) == 0 {
		want |= haproxy.WantSockets
	}
	if !h.WantListeners.Skip && len(h.WantListeners.Addresses) == 0 {
		want |= haproxy.WantBinds
	}
	if h.Config != nil && want != 0 {
		s.config, s.err = h.Config(ctx, want)
	}
	if len(h.Sockets) > 0 {
		return s
	}
	named := false
	if s.config != nil && s.err == nil {
		s.none = len(s.config.Sockets) == 0 && len(s.config.Unread) == 0
		for _, socket := range s.config.Sockets {
			if addr, err := haproxy.ParseAddress(socket.Address); err == nil {
				known := !socket.Unresolved && !socket.Conditional
				s.sockets = append(s.sockets, adminSocket{Address: addr, named: known, ours: true})
				named = named || known
			}
		}
		// One that is on this node whoever holds the VIP comes first.
		slices.SortStableFunc(s.sockets, func(a, b adminSocket) int { return cmp.Compare(a.distance(), b.distance()) })
	}
	if !named {
		for _, path := range haproxy.DefaultSockets() {
			s.sockets = append(s.sockets, adminSocket{Address: haproxy.Address{Network: haproxy.NetworkUnix, Addr: path}})
		}
	}
	return s
}

// answer is what the admin socket said.
type answer struct {
	part     Result
	client   *haproxy.Client
	snapshot haproxy.Snapshot
	lives    bool
	// gone says that nobody listens where HAProxy was asked, which means that it
	// does not run, or listens elsewhere.
	gone bool
	// refused is gone with a socket left behind: HAProxy ran with this one.
	refused bool
}

// open reports whether a frontend accepts connections.
func (a answer) open() bool { return slices.ContainsFunc(a.snapshot.Rows, openFrontend) }

// openFrontend reports whether a row is that of a frontend which is open. FULL is
// what HAProxy 1.8 to 2.2 say while its maxconn is reached: it takes the next
// connection when one ends, and where the VIP moved to it would be no better.
func openFrontend(row haproxy.Row) bool {
	return row.Type == haproxy.RowFrontend && (row.Status == "OPEN" || row.Status == "FULL")
}

// look asks HAProxy about itself and its backends. It starts anew when a reload
// comes between its questions. It calls answered as soon as it knows which
// process answers, with 0 if none does.
func (h *HAProxy) look(ctx context.Context, s sources, patience time.Duration, answered func(pid int)) (answer, Result) {
	for range maxReloads {
		frontend := h.oneFrontend(s)
		a := h.ask(ctx, s, h.firstQueries(s, frontend))
		if frontend.Proxy != "" && a.lives && !a.open() {
			a = h.ask(ctx, s, h.firstQueries(s, haproxy.StatQuery{Frontends: true}))
		}
		if a.lives && s.none && h.strange(ctx, a) {
			a = answer{part: Result{Name: "socket", Status: Unknown, Reason: oneLineMax(fmt.Sprintf(
				"haproxy.cfg has no admin socket, and the haproxy on %s has none of its frontends: add `stats socket` to its global section, or name the socket with --socket", a.client.Addr()), 300)}}
		}
		answered(a.snapshot.Info.Pid)
		if !a.lives {
			return a, Result{Name: "backends", Status: Unknown, Reason: "without the admin socket backends and a frozen haproxy are not seen"}
		}
		report, err := h.backends(ctx, a, patience)
		switch {
		case err == nil:
			return a, report.result()
		case !errors.Is(err, errReloaded):
			a.part, a.gone = socketFailure(adminSocket{Address: a.client.Addr(), named: true}, err)
			a.refused = errors.Is(err, haproxy.ErrRefused)
			return a, Result{Name: "backends", Status: Unknown, Reason: "not known, the admin socket failed meanwhile"}
		}
	}
	return answer{part: Result{Name: "socket", Status: Unknown, Reason: "haproxy is reloaded again and again"}},
		Result{Name: "backends", Status: Unknown, Reason: "haproxy is reloaded again and again"}
}

// smallConfig is the size of a haproxy.cfg up to which the servers are asked
// for together with the rest: a second question costs more than their rows.
const smallConfig = 16 << 10

// firstQueries asks for all frontends and backends, or for the named backends
// and frontend alone: with thousands of proxies that is many times cheaper.
func (h *HAProxy) firstQueries(s sources, frontend haproxy.StatQuery) []haproxy.StatQuery {
	if !h.WantBackends.exact() {
		small := s.config != nil && s.config.Size <= smallConfig
		return []haproxy.StatQuery{{Frontends: true, Backends: true, Servers: small}}
	}
	var queries []haproxy.StatQuery
	for _, name := range h.WantBackends.Include {
		// A name that is given twice would have its servers counted twice.
		if query := (haproxy.StatQuery{Proxy: name, Backends: true, Servers: true}); !slices.Contains(queries, query) {
			queries = append(queries, query)
		}
	}
	return append(queries, frontend)
}

// oneFrontend is the question for the first frontend of haproxy.cfg, or for all:
// beside named backends one that is open is enough.
func (h *HAProxy) oneFrontend(s sources) haproxy.StatQuery {
	query := haproxy.StatQuery{Frontends: true}
	if s.config != nil && h.WantBackends.exact() {
		first := slices.IndexFunc(s.config.Proxies, func(p haproxy.Proxy) bool {
			return p.Kind.HasFrontend() && !p.Disabled && haproxy.ValidProxyName(p.Name)
		})
		if first >= 0 {
			query.Proxy = s.config.Proxies[first].Name
		}
	}
	return query
}

// strange reports whether an answer comes from a HAProxy that has none of
// haproxy.cfg's frontends, which is then another one. It is asked only about a
// socket that haproxy.cfg does not have.
func (h *HAProxy) strange(ctx context.Context, a answer) bool {
	config, err := h.Config(ctx, haproxy.WantBinds)
	if err != nil || config == nil {
		return false
	}
	frontends := 0
	for _, proxy := range config.Proxies {
		if !proxy.Kind.HasFrontend() || proxy.Disabled {
			continue
		}
		if !proxy.Conditional {
			frontends++
		}
		if slices.ContainsFunc(a.snapshot.Rows, func(r haproxy.Row) bool {
			return r.Type == haproxy.RowFrontend && r.Proxy == proxy.Name
		}) {
			return false
		}
	}
	return frontends > 0
}

// ask puts queries to the first socket that answers.
func (h *HAProxy) ask(ctx context.Context, s sources, queries []haproxy.StatQuery) answer {
	var worst answer
	missing := 0
	for _, socket := range s.sockets {
		client := haproxy.NewClient(socket.Address)
		snapshot, err := socket.stat(ctx, client, queries)
		if err == nil {
			info := snapshot.Info
			return answer{
				part: Result{Name: "socket", Status: Pass, Reason: oneLineMax(fmt.Sprintf("pid %d of version %s answers on %s",
					info.Pid, info.Version, socket.Address), 300)},
				client: client, snapshot: snapshot, lives: true,
			}
		}
		if errors.Is(err, haproxy.ErrNoSocket) {
			missing++
		}
		failed, gone := socketFailure(socket, err)
		if a := (answer{part: failed, gone: gone, refused: errors.Is(err, haproxy.ErrRefused)}); worst.part.Reason == "" || a.weight() > worst.weight() {
			worst = a
		}
		if ctx.Err() != nil {
			break
		}
	}
	if s.none && missing == len(s.sockets) {
		worst.part.Reason = "haproxy.cfg has no admin socket: add `stats socket /run/haproxy/admin.sock mode 660 level user` to its global section"
	}
	return worst
}

// weight orders failures by what they say about the HAProxy that all sockets
// belong to: one that hangs, one that is gone, nothing.
func (a answer) weight() int {
	switch {
	case a.part.Status != Fail:
		return 0
	case a.gone:
		return 1
	}
	return 2
}

// notRunning is what haproxy.ErrRefused and a missing socket say about HAProxy.
const notRunning = ", haproxy is not running"

// socketFailure says what a failure of the socket means: that HAProxy does not
// serve, or that nothing was found out. Gone says that nobody listens there,
// so that a HAProxy which is known to live listens elsewhere.
func socketFailure(socket adminSocket, err error) (part Result, gone bool) {
	part = Result{Name: "socket", Status: Unknown, Reason: err.Error()}
	switch {
	case errors.Is(err, haproxy.ErrNoSocket) && socket.named:
		part.Status, gone = Fail, true
		part.Reason += notRunning + " or was started with another configuration"
	case errors.Is(err, haproxy.ErrNoSocket):
		part.Reason += "; name HAProxy's `stats socket` with --socket"
	case errors.Is(err, haproxy.ErrRefused):
		part.Status, gone = Fail, true
	// A frozen HAProxy gives first timeouts, then a full queue: connections
	// nobody accepted stay in it.
	case errors.Is(err, haproxy.ErrTimeout), errors.Is(err, haproxy.ErrBusy):
		part.Status = Fail
	case errors.Is(err, haproxy.ErrPermission), errors.Is(err, fs.ErrPermission):
		part.Reason += "; with `stats socket … group haproxy mode 660` in haproxy.cfg and `script_user hacheck haproxy` in keepalived.conf it may (supplementary groups are dropped there)"
	}
	part.Reason = oneLine(part.Reason)
	return part, gone
}
