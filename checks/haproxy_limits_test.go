package checks

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hacheck/haproxy"
	"hacheck/haproxy/haproxytest"
)

func TestHAProxyServersThatDoNotAnswer(t *testing.T) {
	deaf, free := notAccepting(t), haproxytest.FreePorts(t, 2)
	p := haproxytest.Start(t, haproxyGlobal+fmt.Sprintf("listen app\n    bind 127.0.0.1:%d\n    server a1 %s\n    server a2 %s\n", free[0], deaf, deaf))
	silent := func(ms int) string {
		return fmt.Sprintf("is not checked by HAProxy, %s: no answer in %d ms", deaf, ms)
	}
	h := checkOf(p.Config)
	expect(t, runWithin(t, h, 5*time.Second), Fail,
		"backend app has no usable server (a1 "+silent(300)+", a2 "+silent(300)+"); 0 of 1 backends up")

	// One after the other they share the time.
	h.ProbeLimit, h.ProbeTimeout = 1, 5*time.Second
	result := runWithin(t, h, 3*time.Second)
	// On a busy machine the second may not have been waited for.
	if result.Status != Fail || !strings.Contains(result.Reason, "a1 is not checked by HAProxy, "+deaf+": no answer in ") ||
		!strings.Contains(result.Reason, "; 0 of 1 backends up") {
		t.Errorf("%s: %s", result.Status, result.Reason)
	}

	// Where the time is up before, the second is not called dead for it, but
	// nothing speaks for it either.
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	report := &backendReport{backends: []*backend{{looked: true, need: 1, servers: make([]server, 2)}}}
	var targets []target
	for i := range report.backends[0].servers {
		targets = append(targets, target{report.backends[0], &report.backends[0].servers[i], deaf})
	}
	probe(ctx, targets, 1, 600*time.Millisecond, func() bool { return false }, func() {})
	if first, second := targets[0].server, targets[1].server; first.use != unusable || second.use != late || second.words != ", "+deaf+" was not waited for" {
		t.Errorf("%+v, %+v", first, second)
	}
	report.silent = true
	if result := report.result(); result.Status != Fail || result.Parts[0].Status != Unknown ||
		!strings.HasSuffix(result.Reason, "; 0 of 1 backends up, 1 not known for want of time, but no server that was dialled took a connection") {
		t.Errorf("%+v", result)
	}
	report.answered = true
	if result := report.result(); result.Status != Unknown {
		t.Errorf("%+v", result)
	}
}

// A peer that accepts and says nothing, or not enough, must not hold the check
// past its deadline.
func TestHAProxyPeersThatStall(t *testing.T) {
	for name, text := range map[string]string{
		"silent":           "",
		"after a word":     "Name: HAProxy\n",
		"after show info":  "Name: HAProxy\nPid: 1\nStopping: 0\n\n",
		"within show stat": "Name: HAProxy\nPid: 1\nStopping: 0\n\n# pxname,svname,",
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "s")
			serve(t, "unix", path, answering(text))
			h := NewHAProxy(nil)
			h.Unit, h.Sockets = "", []haproxy.Address{unixSocket(path)}
			result := runWithin(t, h, time.Second)
			if result.Status != Fail || !strings.Contains(result.Reason, ": haproxy did not answer in time: ") {
				t.Errorf("%s: %s", result.Status, result.Reason)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			defer cancel()
			if _, err := h.Backends(ctx); err == nil || !strings.Contains(err.Error(), "haproxy did not answer in time") {
				t.Errorf("Backends: %v", err)
			}
		})
	}
}

// With more backends than are looked at one by one, whether their servers were
// asked for together with them or afterwards.
func TestHAProxyWithManyBackends(t *testing.T) {
	t.Run("small file", func(t *testing.T) { testManyBackends(t, "") })
	t.Run("large file", func(t *testing.T) { testManyBackends(t, "# "+strings.Repeat("x", smallConfig)+"\n") })
}

func testManyBackends(t *testing.T, comment string) {
	free := haproxytest.FreePorts(t, 3)
	dead, later := free[0], free[1]
	var config strings.Builder
	config.WriteString(haproxyGlobal + comment)
	fmt.Fprintf(&config, "frontend web\n    bind 127.0.0.1:%d\n", free[2])
	for i := range 50 {
		port, option := dead, ""
		switch {
		case i < 5:
			option = " disabled"
		case i >= 45:
			port = later
		}
		fmt.Fprintf(&config, "backend b%02d\n", i)
		for n := range 8 {
			fmt.Fprintf(&config, "    server s%d 127.0.0.1:%d%s\n", n, port, option)
		}
	}
	p := haproxytest.Start(t, config.String())
	// What comes between the numbers depends on which dial ended first.
	run := func(require string, status Status, reason ...string) {
		t.Helper()
		h := checkOf(p.Config)
		h.WantBackends.Require = mustRequire(t, require)
		result := runWithin(t, h, 20*time.Second)
		rest := result.Reason
		for _, words := range reason {
			_, after, found := strings.Cut(rest, words)
			if !found {
				t.Errorf("%s: %q lacks %q", require, result.Reason, words)
			}
			rest = after
		}
		if result.Status != status || rest != "" {
			t.Errorf("%s: %s: %s", require, result.Status, result.Reason)
		}
		if n := len(result.Parts[3].Parts); n != 50 {
			t.Errorf("%d parts", n)
		}
	}
	var words []string
	for i := range 3 {
		words = append(words, fmt.Sprintf("backend b%02d has no usable server (s0 MAINT, s1 MAINT, s2 MAINT and 5 more)", i))
	}
	maint := strings.Join(words, "; ")
	const unseen = " more by HAProxy's word, not looked at further)"
	run("any", Fail, maint+"; and 47 more; 0 of 50 backends up")
	listen(t, later)
	run("any", Warn, maint+"; and ", " more; at least ", " of 50 backends up (", unseen)
	run("all", Fail, maint+"; and 42 more; 5 of 50 backends up, all required")
	run("13", Fail, maint+"; and 42 more; 5 of 50 backends up, 13 required")
	listen(t, dead)
	run("any", Warn, maint+"; and 2 more; at least ", " of 50 backends up (", unseen)
	run("90%", Warn, maint+"; and 2 more; 45 of 50 backends up, 90% required")
	run("46", Fail, maint+"; and 2 more; 45 of 50 backends up, 46 required")
}

// However many servers do not answer: a node that can reach none does not keep
// the VIP, and one that lives among them is found.
func TestHAProxyManyServersThatDoNotAnswer(t *testing.T) {
	deaf := notAccepting(t)
	for _, size := range []struct{ backends, servers int }{{32, 1}, {33, 1}, {290, 1}, {20, 12}, {70, 10}, {500, 10}} {
		t.Run(fmt.Sprintf("%d backends of %d", size.backends, size.servers), func(t *testing.T) {
			free := haproxytest.FreePorts(t, 2)
			var config strings.Builder
			config.WriteString(haproxyGlobal)
			fmt.Fprintf(&config, "frontend web\n    bind 127.0.0.1:%d\n", free[0])
			for i := range size.backends {
				fmt.Fprintf(&config, "backend b%03d\n", i)
				for n := range size.servers {
					address := deaf
					if i == size.backends-2 && n == 0 {
						address = fmt.Sprintf("127.0.0.1:%d", free[1])
					}
					fmt.Fprintf(&config, "    server s%d %s\n", n, address)
				}
			}
			p := haproxytest.Start(t, config.String())
			none := fmt.Sprintf("; 0 of %d backends up", size.backends)
			// A busy machine gets more time: what is known for want of it differs.
			answer := func(want Status) (result Result) {
				for deadline := 900 * time.Millisecond; deadline < 5*time.Second; deadline *= 2 {
					if result = runWithin(t, checkOf(p.Config), deadline); result.Status == want {
						break
					}
				}
				return result
			}
			result := answer(Fail)
			if result.Status != Fail || result.Parts[1].Status != Pass || !strings.Contains(result.Reason, none) {
				t.Errorf("%s: %s", result.Status, result.Reason)
			}
			listen(t, free[1])
			result = answer(Warn)
			if result.Status != Warn || result.Parts[1].Status != Pass || !strings.Contains(result.Reason, fmt.Sprintf("1 of %d backends up", size.backends)) {
				t.Errorf("with one that lives: %s: %s", result.Status, result.Reason)
			}
		})
	}
	t.Run("one at a time", func(t *testing.T) {
		free := haproxytest.FreePorts(t, 1)
		var config strings.Builder
		config.WriteString(haproxyGlobal)
		fmt.Fprintf(&config, "frontend web\n    bind 127.0.0.1:%d\n", free[0])
		for i := range 64 {
			fmt.Fprintf(&config, "backend b%02d\n    server s %s\n", i, deaf)
		}
		p := haproxytest.Start(t, config.String())
		h := checkOf(p.Config)
		h.ProbeLimit = 1
		result := runWithin(t, h, time.Second)
		if result.Status != Fail || result.Parts[1].Status != Pass ||
			!strings.HasSuffix(result.Reason, " not known for want of time, but no server that was dialled took a connection") {
			t.Errorf("%s: %s\nparts: %.2000v", result.Status, result.Reason, result.Parts)
		}
	})
}

func TestOpenFiles(t *testing.T) {
	for _, n := range []int{1, filesKept, 500} {
		if got := openFiles(n); got != n {
			t.Errorf("%d files: %d", n, got)
		}
	}
	if got := openFiles(1 << 40); got < 1 || got >= 1<<40 {
		t.Errorf("no process may open %d files", got)
	}
}
