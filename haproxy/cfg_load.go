package haproxy

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// section is what kind of section a line stands in.
type section int

const (
	sectionNone section = iota
	sectionGlobal
	sectionDefaults
	sectionFrontend
	sectionBackend
	sectionListen
	sectionOther // known to HAProxy, of no interest here
)

// sectionKeywords open a section. One that is missing here would leak its lines
// into the section before it; these are all of HAProxy 1.8 to 3.4 and of HAProxy
// Enterprise's documentation.
var sectionKeywords = [...]struct {
	word string
	kind section
}{
	{"global", sectionGlobal}, {"defaults", sectionDefaults},
	{"frontend", sectionFrontend}, {"backend", sectionBackend}, {"listen", sectionListen},
	{"acme", sectionOther}, {"aggregations", sectionOther}, {"bot-mgmt-profile", sectionOther},
	{"cache", sectionOther}, {"captcha", sectionOther}, {"crt-store", sectionOther},
	{"dynamic-update", sectionOther}, {"fcgi-app", sectionOther}, {"healthcheck", sectionOther},
	{"http-errors", sectionOther}, {"log-forward", sectionOther}, {"log-profile", sectionOther},
	{"mailers", sectionOther}, {"namespace_list", sectionOther}, {"peers", sectionOther},
	{"program", sectionOther}, {"resolvers", sectionOther}, {"ring", sectionOther},
	{"traces", sectionOther}, {"udp-lb", sectionOther}, {"userlist", sectionOther},
	{"waf-global", sectionOther}, {"waf-profile", sectionOther},
}

// sectionKeyword returns the section a keyword opens.
func sectionKeyword(word []byte) (section, bool) {
	for i := range sectionKeywords {
		if keyword := &sectionKeywords[i]; string(word) == keyword.word {
			return keyword.kind, true
		}
	}
	return sectionNone, false
}

// passes reports whether the first letter of a line tells that it does not
// matter: no section begins with it, and nothing that is read in the present one.
// In a large file that is nearly every line, as most are those of servers.
func (l *loader) passes(first byte) bool {
	switch l.section {
	case sectionOther:
	case sectionDefaults, sectionFrontend, sectionBackend, sectionListen:
		if l.want&WantServers != 0 {
			return false
		}
	default:
		return false
	}
	return first == 's' || first == 'o'
}

// wanted reports whether lines with this keyword are read in the present section.
func (l *loader) wanted(word []byte) bool {
	switch l.section {
	case sectionGlobal:
		switch string(word) {
		case "stats":
			return l.want&WantSockets != 0
		case "unix-bind":
			return l.want&WantBinds != 0
		case "setenv", "presetenv", "unsetenv", "resetenv", "localpeer":
			return true
		}
	case sectionDefaults, sectionFrontend, sectionBackend, sectionListen:
		switch string(word) {
		case "mode", "disabled", "enabled":
			return true
		case "bind":
			return l.want&WantBinds != 0
		case "server", "server-template", "default-server", "source", "option", "no", "use-server", "force-persist":
			return l.want&WantServers != 0
		}
	}
	return false
}

// defaults is what a proxy section inherits.
type defaults struct {
	mode       string
	disabled   bool
	detour     string // as a source line left it
	allBackups bool
	server     Server // as default-server lines left it
}

func newDefaults() *defaults { return &defaults{mode: "tcp", server: Server{Weight: 1}} }

// maxSockets bounds Config.Sockets.
const maxSockets = 1000

// loader reads the files of one configuration.
type loader struct {
	cfg  *Config
	want Want

	split      splitter
	conditions conditions
	bindOpts   *optionReader
	serverOpts *optionReader

	// What HAProxy keeps from section to section, and from file to file.
	prefix   string               // unix-bind prefix
	last     *defaults            // the last defaults section
	named    map[string]*defaults // by name
	declared map[string]declared  // by name
	extra    int                  // binds that exist because of lists and ranges

	// Where the scanner is.
	pos     Pos
	section section
	unsure  bool      // the line stands under a condition that cannot be decided
	current *defaults // what the section's mode, disabled and default-server lines change
	own     defaults  // where current points within a proxy section
	proxy   *Proxy    // the section's, in cfg.Proxies; nil outside proxy sections
}

// declared is where proxies of one name stand in cfg.Proxies, counted from 1.
type declared struct{ frontend, backend int }

func newLoader(opts ConfigOptions) *loader {
	l := &loader{
		cfg:        &Config{StatsTimeout: defaultStatsTimeout},
		want:       opts.Only,
		bindOpts:   newBindOptions(),
		serverOpts: newServerOptions(),
		last:       newDefaults(),
		named:      make(map[string]*defaults),
		declared:   make(map[string]declared),
	}
	if l.want == 0 {
		l.want = WantSockets | WantBinds | WantServers
	}
	env := &environment{outer: opts.Env, partial: opts.EnvPartial || opts.Env == nil}
	l.split.env = env
	l.conditions = conditions{env: env, version: opts.Version}
	return l
}

// readAhead is the size of the pieces in which files are read: reading a big
// file as a whole costs more for its fresh memory than for its lines.
const readAhead = 32 << 10

// file reads the lines of one file. The error is r's or ctx's.
func (l *loader) file(ctx context.Context, name string, r io.Reader) error {
	l.split.file, l.split.section = name, ""
	l.section, l.current, l.proxy = sectionNone, nil, nil
	l.conditions.open = l.conditions.open[:0]
	buffered := bufio.NewReaderSize(r, readAhead)
	for number := 1; ; number++ {
		if number%4096 == 0 {
			if err := context.Cause(ctx); err != nil {
				return err
			}
		}
		line, err := readLine(buffered)
		if err != nil && err != io.EOF {
			return err
		}
		if len(line) == 0 {
			break
		}
		l.pos = Pos{File: name, Line: number}
		whole := line[len(line)-1] == '\n'
		if whole {
			line = line[:len(line)-1]
		}
		if !l.line(line) {
			return nil
		}
		if !whole {
			l.problem("no line end after the last line: HAProxy 2.3 and later refuse the file")
			break
		}
	}
	for _, b := range l.conditions.open {
		l.cfg.problem(Pos{name, b.line}, ".if without .endif: HAProxy refuses the file")
	}
	return nil
}

// readLine returns the next line with its end, as long as it may be. It is
// overwritten by the next call.
func readLine(r *bufio.Reader) ([]byte, error) {
	line, err := r.ReadSlice('\n')
	if err != bufio.ErrBufferFull {
		return line, err
	}
	long := slices.Clone(line)
	for err == bufio.ErrBufferFull {
		line, err = r.ReadSlice('\n')
		long = append(long, line...)
	}
	return long, err
}

func (l *loader) problem(format string, args ...any) { l.cfg.problem(l.pos, format, args...) }

// line reads one line and reports whether the file is to be read on. This is
// the path on which the 10,000 lines nobody wants go, so it looks at the first
// word where it stands and allocates nothing for them.
func (l *loader) line(line []byte) bool {
	for len(line) > 0 && isSpace(line[0]) {
		line = line[1:]
	}
	if len(line) == 0 || line[0] == '#' || line[0] == '[' || l.passes(line[0]) { // '[' opens a scope, which means nothing here
		return true
	}
	word := line
	for i, c := range line {
		if isSpace(c) || c == '#' {
			word = line[:i]
			break
		}
		if c == '"' || c == '\'' || c == '\\' {
			word = nil // only splitting the line tells
			break
		}
	}
	if word != nil && word[0] != '.' {
		kind, opens := sectionKeyword(word)
		if !opens && !l.wanted(word) {
			if reading, _ := l.conditions.reading(); reading && l.section == sectionNone {
				l.problem("%q stands outside of any section; HAProxy refuses the file", word)
			}
			return true
		}
		if reading, _ := l.conditions.reading(); !reading {
			return true
		}
		if opens && !l.enters(kind) {
			l.section = sectionOther
			return true
		}
	}

	l.split.line = l.pos.Line
	words, err := l.split.split(string(line))
	if err != nil {
		if reading, _ := l.conditions.reading(); reading {
			l.problem("%v; the line is left out", err)
		}
		return true
	}
	if len(words) == 0 || words[0] == "" {
		return true
	}
	if words[0][0] == '.' {
		return l.directive(words)
	}
	reading, unsure := l.conditions.reading()
	if !reading {
		return true
	}
	l.unsure = unsure
	// To HAProxy an empty word ends the line.
	if i := slices.Index(words, ""); i >= 0 {
		l.problem("an empty word: HAProxy ignores or refuses what follows it")
		words = words[:i]
	}
	if kind, opens := sectionKeyword([]byte(words[0])); opens {
		l.open(kind, words)
	} else if l.wanted([]byte(words[0])) {
		l.keyword(words)
	}
	l.reportMissing()
	return true
}

// directive reads a line that begins with a dot and reports whether the file
// is to be read on.
func (l *loader) directive(words []string) bool {
	if words[0] == ".if" && len(l.conditions.open) >= maxConditions-1 {
		l.problem(".if within %d others: HAProxy stops reading the file here, and so does this", maxConditions-1)
		return false
	}
	if message := l.conditions.directive(words, l.pos.Line, l.unresolved()); message != "" {
		l.problem("%s", message)
	}
	return true
}

// unresolved reports whether the line used a variable of which it is not known
// here whether it is set.
func (l *loader) unresolved() bool {
	return slices.ContainsFunc(l.split.missing, func(name string) bool {
		_, _, known := l.split.env.lookup(name)
		return !known
	})
}

// reportMissing adds a finding for each variable the line used and that has no
// value here.
func (l *loader) reportMissing() {
	slices.Sort(l.split.missing)
	for _, name := range slices.Compact(l.split.missing) {
		if _, _, known := l.split.env.lookup(name); known {
			l.problem("variable %s is not set; HAProxy takes it for empty", name)
		} else {
			l.problem("the value of variable %s is not known here; it is taken for empty", name)
		}
	}
}

// enters reports whether anything in a section of this kind is wanted.
func (l *loader) enters(kind section) bool {
	switch kind {
	case sectionGlobal:
		return true
	case sectionFrontend:
		return l.want&WantBinds != 0
	case sectionBackend:
		return l.want&WantServers != 0
	case sectionOther:
		return false
	default: // defaults, listen
		return l.want&(WantBinds|WantServers) != 0
	}
}

// open begins a section.
func (l *loader) open(kind section, words []string) {
	if !l.enters(kind) {
		kind = sectionOther
	}
	l.section, l.current, l.proxy = kind, nil, nil
	l.split.section = words[min(1, len(words)-1)]
	switch kind {
	case sectionDefaults:
		// `defaults`, `defaults NAME`, `defaults from BASE`, `defaults NAME from BASE`
		name, rest := "", words[1:]
		if len(rest) > 0 && (rest[0] != "from" || len(rest) == 1 || len(rest) == 3) {
			name, rest = rest[0], rest[1:]
		}
		// Unlike a proxy, a defaults section inherits nothing unless it says so.
		d := *l.inherit(rest, newDefaults())
		l.last, l.current = &d, &d
		if name != "" {
			l.named[name] = &d
		}
	case sectionFrontend, sectionBackend, sectionListen:
		if len(words) == 1 {
			l.problem("%s without a name; HAProxy refuses the file, the section is left out", words[0])
			l.section = sectionOther
			return
		}
		l.own = *l.inherit(words[2:], l.last)
		l.current = &l.own
		l.declare(Proxy{
			Kind:        ProxyKind(words[0]),
			Name:        words[1],
			Mode:        l.own.mode,
			Disabled:    l.own.disabled,
			Detour:      l.own.detour,
			AllBackups:  l.own.allBackups,
			Conditional: l.unsure,
			Pos:         l.pos,
		})
	}
}

// inherit returns the defaults that `from NAME`, or nothing, asks for.
func (l *loader) inherit(words []string, otherwise *defaults) *defaults {
	switch {
	case len(words) == 0:
		return otherwise
	case len(words) != 2 || words[0] != "from":
		l.problem("%q is not understood after the section's name; HAProxy refuses it", strings.Join(words, " "))
		return otherwise
	}
	d, ok := l.named[words[1]]
	if !ok {
		l.problem("there is no defaults section %q before this; HAProxy refuses the file", words[1])
		return otherwise
	}
	return d
}

// declare adds a proxy. HAProxy wants names to be unique among those that
// accept connections, and among those that have servers.
func (l *loader) declare(p Proxy) {
	l.cfg.Proxies = append(l.cfg.Proxies, p)
	n := len(l.cfg.Proxies)
	l.proxy = &l.cfg.Proxies[n-1]

	d := l.declared[p.Name]
	before := 0
	if p.Kind.HasFrontend() {
		before, d.frontend = d.frontend, n
	}
	if p.Kind.HasBackend() {
		before, d.backend = max(before, d.backend), n
	}
	l.declared[p.Name] = d
	if before > 0 && !l.unsure {
		l.problem("%s %s has the name of the one at %s; HAProxy refuses the file", p.Kind, p.Name, l.cfg.Proxies[before-1].Pos)
	}
}

// keyword reads a line whose first word is wanted.
func (l *loader) keyword(words []string) {
	args := words[1:]
	switch words[0] {
	case "setenv", "presetenv", "localpeer", "unsetenv", "resetenv":
		l.environment(words[0], args)
	case "stats":
		l.stats(args)
	case "unix-bind":
		for i := 0; i+1 < len(args); i += 2 {
			if args[i] == "prefix" && l.prefix == "" {
				l.prefix = args[i+1]
			}
		}
	case "mode":
		if len(args) == 0 {
			l.problem("mode without a value")
			return
		}
		l.current.mode = args[0]
		if l.proxy != nil {
			l.proxy.Mode = args[0]
		}
	case "disabled", "enabled":
		if l.unsure { // then the section counts as there: a check that expects it is not misled
			if l.proxy != nil {
				l.proxy.Conditional = true
			}
			return
		}
		l.current.disabled = words[0] == "disabled"
		if l.proxy != nil {
			l.proxy.Disabled = l.current.disabled
		}
	case "bind":
		l.bind(args)
	case "server":
		l.server(args, false)
	case "server-template":
		l.server(args, true)
	case "source":
		l.current.detour = ""
		if slices.Contains(args, "interface") || slices.Contains(args, "usesrc") {
			l.current.detour = words[0]
		}
		if l.proxy != nil {
			l.proxy.Detour = l.current.detour
		}
	case "option", "no": // option NAME, no option NAME
		if option := slices.Index(words, "option"); option < 2 && slices.Index(words, "allbackups") == option+1 {
			if option > 0 && l.unsure {
				return
			}
			l.current.allBackups = option == 0
			if l.proxy != nil {
				l.proxy.AllBackups = l.current.allBackups
			}
		}
	case "use-server", "force-persist":
		if l.proxy != nil {
			l.proxy.UseServer = true
		}
	case "default-server":
		if l.section == sectionFrontend {
			l.problem("default-server in a frontend, which has no servers; it is left out")
			return
		}
		l.serverOptions(&l.current.server, "default-server", args)
	}
}

// environment follows the keywords of the global section that change what the
// rest of the configuration sees.
func (l *loader) environment(keyword string, args []string) {
	env := l.split.env
	switch keyword {
	case "setenv", "presetenv":
		if len(args) < 2 {
			l.problem("%s needs a name and a value", keyword)
			return
		}
		if keyword == "presetenv" {
			if _, set, known := env.lookup(args[0]); set {
				return
			} else if !known {
				l.problem("whether variable %s is set before this is not known here; it is taken for unset", args[0])
			}
		}
		env.put(args[0], envValue{args[1], true})
	case "localpeer":
		if len(args) > 0 {
			env.put("HAPROXY_LOCALPEER", envValue{args[0], true})
		}
	case "unsetenv":
		for _, name := range args {
			env.put(name, envValue{})
		}
	case "resetenv":
		env.reset(args)
	}
}

// stats reads a `stats` line of the global section.
func (l *loader) stats(args []string) {
	switch {
	case len(args) < 2:
		l.problem("stats needs a keyword and a value")
	case args[0] == "timeout":
		d, ok := parseTime(args[1])
		if !ok || d == 0 {
			l.problem("%q is not a time (write 30s); the timeout is taken for %v", args[1], l.cfg.StatsTimeout)
			return
		}
		l.cfg.StatsTimeout = d
	case args[0] == "socket":
		s := StatsSocket{Level: "operator", Conditional: l.unsure, Pos: l.pos}
		l.bindOpts.each(args[2:], func(name, value string) {
			switch name {
			case "level":
				s.Level = value
			case "mode":
				s.Mode = value
			case "user", "uid":
				s.User = value
			case "group", "gid":
				s.Group = value
			}
		}, l.option("stats socket"))
		for address := range strings.SplitSeq(args[1], ",") {
			if address = l.split.expandAddress(address); address == "" {
				continue
			}
			if len(l.cfg.Sockets) == maxSockets {
				l.problem("more than %d stats sockets; the rest is left out", maxSockets)
				return
			}
			s.Address, s.Unresolved = address, l.unresolved()
			l.cfg.Sockets = append(l.cfg.Sockets, s)
		}
	}
}

// option returns the function that reports findings about a line's options.
func (l *loader) option(line string) func(string, ...any) {
	return func(format string, args ...any) {
		l.problem("%s: %s; HAProxy refuses it or is newer than what is known here", line, fmt.Sprintf(format, args...))
	}
}

// server reads a `server` or `server-template` line. The server begins as
// default-server lines before it left the section, as in HAProxy.
func (l *loader) server(args []string, template bool) {
	line, n := "server", 2
	if template {
		line, n = "server-template", 3
	}
	switch {
	case l.section == sectionFrontend || l.section == sectionDefaults:
		l.problem("%s outside of a backend; HAProxy ignores or refuses it", line)
		return
	case len(args) < n:
		l.problem("%s needs a name and an address; it is left out", line)
		return
	}
	s := l.current.server
	s.Name, s.Pos, s.Conditional = args[0], l.pos, l.unsure || l.proxy.Conditional
	if template {
		s.Template = true
		low, high, isRange := strings.Cut(args[1], "-")
		if !isRange {
			low, high = "1", low
		}
		first, err1 := strconv.Atoi(low)
		last, err2 := strconv.Atoi(high)
		if err1 != nil || err2 != nil || first < 0 || last < first {
			l.problem("server-template %s: %q is not a number of servers or a range; it is left out", args[0], args[1])
			return
		}
		s.First, s.Last = first, last
	}
	address := l.split.expandAddress(args[n-1])
	family := splitFamily(address)
	s.Network, s.Address = family.network, family.rest
	switch s.Network {
	case NetworkTCP, NetworkUDP, NetworkQUIC:
		host, p := cutPort(family.rest)
		s.Address = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
		if p != "" && p[0] != '+' && p[0] != '-' {
			n, err := strconv.ParseUint(p, 10, 16)
			if err != nil {
				l.problem("%s %s: %q is not a port; it is left out", line, s.Name, p)
				return
			}
			s.Port = int(n) // 0 is the client's port, as no port is
		}
	}
	l.serverOptions(&s, line+" "+s.Name, args[n:])
	l.proxy.Servers = append(l.proxy.Servers, s)
}

// serverOptions applies the options of a `server` or `default-server` line.
func (l *loader) serverOptions(s *Server, line string, words []string) {
	finding := l.option(line)
	number := func(name, value string, most int) int {
		n, err := strconv.Atoi(value)
		if err != nil || n < 0 || n > most {
			finding("%s %q is not a number from 0 to %d", name, value, most)
			return 0
		}
		return n
	}
	l.serverOpts.each(words, func(name, value string) {
		switch name {
		case "check":
			s.Check = true
		case "no-check":
			s.Check = false
		case "agent-check":
			s.AgentCheck = true
		case "no-agent-check":
			s.AgentCheck = false
		case "track":
			s.Track = value
		case "backup":
			s.Backup = true
		case "no-backup":
			s.Backup = false
		case "disabled":
			s.Disabled = true
		case "enabled":
			s.Disabled = false
		case "ssl":
			s.SSL = true
		case "no-ssl":
			s.SSL = false
		case "namespace", "socks4", "interface", "usesrc":
			if name == "interface" || name == "usesrc" { // which follow source
				name = "source"
			}
			s.Detour = name
		case "weight":
			s.Weight = number(name, value, 256)
		case "rise":
			s.Rise = number(name, value, math.MaxInt32)
		case "fall":
			s.Fall = number(name, value, math.MaxInt32)
		case "inter":
			d, ok := parseTime(value)
			if !ok {
				finding("inter %q is not a time", value)
			}
			s.Inter = d
		}
	}, finding)
	s.Checked = s.Check || s.AgentCheck || s.Track != ""
}

// parseTime reads a time as HAProxy does: milliseconds unless a unit follows,
// at most 24.8 days (configuration manual, section 2.5).
func parseTime(s string) (time.Duration, bool) {
	i := 0
	for i < len(s) && '0' <= s[i] && s[i] <= '9' {
		i++
	}
	n, err := strconv.ParseInt(s[:i], 10, 64)
	if err != nil {
		return 0, false
	}
	var unit time.Duration
	switch s[i:] {
	case "us":
		unit = time.Microsecond
	case "", "ms":
		unit = time.Millisecond
	case "s":
		unit = time.Second
	case "m":
		unit = time.Minute
	case "h":
		unit = time.Hour
	case "d":
		unit = 24 * time.Hour
	default:
		return 0, false
	}
	const most = math.MaxInt32 * time.Millisecond
	if n > int64(most/unit) {
		return 0, false
	}
	return time.Duration(n) * unit, true
}
