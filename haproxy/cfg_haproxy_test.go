package haproxy

import (
	"encoding/csv"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"hacheck/haproxy/haproxytest"
)

// HAProxy itself takes the configurations that the other tests read.
func TestHAProxyAcceptsTestdata(t *testing.T) {
	haproxy := haproxytest.Path(t)
	for _, path := range []string{"everything", "field/dual-vip.cfg", "field/web.cfg"} {
		cmd := exec.CommandContext(t.Context(), haproxy, "-c", "-f", filepath.Join("testdata/cfg", path))
		cmd.Env = append(os.Environ(), "DIR="+t.TempDir(), "PORT=991")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("haproxy -c -f %s: %v\n%s", path, err, out)
		}
	}
}

// HAProxy is started with a configuration that has every form of server line,
// and what it says of itself is compared with what was read.
func TestConfigAgreesWithRunningHAProxy(t *testing.T) {
	dir := shortDir(t)
	paths := []string{"testdata/cfg/everything/10-global.cfg", "testdata/cfg/everything/20-backends.cfg"}
	env := map[string]string{"DIR": dir, "PORT": strconv.Itoa(os.Getpid())}
	cfg, err := LoadConfig(t.Context(), paths, ConfigOptions{Env: mapEnv(env)})
	if err != nil {
		t.Fatal(err)
	}
	address, err := ParseAddress(cfg.Sockets[0].Address)
	if err != nil {
		t.Fatal(err)
	}

	t.Setenv("DIR", dir)
	t.Setenv("PORT", env["PORT"])
	haproxytest.Start(t, "global\n    stats socket {dir}/admin.sock\n", "-db", "-f", paths[0], "-f", paths[1])
	rows := showStat(t, address)
	told := map[string]map[string]string{}
	for _, row := range rows {
		told[row["pxname"]+"/"+row["svname"]] = row
	}

	seen := 0
	expect := func(key string) map[string]string {
		row, ok := told[key]
		if !ok {
			t.Errorf("HAProxy has no %s", key)
		}
		seen++
		return row
	}
	for _, p := range cfg.Proxies {
		if p.Disabled {
			continue // HAProxy does not show it: the count below says so
		}
		if p.Kind.HasFrontend() {
			if got := expect(p.Name + "/FRONTEND")["mode"]; got != p.Mode {
				t.Errorf("%s: mode %q, HAProxy has %q", p.Name, p.Mode, got)
			}
		}
		if !p.Kind.HasBackend() {
			continue
		}
		expect(p.Name + "/BACKEND")
		for _, s := range p.Servers {
			names := []string{s.Name}
			if s.Template {
				names = nil
				for i := s.First; i <= s.Last; i++ {
					names = append(names, s.Name+strconv.Itoa(i))
				}
			}
			for _, name := range names {
				key := p.Name + "/" + name
				row := expect(key)
				if row == nil {
					continue
				}
				host := s.Address
				if host == "localhost" { // which of its addresses comes first differs from machine to machine
					if host = "127.0.0.1"; strings.HasPrefix(row["addr"], "[::1]:") {
						host = "::1"
					}
				}
				addr := net.JoinHostPort(host, strconv.Itoa(s.Port))
				if s.Network == NetworkUnix {
					addr = "unix"
				} else if strings.HasSuffix(row["addr"], ":1000") { // an offset of +1000
					addr = net.JoinHostPort(host, "1000")
				}
				for what, pair := range map[string][2]any{
					"address":  {addr, row["addr"]},
					"backup":   {s.Backup, row["bck"] == "1"},
					"weight":   {strconv.Itoa(s.Weight), row["weight"]},
					"disabled": {s.Disabled, row["status"] == "MAINT"},
					"check":    {s.Check && !s.Disabled, row["check_status"] != ""},
					"agent":    {s.AgentCheck, row["agent_status"] != ""},
					"track":    {s.Track, row["tracked"]},
				} {
					if pair[0] != pair[1] {
						t.Errorf("%s (%v): %s %v, HAProxy has %v", key, s.Pos, what, pair[0], pair[1])
					}
				}
			}
		}
	}
	if seen != len(rows) {
		t.Errorf("%d rows expected, HAProxy has %d: %v", seen, len(rows), told)
	}

	// Every admin socket that was read answers, the abstract one too.
	for _, s := range cfg.Sockets {
		a, err := ParseAddress(s.Address)
		if err != nil {
			t.Errorf("%v: %v", s.Pos, err)
			continue
		}
		showStat(t, a)
	}
}

// showStat asks HAProxy for its statistics.
func showStat(t *testing.T, address Address) []map[string]string {
	t.Helper()
	text, err := ask(address, time.Now().Add(20*time.Second), "show stat\n")
	if err != nil {
		t.Fatalf("%v: %v", address, err)
	}
	r := csv.NewReader(strings.NewReader(strings.TrimPrefix(text, "# ")))
	r.FieldsPerRecord = -1
	records, err := r.ReadAll()
	if err != nil || len(records) == 0 {
		t.Fatalf("show stat answered %q: %v", text, err)
	}
	var rows []map[string]string
	for _, record := range records[1:] {
		row := make(map[string]string)
		for i, field := range record {
			if i < len(records[0]) {
				row[records[0][i]] = field
			}
		}
		rows = append(rows, row)
	}
	return rows
}

func ask(address Address, deadline time.Time, command string) (string, error) {
	network, addr := address.DialArgs()
	c, err := (&net.Dialer{Deadline: deadline}).Dial(network, addr)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if err := c.SetDeadline(deadline); err != nil {
		return "", err
	}
	if _, err := io.WriteString(c, command); err != nil {
		return "", err
	}
	text, err := io.ReadAll(c)
	if err == nil && len(text) == 0 {
		err = io.ErrUnexpectedEOF
	}
	return string(text), err
}

// HAProxy's own tool decides conditions; what is decided here agrees with it.
func TestConditionsAgreeWithHAProxy(t *testing.T) {
	haproxy := haproxytest.Path(t)
	out, err := exec.CommandContext(t.Context(), haproxy, "-v").Output()
	if err != nil {
		t.Fatal(err)
	}
	_, version, _ := strings.Cut(string(out), "version ")
	version, _, _ = strings.Cut(version, " ")
	for _, expr := range []string{
		"0", "1", "-1", "!0", "! ! 1", "0x10", "1 && 0 || 1", "(0 || 1) && !(1 && 0)",
		"defined(HACHECK_TEST)", "defined(HACHECK_NOT)", "streq(a,a)", "strneq(a,a)", "streq(a, a)", "streq(,)",
		"version_atleast(2.4)", "version_before(2.4)", "version_atleast(99.1)", "version_before(99.1)",
	} {
		c := conditions{env: &environment{outer: mapEnv(map[string]string{"HACHECK_TEST": "x"})}, version: version}
		cmd := exec.CommandContext(t.Context(), haproxy, "-cc", expr)
		cmd.Env = append(os.Environ(), "HACHECK_TEST=x")
		err := cmd.Run()
		if got := c.eval(expr); got == unknown || (got == yes) != (err == nil) {
			t.Errorf("%q is %v here (unknown, no, yes = 0, 1, 2); haproxy %s -cc: %v", expr, got, version, err)
		}
	}
}

// HAProxy is made to split lines into words: it repeats the first of them
// in the complaint about an unknown keyword.
func TestSplitAgreesWithHAProxy(t *testing.T) {
	haproxy := haproxytest.Path(t)
	lines := []string{
		`a"b c"d`, `'a b'"c"`, `a\ b`, `\x41\x62`, `"$HACHECK_TEST"`, `"${HACHECK_TEST}y"`, `"${HACHECK_NOT-z w}"`,
		`$HACHECK_TEST`, `'$HACHECK_TEST'`, `"\$HACHECK_TEST"`, `a#b`, `a\#b`, `"a#b"`, `a\'b`, `a\"b`, `a\\b`, `\q`, `"it's"`, `x"${HACHECK_TWO[*]}"`,
	}
	for _, line := range lines {
		s := splitter{env: &environment{outer: mapEnv(map[string]string{"HACHECK_TEST": "x", "HACHECK_TWO": "1 2"})}}
		words, err := s.split("K" + line)
		if err != nil {
			t.Errorf("%s: %v", line, err)
			continue
		}
		file := filepath.Join(t.TempDir(), "h.cfg")
		if err := os.WriteFile(file, []byte("backend b\nK"+line+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), haproxy, "-c", "-f", file)
		cmd.Env = append(os.Environ(), "HACHECK_TEST=x", "HACHECK_TWO=1 2")
		out, _ := cmd.CombinedOutput() // it fails by intent
		if want := fmt.Sprintf("unknown keyword '%s'", words[0]); !strings.Contains(string(out), want) {
			t.Errorf("%s: the first word is %q here; HAProxy says\n%s", line, words[0], out)
		}
	}
}
