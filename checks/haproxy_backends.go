package checks

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"hacheck/haproxy"
)

// Limits within which every backend is looked at server by server, so that the
// reason tells the whole truth; beyond them the look ends when the requirement
// is known to be met.
const (
	smallBackends = 32
	smallServers  = 300
	// maxBackendParts bounds the parts of the result.
	maxBackendParts = 100
	// namedBackends and namedServers bound what a reason names.
	namedBackends = 3
	namedServers  = 3
	// maxTemplate bounds the names made of one server-template line.
	maxTemplate = 10_000
)

// errReloaded says that a new process answered the later questions.
var errReloaded = errors.New("haproxy was reloaded meanwhile")

// exact reports whether the policy names backends without any pattern.
func (p BackendPolicy) exact() bool {
	for _, name := range p.Include {
		if !haproxy.ValidProxyName(name) {
			return false
		}
	}
	return len(p.Include) > 0
}

// counts reports whether the backend of this name is one to be judged.
func (p BackendPolicy) counts(name string) bool {
	if strings.HasPrefix(name, "<") { // HAProxy's own, such as <HTTPCLIENT>
		return false
	}
	return (len(p.Include) == 0 || matchesAny(p.Include, name)) && !matchesAny(p.Exclude, name)
}

// need returns how many of the backend's servers must be usable.
func (p BackendPolicy) need(name string, servers int) int {
	for _, minimum := range p.Minimum {
		if matches(minimum.Pattern, name) {
			return max(1, minimum.Servers.Of(servers))
		}
	}
	return 1
}

func matchesAny(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return matches(p, name) })
}

// matches treats a pattern that is malformed as a name.
func matches(pattern, name string) bool {
	if pattern == name {
		return true
	}
	ok, err := path.Match(pattern, name)
	return err == nil && ok
}

// backend is one backend to be judged.
type backend struct {
	row     haproxy.Row
	servers []server
	// looked is set when servers are known. Before, a backend that HAProxy
	// calls DOWN is down: it has no server to send to.
	looked bool
	need   int // of servers, once looked
}

// count returns how many servers are usable and how many may still be.
func (b *backend) count() (good, open int) {
	for _, s := range b.servers {
		switch s.use {
		case usable:
			good++
		case unsettled, late:
			open++
		}
	}
	return good, open
}

// status is Pass for a backend that is up, Fail for one that is down and
// Unknown for one that hangs on servers of which nothing is known.
func (b *backend) status() Status {
	if !b.looked {
		if b.row.Status == "DOWN" {
			return Fail
		}
		return Unknown
	}
	good, open := b.count()
	switch {
	case good >= b.need:
		return Pass
	case good+open < b.need:
		return Fail
	}
	return Unknown
}

// hopeless reports whether only servers keep b from being down that nobody had
// the time to dial.
func (b *backend) hopeless() bool {
	possible := 0
	for _, s := range b.servers {
		if s.use == usable || s.use == unsettled {
			possible++
		}
	}
	return b.looked && possible < b.need
}

// decided reports whether more knowledge cannot change the status.
func (b *backend) decided() bool { return b.status() != Unknown }

// reason says in words what status says.
func (b *backend) reason() string {
	name := "backend " + oneLineMax(b.row.Proxy, 100)
	if !b.looked {
		return name + " is " + oneLineMax(b.row.Status, 40) + " by HAProxy's word"
	}
	good, open := b.count()
	// Those in the way first, those nothing is known of after them.
	var words []string
	for _, use := range [...]usability{unusable, unsettled, late} {
		for _, s := range b.servers {
			if s.use == use {
				words = append(words, oneLineMax(s.row.Server, 60)+" "+s.words)
			}
		}
	}
	detail := ""
	if len(words) > 0 {
		detail = " (" + someOf(words, namedServers) + ")"
	}
	switch status := b.status(); {
	case status == Pass && open > 0:
		return fmt.Sprintf("%s has at least %d usable of %d servers", name, good, len(b.servers))
	case status == Pass:
		return fmt.Sprintf("%s has %d usable of %d servers%s", name, good, len(b.servers), detail)
	case status == Unknown && b.need == 1:
		return fmt.Sprintf("%s is up by HAProxy's word alone%s", name, detail)
	case status == Unknown:
		return fmt.Sprintf("%s is known to have %d usable of %d servers, %d required%s", name, good, len(b.servers), b.need, detail)
	case len(b.servers) == 0:
		return name + " has no server"
	case good == 0 && b.need == 1:
		return name + " has no usable server" + detail
	}
	return fmt.Sprintf("%s has %d usable of %d servers, %d required%s", name, good, len(b.servers), b.need, detail)
}

// backendReport is what is known about all backends to be judged.
type backendReport struct {
	backends []*backend
	require  Require
	// missing are the patterns of Include that no backend matches.
	missing []string
	// leftOut is set when the policy takes all backends with servers out.
	leftOut bool
	// early is set when the look ended because enough backends are up, so that
	// the others are not known for want of looking.
	early bool
	// config gives what haproxy.cfg says about servers, empty if it cannot be read.
	// It is read when it is asked for, once.
	config func() *haproxy.Config
	// answered says that a dialled server took the connection, silent that one
	// did not.
	answered, silent bool
}

// dead reports whether the time was up before every server was dialled, none of
// those that were took a connection, and the requirement cannot be met without
// the rest. What comes after so many dead servers is hardly alive, and a node
// that keeps the VIP for it would keep it for ever.
func (r *backendReport) dead() bool {
	if r.answered || !r.silent {
		return false
	}
	possible, cut := 0, false
	for _, b := range r.backends {
		switch {
		case b.status() == Fail:
		case b.status() == Unknown && b.hopeless():
			cut = true
		default:
			possible++
		}
	}
	return cut && possible < r.require.Of(len(r.backends))
}

// unseen reports whether b is up by HAProxy's word and was not looked at, or
// not to the end.
func (r *backendReport) unseen(b *backend) bool {
	return b.status() == Unknown && (r.early || !b.looked)
}

// tally counts the backends by status.
func (r *backendReport) tally() (up, down, unknown, unseen int) {
	for _, b := range r.backends {
		switch status := b.status(); {
		case status == Pass:
			up++
		case status == Fail:
			down++
		case r.unseen(b):
			unseen++
		default:
			unknown++
		}
	}
	return up, down, unknown, unseen
}

// met reports whether enough backends are known to be up.
func (r *backendReport) met() bool {
	up, _, _, _ := r.tally()
	return up >= r.require.Of(len(r.backends))
}

// result puts the report into words.
func (r *backendReport) result() Result {
	result := Result{Name: "backends"}
	up, down, unknown, unseen := r.tally()
	total := len(r.backends)
	need := r.require.Of(total)
	var words []string
	for _, pattern := range r.missing {
		if strings.ContainsAny(pattern, `*?[\`) {
			words = append(words, "no backend matches "+oneLineMax(pattern, 100))
		} else {
			words = append(words, "there is no backend named "+oneLineMax(pattern, 100)+" in the running haproxy")
		}
	}
	if len(words) > namedBackends {
		words = append(words[:namedBackends], fmt.Sprintf("and %d more", len(words)-namedBackends))
	}
	switch {
	case len(r.missing) > 0:
		result.Status = Fail
	case total == 0 && need <= 1:
		result.Status = Pass
		if r.leftOut {
			// Nothing is judged although somebody says what is to be.
			result.Status = Warn
		}
		words = append(words, "no backend has servers to be judged")
	case total == 0:
		result.Status = Fail
		words = append(words, fmt.Sprintf("no backend has servers to be judged, %s required", r.require))
	case up >= need && down == 0 && unknown == 0:
		result.Status = Pass
	case up >= need:
		result.Status = Warn
	case up+unknown+unseen < need || r.dead():
		result.Status = Fail
	default:
		result.Status = Unknown
	}
	named := 0
	for _, b := range r.worstFirst() {
		if b.status() == Fail || b.status() == Unknown && !r.unseen(b) {
			if named++; named <= namedBackends {
				words = append(words, b.reason())
			}
		}
		if len(result.Parts) < maxBackendParts {
			result.Parts = append(result.Parts, Result{Name: oneLineMax(b.row.Proxy, 100), Status: b.status(), Reason: oneLine(b.reason())})
		}
	}
	if named > namedBackends {
		words = append(words, fmt.Sprintf("and %d more", named-namedBackends))
	}
	if total > 0 {
		summary := fmt.Sprintf("%d of %d backends up", up, total)
		if unseen > 0 {
			summary = fmt.Sprintf("at least %s (%d more by HAProxy's word, not looked at further)", summary, unseen)
		}
		if unknown > 0 {
			summary += fmt.Sprintf(", %d not known", unknown)
			if result.Status == Fail && r.dead() {
				summary += " for want of time, but no server that was dialled took a connection"
			}
		}
		if result.Status != Pass && need > 1 {
			summary += fmt.Sprintf(", %s required", r.require)
			if need > total {
				summary += fmt.Sprintf(" and only %d there", total)
			}
		}
		words = append(words, summary)
	}
	result.Reason = oneLine(strings.Join(words, "; "))
	return result
}

// worstFirst gives the backends in the order in which people look at them: down,
// not known, up, and within each as HAProxy lists them, which is that of
// haproxy.cfg.
func (r *backendReport) worstFirst() []*backend {
	var down, unknown, unseen, up []*backend
	for _, b := range r.backends {
		switch status := b.status(); {
		case status == Fail:
			down = append(down, b)
		case status == Unknown && b.looked:
			unknown = append(unknown, b)
		case status == Unknown:
			unseen = append(unseen, b)
		default:
			up = append(up, b)
		}
	}
	return slices.Concat(down, unknown, unseen, up)
}

// backends judges the backends of an answer, asking for servers as needed.
func (h *HAProxy) backends(ctx context.Context, a answer, patience time.Duration) (*backendReport, error) {
	rows, err := h.withTracked(ctx, a, a.snapshot.Rows)
	if err != nil {
		return nil, err
	}
	report := h.collect(rows)
	if h.WantBackends.exact() && len(report.missing) > 0 {
		// Not there, or a frontend of that name hides it: the whole list tells.
		snapshot, err := a.client.Stat(ctx, haproxy.StatQuery{Backends: true})
		if err != nil {
			return nil, err
		}
		if snapshot.Info.Pid != a.snapshot.Info.Pid {
			return nil, errReloaded
		}
		report = h.collect(snapshot.Rows)
	}
	report.config = sync.OnceValue(func() *haproxy.Config { return h.serverConfig(ctx) })
	deadline, _ := ctx.Deadline()
	for _, batch := range report.batches() {
		left := time.Until(deadline)
		err := h.lookAt(ctx, a, batch, patience, report)
		if errors.Is(err, haproxy.ErrTimeout) && patience > 0 && left < patience {
			// The dials took the time that this question lacked: HAProxy is not
			// to blame, and what was not looked at stays not known.
			break
		}
		if err != nil {
			return nil, err
		}
		if batch.last && report.met() {
			report.early = true
			break
		}
	}
	return report, nil
}

// collect picks the backends to be judged out of rows, with their servers where
// rows have them.
func (h *HAProxy) collect(rows []haproxy.Row) *backendReport {
	report := &backendReport{require: h.WantBackends.Require}
	byID := make(map[int]*backend, len(rows))
	names := make([]string, 0, len(rows))
	for _, row := range rows {
		if row.Type != haproxy.RowBackend {
			continue
		}
		names = append(names, row.Proxy)
		// No servers at all: HAProxy calls it UP with a weight of 0. Other
		// modes (log, spop) do not serve clients.
		empty := row.Status != "DOWN" && row.Weight <= 0 && row.Active <= 0 && row.Backup <= 0
		serves := row.Mode == "" || row.Mode == "tcp" || row.Mode == "http"
		switch {
		case !h.WantBackends.counts(row.Proxy):
			report.leftOut = report.leftOut || serves && !empty && !strings.HasPrefix(row.Proxy, "<")
			continue
		case !serves:
			continue
		case empty && slices.Contains(h.WantBackends.Include, row.Proxy):
			// It is looked at by its name, so it is meant to serve.
			report.backends = append(report.backends, &backend{row: row, looked: true, need: 1})
			continue
		case empty:
			continue
		}
		b := &backend{row: row}
		report.backends = append(report.backends, b)
		byID[row.ProxyID] = b
	}
	for _, pattern := range h.WantBackends.Include {
		if !slices.ContainsFunc(names, func(name string) bool { return matches(pattern, name) }) {
			report.missing = append(report.missing, pattern)
		}
	}
	report.leftOut = len(report.backends) == 0 && (report.leftOut || len(h.WantBackends.Include) > 0)
	h.fill(byID, rows)
	return report
}

// fill gives backends their servers.
func (h *HAProxy) fill(byID map[int]*backend, rows []haproxy.Row) {
	unchecked := uncheckedYet(rows)
	for _, row := range rows {
		b := byID[row.ProxyID]
		if row.Type != haproxy.RowServer || b == nil || b.row.Proxy != row.Proxy {
			continue
		}
		if unchecked[nameOf(row)] {
			row.CheckStatus = "INI"
		}
		b.servers = append(b.servers, newServer(row))
		b.looked = true
	}
	for _, b := range byID {
		b.holdBackups()
		b.need = h.WantBackends.need(b.row.Proxy, len(b.servers))
	}
}

// batch is a set of backends to be looked at together.
type batch struct {
	backends []*backend
	whole    bool // ask for all servers at once
	last     bool // the look may end after it, if the requirement is met
}

// batches says in which order to look. A small HAProxy is looked at as a whole;
// of a big one as many backends as the requirement needs, those that HAProxy
// calls up first, and at last some that are down, to name their servers.
func (r *backendReport) batches() []batch {
	var open, down []*backend
	servers := 0
	for _, b := range r.backends {
		switch {
		case b.looked && b.decided():
		case b.status() == Fail:
			down = append(down, b)
		default:
			open = append(open, b)
		}
		servers += max(0, b.row.Active) + max(0, b.row.Backup)
	}
	if len(r.backends) <= smallBackends && servers <= smallServers {
		return []batch{{backends: slices.Clone(r.backends)}}
	}
	var batches []batch
	if len(down) > 0 {
		batches = append(batches, batch{backends: down[:min(len(down), namedBackends)]})
	}
	if r.require.Of(len(r.backends))*4 > len(r.backends) {
		return append(batches, batch{backends: open, whole: true, last: true})
	}
	// The first batch does on a healthy node. If it does not, the time that is
	// left must do for all others.
	most := min(max(2, r.require.Of(len(r.backends))), smallBackends)
	n, sum := 0, 0
	for n < len(open) && n < most && (n == 0 || sum+open[n].row.Active+open[n].row.Backup <= smallServers) {
		sum += open[n].row.Active + open[n].row.Backup
		n++
	}
	batches = append(batches, batch{backends: open[:n], last: true})
	if n < len(open) {
		batches = append(batches, batch{backends: open[n:], whole: true, last: true})
	}
	return batches
}

// lookAt gets the servers of a batch and dials those that need it.
func (h *HAProxy) lookAt(ctx context.Context, a answer, batch batch, patience time.Duration, report *backendReport) error {
	byID := map[int]*backend{}
	var queries []haproxy.StatQuery
	for _, b := range batch.backends {
		if !b.looked {
			byID[b.row.ProxyID] = b
			queries = append(queries, haproxy.StatQuery{ProxyID: b.row.ProxyID, Servers: true})
		}
	}
	if batch.whole {
		queries = []haproxy.StatQuery{{Servers: true}}
	}
	if len(byID) > 0 {
		snapshot, err := a.client.Stat(ctx, queries...)
		if err != nil {
			return err
		}
		if snapshot.Info.Pid != a.snapshot.Info.Pid {
			return errReloaded
		}
		rows, err := h.withTracked(ctx, a, snapshot.Rows)
		if err != nil {
			return err
		}
		h.fill(byID, rows)
	}
	for _, b := range batch.backends {
		if b.looked && b.status() == Fail && b.weightless() && chosenByRule(report.config(), b.row.Proxy) {
			b.countWeightless()
		}
	}
	if !h.ProbeUnchecked || patience <= 0 || batch.last && report.met() {
		return nil
	}
	up, _, _, _ := report.tally()
	need := report.require.Of(len(report.backends))
	h.dialUnsettled(ctx, a, batch.backends, patience, report, func() bool {
		up++
		return batch.last && up >= need
	})
	return nil
}

// dialUnsettled dials the servers that decide their backend and of which HAProxy
// knows nothing, and then the backups that waited for them.
func (h *HAProxy) dialUnsettled(ctx context.Context, a answer, backends []*backend, patience time.Duration, report *backendReport, up func() (enough bool)) {
	h.learnAddresses(ctx, a, backends)
	for backups := range 2 {
		targets := unsettledTargets(backends, backups > 0)
		if len(targets) == 0 {
			break
		}
		limit := h.ProbeLimit
		if limit <= 0 {
			limit = openFiles(min(len(targets), probeLimit))
		}
		// What is said of a server that refuses depends on haproxy.cfg, and reading a
		// large one may take longer than what is left when the dials are over.
		refused := func() { go report.config() }
		probe(ctx, targets, limit, share(ctx, patience, len(targets), limit), up, refused)
		excuse(targets, report)
		for _, t := range targets {
			report.answered = report.answered || t.server.use == usable
			report.silent = report.silent || t.server.use == unusable
		}
		for _, b := range backends {
			b.releaseBackups(report.config)
		}
	}
}

// unsettledTargets are the servers to be dialled, one of each backend before the
// second of any: those that wait for none, or those that waited until now.
func unsettledTargets(backends []*backend, released bool) []target {
	var rounds [][]target
	for _, b := range backends {
		if b.decided() {
			continue
		}
		round := 0
		for i := range b.servers {
			s := &b.servers[i]
			if s.use != unsettled || s.waits || s.released != released {
				continue
			}
			address, obstacle := s.dialAddress()
			if obstacle != "" {
				s.words += ", " + obstacle
				continue
			}
			if round == len(rounds) {
				rounds = append(rounds, nil)
			}
			rounds[round] = append(rounds[round], target{b, s, address})
			round++
		}
	}
	return slices.Concat(rounds...)
}

// learnAddresses fills in what a socket of level user does not show.
func (h *HAProxy) learnAddresses(ctx context.Context, a answer, backends []*backend) {
	var names []string
	for _, b := range backends {
		if !b.decided() && slices.ContainsFunc(b.servers, func(s server) bool { return s.use == unsettled && s.row.Addr == "" }) {
			names = append(names, b.row.Proxy)
		}
	}
	if len(names) == 0 {
		return
	}
	found, err := a.client.ServerAddrs(ctx, names...)
	if err != nil {
		return // each server then says that its address is not known
	}
	addrs := make(map[[2]string]string, len(found))
	for _, s := range found {
		addrs[[2]string{s.Backend, s.Server}] = s.Addr
	}
	for _, b := range backends {
		for i := range b.servers {
			if row := &b.servers[i].row; row.Addr == "" {
				row.Addr = cmp.Or(addrs[[2]string{row.Proxy, row.Server}], noAddress)
			}
		}
	}
}

// excuse takes back verdicts over servers that haproxy.cfg puts into another light:
// of a server that HAProxy reaches by another way than a dial goes, or that has no
// TCP port of its own, a dial tells nothing. (One with `server s1 10.0.0.1:+1000` is
// connected to a port that depends on the client's, and the offset is shown as if
// it were the port.) haproxy.cfg is read only when a dial failed, which a healthy
// node has none of.
func excuse(targets []target, report *backendReport) {
	failed := slices.ContainsFunc(targets, func(t target) bool { return t.server.use == unusable })
	if !failed {
		return
	}
	undialable := undialable(report.config())
	for _, t := range targets {
		obstacle, ok := undialable[[2]string{t.backend.row.Proxy, t.server.row.Server}]
		if ok && (t.server.use == unusable || t.server.use == late) {
			t.server.use, t.server.words = unsettled, "is not checked by HAProxy, "+obstacle
		}
	}
}

// serverConfig reads what haproxy.cfg says about servers, nothing if it cannot.
func (h *HAProxy) serverConfig(ctx context.Context) *haproxy.Config {
	if h.Config == nil {
		return &haproxy.Config{}
	}
	config, err := h.Config(ctx, haproxy.WantServers)
	if err != nil || config == nil {
		return &haproxy.Config{}
	}
	return config
}

// undialable finds the servers of which a dial tells nothing, by backend and name,
// and says why.
func undialable(config *haproxy.Config) map[[2]string]string {
	found := map[[2]string]string{}
	for _, proxy := range config.Proxies {
		if !proxy.Kind.HasBackend() {
			continue
		}
		for _, s := range proxy.Servers {
			obstacle := "it has no port of its own"
			switch detour := cmp.Or(s.Detour, proxy.Detour); {
			case detour != "":
				obstacle = "a dial from here does not take the way that " + detour + " gives it"
			case s.Network != haproxy.NetworkTCP:
				obstacle = "it is not reached over TCP"
			case s.Port != 0:
				continue
			}
			if !s.Template {
				found[[2]string{proxy.Name, s.Name}] = obstacle
				continue
			}
			for n := s.First; n <= min(s.Last, s.First+maxTemplate); n++ {
				found[[2]string{proxy.Name, s.Name + strconv.Itoa(n)}] = obstacle
			}
		}
	}
	return found
}

// Backends returns one result for each backend to be judged, worst first, by
// HAProxy's word alone: nothing is dialled, so that a backend of servers that
// HAProxy does not check is Unknown. It is meant for a report within a few
// milliseconds.
func (h *HAProxy) Backends(ctx context.Context) ([]Result, error) {
	s := h.sources(ctx)
	var err error
	for range maxReloads {
		a := h.ask(ctx, s, []haproxy.StatQuery{{Backends: true}})
		if !a.lives {
			return nil, errors.New(a.part.Reason)
		}
		var report *backendReport
		if report, err = h.backends(ctx, a, 0); err == nil {
			return report.result().Parts, nil
		}
		if !errors.Is(err, errReloaded) {
			break
		}
	}
	return nil, err
}
