//go:build lab

package lab

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"hacheck/notify"
)

// lost is the state a node with a failing check falls to.
func (c *configuration) lost() notify.State {
	if c.fault {
		return notify.Fault
	}
	return notify.Backup
}

// stopTimes is how often people are told that keepalived stops: the sync group
// has notify and notify_stop, which report the same.
func (c *configuration) stopTimes() int {
	if c.told {
		return 1
	}
	return 0
}

// queueDir is where a node's events wait, one file each.
const queueDir = "/var/lib/hacheck/spool/queue"

// checkDeadline is a check's deadline as an observer outside sees it: 900 ms
// and 50 ms by contract, and the time to start two programs on a busy machine.
const checkDeadline = 950*time.Millisecond + 500*time.Millisecond

// fault is one way to break node a.
type fault struct {
	name string
	// inflict breaks it, mend makes it whole.
	inflict, mend func(ctx context.Context) error
	// moves is whether the VIPs must go to node b; if not, nothing may move.
	moves bool
	// unseen is how long the fault can stay invisible to any check.
	unseen time.Duration
	// exit is the check's exit code on node a afterwards.
	exit int
	// why is what the mail of node a must give as the reason.
	why *regexp.Regexp
	// logged is whether journald's record of it is looked at. It is for a fault
	// that the check answers at once: two slow ones that overlap, keepalived's
	// and the lab's, may both find that they are the first to fail.
	logged bool
	// busy is for a fault that is itself a time to watch: no further
	// watching follows.
	busy bool
}

// on runs a shell script on a node.
func on(n *node, script string, args ...string) func(context.Context) error {
	return func(ctx context.Context) error { return n.script(ctx, script, args...) }
}

// Killing the unit's whole control group takes the master and its workers.
const (
	killHAProxy  = "systemctl kill --signal=KILL --kill-whom=all haproxy"
	startHAProxy = "systemctl start haproxy"
)

// faults are those that one mended node must go through.
func (l *lab) faults(c *configuration) ([]fault, error) {
	all, err := c.servers()
	if err != nil {
		return nil, err
	}
	var hosts []string
	for _, address := range all {
		hosts = append(hosts, address.Addr().String())
	}
	slices.Sort(hosts)
	hosts = slices.Compact(hosts)
	// HAProxy itself needs up to three failed checks, two seconds apart, where
	// it checks its servers.
	unseen := 7 * time.Second
	faults := []fault{
		{
			name: "haproxy killed (kill -9)", moves: true, exit: 1, logged: true,
			inflict: on(l.a, killHAProxy), mend: on(l.a, startHAProxy),
			why: regexp.MustCompile(`(?i)haproxy\.service|socket`),
		},
		{
			name: "haproxy stopped", moves: true, exit: 1,
			inflict: on(l.a, "systemctl stop haproxy"), mend: on(l.a, startHAProxy),
			why: regexp.MustCompile(`(?i)haproxy\.service|socket`),
		},
		{
			name: "all backends dead for a, haproxy lives", moves: true, exit: 1, unseen: unseen,
			inflict: on(l.a, `for host; do ip route add unreachable "$host"; done`, hosts...),
			mend:    on(l.a, `for host; do ip route del unreachable "$host"; done`, hosts...),
			why:     regexp.MustCompile(regexp.QuoteMeta(c.backend)),
		},
		{
			name: "one server dead",
			inflict: func(context.Context) error {
				l.servers.kill(c.spare)
				return nil
			},
			mend: func(context.Context) error { return l.servers.start(c.spare) },
		},
		{
			name: "haproxy reloaded 20 times", busy: true,
			inflict: on(l.a, `i=0; while [ $i -lt 20 ]; do systemctl reload haproxy; sleep 0.5; i=$((i + 1)); done`),
			mend:    func(context.Context) error { return nil },
		},
		{
			name: "haproxy frozen (SIGSTOP)", moves: true, exit: 1,
			inflict: on(l.a, "systemctl kill --signal=STOP --kill-whom=all haproxy"),
			mend:    on(l.a, "systemctl kill --signal=CONT --kill-whom=all haproxy"),
			why:     regexp.MustCompile(`(?i)haproxy|socket`),
		},
	}
	return faults, nil
}

// scenarios puts one configuration through everything.
func (l *lab) scenarios(ctx context.Context, t *testing.T, c *configuration) {
	if err := l.install(ctx, c); err != nil {
		t.Fatal(err)
	}
	l.start(ctx, t, c)
	if c.name == "web" {
		t.Run("the check as found", func(t *testing.T) { l.webCheckAsFound(ctx, t) })
	}
	faults, err := l.faults(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, fault := range faults {
		l.step(ctx, t, c, fault.name, func(t *testing.T, row *row) { l.breakNodeA(ctx, t, c, fault, row) })
	}
	if c.name == "dual-vip" {
		l.step(ctx, t, c, "haproxy killed, systemd restarts it", func(t *testing.T, row *row) { l.restarted(ctx, t, c, row) })
	}
	l.step(ctx, t, c, "keepalived stopped, relay deaf", func(t *testing.T, row *row) { l.keepalivedStopped(ctx, t, c, row) })
	all, err := c.servers()
	if err != nil {
		t.Fatal(err)
	}
	l.both(ctx, t, c, "all servers dead for both",
		func(context.Context) error { l.servers.kill(all...); return nil },
		func(context.Context) error { return l.servers.start(all...) })
	l.both(ctx, t, c, "haproxy killed on both",
		func(ctx context.Context) error {
			return errors.Join(l.a.script(ctx, killHAProxy), l.b.script(ctx, killHAProxy))
		},
		func(ctx context.Context) error {
			return errors.Join(l.a.script(ctx, startHAProxy), l.b.script(ctx, startHAProxy))
		})
}

// step brings the pair home, runs one scenario, adds its row to the table and
// shows both nodes' journals if it failed.
func (l *lab) step(ctx context.Context, t *testing.T, c *configuration, name string, scenario func(*testing.T, *row)) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		if ctx.Err() != nil {
			t.Fatalf("not run: %v", context.Cause(ctx))
		}
		begin := time.Now()
		row := &row{configuration: c.name, scenario: name, took: -1, exit: "-"}
		defer func() {
			row.ok = !t.Failed()
			l.report.add(*row)
			if t.Failed() && ctx.Err() == nil {
				for _, n := range l.nodes() {
					t.Logf("journal of node %s:\n%s", n.name, n.journal(ctx, begin, 40))
				}
			}
		}()
		if name != "start" {
			if err := l.home(ctx, c); err != nil {
				t.Fatalf("bringing the pair home: %v", err)
			}
		}
		scenario(t, row)
	})
}

// places notes where the VIPs are.
func (l *lab) places(c *configuration, row *row) {
	row.here, row.there = l.a.vips.count(c.vips()), l.b.vips.count(c.vips())
}

// atB waits for all VIPs on node b and none on node a, and times their arrival.
func (l *lab) atB(ctx context.Context, c *configuration, since time.Time, limit time.Duration, row *row) error {
	vips := c.vips()
	err := waitFor(ctx, limit, "all VIPs on node b", func() bool { return l.b.vips.count(vips) == len(vips) })
	if err == nil {
		last, _ := l.b.vips.lastArrival(vips, since)
		row.took = last.Sub(since)
		// Node a lets go of them at the same time, give or take an advert.
		err = waitFor(ctx, 2*time.Second, "node a to let go of all VIPs", func() bool { return l.a.vips.count(vips) == 0 })
	}
	l.places(c, row)
	return err
}

// unmoved watches for a time and fails at the first change of a VIP's place.
func (l *lab) unmoved(ctx context.Context, c *configuration, since time.Time, watch time.Duration) error {
	vips := c.vips()
	moved := func() bool { return len(l.a.vips.since(vips, since))+len(l.b.vips.since(vips, since)) > 0 }
	watching, cancel := context.WithTimeout(ctx, watch)
	defer cancel()
	err := waitFor(watching, watch+time.Second, "a VIP to move", moved)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err == nil || moved():
		return fmt.Errorf("a VIP moved: node a %v, node b %v", l.a.vips.since(vips, since), l.b.vips.since(vips, since))
	default:
		return nil
	}
}

// start starts keepalived on node a, then on node b.
func (l *lab) start(ctx context.Context, t *testing.T, c *configuration) {
	l.step(ctx, t, c, "start", func(t *testing.T, row *row) {
		vips := c.vips()
		mark := time.Now()
		if err := l.a.script(ctx, "systemctl start keepalived"); err != nil {
			t.Fatal(err)
		}
		// An instance that begins as BACKUP waits three adverts and its skew.
		if err := waitFor(ctx, 10*time.Second, "all VIPs on node a", func() bool { return l.a.vips.count(vips) == len(vips) }); err != nil {
			t.Fatal(err)
		}
		last, _ := l.a.vips.lastArrival(vips, mark)
		row.took, row.note = last.Sub(mark), "until node a has its VIPs"
		if err := l.b.script(ctx, "systemctl start keepalived"); err != nil {
			t.Fatal(err)
		}
		row.mails = l.told(ctx, t, c, mark, []transition{
			{node: l.a, state: notify.Master, times: 1, status: "PASS"},
			{node: l.b, state: notify.Backup, times: 1, status: "PASS"},
		}, []transition{{node: l.a, state: notify.Backup}})
		l.places(c, row)
		if row.here != len(vips) || row.there != 0 {
			t.Errorf("after the start node a holds %d and node b %d of %d VIPs", row.here, row.there, len(vips))
		}
		check := l.a.run(ctx, c.asUser(c.check...)...)
		row.exit = strconv.Itoa(check.code)
		if check.code != 0 {
			t.Errorf("the check answers %d on a healthy node: %s", check.code, check.text())
		}
	})
}

// breakNodeA inflicts a fault, sees what it does, mends it and sees the pair
// come back.
func (l *lab) breakNodeA(ctx context.Context, t *testing.T, c *configuration, f fault, row *row) {
	every := time.Second
	if f.busy {
		every = 100 * time.Millisecond
	}
	runs := l.keepChecking(ctx, l.a, c, every)
	defer runs.cancel()
	mark := time.Now()
	if err := f.inflict(ctx); err != nil {
		t.Fatal(err)
	}
	if f.moves {
		if err := l.atB(ctx, c, mark, f.unseen+c.detection()+c.failover(), row); err != nil {
			t.Errorf("%v; the check on node a says: %s", err, l.a.run(ctx, c.asUser(c.check...)...).text())
		}
	} else {
		watch := c.detection() + c.interval
		if f.busy {
			watch = 0
		}
		if err := l.unmoved(ctx, c, mark, watch); err != nil {
			t.Error(err)
		}
		l.places(c, row)
	}
	last := l.a.run(ctx, c.asUser(c.check...)...)
	row.exit = strconv.Itoa(last.code)
	if last.code != f.exit {
		t.Errorf("the check answers %d, want %d: %s", last.code, f.exit, last.text())
	}
	if f.why != nil && !f.why.MatchString(last.text()) {
		t.Errorf("the check says %q, want it to match %q", last.text(), f.why)
	}
	all, failed := runs.end()
	row.checks, row.failed = len(all), failed
	for _, run := range all {
		if run.took > checkDeadline {
			t.Errorf("a check took %s: %s", run.took.Round(time.Millisecond), run.text())
		}
		if !f.moves && run.code != 0 {
			t.Errorf("a check failed with %d: %s", run.code, run.text())
		}
	}
	row.note = firstLine(last.stdout)
	if !f.moves {
		row.mails = l.told(ctx, t, c, mark, nil, nil)
		if err := f.mend(ctx); err != nil {
			t.Error(err)
		}
		return
	}
	row.mails = l.told(ctx, t, c, mark, []transition{
		{node: l.a, state: c.lost(), times: 1, status: "FAIL", why: f.why},
		{node: l.b, state: notify.Master, times: 1, status: "PASS"},
	}, nil)
	if f.logged {
		if failed < 2 {
			t.Errorf("%d failed runs of the check cannot show that journald hears of them once", failed)
		}
		l.journalHas(ctx, t, l.a, c, mark, c.lost(), []change{{from: "pass", to: "fail"}})
		l.journalHas(ctx, t, l.b, c, mark, notify.Master, nil)
	}

	mark = time.Now()
	if err := f.mend(ctx); err != nil {
		t.Fatal(err)
	}
	row.mails += l.backAgain(ctx, t, c, mark)
}

// backAgain asserts what a mended node a does: it takes the VIPs back if it
// preempts, and is ready to if not.
func (l *lab) backAgain(ctx context.Context, t *testing.T, c *configuration, mark time.Time) int {
	if !c.preempts {
		mails := l.told(ctx, t, c, mark, []transition{{node: l.a, state: notify.Backup, times: 1, status: "PASS"}}, nil)
		if vips := c.vips(); l.b.vips.count(vips) != len(vips) || l.a.vips.count(vips) != 0 {
			t.Errorf("with nopreempt node b must keep the VIPs: node a has %d, node b %d", l.a.vips.count(vips), l.b.vips.count(vips))
		}
		return mails
	}
	vips := c.vips()
	// HAProxy's own checks need a moment before a backend counts as up again.
	limit := 10*time.Second + time.Duration(c.rise)*c.interval + c.failover()
	if err := waitFor(ctx, limit, "the VIPs to return to node a", func() bool { return l.a.vips.count(vips) == len(vips) && l.b.vips.count(vips) == 0 }); err != nil {
		t.Error(err)
	}
	return l.told(ctx, t, c, mark, []transition{
		{node: l.a, state: notify.Master, times: 1, status: "PASS"},
		{node: l.b, state: notify.Backup, times: 1, status: "PASS"},
	}, nil)
}

// restarted kills HAProxy where systemd brings it back at once, as Debian's
// unit does: nothing may move.
func (l *lab) restarted(ctx context.Context, t *testing.T, c *configuration, row *row) {
	const dropIn = "/etc/systemd/system/haproxy.service.d/restart.conf"
	if err := l.a.write(dropIn, "[Service]\nRestart=always\n", 0o644); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := l.a.script(ctx, "rm "+dropIn+"; systemctl daemon-reload"); err != nil {
			t.Error(err)
		}
	}()
	if err := l.a.script(ctx, "systemctl daemon-reload"); err != nil {
		t.Fatal(err)
	}
	runs := l.keepChecking(ctx, l.a, c, time.Second)
	defer runs.cancel()
	mark := time.Now()
	if err := l.a.script(ctx, killHAProxy); err != nil {
		t.Fatal(err)
	}
	if err := l.unmoved(ctx, c, mark, c.detection()+c.interval); err != nil {
		t.Error(err)
	}
	l.places(c, row)
	all, failed := runs.end()
	row.checks, row.failed = len(all), failed
	last := l.a.run(ctx, c.asUser(c.check...)...)
	row.exit, row.note = strconv.Itoa(last.code), firstLine(last.stdout)
	if last.code != 0 {
		t.Errorf("the check answers %d after systemd restarted HAProxy: %s", last.code, last.text())
	}
	row.mails = l.told(ctx, t, c, mark, nil, nil)
}

// keepalivedStopped stops keepalived on node a while the mail relay and the
// webhook take connections and never answer: what the hooks record must be on
// disk, and delivered once the receivers answer.
func (l *lab) keepalivedStopped(ctx context.Context, t *testing.T, c *configuration, row *row) {
	l.receivers.setDeaf(true)
	defer l.receivers.setDeaf(false)
	runs := l.keepChecking(ctx, l.a, c, time.Second)
	defer runs.cancel()
	mark := time.Now()
	if err := l.a.script(ctx, "systemctl stop keepalived"); err != nil {
		t.Fatal(err)
	}
	// A stopping MASTER sends priority 0; the peer waits its skew, under 1 s.
	if err := l.atB(ctx, c, mark, 3*time.Second, row); err != nil {
		t.Error(err)
	}
	wanted := []transition{{node: l.b, state: notify.Master, times: 1, status: "PASS"}}
	if c.told {
		wanted = append(wanted, transition{node: l.a, state: notify.Stop, times: c.stopTimes(), status: "PASS"})
	}
	for _, want := range wanted {
		pattern := fmt.Sprintf(`"state": *"%s"`, want.state)
		events := want.times * len(c.subjects)
		err := waitFor(ctx, 3*time.Second, fmt.Sprintf("%d %s event on the disk of node %s", events, want.state, want.node.name), func() bool {
			found := want.node.run(ctx, "grep", "-rhoE", pattern, queueDir)
			return strings.Count(found.stdout, "\n") >= events
		})
		if err != nil {
			t.Errorf("%v; the state directory has:\n%s", err, want.node.run(ctx, "find", "/var/lib/hacheck", "-type", "f").text())
		}
	}
	all, failed := runs.end()
	row.checks, row.failed = len(all), failed
	last := l.a.run(ctx, c.asUser(c.check...)...)
	row.exit = strconv.Itoa(last.code)
	if last.code != 0 || failed > 0 {
		t.Errorf("HAProxy lives, but %d checks failed and the last answers %d: %s", failed, last.code, last.text())
	}
	if early := l.receivers.mailsSince(mark); len(early) > 0 {
		t.Errorf("the deaf relay took %d mails", len(early))
	}
	l.receivers.setDeaf(false)
	if err := l.deliver(ctx, c); err != nil {
		t.Error(err)
	}
	row.mails = l.told(ctx, t, c, mark, wanted, nil)
	row.note = "recorded while the relay was deaf, delivered after (keepalived.service with KillMode=mixed)"

	mark = time.Now()
	if err := l.a.script(ctx, "systemctl start keepalived"); err != nil {
		t.Fatal(err)
	}
	if !c.preempts {
		row.mails += l.told(ctx, t, c, mark, []transition{{node: l.a, state: notify.Backup, times: 1, status: "PASS"}}, nil)
		return
	}
	vips := c.vips()
	if err := waitFor(ctx, 10*time.Second, "the VIPs to return to node a", func() bool { return l.a.vips.count(vips) == len(vips) && l.b.vips.count(vips) == 0 }); err != nil {
		t.Error(err)
	}
	row.mails += l.told(ctx, t, c, mark, []transition{
		{node: l.a, state: notify.Master, times: 1, status: "PASS"},
		{node: l.b, state: notify.Backup, times: 1, status: "PASS"},
	}, []transition{{node: l.a, state: notify.Backup}})
}

// both breaks both nodes at once, and mends them. With weights the VIPs stay on
// one node, as both lose the same; with FAULT no node may hold them.
func (l *lab) both(ctx context.Context, t *testing.T, c *configuration, name string, inflict, mend func(context.Context) error) {
	vips := c.vips()
	held := func() int { return l.a.vips.count(vips) + l.b.vips.count(vips) }
	l.step(ctx, t, c, name, func(t *testing.T, row *row) {
		mark := time.Now()
		if err := inflict(ctx); err != nil {
			t.Fatal(err)
		}
		for _, n := range l.nodes() {
			var last result
			err := waitFor(ctx, 10*time.Second, "the check to fail on node "+n.name, func() bool {
				last = n.run(ctx, c.asUser(c.check...)...)
				return last.code == 1
			})
			if err != nil {
				t.Errorf("%v; its last answer, exit code %d: %s", err, last.code, last.text())
			}
			row.exit, row.note = "1 1", firstLine(last.stdout)
		}
		if c.fault {
			if err := waitFor(ctx, c.detection()+c.failover()+c.interval, "both nodes to let go of all VIPs", func() bool { return held() == 0 }); err != nil {
				t.Error(err)
			}
		} else {
			// The nodes' checks are not in step, so the VIPs may pass to
			// node b for a moment; they must not be lost, nor doubled.
			failed := time.Now()
			if err := waitFor(ctx, c.detection()+2*c.failover(), "one node to hold all VIPs with both checks failing", func() bool {
				return time.Since(failed) > c.detection() && held() == len(vips) &&
					(l.a.vips.count(vips) == 0 || l.b.vips.count(vips) == 0)
			}); err != nil {
				t.Error(err)
			}
		}
		l.places(c, row)
		var wanted []transition
		var allowed []transition
		for _, n := range l.nodes() {
			if c.fault {
				wanted = append(wanted, transition{node: n, state: notify.Fault, times: 1, status: "FAIL"})
				// Node b is MASTER for the moment between the two faults.
				allowed = append(allowed, transition{node: n, state: notify.Master})
			} else {
				allowed = append(allowed, transition{node: n, state: notify.Master}, transition{node: n, state: notify.Backup})
			}
		}
		row.mails = l.told(ctx, t, c, mark, wanted, allowed)
	})
	t.Run("both recover after "+name, func(t *testing.T) {
		row := row{configuration: c.name, scenario: "both recover", took: -1, exit: "-"}
		defer func() { row.ok = !t.Failed(); l.report.add(row) }()
		mark := time.Now()
		if err := mend(ctx); err != nil {
			t.Fatal(err)
		}
		if err := l.healthy(ctx, c); err != nil {
			t.Error(err)
		}
		row.exit = "0 0"
		atOne := func() bool {
			a, b := l.a.vips.count(vips), l.b.vips.count(vips)
			if c.preempts {
				return a == len(vips) && b == 0
			}
			return a == len(vips) && b == 0 || a == 0 && b == len(vips)
		}
		if err := waitFor(ctx, 10*time.Second+time.Duration(c.rise)*c.interval+2*c.failover(), "the VIPs on one recovered node", atOne); err != nil {
			t.Error(err)
		}
		l.places(c, &row)
		var allowed []transition
		for _, n := range l.nodes() {
			allowed = append(allowed, transition{node: n, state: notify.Master}, transition{node: n, state: notify.Backup})
		}
		row.mails = l.told(ctx, t, c, mark, nil, allowed)
	})
}

// webCheckAsFound runs the check the web configuration was found with: HAProxy
// listens on the VIP only, so it fails on a healthy node.
func (l *lab) webCheckAsFound(ctx context.Context, t *testing.T) {
	for url, want := range map[string]int{"http://127.0.0.1:80/health": 1, "http://192.0.2.100:80/health": 0} {
		got := l.a.run(ctx, "/usr/bin/hacheck", "http", "--timeout", "1.5s", "--status", "200", url)
		if got.code != want {
			t.Errorf("hacheck http %s: exit code %d, want %d: %s", url, got.code, want, got.text())
		}
		if want == 1 && !strings.Contains(got.text(), "refused") {
			t.Errorf("hacheck http %s: %q does not say that the connection was refused", url, got.text())
		}
	}
}

// splitBrain runs the dual configuration as it was found: VI_2's
// virtual_router_id differs, so both nodes hold its VIP and nothing says so.
func (l *lab) splitBrain(ctx context.Context, t *testing.T) {
	c := dualConfigurationAsFound()
	if err := l.install(ctx, c); err != nil {
		t.Fatal(err)
	}
	row := row{configuration: c.name + ", as found", scenario: "virtual_router_id 15 and 28", took: -1, exit: "-"}
	defer func() { row.ok = !t.Failed(); l.report.add(row) }()
	mark := time.Now()
	for _, n := range l.nodes() {
		if err := n.script(ctx, "systemctl start keepalived"); err != nil {
			t.Fatal(err)
		}
	}
	first, second := c.subjects[0].vips, c.subjects[1].vips
	err := waitFor(ctx, 15*time.Second, "VI_2's VIP on both nodes and VI_1's on node a", func() bool {
		return l.a.vips.count(second) == 1 && l.b.vips.count(second) == 1 && l.a.vips.count(first) == 1 && l.b.vips.count(first) == 0
	})
	if err != nil {
		t.Error(err)
	}
	l.places(c, &row)
	row.mails = l.told(ctx, t, c, mark, nil, []transition{
		{node: l.a, state: notify.Master}, {node: l.a, state: notify.Backup},
		{node: l.b, state: notify.Master}, {node: l.b, state: notify.Backup},
	})
	row.note = "both nodes hold " + second[0].String()
}

// usualScripts measures the same pair with the scripts people have.
func (l *lab) usualScripts(ctx context.Context, t *testing.T) {
	c := usualConfiguration()
	if err := l.install(ctx, c); err != nil {
		t.Fatal(err)
	}
	l.step(ctx, t, c, "haproxy killed (kill -9)", func(t *testing.T, row *row) {
		mark := time.Now()
		if err := l.a.script(ctx, killHAProxy); err != nil {
			t.Fatal(err)
		}
		if err := l.atB(ctx, c, mark, c.detection()+c.failover()+c.interval, row); err != nil {
			t.Error(err)
		}
		last := l.a.run(ctx, c.check...)
		row.exit = strconv.Itoa(last.code)
		want := 2 * len(c.subjects)
		if err := waitFor(ctx, 15*time.Second, fmt.Sprintf("%d mails", want), func() bool { return len(l.receivers.mailsSince(mark)) >= want }); err != nil {
			t.Error(err)
		}
		mails := l.receivers.mailsSince(mark)
		row.mails = len(mails)
		for _, mail := range mails {
			said := vipLine.FindString(mail.text)
			row.note = fmt.Sprintf("the mails say %q and no reason", strings.TrimSpace(said))
			for _, vip := range c.vips() {
				if strings.Contains(mail.text, vip.String()) {
					t.Errorf("the usual mail names the VIP %s, the comparison is no longer true:\n%s", vip, mail.text)
				}
			}
		}
		if err := l.a.script(ctx, startHAProxy); err != nil {
			t.Error(err)
		}
	})
	all, err := c.servers()
	if err != nil {
		t.Fatal(err)
	}
	l.step(ctx, t, c, "all servers dead, haproxy lives", func(t *testing.T, row *row) {
		l.servers.kill(all...)
		runs := l.keepChecking(ctx, l.a, c, time.Second)
		defer runs.cancel()
		mark := time.Now()
		if err := l.unmoved(ctx, c, mark, c.detection()+c.failover()); err != nil {
			t.Errorf("the usual check noticed, the comparison is no longer true: %v", err)
		}
		l.places(c, row)
		checks, failed := runs.end()
		row.checks, row.failed = len(checks), failed
		row.exit = strconv.Itoa(l.a.run(ctx, c.check...).code)
		row.mails = len(l.receivers.mailsSince(mark))
		row.note = "nothing can be served and nothing moves"
	})
}

var vipLine = regexp.MustCompile(`(?m)^VIP:.*$`)

// systemdCheck runs "hacheck systemd" against real units on node a.
func (l *lab) systemdCheck(ctx context.Context, t *testing.T) {
	c := dualConfiguration()
	if err := l.install(ctx, c); err != nil {
		t.Fatal(err)
	}
	expect := func(t *testing.T, code int, says string, args ...string) {
		t.Helper()
		got := l.a.run(ctx, append([]string{"/usr/bin/hacheck", "systemd"}, args...)...)
		if got.code != code || !regexp.MustCompile(says).MatchString(got.text()) {
			t.Errorf("hacheck systemd %s: exit code %d, want %d; says %q, want it to match %q", strings.Join(args, " "), got.code, code, got.text(), says)
		}
	}
	t.Run("running", func(t *testing.T) { expect(t, 0, `haproxy\.service`, "haproxy.service") })
	t.Run("reloading", func(t *testing.T) {
		for range 5 {
			if err := l.a.script(ctx, "systemctl --no-block reload haproxy"); err != nil {
				t.Fatal(err)
			}
			for range 5 {
				expect(t, 0, `haproxy\.service`, "haproxy.service")
				if got := l.a.run(ctx, checkCommand...); got.code != 0 {
					t.Errorf("the check right after a reload: exit code %d: %s", got.code, got.text())
				}
			}
		}
	})
	t.Run("stopped", func(t *testing.T) {
		if err := l.a.script(ctx, "systemctl stop haproxy"); err != nil {
			t.Fatal(err)
		}
		expect(t, 1, `haproxy\.service.*(inactive|dead)`, "haproxy.service")
	})
	t.Run("unknown", func(t *testing.T) {
		expect(t, 1, `nosuch\.service.*(not found|not-found|no such|not loaded|unknown|not installed)`, "nosuch.service")
	})
	t.Run("template units", func(t *testing.T) {
		if err := l.a.script(ctx, "systemctl daemon-reload; systemctl start app@1 app@2 app@3"); err != nil {
			t.Fatal(err)
		}
		expect(t, 0, `app@`, "app@*.service")
		expect(t, 0, `app@`, "--require", "all", "app@*.service")
		// A crashed unit stays loaded, so that the pattern still sees it.
		if err := l.a.script(ctx, "systemctl kill --signal=KILL app@2; until systemctl is-failed -q app@2; do sleep 0.05; done"); err != nil {
			t.Fatal(err)
		}
		expect(t, 0, `app@`, "--require", "any", "app@*.service")
		expect(t, 0, `app@`, "--require", "2", "app@*.service")
		expect(t, 1, `app@2\.service`, "--require", "all", "app@*.service")
	})
	if err := l.a.script(ctx, "systemctl stop 'app@*.service'; systemctl reset-failed; systemctl start haproxy"); err != nil {
		t.Error(err)
	}
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	if runes := []rune(line); len(runes) > 90 {
		line = string(runes[:90]) + "…"
	}
	return line
}
