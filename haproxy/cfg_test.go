package haproxy

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// load reads a configuration from text.
func load(t testing.TB, text string, opts ConfigOptions) *Config {
	t.Helper()
	l := newLoader(opts)
	if err := l.file(context.Background(), "h.cfg", strings.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	return l.cfg
}

// mapEnv is an environment that is wholly known.
func mapEnv(env map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		v, ok := env[name]
		return v, ok
	}
}

// messages returns the problems as "line: message".
func messages(cfg *Config) []string {
	var out []string
	for _, p := range cfg.Problems {
		out = append(out, fmt.Sprintf("%d: %s", p.Pos.Line, p.Message))
	}
	return out
}

func loadFile(t testing.TB, only Want, path ...string) *Config {
	t.Helper()
	cfg, err := LoadConfig(context.Background(), path, ConfigOptions{
		Env:  mapEnv(map[string]string{"DIR": "/d", "PORT": "991"}),
		Only: only,
	})
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func TestLoadConfigFieldDualVIP(t *testing.T) {
	const file = "testdata/cfg/field/dual-vip.cfg"
	cfg := loadFile(t, 0, file)
	if len(cfg.Problems) > 0 {
		t.Errorf("problems: %v", cfg.Problems)
	}
	wantSockets := []StatsSocket{{Address: "/run/haproxy/admin.sock", Mode: "660", Level: "admin", Pos: Pos{file, 4}}}
	if !slices.Equal(cfg.Sockets, wantSockets) || cfg.StatsTimeout != 30*time.Second {
		t.Errorf("sockets %+v, timeout %v; want %+v, 30s", cfg.Sockets, cfg.StatsTimeout, wantSockets)
	}
	type server struct {
		name, address string
		port, line    int
	}
	want := []struct {
		name             string
		port, line, bind int
		servers          []server
	}{
		{"mysql", 3306, 21, 22, []server{{"mysql-1", "198.51.100.17", 3306, 26}}},
		{"redis", 6379, 28, 29, []server{{"redis-1", "198.51.100.13", 6379, 33}}},
		{"files", 22222, 35, 36, []server{{"files-1", "198.51.100.87", 22222, 40}, {"files-2", "198.51.100.88", 22222, 41}}},
		{"objects", 8000, 43, 44, []server{{"objects-1", "198.51.100.15", 8000, 48}, {"objects-2", "198.51.100.115", 8000, 49}}},
		{"gateway", 80, 51, 52, []server{{"gateway-1", "198.51.100.31", 80, 56}, {"gateway-2", "198.51.100.131", 80, 57}}},
		{"gateway-admin", 8080, 59, 60, []server{{"gateway-admin-1", "198.51.100.31", 8080, 64}, {"gateway-admin-2", "198.51.100.131", 8080, 65}}},
		{"search", 9292, 67, 68, []server{{"search-1", "198.51.100.16", 9292, 72}, {"search-2", "198.51.100.116", 9292, 73}, {"search-3", "198.51.100.122", 9292, 74}}},
		{"monitoring", 9999, 76, 77, []server{{"monitoring-1", "198.51.100.20", 80, 81}}},
		{"logs", 5601, 83, 84, []server{{"logs-1", "198.51.100.121", 5601, 88}}},
		{"console", 1337, 90, 91, []server{{"console-1", "198.51.100.31", 1337, 95}}},
	}
	if len(cfg.Proxies) != len(want) {
		t.Fatalf("%d proxies, want %d", len(cfg.Proxies), len(want))
	}
	for i, w := range want {
		p := cfg.Proxies[i]
		wantProxy := Proxy{Kind: Listen, Name: w.name, Mode: "tcp", Pos: Pos{file, w.line}}
		wantProxy.Binds = []Bind{{
			Raw: fmt.Sprintf("0.0.0.0:%d", w.port), Network: "tcp", Addr: netip.IPv4Unspecified(), Port: w.port, Pos: Pos{file, w.bind},
		}}
		for _, s := range w.servers {
			wantProxy.Servers = append(wantProxy.Servers, Server{
				Name: s.name, Network: "tcp", Address: s.address, Port: s.port, Pos: Pos{file, s.line},
				// inter, rise and fall are there, the word check is not.
				Checked: false, Inter: 3 * time.Second, Rise: 5, Fall: 1, Weight: 1,
			})
		}
		if !reflect.DeepEqual(p, wantProxy) {
			t.Errorf("proxy %d:\n got %+v\nwant %+v", i, p, wantProxy)
		}
	}
}

func TestLoadConfigFieldWeb(t *testing.T) {
	const file = "testdata/cfg/field/web.cfg"
	cfg := loadFile(t, 0, file)
	want := &Config{
		Files:        []string{file},
		Size:         682,
		Sockets:      []StatsSocket{{Address: "/var/run/haproxy.sock", Mode: "660", Level: "admin", Pos: Pos{file, 5}}},
		StatsTimeout: 10 * time.Second,
		Proxies: []Proxy{
			{
				Kind: Frontend, Name: "web_front", Mode: "http", Pos: Pos{file, 14},
				Binds: []Bind{{
					Raw: "192.0.2.100:80", Network: "tcp", Addr: netip.MustParseAddr("192.0.2.100"), Port: 80, Pos: Pos{file, 15},
				}},
			},
			{
				Kind: Backend, Name: "web_servers", Mode: "http", Pos: Pos{file, 20},
				Servers: []Server{
					{Name: "web01", Network: "tcp", Address: "192.0.2.11", Port: 8080, Check: true, Checked: true, Weight: 100, Pos: Pos{file, 25}},
					{Name: "web02", Network: "tcp", Address: "192.0.2.12", Port: 8080, Check: true, Checked: true, Weight: 100, Pos: Pos{file, 26}},
					{Name: "web03", Network: "tcp", Address: "192.0.2.13", Port: 8080, Check: true, Checked: true, Weight: 1, Backup: true, Pos: Pos{file, 27}},
				},
			},
		},
	}
	if !reflect.DeepEqual(cfg, want) {
		t.Errorf("got  %+v\nwant %+v", cfg, want)
	}
}

// Everything that can be written, read from a directory of three files.
func TestLoadConfigEverything(t *testing.T) {
	const dir = "testdata/cfg/everything"
	cfg := loadFile(t, 0, dir)
	files := []string{dir + "/10-global.cfg", dir + "/20-backends.cfg", dir + "/30-frontends.cfg"}
	if !slices.Equal(cfg.Files, files) {
		t.Errorf("files %q, want %q", cfg.Files, files)
	}
	if len(cfg.Problems) > 0 {
		t.Errorf("problems: %v", cfg.Problems)
	}
	if cfg.StatsTimeout != 2*time.Minute {
		t.Errorf("stats timeout %v, want 2m", cfg.StatsTimeout)
	}
	wantSockets := []StatsSocket{
		{Address: "/d/admin.sock", Level: "admin", Mode: "600", Pos: Pos{files[0], 7}},
		{Address: "unix@/d/user.sock", Level: "user", User: "root", Group: "root", Pos: Pos{files[0], 8}},
		{Address: "abns@hacheck-991", Level: "operator", Pos: Pos{files[0], 9}},
		{Address: "/d/third.sock", Level: "operator", Pos: Pos{files[0], 9}},
		{Address: "ipv4@127.0.0.1:9919", Level: "operator", Pos: Pos{files[2], 12}},
	}
	if !slices.Equal(cfg.Sockets, wantSockets) {
		t.Errorf("sockets\n got %+v\nwant %+v", cfg.Sockets, wantSockets)
	}

	var got strings.Builder
	for _, p := range cfg.Proxies {
		fmt.Fprintf(&got, "%s %s %s", p.Kind, p.Name, p.Mode)
		if p.Disabled {
			got.WriteString(" disabled")
		}
		fmt.Fprintf(&got, " :%d\n", p.Pos.Line)
		for _, b := range p.Binds {
			fmt.Fprintf(&got, "  bind %s", b.Network)
			if b.Addr.IsValid() {
				fmt.Fprintf(&got, " %v", netip.AddrPortFrom(b.Addr, uint16(b.Port)))
			}
			for _, s := range []string{b.Path, b.Host, b.Name, b.Interface, b.Namespace} {
				if s != "" {
					fmt.Fprintf(&got, " %q", s)
				}
			}
			got.WriteString(flags("transparent", b.Transparent, "ssl", b.SSL, "accept-proxy", b.AcceptProxy, "v4v6", b.V4V6, "v6only", b.V6Only))
			fmt.Fprintf(&got, " :%d\n", b.Pos.Line)
		}
		for _, s := range p.Servers {
			fmt.Fprintf(&got, "  server %s %s %s %d", s.Name, s.Network, s.Address, s.Port)
			if s.Track != "" {
				fmt.Fprintf(&got, " track=%s", s.Track)
			}
			if s.Inter != 0 || s.Rise != 0 || s.Fall != 0 {
				fmt.Fprintf(&got, " %v/%d/%d", s.Inter, s.Rise, s.Fall)
			}
			if s.Weight != 1 {
				fmt.Fprintf(&got, " weight=%d", s.Weight)
			}
			if s.Template {
				fmt.Fprintf(&got, " %d-%d", s.First, s.Last)
			}
			got.WriteString(flags("check", s.Check, "agent", s.AgentCheck, "checked", s.Checked, "backup", s.Backup, "disabled", s.Disabled, "ssl", s.SSL))
			fmt.Fprintf(&got, " :%d\n", s.Pos.Line)
		}
	}
	const want = `backend one tcp :3
  server a tcp 127.0.0.1 1 3s/0/7 check checked :4
  server b tcp 127.0.0.1 2 3s/0/7 weight=5 :5
  server c tcp 127.0.0.1 3 3s/0/7 check checked backup disabled :7
  server d tcp localhost 4 3s/0/7 :8
  server e unix /d/back.sock 0 3s/0/7 weight=0 check checked backup :9
backend two tcp :11
  server plain tcp 127.0.0.1 1 3s/5/1 :12
  server expanded tcp 127.0.0.1 1 500ms/4/5 check checked :13
  server tracking tcp 127.0.0.1 1 track=one/a 3s/0/0 checked :14
  server agent tcp 127.0.0.1 1 3s/0/0 weight=10 agent checked :15
  server mapped tcp 127.0.0.1 0 3s/0/0 :16
  server offset tcp 127.0.0.1 0 3s/0/0 check checked :17
  server v6 tcp ::1 80 3s/0/0 check checked :18
  server bare tcp ::1 81 3s/0/0 ssl :19
  server tmpl tcp 127.0.0.1 9 3s/0/0 2-4 check checked :20
  server few tcp 127.0.0.1 9 3s/0/0 1-3 :21
backend empty http :23
listen both tcp :25
  bind unix "/d/both.sock" :27
  server s_p.1 tcp 127.0.0.1 5 disabled :28
listen taken http :31
  bind unix "/d/taken.sock" :32
  server kept tcp 127.0.0.1 6 :36
frontend off http disabled :45
  bind unix "/d/off.sock" :47
frontend quoted_name.x http :1
  bind tcp 127.0.0.1:9910 "first one" transparent :2
  bind tcp 127.0.0.1:8881 :3
  bind tcp 127.0.0.1:8882 :3
  bind tcp 127.0.0.1:8890 "lo" :4
  bind tcp 127.0.0.1:8891 "lo" :4
  bind tcp 127.0.0.1:8892 "lo" :4
  bind tcp 127.0.0.1:8893 "lo" :4
  bind unix "/d/front.sock" :5
  bind abns "hacheck-991" accept-proxy :6
  bind tcp [::1]:8895 v6only :7
  bind tcp [::]:8896 v4v6 :8
`
	if got.String() != want {
		t.Errorf("got\n%swant\n%s", got.String(), want)
	}
}

// flags returns the names, each with a space before it, whose value is true.
func flags(pairs ...any) string {
	var out string
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1].(bool) {
			out += " " + pairs[i].(string)
		}
	}
	return out
}

func TestLoadConfigOnly(t *testing.T) {
	const dir = "testdata/cfg/everything"
	all := loadFile(t, 0, dir)
	for only, name := range map[Want]string{
		WantSockets: "sockets", WantBinds: "binds", WantServers: "servers", WantSockets | WantBinds: "sockets and binds",
	} {
		t.Run(name, func(t *testing.T) {
			want := *all
			want.Proxies = nil
			if only&WantSockets == 0 {
				want.Sockets, want.StatsTimeout = nil, defaultStatsTimeout
			}
			for _, p := range all.Proxies {
				if only&WantBinds == 0 {
					p.Binds = nil
				}
				if only&WantServers == 0 {
					p.Servers = nil
				}
				if only&WantBinds != 0 && p.Kind.HasFrontend() || only&WantServers != 0 && p.Kind.HasBackend() {
					want.Proxies = append(want.Proxies, p)
				}
			}
			if got := loadFile(t, only, dir); !reflect.DeepEqual(*got, want) {
				t.Errorf("got\n%+v\nwant\n%+v", *got, want)
			}
		})
	}
}

// A quoted keyword takes another way through the scanner.
func TestQuotedKeywords(t *testing.T) {
	const text = "glo\\bal\n'global'\n \"stats\" socket /a\n'listen' l\n b\"in\"d :80\n"
	cfg := load(t, text, ConfigOptions{})
	if len(cfg.Sockets) != 1 || len(cfg.Proxies) != 1 || len(cfg.Proxies[0].Binds) != 1 {
		t.Errorf("got %+v", cfg)
	}
	if cfg := load(t, text, ConfigOptions{Only: WantSockets}); len(cfg.Sockets) != 1 || len(cfg.Proxies) != 0 {
		t.Errorf("sockets only: got %+v", cfg)
	}
}

func TestBindAddresses(t *testing.T) {
	v4, v6 := netip.IPv4Unspecified(), netip.IPv6Unspecified()
	tests := []struct {
		args string
		want []Bind
	}{
		{":80", []Bind{{Network: "tcp", Addr: v4, Port: 80}}},
		{"*:80", []Bind{{Network: "tcp", Addr: v4, Port: 80}}},
		{":80,:443", []Bind{{Network: "tcp", Addr: v4, Port: 80}, {Network: "tcp", Addr: v4, Port: 443}}},
		{":::8080", []Bind{{Network: "tcp", Addr: v6, Port: 8080}}},
		{"ipv6@:8081", []Bind{{Network: "tcp", Addr: v6, Port: 8081}}},
		{"ipv6@*:8081", []Bind{{Network: "tcp", Addr: v6, Port: 8081}}},
		{"[fd00::10]:80", []Bind{{Network: "tcp", Addr: netip.MustParseAddr("fd00::10"), Port: 80}}},
		{"fd00::10:80", []Bind{{Network: "tcp", Addr: netip.MustParseAddr("fd00::10"), Port: 80}}},
		{"vip.example:80", []Bind{{Network: "tcp", Host: "vip.example", Port: 80}}},
		{"10.0.0.1:8000-8002", []Bind{
			{Network: "tcp", Addr: netip.MustParseAddr("10.0.0.1"), Port: 8000},
			{Network: "tcp", Addr: netip.MustParseAddr("10.0.0.1"), Port: 8001},
			{Network: "tcp", Addr: netip.MustParseAddr("10.0.0.1"), Port: 8002},
		}},
		{"quic4@:443 ssl crt /x alpn h3", []Bind{{Network: "quic", Addr: v4, Port: 443, SSL: true}}},
		{"quic6@[::]:443", []Bind{{Network: "quic", Addr: v6, Port: 443}}},
		{"udp@:53", []Bind{{Network: "udp", Addr: v4, Port: 53}}},
		{"mptcp@:80", []Bind{{Network: "tcp", Addr: v4, Port: 80}}},
		{"unix@/run/x", []Bind{{Network: "unix", Path: "/run/x"}}},
		{"/run/x,unix@y", []Bind{{Network: "unix", Path: "/run/x"}, {Network: "unix", Path: "y"}}},
		{"abns@x", []Bind{{Network: "abns", Path: "x"}}},
		{"fd@${FD}", []Bind{{Network: "fd", Path: "7"}}},
		{"sockpair@4", []Bind{{Network: "other", Path: "4"}}},
		{"$VIP:80", []Bind{{Network: "tcp", Addr: netip.MustParseAddr("10.0.0.9"), Port: 80}}},
		{`"${VIP}":80 interface eth0 namespace blue`, []Bind{{Network: "tcp", Addr: netip.MustParseAddr("10.0.0.9"), Port: 80, Interface: "eth0", Namespace: "blue"}}},
		// A value that is the word of another option must not be taken for it.
		{":80 name ssl interface transparent", []Bind{{Network: "tcp", Addr: v4, Port: 80, Name: "ssl", Interface: "transparent"}}},
		{":80 quic-cc-algo bbr shards by-thread guid-prefix ssl v4v6 v6only", []Bind{{Network: "tcp", Addr: v4, Port: 80, V6Only: true}}},
	}
	for _, tt := range tests {
		cfg := load(t, "frontend f\n bind "+tt.args+"\n", ConfigOptions{Env: mapEnv(map[string]string{"VIP": "10.0.0.9", "FD": "7"})})
		if len(cfg.Problems) > 0 {
			t.Errorf("bind %s: problems %v", tt.args, cfg.Problems)
		}
		got := cfg.Proxies[0].Binds
		for i := range got {
			if got[i].Pos != (Pos{"h.cfg", 2}) || got[i].Raw == "" {
				t.Errorf("bind %s: position %v, raw %q", tt.args, got[i].Pos, got[i].Raw)
			}
			got[i].Pos, got[i].Raw = Pos{}, ""
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("bind %s:\n got %+v\nwant %+v", tt.args, got, tt.want)
		}
	}
}

func TestUnixBindPrefix(t *testing.T) {
	cfg := load(t, "global\n unix-bind mode 600 prefix /srv user haproxy\n stats socket /run/a\nfrontend f\n bind /run/x\n bind abns@x\n", ConfigOptions{})
	if got := cfg.Proxies[0].Binds[0].Path; got != "/srv/run/x" {
		t.Errorf("path %q, want the prefix before it", got)
	}
	if got := cfg.Proxies[0].Binds[1].Path; got != "x" {
		t.Errorf("abstract name %q, want it without the prefix", got)
	}
	// HAProxy leaves admin sockets alone.
	if got := cfg.Sockets[0].Address; got != "/run/a" {
		t.Errorf("admin socket %q, want it without the prefix", got)
	}
}

func TestProblems(t *testing.T) {
	tests := []struct {
		name, text string
		want       []string
	}{
		{"nothing", "", nil},
		{"no line end", "global", []string{"1: no line end after the last line: HAProxy 2.3 and later refuse the file"}},
		{"text", "hello\n", []string{`1: "hello" stands outside of any section; HAProxy refuses the file`}},
		{"quote", "global\n stats socket \"/run\n", []string{"2: unmatched quote; the line is left out"}},
		{"hex", "global\n stats socket /\\x4\n", []string{`2: \x without two hexadecimal digits; the line is left out`}},
		{"nul", "global\n stats socket /a\x00b\n", []string{"2: a NUL byte; the line is left out"}},
		{"dollar", "global\n stats socket \"$\"\n", []string{"2: a $ in double quotes without the name of a variable (write \\$ for the sign itself); the line is left out"}},
		{"brace", "global\n stats socket \"${A\"\n", []string{"2: ${A without its closing brace; the line is left out"}},
		{"brace end", "global\n stats socket \"${A+}\"\n", []string{`2: ${A is followed by "+", not by a closing brace; the line is left out`}},
		{"pseudo", "global\n stats socket \"${.X}\"\n", []string{`2: unknown variable ".X"; the line is left out`}},
		{"empty word", "backend b\n server a :1 '' check\n", []string{"2: an empty word: HAProxy ignores or refuses what follows it"}},
		{"words", "backend b\n server a :1" + strings.Repeat(" check", 64) + "\n", []string{"2: more than 64 words on a line; the line is left out"}},
		{"nameless", "listen\n bind :80\n server a :1\n", []string{"1: listen without a name; HAProxy refuses the file, the section is left out"}},
		{"old style", "frontend f :80\n", []string{`1: ":80" is not understood after the section's name; HAProxy refuses it`}},
		{"no defaults", "backend b from x\n", []string{`1: there is no defaults section "x" before this; HAProxy refuses the file`}},
		{"twice", "listen a\nfrontend b\nbackend b\nfrontend a\n", []string{"4: frontend a has the name of the one at h.cfg:1; HAProxy refuses the file"}},
		{"bind in backend", "backend b\n bind :80\n", []string{"2: bind outside of a frontend; HAProxy ignores or refuses it"}},
		{"bind in defaults", "defaults\n bind :80\n", []string{"2: bind outside of a frontend; HAProxy ignores or refuses it"}},
		{"bare bind", "listen b\n bind\n", []string{"2: bind needs an address; it is left out"}},
		{"bind without port", "listen b\n bind 10.0.0.1\n", []string{`2: bind 10.0.0.1: "10.0.0.1" has no port or range of ports from 1 to 65535; it is left out`}},
		{"bind option", "listen b\n bind :80 nonsense ssl\n", []string{`2: bind :80: unknown option "nonsense"; HAProxy refuses it or is newer than what is known here`}},
		{"bind value", "listen b\n bind :80 ssl crt\n", []string{`2: bind :80: "crt" has no value; HAProxy refuses it or is newer than what is known here`}},
		{"range", "listen b\n bind :1-65535\n", []string{`2: bind :1-65535: only the first 1024 ports of ":1-65535" are listed`}},
		{"server in frontend", "frontend f\n server a :1\n", []string{"2: server outside of a backend; HAProxy ignores or refuses it"}},
		{"default-server in frontend", "frontend f\n default-server check\n", []string{"2: default-server in a frontend, which has no servers; it is left out"}},
		{"bare server", "backend b\n server a\n", []string{"2: server needs a name and an address; it is left out"}},
		{"server port", "backend b\n server a 10.0.0.1:http\n", []string{`2: server a: "http" is not a port; it is left out`}},
		{"server value", "backend b\n server a :1 check inter\n", []string{`2: server a: "inter" has no value; HAProxy refuses it or is newer than what is known here`}},
		{"server time", "backend b\n server a :1 inter 3x\n", []string{`2: server a: inter "3x" is not a time; HAProxy refuses it or is newer than what is known here`}},
		{"server weight", "backend b\n server a :1 weight 257\n", []string{`2: server a: weight "257" is not a number from 0 to 256; HAProxy refuses it or is newer than what is known here`}},
		{"template", "backend b\n server-template a 3-1 :1\n", []string{`2: server-template a: "3-1" is not a number of servers or a range; it is left out`}},
		{"stats", "global\n stats socket\n stats timeout x\n", []string{
			"2: stats needs a keyword and a value",
			`3: "x" is not a time (write 30s); the timeout is taken for 10s`,
		}},
		{"setenv", "global\n setenv X\n", []string{"2: setenv needs a name and a value"}},
		{"unset", "global\n stats socket \"$NO\"/\"$NO\"\n", []string{"2: variable NO is not set; HAProxy takes it for empty"}},
		{"HAProxy's own", "global\n stats socket /\"$HAPROXY_CFGFILES\"\n", []string{"2: the value of variable HAPROXY_CFGFILES is not known here; it is taken for empty"}},
		{"mode", "listen b\n mode\n", []string{"2: mode without a value"}},
		{"else", ".else\n.elif 1\n.endif\n", []string{
			"1: .else without .if: HAProxy refuses the file", "2: .elif without .if: HAProxy refuses the file", "3: .endif without .if: HAProxy refuses the file",
		}},
		{"second else", ".if 1\n.else\n.else\n.elif 1\n.endif\n", []string{
			"3: .else after .else: HAProxy refuses the file", "4: .elif after .else: HAProxy refuses the file",
		}},
		{"open if", "global\n.if 1\n", []string{"2: .if without .endif: HAProxy refuses the file"}},
		{"alert", ".alert 'no way'\n.if 0\n.alert x\n.endif\n", []string{`1: .alert "no way": HAProxy refuses the file`}},
		{"directive", ".include x\n", []string{`1: unknown directive ".include"`}},
		{"undecided", ".if feature(OPENSSL)\n.endif\n", []string{`1: cannot tell whether "feature(OPENSSL)" holds; its branches are all read and marked`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := load(t, tt.text, ConfigOptions{Env: mapEnv(nil)})
			if got := messages(cfg); !slices.Equal(got, tt.want) {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}

func TestProblemsAreBounded(t *testing.T) {
	cfg := load(t, strings.Repeat("nonsense\n", 100000), ConfigOptions{})
	if n := len(cfg.Problems); n != maxProblems {
		t.Fatalf("%d problems, want %d", n, maxProblems)
	}
	if got, want := cfg.Problems[maxProblems-1].String(), "h.cfg:200: too many findings; the rest is left out"; got != want {
		t.Errorf("last problem %q, want %q", got, want)
	}
}

func TestExpansionsAreBounded(t *testing.T) {
	t.Run("ranges", func(t *testing.T) {
		cfg := load(t, "listen a\n bind "+strings.Repeat(":1-65535,", 10000)+"\n", ConfigOptions{})
		if n := len(cfg.Proxies[0].Binds); n != maxExtraBinds+1 {
			t.Errorf("%d binds, want %d", n, maxExtraBinds+1)
		}
	})
	t.Run("variables", func(t *testing.T) {
		text := "global\n setenv A xxxxxxxxxx\n" + strings.Repeat(" setenv A \"$A$A$A$A\"\n", 100)
		cfg := load(t, text, ConfigOptions{})
		want := "9: variables expand to more than 65536 bytes; the line is left out"
		if got := messages(cfg); len(got) == 0 || got[0] != want {
			t.Errorf("problems %q, want the first to be %q", got, want)
		}
	})
	t.Run("conditions", func(t *testing.T) {
		cfg := load(t, "global\n"+strings.Repeat(".if 1\n", 100000)+" stats socket /a\n", ConfigOptions{})
		want := "17: .if within 15 others: HAProxy stops reading the file here, and so does this"
		if got := messages(cfg); len(got) != 1 || got[0] != want {
			t.Errorf("problems %q, want %q", got, want)
		}
	})
	t.Run("sockets", func(t *testing.T) {
		cfg := load(t, "global\n stats socket "+strings.Repeat("/a,", maxSockets+1)+"\n", ConfigOptions{})
		want := "2: more than 1000 stats sockets; the rest is left out"
		if got := messages(cfg); len(got) != 1 || got[0] != want || len(cfg.Sockets) != maxSockets {
			t.Errorf("%d sockets, problems %q, want %q", len(cfg.Sockets), got, want)
		}
	})
}

// Sections that are of no interest end the one before them.
func TestOtherSectionsDoNotLeak(t *testing.T) {
	for _, name := range []string{"peers x", "ring x", "log-forward x", "userlist x", "resolvers x", "mailers x", "cache x",
		"program x", "http-errors x", "fcgi-app x", "crt-store", "traces", "log-profile x", "namespace_list", "acme x", "healthcheck x", "udp-lb x", "global"} {
		cfg := load(t, "listen l\n bind :1\n server a :1\n"+name+"\n bind :2\n server b :2 disabled\n disabled\nbackend after\n server c :3\n", ConfigOptions{})
		if len(cfg.Proxies) != 2 || len(cfg.Proxies[0].Binds) != 1 || len(cfg.Proxies[0].Servers) != 1 || cfg.Proxies[0].Disabled || len(cfg.Proxies[1].Servers) != 1 {
			t.Errorf("after %q: %+v", name, cfg.Proxies)
		}
	}
}

// A repeated section name replaces nothing (client-native's parser does).
func TestRepeatedSectionsAreKept(t *testing.T) {
	cfg := load(t, "global\n stats socket /a\nbackend b\n server x :1\nglobal\n stats socket /b\nbackend b\n server y :2\n", ConfigOptions{})
	if len(cfg.Proxies) != 2 || cfg.Proxies[0].Servers[0].Name != "x" || cfg.Proxies[1].Servers[0].Name != "y" {
		t.Errorf("proxies %+v", cfg.Proxies)
	}
	if len(cfg.Sockets) != 2 || cfg.Sockets[0].Address != "/a" || cfg.Sockets[1].Address != "/b" {
		t.Errorf("sockets %+v", cfg.Sockets)
	}
}

func TestDefaults(t *testing.T) {
	cfg := load(t, `backend before
defaults one
	mode http
	disabled
	default-server check weight 7
backend inherits
	server a :1
	enabled
defaults two from one
	enabled
	default-server no-check
	mode tcp
backend last
	server a :1
backend named from one
	server a :1
	mode tcp
defaults
backend fresh
	server a :1
`, ConfigOptions{})
	if len(cfg.Problems) > 0 {
		t.Errorf("problems: %v", cfg.Problems)
	}
	type summary struct {
		name, mode        string
		disabled, checked bool
		weight            int
	}
	var got []summary
	for _, p := range cfg.Proxies {
		s := summary{name: p.Name, mode: p.Mode, disabled: p.Disabled}
		for _, srv := range p.Servers {
			s.checked, s.weight = srv.Checked, srv.Weight
		}
		got = append(got, s)
	}
	want := []summary{
		{"before", "tcp", false, false, 0},
		{"inherits", "http", false, true, 7},
		{"last", "tcp", false, false, 7},
		{"named", "tcp", true, true, 7},
		{"fresh", "tcp", false, false, 1},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestAllBackups(t *testing.T) {
	cfg := load(t, `backend before
	option httpchk
defaults one
	option allbackups
	option redispatch
backend inherits
listen takes-back
	no option allbackups
defaults
backend fresh
	no option
	option
	no allbackups
backend own
	option allbackups
.if feature(X)
	no option allbackups
.endif
backend perhaps
.if feature(X)
	option allbackups
.endif
`, ConfigOptions{})
	if len(cfg.Problems) != 2 { // of conditions that cannot be decided
		t.Errorf("problems: %v", cfg.Problems)
	}
	got := map[string]bool{}
	for _, p := range cfg.Proxies {
		got[p.Name] = p.AllBackups
	}
	want := map[string]bool{"before": false, "inherits": true, "takes-back": false, "fresh": false, "own": true, "perhaps": true}
	if !maps.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

func TestConditionalParts(t *testing.T) {
	const text = `global
.if feature(X)
	stats socket /maybe
.elif streq(a,a)
	stats socket /perhaps
.else
	stats socket /never
.endif
	stats socket /sure
.if !feature(Y) && 0
	stats socket /no
.endif
.if feature(X)
frontend f
.endif
	bind :1
backend b
	server a :1
.if defined(X)
	disabled
	server b :2
.endif
`
	cfg := load(t, text, ConfigOptions{})
	var sockets []string
	for _, s := range cfg.Sockets {
		sockets = append(sockets, s.Address+flags("conditional", s.Conditional))
	}
	if want := []string{"/maybe conditional", "/perhaps conditional", "/sure"}; !slices.Equal(sockets, want) {
		t.Errorf("sockets %q, want %q", sockets, want)
	}
	f, b := cfg.Proxies[0], cfg.Proxies[1]
	if !f.Conditional || !f.Binds[0].Conditional {
		t.Errorf("frontend %+v is not marked", f)
	}
	if !b.Conditional || b.Disabled || b.Servers[0].Conditional || !b.Servers[1].Conditional {
		t.Errorf("backend %+v: want it there, marked, its second server marked", b)
	}
	if got := len(cfg.Problems); got != 3 {
		t.Errorf("%d problems, want one for each undecided condition: %v", got, cfg.Problems)
	}
}

func TestLoadConfigErrors(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	cfg := filepath.Join(dir, "a.cfg")
	if err := os.WriteFile(cfg, []byte("global\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	missing := filepath.Join(dir, "missing.cfg")
	empty := filepath.Join(dir, "empty.d")
	fifo := filepath.Join(dir, "fifo")
	if err := errors.Join(os.Mkdir(empty, 0o755), syscall.Mkfifo(fifo, 0o600)); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name  string
		paths []string
		is    error
		want  string
	}{
		{"missing", []string{missing}, fs.ErrNotExist,
			"reading HAProxy's configuration: stat " + missing + ": no such file or directory (is HAProxy installed here, and is its configuration elsewhere?)"},
		{"empty directory", []string{empty}, fs.ErrNotExist, "reading HAProxy's configuration: no *.cfg file in " + empty + ": file does not exist"},
		{"none", nil, fs.ErrNotExist, "reading HAProxy's configuration: no file is named: file does not exist"},
		{"fifo", []string{fifo}, nil, "reading HAProxy's configuration: read " + fifo + ": not a regular file"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := LoadConfig(ctx, tt.paths, ConfigOptions{})
			if err == nil || err.Error() != tt.want || tt.is != nil && !errors.Is(err, tt.is) {
				t.Errorf("got %+v, %v; want error %q", got, err, tt.want)
			}
		})
	}
	t.Run("some", func(t *testing.T) {
		got, err := LoadConfig(ctx, []string{missing, cfg, fifo}, ConfigOptions{})
		if err != nil {
			t.Fatal(err)
		}
		want := []Problem{
			{Pos{File: missing}, "not read: no such file or directory"},
			{Pos{File: fifo}, "not read: not a regular file"},
		}
		if !slices.Equal(got.Problems, want) || !slices.Equal(got.Files, []string{cfg}) {
			t.Errorf("files %q, problems %v; want %v", got.Files, got.Problems, want)
		}
		if got, want := got.Problems[0].String(), missing+": not read: no such file or directory"; got != want {
			t.Errorf("problem %q, want %q", got, want)
		}
	})
	t.Run("cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(ctx)
		why := errors.New("time is up")
		cancel(why)
		if _, err := LoadConfig(ctx, []string{cfg}, ConfigOptions{}); !errors.Is(err, why) {
			t.Errorf("got %v, want %v", err, why)
		}
		l := newLoader(ConfigOptions{})
		if err := l.file(ctx, "h.cfg", strings.NewReader(strings.Repeat("\n", 5000))); !errors.Is(err, why) {
			t.Errorf("within a file: got %v, want %v", err, why)
		}
	})
}

func TestLoadConfigNotPermitted(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a.cfg")
	if err := os.WriteFile(file, []byte("global\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, 0); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 { // root may read everything: let this thread look at files as nobody does
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err := syscall.Setfsuid(65534); err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := syscall.Setfsuid(0); err != nil {
				t.Error(err)
			}
		}()
	}
	_, err := LoadConfig(context.Background(), []string{file}, ConfigOptions{})
	const want = ": permission denied (the account that runs this needs to read the file and to search its directories)"
	if !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), file) || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("got %v; want %s%s", err, file, want)
	}
}

// HAProxy's rules for -f DIRECTORY.
func TestConfigFilesOfDirectory(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"b.cfg", "a.cfg", ".hidden.cfg", "c.cfg.bak", "d.conf", "e.cfg.cfg", ".cfg"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Mkdir(filepath.Join(dir, "f.cfg"), 0o755), os.Symlink("a.cfg", filepath.Join(dir, "z.cfg"))); err != nil {
		t.Fatal(err)
	}
	got, err := configFiles(dir)
	for i := range got {
		got[i] = filepath.Base(got[i])
	}
	if want := []string{"a.cfg", "b.cfg", "z.cfg"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
}

func TestCRLFAndScopes(t *testing.T) {
	cfg := load(t, "[scope]\r\nglobal\r\n\tstats socket /a level admin\r\n\r\nlisten l\r\n\tbind :80\r\n", ConfigOptions{})
	if len(cfg.Problems) > 0 || len(cfg.Sockets) != 1 || cfg.Sockets[0].Level != "admin" || cfg.Proxies[0].Name != "l" || cfg.Proxies[0].Binds[0].Port != 80 {
		t.Errorf("got %+v", cfg)
	}
}

// A line that is passed over by its first letter would not have been read.
func TestPassedLinesDoNotMatter(t *testing.T) {
	words := []string{
		"stats", "unix-bind", "setenv", "presetenv", "unsetenv", "resetenv", "localpeer", "mode", "disabled", "enabled",
		"bind", "server", "server-template", "default-server", "source", "option", "no", "use-server", "force-persist", `"stats"`, `\stats`, ".if",
	}
	for _, keyword := range sectionKeywords {
		words = append(words, keyword.word)
	}
	passed := 0
	for section := sectionNone; section <= sectionOther; section++ {
		for want := Want(0); want <= WantSockets|WantBinds|WantServers; want++ {
			l := newLoader(ConfigOptions{Only: want})
			l.section = section
			for _, word := range words {
				_, opens := sectionKeyword([]byte(word))
				passes := l.passes(word[0])
				if passes && (opens || l.wanted([]byte(word))) {
					t.Errorf("section %d, want %b: %s is passed over", section, want, word)
				}
				if passes {
					passed++
				}
			}
		}
	}
	if passed == 0 {
		t.Error("nothing is passed over")
	}
}
