package haproxy

import (
	"os"
	"slices"
	"testing"
)

func TestSplit(t *testing.T) {
	env := mapEnv(map[string]string{"A": "a", "TWO": "one two", "EMPTY": "", "_x": "under"})
	tests := []struct {
		line    string
		want    []string
		missing []string
	}{
		{"", nil, nil},
		{"  \t ", nil, nil},
		{"a  b\tc ", []string{"a", "b", "c"}, nil},
		{"a\rb", []string{"a"}, nil},
		{"a b # c", []string{"a", "b"}, nil},
		{"a b#c", []string{"a", "b"}, nil},
		{`a\#b "#" '#'`, []string{"a#b", "#", "#"}, nil},
		{`a\ b\\ \'\" \$ \q`, []string{"a b\\", "'\"", `\$`, `\q`}, nil},
		{`\n\r\t\x41\x7e`, []string{"\n\r\tA~"}, nil},
		{`"a b"c'd e'`, []string{"a bcd e"}, nil},
		{`"it's" 'say "hi"' '\n'`, []string{"it's", `say "hi"`, `\n`}, nil},
		{`"" ''`, []string{"", ""}, nil},
		{`$A ${A} '$A'`, []string{"$A", "${A}", "$A"}, nil},
		{`"$A" "${A}b" "\$A" "$_x."`, []string{"a", "ab", "$A", "under."}, nil},
		{`"$TWO" "${TWO[*]}" "x${TWO[*]}y"`, []string{"one two", "one", "two", "xone", "twoy"}, nil},
		{`"${A-z}" "${B-z y}" "${EMPTY-z}" "${B[*]-p q}"`, []string{"a", "z y", "", "p", "q"}, nil},
		{`"$B" "${B}" "$EMPTY"`, []string{"", "", ""}, []string{"B", "B"}},
		{`"${.FILE}:${.LINE} ${.SECTION}"`, []string{"h.cfg:7 sec"}, nil},
		{"a\\", []string{`a\`}, nil},
	}
	for _, tt := range tests {
		s := splitter{env: &environment{outer: env}, file: "h.cfg", line: 7, section: "sec"}
		got, err := s.split(tt.line)
		if err != nil || !slices.Equal(got, tt.want) || !slices.Equal(s.missing, tt.missing) {
			t.Errorf("split(%q) = %q, %v, missing %q; want %q, missing %q", tt.line, got, err, s.missing, tt.want, tt.missing)
		}
	}
}

func TestExpandAddress(t *testing.T) {
	tests := []struct {
		addr, want string
		missing    []string
	}{
		{"10.0.0.1:80", "10.0.0.1:80", nil},
		{"$A:80", "a:80", nil},
		{"${A}b:80", "ab:80", nil},
		{"x$A$A", "xaa", nil},
		{"$NO:80", ":80", []string{"NO"}},
		{"${A", "a", nil},
		{"$", "", []string{""}},
	}
	for _, tt := range tests {
		s := splitter{env: &environment{outer: mapEnv(map[string]string{"A": "a"})}}
		if got := s.expandAddress(tt.addr); got != tt.want || !slices.Equal(s.missing, tt.missing) {
			t.Errorf("expandAddress(%q) = %q, missing %q; want %q, missing %q", tt.addr, got, s.missing, tt.want, tt.missing)
		}
	}
}

func TestEnvironmentOfConfiguration(t *testing.T) {
	cfg := load(t, `global
	presetenv GIVEN no
	presetenv NEW new
	setenv SET set
	stats socket /"$GIVEN"/"$NEW"/"$SET"
	unsetenv SET
	stats socket /"${SET-gone}"
	setenv KEEP kept
	resetenv KEEP
	stats socket /"$KEEP"/"${GIVEN-gone}"
	localpeer me
	stats socket /"$HAPROXY_LOCALPEER"
`, ConfigOptions{Env: mapEnv(map[string]string{"GIVEN": "given"})})
	if len(cfg.Problems) > 0 {
		t.Errorf("problems: %v", cfg.Problems)
	}
	var got []string
	for _, s := range cfg.Sockets {
		got = append(got, s.Address)
	}
	if want := []string{"/given/new/set", "/gone", "/kept/gone", "/me"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestLocalPeerIsTheHost(t *testing.T) {
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	cfg := load(t, "global\n stats socket /\"$HAPROXY_LOCALPEER\"\n", ConfigOptions{})
	if len(cfg.Problems) > 0 || cfg.Sockets[0].Address != "/"+host {
		t.Errorf("got %+v, want /%s", cfg, host)
	}
}

// With an environment that may hold more, nothing is concluded from what it
// lacks.
func TestPartialEnvironment(t *testing.T) {
	const text = "global\n.if defined(X) || streq(\"$X\",x)\n stats socket /a\n.else\n stats socket /\"${X-b}\"\n.endif\n"
	for _, opts := range []ConfigOptions{{}, {Env: mapEnv(nil), EnvPartial: true}} {
		cfg := load(t, text, opts)
		if len(cfg.Sockets) != 2 || !cfg.Sockets[0].Conditional || cfg.Sockets[1].Address != "/b" {
			t.Errorf("sockets %+v, want both branches, marked", cfg.Sockets)
		}
		want := []string{
			`2: cannot tell whether "defined(X) || streq(,x)" holds; its branches are all read and marked`,
			"5: the value of variable X is not known here; it is taken for empty",
		}
		if got := messages(cfg); !slices.Equal(got, want) {
			t.Errorf("problems %q, want %q", got, want)
		}
	}
	cfg := load(t, text, ConfigOptions{Env: mapEnv(nil)})
	if len(cfg.Sockets) != 1 || cfg.Sockets[0].Address != "/b" || cfg.Sockets[0].Conditional || len(cfg.Problems) != 0 {
		t.Errorf("known environment: %+v, want /b alone", cfg)
	}
}

func TestConditions(t *testing.T) {
	tests := []struct {
		expr string
		want truth
	}{
		{"", no}, {"0", no}, {"1", yes}, {"-1", yes}, {"0x0", no}, {"12x", unknown},
		{"!0", yes}, {"! !0", no}, {"!1", no}, {"!feature(X)", unknown},
		{"defined(A)", yes}, {"defined(B)", no}, {"!defined(B)", yes}, {"defined(HAPROXY_CFGFILES)", unknown}, {"defined(HAPROXY_LOCALPEER)", yes},
		{"streq(a,a)", yes}, {"streq(a,b)", no}, {"strneq(a,b)", yes}, {`streq("a,b",'a,b')`, yes}, {"streq(,)", yes}, {"streq(a)", unknown}, {`streq(\a,a)`, unknown},
		{"strstr(abc,b)", yes}, {"strstr(abc,d)", no},
		{"1 && 1", yes}, {"1&&0", no}, {"0 || 1", yes}, {"0||0", no}, {"0 && 1 || 1", yes}, {"0 && (1 || 1)", no},
		{"feature(X) && 0", no}, {"feature(X) || 1", yes}, {"feature(X) || 0", unknown}, {"1 && feature(X)", unknown},
		{"version_atleast(2.6)", yes}, {"version_atleast(2.6.12)", yes}, {"version_atleast(2.6.13)", no}, {"version_atleast(2.10)", no}, {"version_before(2.8)", yes}, {"version_before(2.6)", no}, {"version_atleast(2.7-dev3)", unknown}, {"version_atleast(x)", unknown},
		{"(1", unknown}, {"1)", unknown}, {"1 1", unknown}, {"1 &&", unknown}, {"true", unknown}, {"streq(a,a", unknown}, {`streq("a,a)`, unknown}, {"((((1))))", yes},
		{"((((((((((((((((((1))))))))))))))))))", unknown},
	}
	for _, tt := range tests {
		c := conditions{env: &environment{outer: mapEnv(map[string]string{"A": ""})}, version: "2.6.12-1+deb12u4"}
		if got := c.eval(tt.expr); got != tt.want {
			t.Errorf("eval(%q) = %v, want %v", tt.expr, got, tt.want)
		}
	}
	c := conditions{env: &environment{}}
	if got := c.eval("version_atleast(2.6)"); got != unknown {
		t.Errorf("without a version: %v, want unknown", got)
	}
}

// Each branch of each combination: 1 stands for a condition that holds, 0 for
// one that does not, ? for one that cannot be decided.
func TestBranches(t *testing.T) {
	expr := map[byte]string{'0': "0", '1': "1", '?': "feature(X)"}
	tests := []struct {
		conditions string
		want       string // for .if, each .elif, .else: + read, ? read and marked, - not read
	}{
		{"1", "+-"}, {"0", "-+"}, {"?", "??"},
		{"11", "+--"}, {"10", "+--"}, {"1?", "+--"},
		{"01", "-+-"}, {"00", "--+"}, {"0?", "-??"},
		{"?1", "??-"}, {"?0", "?-?"}, {"??", "???"},
		{"?10", "??--"}, {"0?1", "-??-"},
	}
	for _, tt := range tests {
		c := conditions{env: &environment{}}
		var got string
		see := func() {
			reading, unsure := c.reading()
			switch {
			case !reading:
				got += "-"
			case unsure:
				got += "?"
			default:
				got += "+"
			}
		}
		for i := range len(tt.conditions) {
			word := ".elif"
			if i == 0 {
				word = ".if"
			}
			c.directive([]string{word, expr[tt.conditions[i]]}, 1, false)
			see()
		}
		c.directive([]string{".else"}, 1, false)
		see()
		c.directive([]string{".endif"}, 1, false)
		if got != tt.want || len(c.open) != 0 {
			t.Errorf("%s: read %s, want %s", tt.conditions, got, tt.want)
		}
		// Within a branch that is not read nothing is.
		c.directive([]string{".if", "0"}, 1, false)
		for i := range len(tt.conditions) {
			word := ".elif"
			if i == 0 {
				word = ".if"
			}
			c.directive([]string{word, expr[tt.conditions[i]]}, 1, false)
			if reading, _ := c.reading(); reading {
				t.Errorf("%s is read within a branch that is not", tt.conditions)
			}
		}
		c.directive([]string{".else"}, 1, false)
		if reading, _ := c.reading(); reading {
			t.Errorf("%s: .else is read within a branch that is not", tt.conditions)
		}
	}
}

func TestParseTime(t *testing.T) {
	for s, want := range map[string]string{
		"30s": "30s", "500": "500ms", "500ms": "500ms", "2m": "2m0s", "1h": "1h0m0s", "1d": "24h0m0s", "1500us": "1.5ms", "0": "0s", "2147483647": "596h31m23.647s",
		"": "", "s": "", "3x": "", "3 s": "", "-1s": "", "2147483648": "", "99999999999999999999": "", "25d": "", "1m30s": "",
	} {
		d, ok := parseTime(s)
		if ok != (want != "") || ok && d.String() != want {
			t.Errorf("parseTime(%q) = %v, %v; want %q", s, d, ok, want)
		}
	}
}
