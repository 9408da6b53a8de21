package haproxy

import (
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// knownOptions returns every option word in config-parser's own source, so
// that none is forgotten when the dependency is updated.
func knownOptions(t *testing.T, file string) []string {
	t.Helper()
	out, err := exec.Command("go", "list", "-f", "{{.Dir}}", "github.com/haproxytech/client-native/v5/config-parser/params").Output()
	if err != nil {
		t.Fatalf("looking for config-parser's source: %v", err)
	}
	f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(strings.TrimSpace(string(out)), file), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var words []string
	ast.Inspect(f, func(n ast.Node) bool {
		if kv, ok := n.(*ast.KeyValueExpr); ok {
			name, isIdent := kv.Key.(*ast.Ident)
			value, isLit := kv.Value.(*ast.BasicLit)
			if isIdent && isLit && name.Name == "Name" {
				word, err := strconv.Unquote(value.Value)
				if err != nil {
					t.Fatal(err)
				}
				words = append(words, word)
			}
		}
		return true
	})
	if len(words) < 60 {
		t.Fatalf("only %d options in %s: has its form changed?", len(words), file)
	}
	slices.Sort(words)
	return slices.Compact(words)
}

// within fails the test if f takes longer than no sane input can: a loop
// cannot be stopped, only reported.
func within(t *testing.T, limit time.Duration, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-time.After(limit):
		t.Fatalf("no end after %v: %s", limit, what)
	}
}

// Every option, without its value, with a parenthesis, at every position of a
// line, in every kind of line: config-parser loops for ever on most of these.
func TestEveryOptionAtEveryPosition(t *testing.T) {
	server := knownOptions(t, "server-options.go")
	bind := knownOptions(t, "bind-options.go")
	lines := func(words []string, formats ...string) (text strings.Builder, n int) {
		for _, w := range words {
			for _, option := range []string{w, w + "(", w + "()", w + "(x)", w + "(x)(y)", w + ")", w + " " + w, `"` + w + ` "`, w + " ''"} {
				for _, format := range formats {
					fmt.Fprintf(&text, format+"\n", option)
					n++
				}
			}
		}
		return text, n
	}
	for _, tt := range []struct {
		name, header string
		words        []string
		formats      []string
	}{
		{"server", "backend b", server, []string{"server a :1 %s", "server a :1 %s check", "server a :1 check %s", "server a :1 inter %s", "server %s", "server a %s"}},
		{"server-template", "backend b", server, []string{"server-template a 3 :1 %s", "server-template a 3 :1 %s check", "server-template %s"}},
		{"default-server", "backend b", server, []string{"default-server %s", "default-server %s check", "default-server check %s"}},
		{"bind", "listen l", bind, []string{"bind :1 %s", "bind :1 %s ssl", "bind :1 ssl %s", "bind :1 name %s", "bind %s"}},
		{"stats socket", "global", bind, []string{"stats socket /a %s", "stats socket /a %s level", "stats socket /a level %s"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			text, n := lines(tt.words, tt.formats...)
			within(t, time.Minute, fmt.Sprintf("%d lines", n), func() {
				l := newLoader(ConfigOptions{})
				if err := l.file(context.Background(), "h.cfg", strings.NewReader(tt.header+"\n"+text.String())); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// What stands after an option must be read as before it: the right number of
// words is taken for each.
func TestEveryOptionTakesItsWords(t *testing.T) {
	for _, w := range knownOptions(t, "server-options.go") {
		option := w
		if w == "set-proxy-v2-tlv-fmt" {
			option += "(0x20)"
		}
		kind := newServerOptions().kind(option)
		value := ""
		if kind == optionValue {
			value = " 1"
		}
		cfg := load(t, "backend b\nserver a :1 "+option+value+" weight 77\n", ConfigOptions{})
		if s := cfg.Proxies[0].Servers[0]; kind == optionUnknown || s.Weight != 77 || len(cfg.Problems) > 0 {
			t.Errorf("server option %s (kind %d): weight %d, problems %v", w, kind, s.Weight, cfg.Problems)
		}
	}
	for _, w := range knownOptions(t, "bind-options.go") {
		kind := newBindOptions().kind(w)
		value := ""
		if kind == optionValue {
			value = " 1"
		}
		cfg := load(t, "listen b\nbind :1 "+w+value+" name 77\n", ConfigOptions{})
		if b := cfg.Proxies[0].Binds[0]; kind == optionUnknown || b.Name != "77" || len(cfg.Problems) > 0 {
			t.Errorf("bind option %s (kind %d): name %q, problems %v", w, kind, b.Name, cfg.Problems)
		}
	}
}

// Options HAProxy has and config-parser has not, with the words they take.
func TestOptionsUnknownToConfigParser(t *testing.T) {
	const server = "server a :1 strict-maxconn idle-ping 5s init-state up hash-key id guid check ktls on cc bbr sni-auto no-sni-auto " +
		"check-sni-auto no-check-sni-auto check-reuse-pool no-check-reuse-pool pool-conn-name x check-pool-conn-name y renegotiate no-renegotiate " +
		"quic-cc-algo bbr healthcheck h tcp-md5sig p weight 77"
	cfg := load(t, "backend b\n"+server+"\n", ConfigOptions{})
	if s := cfg.Proxies[0].Servers[0]; s.Weight != 77 || s.Checked || len(cfg.Problems) > 0 {
		t.Errorf("server %+v, problems %v", s, cfg.Problems)
	}
	const bind = "bind :1 shards by-group default-crt x guid-prefix ssl idle-ping 5s ktls on label l cc bbr ech x tcp-md5sig p tcp-ss 1 " +
		"expose-fd listeners tls-tickets no-strict-sni quic-cc-algo bbr quic-socket x name 77"
	cfg = load(t, "listen b\n"+bind+"\n", ConfigOptions{})
	if b := cfg.Proxies[0].Binds[0]; b.Name != "77" || b.SSL || len(cfg.Problems) > 0 {
		t.Errorf("bind %+v, problems %v", b, cfg.Problems)
	}
}

func TestKnownOptionsAreBounded(t *testing.T) {
	r := newServerOptions()
	for i := range 3 * maxKnown {
		if kind := r.kind("x" + strconv.Itoa(i)); kind != optionUnknown {
			t.Fatalf("x%d is of kind %d", i, kind)
		}
	}
	if len(r.known) > maxKnown {
		t.Errorf("%d words are kept, want at most %d", len(r.known), maxKnown)
	}
	if r.kind("inter") != optionValue {
		t.Error("inter is not known once the memory is full")
	}
}
