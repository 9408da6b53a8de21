//go:build lab

package lab

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"hacheck/notify"
)

// What the default settings promise about notifications.
const (
	// toldWithin is from the last transition of a failover until the one mail
	// about it is with the relay.
	toldWithin = time.Second
	// flaps is how often an instance changes on each node, and flapMessages how
	// many mails a node may make of it, the one that it is over included.
	flaps        = 20
	flapMessages = 3
	// flapSettle is the default of hacheck.yaml: a flap is over when it is quiet
	// so long.
	flapSettle = 25 * time.Second
	// deliverEvery is how often the delivery unit runs at least, with its timer's
	// accuracy: the hook that delivers may end before a flap is over.
	deliverEvery = 70 * time.Second
)

// notifications runs the pair with two VIPs without any hacheck.yaml: mail goes
// where keepalived.conf says, and grouping and flaps are as they come.
func (l *lab) notifications(ctx context.Context, t *testing.T) {
	c := dualConfiguration()
	c.name, c.hacheckYAML = "dual-vip, no hacheck.yaml", ""
	if err := l.install(ctx, c); err != nil {
		t.Fatal(err)
	}
	l.start(ctx, t, c)
	l.step(ctx, t, c, "one failover, one mail a node", func(t *testing.T, row *row) { l.oneMail(ctx, t, c, row) })
	l.step(ctx, t, c, fmt.Sprintf("%d transitions", flaps), func(t *testing.T, row *row) { l.flap(ctx, t, c, row) })
}

// forget makes the nodes forget the messages they have sent, as a minute without
// a transition does: no message is held back on account of what came before.
func (l *lab) forget(ctx context.Context) error {
	for _, n := range l.nodes() {
		if err := n.script(ctx, `rm -f /var/lib/hacheck/states/t-*.json`); err != nil {
			return err
		}
	}
	return nil
}

// oneMail kills HAProxy on node a: two instances change on each node, and each
// node says so once and at once. On a machine that is overloaded a mail may be
// late: it has three tries, all of them with one mail a node.
func (l *lab) oneMail(ctx context.Context, t *testing.T, c *configuration, row *row) {
	const tries = 3
	for try := 1; ; try++ {
		took := l.failOverOnce(ctx, t, c, row)
		var notes, late []string
		for _, n := range l.nodes() {
			note := fmt.Sprintf("%s: mail %d ms after the last VIP moved", n.host(), took[n].Milliseconds())
			if notes = append(notes, note); took[n] > toldWithin {
				late = append(late, note)
			}
		}
		row.note = strings.Join(notes, ", ")
		if len(late) == 0 || t.Failed() {
			return
		}
		t.Logf("try %d: %s", try, row.note)
		if try == tries {
			t.Errorf("later than %s, %d times: %s", toldWithin, tries, strings.Join(late, ", "))
			return
		}
		if err := l.home(ctx, c); err != nil {
			t.Fatal(err)
		}
	}
}

// failOverOnce does so, and says how long after its last VIP had moved the last
// mail of each node came.
func (l *lab) failOverOnce(ctx context.Context, t *testing.T, c *configuration, row *row) map[*node]time.Duration {
	t.Helper()
	if err := l.forget(ctx); err != nil {
		t.Fatal(err)
	}
	mark := time.Now()
	if err := l.a.script(ctx, killHAProxy); err != nil {
		t.Fatal(err)
	}
	if err := l.atB(ctx, c, mark, c.detection()+c.failover(), row); err != nil {
		t.Fatal(err)
	}
	row.mails = l.told(ctx, t, c, mark, []transition{
		{node: l.a, state: c.lost(), times: 1, status: "FAIL"},
		{node: l.b, state: notify.Master, times: 1, status: "PASS"},
	}, nil)
	took := map[*node]time.Duration{}
	for _, n := range l.nodes() {
		changes := n.vips.since(c.vips(), mark)
		if len(changes) == 0 {
			t.Fatalf("no VIP changed on node %s", n.name)
		}
		last := changes[len(changes)-1].at
		for _, mail := range l.receivers.mailsSince(mark) {
			if mail.peer == n.address {
				took[n] = max(took[n], mail.at.Sub(last))
			}
		}
	}
	row.exit = strconv.Itoa(l.a.run(ctx, c.check...).code)
	if err := l.a.script(ctx, startHAProxy); err != nil {
		t.Error(err)
	}
	return took
}

// flap stops and starts keepalived on node a until each instance of each node
// has changed so often.
func (l *lab) flap(ctx context.Context, t *testing.T, c *configuration, row *row) {
	if err := l.forget(ctx); err != nil {
		t.Fatal(err)
	}
	vips := c.vips()
	mark := time.Now()
	for range flaps / 2 {
		if err := l.a.script(ctx, "systemctl stop keepalived"); err != nil {
			t.Fatal(err)
		}
		if err := waitFor(ctx, 10*time.Second, "all VIPs on node b", func() bool { return l.b.vips.count(vips) == len(vips) }); err != nil {
			t.Fatal(err)
		}
		if err := l.a.script(ctx, "systemctl start keepalived"); err != nil {
			t.Fatal(err)
		}
		if err := waitFor(ctx, 15*time.Second, "all VIPs back on node a", func() bool {
			return l.a.vips.count(vips) == len(vips) && l.b.vips.count(vips) == 0
		}); err != nil {
			t.Fatal(err)
		}
	}
	row.took = time.Since(mark)
	for _, n := range l.nodes() {
		err := waitFor(ctx, flapSettle+deliverEvery+flapSettle, "the mail that the flap on node "+n.name+" is over", func() bool {
			for _, mail := range l.receivers.mailsSince(mark) {
				if mail.peer == n.address && strings.HasPrefix(mail.subject, "[SETTLED") {
					return true
				}
			}
			return false
		})
		if err != nil {
			t.Error(err)
		}
	}
	if err := l.quiet(ctx); err != nil {
		t.Error(err)
	}
	l.places(c, row)
	for _, n := range l.nodes() {
		changes := len(n.vips.since(vips, mark)) / len(vips)
		if changes != flaps {
			t.Errorf("each VIP came to or left node %s %d times, want %d", n.name, changes, flaps)
		}
		var subjects []string
		for _, mail := range l.receivers.mailsSince(mark) {
			if mail.peer == n.address {
				subjects = append(subjects, mail.subject)
			}
		}
		row.mails += len(subjects)
		if len(subjects) > flapMessages {
			t.Errorf("node %s sent %d mails about %d transitions, want %d at most:\n%s", n.name, len(subjects), changes, flapMessages, strings.Join(subjects, "\n"))
		}
		t.Logf("node %s:\n%s", n.name, strings.Join(subjects, "\n"))
	}
	row.note = fmt.Sprintf("each VIP moved %d times (ms: the whole flap)", flaps)
}
