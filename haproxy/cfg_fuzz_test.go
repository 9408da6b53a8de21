package haproxy

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// FuzzLoadConfig looks for input that hangs, panics, or makes more of itself
// than the bounds allow.
func FuzzLoadConfig(f *testing.F) {
	err := filepath.WalkDir("testdata/cfg", func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		f.Add(string(text), uint(0))
		return err
	})
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range []string{
		"backend b\n server a :1 check inter\n",
		"backend b\n server a :1 check(x) set-proxy-v2-tlv-fmt(1) x\n default-server inter\n",
		"listen l\n bind :1-65535,:1- quic-cc-algo bbr crt\n server-template a 1- :1 weight\n",
		"global\n stats socket \"${A[*]}\" level\n setenv A \"$A$A\"\n resetenv A\n stats timeout 9d\n",
		".if defined(A) && (!streq(\"$A\",b) || feature(X))\nlisten l\n.elif version_atleast(2.6)\n.else\n.endif\n.alert x\n",
		"defaults a from b\ndefaults from a\nlisten l from a\n disabled\n bind /x,abns@y,fd@1,[::]:1,$A\n",
	} {
		f.Add(s, uint(WantSockets|WantBinds))
		f.Add(s, uint(0))
	}
	f.Fuzz(func(t *testing.T, text string, only uint) {
		opts := ConfigOptions{Env: mapEnv(map[string]string{"A": "a b"}), Only: Want(only & 7), Version: "2.6.12"}
		within(t, 10*time.Second, "reading it", func() {
			l := newLoader(opts)
			if err := l.file(context.Background(), "h.cfg", strings.NewReader(text)); err != nil {
				t.Error(err)
			}
			check := func(pos Pos) {
				if pos.File != "h.cfg" || pos.Line < 1 || pos.Line > len(text)+1 {
					t.Errorf("position %v", pos)
				}
			}
			for _, p := range l.cfg.Problems {
				check(p.Pos)
			}
			for _, s := range l.cfg.Sockets {
				check(s.Pos)
				if s.Address == "" {
					t.Errorf("%v: empty address", s.Pos)
				}
			}
			binds := 0
			for _, p := range l.cfg.Proxies {
				check(p.Pos)
				for _, b := range p.Binds {
					check(b.Pos)
					hasPort := b.Network == NetworkTCP || b.Network == NetworkUDP || b.Network == NetworkQUIC
					if hasPort != (b.Port > 0 && b.Port < 65536) || hasPort != (b.Addr.IsValid() != (b.Host != "")) {
						t.Errorf("bind %+v", b)
					}
				}
				binds += len(p.Binds)
				for _, s := range p.Servers {
					check(s.Pos)
					if s.Port < 0 || s.Port > 65535 || s.Weight < 0 || s.Weight > 256 || s.Checked != (s.Check || s.AgentCheck || s.Track != "") {
						t.Errorf("server %+v", s)
					}
				}
			}
			if binds > maxExtraBinds+len(text) {
				t.Errorf("%d binds", binds)
			}
		})
	})
}

func FuzzConfigFromCommand(f *testing.F) {
	f.Add("haproxy\x00-Ws\x00-f\x00$CONFIG\x00-p\x00/x\x00$EXTRAOPTS", "CONFIG=/a\nEXTRAOPTS=\"-S /m -f '/b c'\"\n")
	f.Add("-C\x00/d\x00-f\x00${A}b\x00-sf\x001\x002\x00--\x00x", "export A='x'\n#c\n;d\nB=\\\ny\n")
	f.Add("-f", "=")
	f.Fuzz(func(t *testing.T, command, environment string) {
		env := make(map[string]string)
		parseEnvironmentFile(environment, env)
		s, err := ConfigFromCommand(strings.Split(command, "\x00"), env)
		if err == nil && len(s.Paths) == 0 {
			t.Error("no paths and no error")
		}
		for _, path := range s.Paths {
			if !filepath.IsAbs(path) {
				t.Errorf("path %q is relative", path)
			}
		}
	})
}
