package haproxy

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"hacheck/haproxy/haproxytest"
)

func TestConfigFromCommand(t *testing.T) {
	env := map[string]string{
		"CONFIG": "/etc/haproxy/haproxy.cfg", "PIDFILE": "/run/haproxy.pid",
		"EXTRAOPTS": `-S /run/master.sock -f "/etc/my cfg.d"`, "TWO": "/a -f /b", "EMPTY": "", "X": "x",
	}
	tests := []struct {
		name  string
		words string // separated by |
		want  []string
		peer  string
	}{
		{"plain", "/usr/sbin/haproxy|-f|/a.cfg", []string{"/a.cfg"}, ""},
		{"several", "haproxy|-f|/b.cfg|-Ws|-f|/a.cfg", []string{"/b.cfg", "/a.cfg"}, ""},
		{"debian", "/usr/sbin/haproxy|-Ws|-f|$CONFIG|-p|$PIDFILE|$EXTRAOPTS", []string{"/etc/haproxy/haproxy.cfg", "/etc/my cfg.d"}, ""},
		{"no program", "-f|/a.cfg", []string{"/a.cfg"}, ""},
		{"split variable", "haproxy|-f|$TWO", []string{"/a", "/b"}, ""},
		{"braces do not split", "haproxy|-f|${TWO}", []string{"/a -f /b"}, ""},
		{"braces within", "haproxy|-f|/c/${X}.cfg", []string{"/c/x.cfg"}, ""},
		{"no braces within", "haproxy|-f|/c/$X.cfg", []string{"/c/$X.cfg"}, ""},
		{"dollar", "haproxy|-f|/c/$$X", []string{"/c/$X"}, ""},
		{"empty variable", "haproxy|$EMPTY|-f|/a", []string{"/a"}, ""},
		{"unset variable", "haproxy|$NO|-f|/a", []string{"/a"}, ""},
		{"operands", "haproxy|-f|/a|--|/b|-f", []string{"/a", "/b", "/-f"}, ""},
		{"directory", "haproxy|-C|/etc/haproxy|-f|a.cfg|--|d/", []string{"/etc/haproxy/a.cfg", "/etc/haproxy/d"}, ""},
		{"relative directory", "haproxy|-C|etc|-f|a.cfg", []string{"/etc/a.cfg"}, ""},
		{"empty name", "haproxy|-f|${NO}|-f|/a", []string{"/a"}, ""},
		{"relative", "haproxy|-f|a.cfg", []string{"/a.cfg"}, ""},
		{"reloaded", "haproxy|-sf|812|813|-x|sockpair@4|-Ws|-f|/a|-p|/run/x", []string{"/a"}, ""},
		{"values like options", "haproxy|-p|-f|-f|/a", []string{"/a"}, ""},
		{"flags", "haproxy|-db|-dM|-V|-q|-W|-n|100|-m|5|-N|7|-cc|-f|-f|/a|-L|me", []string{"/a"}, "me"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ConfigFromCommand(strings.Split(tt.words, "|"), env)
			if err != nil || !slices.Equal(got.Paths, tt.want) || got.Env["HAPROXY_LOCALPEER"] != tt.peer || got.EnvPartial {
				t.Errorf("got %+v, %v; want %q", got, err, tt.want)
			}
		})
	}
	for words, want := range map[string]string{
		"haproxy":        "HAProxy's command line names no configuration (-f)",
		"":               "HAProxy's command line names no configuration (-f)",
		"haproxy|-f|":    "HAProxy's command line names no configuration (-f)",
		"haproxy|-f":     "HAProxy's command line ends after -f",
		"haproxy|-c|/a|": "HAProxy's command line names no configuration (-f)",
	} {
		if got, err := ConfigFromCommand(strings.Split(words, "|"), nil); err == nil || err.Error() != want {
			t.Errorf("%q: got %+v, %v; want error %q", words, got, err, want)
		}
	}
	if _, set := env["HAPROXY_LOCALPEER"]; set {
		t.Error("the caller's map was changed")
	}
}

// fakeRoot makes a tree of files.
func fakeRoot(t testing.TB, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestFindConfig(t *testing.T) {
	const cmdline = "/usr/sbin/haproxy\x00-Ws\x00-f\x00/srv/a.cfg\x00-f\x00/srv/d\x00"
	tests := []struct {
		name    string
		files   map[string]string
		want    []string
		env     map[string]string
		partial bool
		origin  string
	}{
		{
			name: "running",
			files: map[string]string{
				"run/haproxy.pid": "812\n", "proc/812/cmdline": cmdline, "proc/812/environ": "A=1\x00B=x=y\x00", "etc/default/haproxy": "CONFIG=/other\n",
			},
			want: []string{"/srv/a.cfg", "/srv/d"}, env: map[string]string{"A": "1", "B": "x=y"}, origin: "the command line of process 812",
		},
		{
			name:  "running, environment not readable",
			files: map[string]string{"run/haproxy.pid": "812\n", "proc/812/cmdline": cmdline, "etc/default/haproxy": "CONFIG=/other\n"},
			want:  []string{"/srv/a.cfg", "/srv/d"}, env: map[string]string{"CONFIG": "/other"}, partial: true, origin: "the command line of process 812",
		},
		{
			name:  "number of another process",
			files: map[string]string{"run/haproxy.pid": "812\n", "proc/812/cmdline": "/bin/sleep\x001\x00"},
			want:  []string{"/etc/haproxy/haproxy.cfg"}, partial: true, origin: "the packaged default",
		},
		{
			name:  "stale number",
			files: map[string]string{"run/haproxy.pid": "812\n"},
			want:  []string{"/etc/haproxy/haproxy.cfg"}, partial: true, origin: "the packaged default",
		},
		{
			name:  "no number",
			files: map[string]string{"run/haproxy.pid": "../..\n"},
			want:  []string{"/etc/haproxy/haproxy.cfg"}, partial: true, origin: "the packaged default",
		},
		{
			name: "debian",
			files: map[string]string{
				"etc/default/haproxy":  "# comment\nCONFIG=\"/srv/h.cfg\"\nEXTRAOPTS=\"-S /run/m -f /srv/extra -L peer1\"\n",
				"etc/haproxy/conf.d/x": "", // Debian's unit does not read it
			},
			want: []string{"/srv/h.cfg", "/srv/extra"}, partial: true, origin: "/etc/default/haproxy",
			env: map[string]string{"HAPROXY_LOCALPEER": "peer1"},
		},
		{
			name:  "rhel",
			files: map[string]string{"etc/sysconfig/haproxy": "OPTIONS=\"\"\nCLI_OPTIONS=\"\"\n", "etc/haproxy/conf.d/x": ""},
			want:  []string{"/etc/haproxy/haproxy.cfg", "/etc/haproxy/conf.d"}, partial: true, origin: "/etc/sysconfig/haproxy",
		},
		{
			name:  "rhel, older, without the directory",
			files: map[string]string{"etc/sysconfig/haproxy": "OPTIONS='-f /x'\n"},
			want:  []string{"/etc/haproxy/haproxy.cfg", "/x"}, partial: true, origin: "/etc/sysconfig/haproxy",
		},
		{
			name:  "nothing but a directory",
			files: map[string]string{"etc/haproxy/conf.d/x": ""},
			want:  []string{"/etc/haproxy/haproxy.cfg", "/etc/haproxy/conf.d"}, partial: true, origin: "the packaged default",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			root := fakeRoot(t, tt.files)
			got, err := FindConfig(root)
			if err != nil {
				t.Fatal(err)
			}
			var want []string
			for _, path := range tt.want {
				want = append(want, filepath.Join(root, path))
			}
			if !slices.Equal(got.Paths, want) || got.EnvPartial != tt.partial || got.Origin != tt.origin {
				t.Errorf("got %+v; want %q, partial %v, from %s", got, want, tt.partial, tt.origin)
			}
			for name, value := range tt.env {
				if v, ok := got.Options(0).Env(name); !ok || v != value {
					t.Errorf("%s is %q, %v; want %q", name, v, ok, value)
				}
			}
		})
	}
	root := fakeRoot(t, map[string]string{"etc/default/haproxy": "EXTRAOPTS=-f\n"})
	want := "/etc/default/haproxy: HAProxy's command line ends after -f"
	if got, err := FindConfig(root); err == nil || err.Error() != want {
		t.Errorf("got %+v, %v; want error %q", got, err, want)
	}
}

// A HAProxy that runs is found by its real /proc.
func TestFindConfigOfRunningHAProxy(t *testing.T) {
	dir := shortDir(t)
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "run"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/proc", filepath.Join(root, "proc")); err != nil {
		t.Fatal(err)
	}
	config := "global\n stats socket \"$HACHECK_DIR\"/a.sock\n"
	if err := os.WriteFile(filepath.Join(dir, "h.cfg"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("HACHECK_DIR", dir)
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	p := haproxytest.Start(t, "global\n stats socket {dir}/admin.sock\n", "-db", "-f", "h.cfg")
	// Whoever looks for it is elsewhere: h.cfg is relative to HAProxy's directory.
	t.Chdir(here)

	pid := strconv.Itoa(p.Cmd.Process.Pid) + "\n" // in the foreground HAProxy writes none
	if err := os.WriteFile(filepath.Join(root, "run/haproxy.pid"), []byte(pid), 0o600); err != nil {
		t.Fatal(err)
	}

	s, err := FindConfig(root)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{filepath.Join(root, p.Config), filepath.Join(root, dir, "h.cfg")}; !slices.Equal(s.Paths, want) || s.EnvPartial {
		t.Fatalf("got %+v, want %q; it should be HAProxy's command line", s, want)
	}
	cfg, err := LoadConfig(t.Context(), []string{filepath.Join(dir, "h.cfg")}, s.Options(WantSockets))
	if err != nil || len(cfg.Sockets) != 1 || cfg.Sockets[0].Address != dir+"/a.sock" {
		t.Errorf("got %+v, %v; want the socket in %s by HAProxy's own environment", cfg, err, dir)
	}
}

func TestParseEnvironmentFile(t *testing.T) {
	env := map[string]string{"KEEP": "1", "CHANGE": "1"}
	parseEnvironmentFile(`# comment
; comment

CHANGE=2
export EXPORTED=3
DOUBLE="a \"b\" \$c"
SINGLE='a \"b\"'
LONG=one \
two
 SPACES = x y  
NOVALUE=
no assignment
BAD NAME=1
`, env)
	want := map[string]string{
		"KEEP": "1", "CHANGE": "2", "EXPORTED": "3", "DOUBLE": `a "b" $c`, "SINGLE": `a \"b\"`, "LONG": "one two", "SPACES": "x y", "NOVALUE": "",
	}
	if !maps.Equal(env, want) {
		t.Errorf("got %q\nwant %q", env, want)
	}
}

func TestDefaultSockets(t *testing.T) {
	for _, socket := range DefaultSockets() {
		if a, err := ParseAddress(socket); err != nil || a.Network != NetworkUnix {
			t.Errorf("%s: %+v, %v", socket, a, err)
		}
	}
}

// A FIFO where a small file is expected does not hold the check.
func TestFindConfigFIFO(t *testing.T) {
	root := t.TempDir()
	for _, path := range []string{pidFile, "/etc/default/haproxy"} {
		path = filepath.Join(root, path)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), syscall.Mkfifo(path, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	s, err := FindConfig(root)
	if err != nil || !slices.Equal(s.Paths, []string{filepath.Join(root, configFile)}) {
		t.Errorf("%+v, %v", s, err)
	}
}
