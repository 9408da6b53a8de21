package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"hacheck/checks"
)

// Bounds of a check's deadline. Below 10 ms a busy node could not answer; above
// a minute keepalived's timers have lost their meaning.
const (
	MinTimeout = 10 * time.Millisecond
	MaxTimeout = time.Minute
)

// Kind is a kind of check.
type Kind string

// The kinds of checks.
const (
	KindHAProxy Kind = "haproxy"
	KindSystemd Kind = "systemd"
	KindTCP     Kind = "tcp"
	KindHTTP    Kind = "http"
)

var kinds = []Kind{KindHAProxy, KindSystemd, KindTCP, KindHTTP}

// doc says what a kind of check looks at.
func (k Kind) doc() string {
	switch k {
	case KindSystemd:
		return "units that must be active"
	case KindTCP:
		return "addresses that must accept a connection, and answer"
	case KindHTTP:
		return "URLs that must answer as expected"
	default:
		return "this node's HAProxy: its unit, admin socket, ports and backends"
	}
}

// BuiltinHAProxy is the name of the check that is there without configuration.
const BuiltinHAProxy = "haproxy"

// Check is one declared check. Which fields count depends on Kind.
type Check struct {
	Name string
	Kind Kind
	// Timeout is the check's own deadline; 0 for the common one.
	Timeout time.Duration
	// Require says how many units, addresses or URLs must be good.
	Require checks.Require

	// Units are systemd units or patterns.
	Units []string

	// Addresses are TCP addresses; Send and Expect are literal bytes with Go
	// escapes such as \r\n.
	Addresses    []string
	Send, Expect string
	TLS          bool

	// URLs are what an http check asks for, and the rest how.
	URLs            []string
	Method          string
	Status          []string
	Contains        string
	Headers         map[string]string
	Host            string
	Resolve         []string
	FollowRedirects bool

	// ServerName, CAFile and Insecure are TLS settings of tcp and http.
	ServerName, CAFile string
	Insecure           bool

	// Unit, Listeners and Backends are the parts of a haproxy check.
	Unit      string
	Listeners Listeners
	Backends  Backends

	file         string
	line, column int
}

// Listeners is the part of a haproxy check about open ports.
type Listeners struct {
	Require checks.Require
	// Addresses replace the binds of haproxy.cfg.
	Addresses []string
}

func (l *Listeners) settings() []setting {
	return []setting{
		{"require", "how many of the ports must be open: any, all, N or N%", require{&l.Require}},
		{"addresses", "ports to look for, as address:port; empty: the binds of haproxy.cfg", texts{&l.Addresses}},
	}
}

// Backends is the part of a haproxy check about backends.
type Backends struct {
	Require          checks.Require
	Include, Exclude []string
	// Minimum is the number of usable servers by backend name or pattern.
	Minimum        []checks.BackendMinimum
	ProbeUnchecked bool
}

func (b *Backends) settings() []setting {
	return []setting{
		{"require", "how many backends must be able to serve: any, all, N or N%", require{&b.Require}},
		{"include", "names or patterns of the backends to judge; empty: all", texts{&b.Include}},
		{"exclude", "names or patterns of backends not to judge", texts{&b.Exclude}},
		{"minimum", "usable servers a backend needs, by its name or pattern: N, N% or all (default 1)", minimums{&b.Minimum}},
		{"probe_unchecked", "dial servers that HAProxy does not check", yesNo{&b.ProbeUnchecked}},
	}
}

// defaultUnit is what the distributions' packages call HAProxy's unit.
const defaultUnit = "haproxy.service"

// NewCheck gives a check of the kind with its defaults, for flags to fill.
func NewCheck(name string, kind Kind) *Check {
	check := &Check{Name: name, Kind: kind, Require: checks.RequireAny, Headers: map[string]string{}}
	switch kind {
	case KindHAProxy:
		check.Unit = defaultUnit
		check.Listeners.Require = checks.RequireAny
		check.Backends.Require = checks.RequireAny
		check.Backends.ProbeUnchecked = true
	case KindSystemd:
		check.Require = checks.RequireAll
	case KindHTTP:
		check.Method, check.Status = "GET", []string{"200-299"}
	}
	return check
}

func (c *Check) settings() []setting {
	common := []setting{
		{"type", "kind of check", choice[Kind]{&c.Kind, kinds}},
		{"timeout", "deadline of this check; 0s: the common one", orZero{duration{&c.Timeout, MinTimeout, MaxTimeout}}},
	}
	switch c.Kind {
	case KindSystemd:
		return append(common,
			setting{"units", "units or patterns such as app@*.service", texts{&c.Units}},
			setting{"require", "how many must be active: any, all, N or N%", require{&c.Require}})
	case KindTCP:
		return append(append(common,
			setting{"addresses", "host:port, [v6]:port or unix:/path", texts{&c.Addresses}},
			setting{"require", "how many must answer: any, all, N or N%", require{&c.Require}},
			setting{"send", `text to send, with escapes such as \r\n`, maskedText{text{&c.Send}}},
			setting{"expect", "text the answer must contain, with escapes", text{&c.Expect}},
			setting{"tls", "speak TLS", yesNo{&c.TLS}}),
			c.tlsSettings()...)
	case KindHTTP:
		return append(append(common,
			setting{"urls", "what to ask for; unix:/path:/uri for a unix socket", maskedURLs{texts{&c.URLs}}},
			setting{"require", "how many must answer as expected: any, all, N or N%", require{&c.Require}},
			setting{"method", "request method", text{&c.Method}},
			setting{"status", "accepted status: 200, 2xx, 200-299 or a list of these", texts{&c.Status}},
			setting{"contains", "text the body must contain", text{&c.Contains}},
			setting{"headers", "headers to send, by name", maskedByName{textByName{&c.Headers}}},
			setting{"host", "Host header, if not the URL's", text{&c.Host}},
			setting{"resolve", "host:port:address, as curl's --resolve", texts{&c.Resolve}},
			setting{"follow_redirects", "judge the page a redirect leads to", yesNo{&c.FollowRedirects}}),
			c.tlsSettings()...)
	default:
		return append(common,
			setting{"unit", `systemd unit of HAProxy; "": do not ask systemd`, text{&c.Unit}},
			setting{"listeners", "open ports", group{"listeners", &c.Listeners}},
			setting{"backends", "backends that can serve", group{"backends", &c.Backends}})
	}
}

func (c *Check) tlsSettings() []setting {
	return []setting{
		{"server_name", "name to ask for and verify in TLS; empty: the host", text{&c.ServerName}},
		{"ca_file", "PEM file of the authorities to trust; empty: the system's", text{&c.CAFile}},
		{"insecure", "do not verify the certificate", yesNo{&c.Insecure}},
	}
}

// Declared reports whether the check comes from the configuration file.
func (c *Check) Declared() bool { return c.file != "" }

// Deadline is the check's own timeout, or common if it has none.
func (c *Check) Deadline(common time.Duration) time.Duration {
	if c.Timeout > 0 {
		return c.Timeout
	}
	return common
}

// checkMap is the mapping of names to checks.
type checkMap struct{ config *Config }

func (v checkMap) read(r *reader, node *yaml.Node) {
	r.pairs(node, "checks", func(key, val *yaml.Node) {
		name := key.Value
		if name == "" || strings.ContainsAny(name, "/\x00\n\r\t ") {
			r.fail(key, "use letters, digits, '-', '_' and '.'", "%q cannot be a check's name", clip(name))
			return
		}
		kind := r.kindOf(name, key, val)
		if kind == "" {
			return
		}
		check := NewCheck(name, kind)
		check.file, check.line, check.column = r.file, key.Line, key.Column
		mistakes := len(r.errors)
		r.section(val, "check "+name, check.settings())
		v.config.Checks[name] = check
		if len(r.errors) > mistakes {
			return
		}
		if _, err := check.Build(v.config); err != nil {
			r.errors = append(r.errors, err.(*Error))
		}
	})
}

// kindOf finds a check's type before its other keys are read, because they
// depend on it.
func (r *reader) kindOf(name string, key, node *yaml.Node) Kind {
	if node.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(node.Content); i += 2 {
			if node.Content[i].Value != "type" {
				continue
			}
			var kind Kind
			choice[Kind]{&kind, kinds}.read(r, resolve(node.Content[i+1]))
			return kind
		}
	}
	if name == BuiltinHAProxy {
		return KindHAProxy
	}
	r.fail(key, "one of "+strings.Join(wordsOf(kinds), ", "), "check %s has no type", name)
	return ""
}

func (v checkMap) form() Form { return Form{Type: "mapping of names to checks"} }

func (v checkMap) show() any {
	mapping := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	for _, name := range v.config.CheckNames() {
		check, _ := v.config.Check(name)
		inForce := *check
		inForce.Timeout = check.Deadline(v.config.Timeout)
		appendPair(mapping, name, showSection(inForce.settings()))
	}
	return mapping
}

// HAProxyCheck gives the check named haproxy, declared or built in, for flags
// to adjust. It stays the same over calls.
func (c *Config) HAProxyCheck() *Check {
	check, declared := c.Checks[BuiltinHAProxy]
	if !declared {
		check = NewCheck(BuiltinHAProxy, KindHAProxy)
		c.Checks[BuiltinHAProxy] = check
	}
	return check
}

// Check gives the check of that name.
func (c *Config) Check(name string) (*Check, error) {
	if name == BuiltinHAProxy {
		return c.HAProxyCheck(), nil
	}
	if check, declared := c.Checks[name]; declared {
		return check, nil
	}
	names := c.CheckNames()
	hint := "there are " + strings.Join(names, ", ")
	if guess := nearest(clip(name), names); guess != "" {
		hint = fmt.Sprintf("did you mean %q?", guess)
	}
	return nil, fmt.Errorf("%s declares no check %q (%s)", c.Path, clip(name), hint)
}

// CheckNames are the names of all checks in order, the built-in one included.
func (c *Config) CheckNames() []string {
	names := slices.Collect(maps.Keys(c.Checks))
	if !slices.Contains(names, BuiltinHAProxy) {
		names = append(names, BuiltinHAProxy)
	}
	slices.Sort(names)
	return names
}
