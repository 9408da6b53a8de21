//go:build lab

package lab

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"hacheck/notify"
)

// runLimit ends a run in order before go test's own -timeout kills it.
const runLimit = 20 * time.Minute

// lab is everything a scenario works with.
type lab struct {
	network   *network
	receivers *receivers
	servers   *servers
	a, b      *node
	report    *report
}

// TestLab boots the pair once and puts every configuration through its
// scenarios.
func TestLab(t *testing.T) {
	interrupted, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(interrupted, runLimit)
	defer cancel()

	begin := time.Now()
	l := newLab(ctx, t)
	t.Logf("both nodes are up after %s", time.Since(begin).Round(time.Millisecond))
	// Printed last but before the nodes go down, and after failures too.
	defer l.report.print(os.Stdout)

	for _, configuration := range []*configuration{webConfiguration(), dualConfiguration(), syncConfiguration()} {
		t.Run(configuration.name, func(t *testing.T) { l.scenarios(ctx, t, configuration) })
	}
	t.Run("notifications", func(t *testing.T) { l.notifications(ctx, t) })
	t.Run("split brain", func(t *testing.T) { l.splitBrain(ctx, t) })
	t.Run("usual scripts", func(t *testing.T) { l.usualScripts(ctx, t) })
	t.Run("systemd", func(t *testing.T) { l.systemdCheck(ctx, t) })
	t.Run("CheckCost", func(t *testing.T) { l.checkCost(ctx, t) })
	// Last: it takes from the nodes what the others put there.
	t.Run("packages", func(t *testing.T) { l.packages(ctx, t) })
	t.Logf("the scenarios took %s", time.Since(begin).Round(time.Second))
}

// TestEveryConfigurationIsUsed keeps testdata and the scenarios together.
func TestEveryConfigurationIsUsed(t *testing.T) {
	unused, err := unusedTestdata(webConfiguration(), dualConfiguration(), syncConfiguration(), usualConfiguration())
	if err != nil {
		t.Fatal(err)
	}
	if len(unused) > 0 {
		t.Errorf("no scenario installs testdata/%s", strings.Join(unused, ", testdata/"))
	}
}

// TestAptSource reads both formats of sources.list.
func TestAptSource(t *testing.T) {
	for name, test := range map[string]struct {
		file, text string
		want       source
	}{
		"one line": {"sources.list", "# deb http://old.example/debian bookworm main\ndeb-src http://s.example/debian bookworm main\n" +
			"deb [arch=amd64 signed-by=/k.gpg] http://m.example/debian bookworm contrib main\n", source{"http://m.example/debian", "/k.gpg"}},
		"stanzas": {"sources.list.d/debian.sources", "Types: deb\nEnabled: no\nURIs: http://off.example/\nSuites: bookworm\nComponents: main\n\n" +
			"Types: deb deb-src\n# a comment\nURIs: https://m.example/debian\nSuites: bookworm bookworm-updates\nComponents: main\n", source{"https://m.example/debian", ""}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.MkdirAll(filepath.Join(dir, "sources.list.d"), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, test.file), []byte(test.text), 0o644); err != nil {
				t.Fatal(err)
			}
			got, err := aptSource(dir, "bookworm")
			if err != nil || got != test.want {
				t.Errorf("aptSource = %+v, %v; want %+v", got, err, test.want)
			}
			if _, err := aptSource(dir, "trixie"); err == nil || !strings.Contains(err.Error(), "trixie main") {
				t.Errorf("for a suite that is not there: %v, want an error that names it", err)
			}
		})
	}
}

// newLab brings everything up. Whatever was begun is taken down at the end of
// the test, in whichever way it ends, and what still remains then is a failure.
func newLab(ctx context.Context, t *testing.T) *lab {
	t.Helper()
	if err := requireTools(); err != nil {
		t.Fatal(err)
	}
	lock, err := lockLab()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = lock.Unlock() })
	if found := leftovers(); len(found) > 0 {
		t.Logf("removing what an earlier run left: %s", strings.Join(found, ", "))
		if err := sweep(); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if err := sweep(); err != nil {
			t.Errorf("taking the lab down: %v", err)
		}
		if found := leftovers(); len(found) > 0 {
			t.Errorf("the lab left behind: %s", strings.Join(found, ", "))
		}
	})

	binary := hacheckBinary(ctx, t)
	base, err := rootFileSystem(ctx, os.Stdout)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(runDir, 0o755); err != nil {
		t.Fatal(err)
	}
	l := &lab{report: &report{}}
	if l.network, err = newNetwork(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.network.close(); err != nil {
			t.Errorf("removing the namespace: %v", err)
		}
	})
	if l.receivers, err = startReceivers(l.network); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.receivers.close)
	l.servers = &servers{network: l.network, open: map[netip.AddrPort]*http.Server{}}
	t.Cleanup(l.servers.killAll)

	type boot struct {
		node *node
		err  error
	}
	boots := map[string]chan boot{"a": make(chan boot, 1), "b": make(chan boot, 1)}
	for name, place := range map[string][2]string{"a": {"192.0.2.11", "203.0.113.11"}, "b": {"192.0.2.12", "203.0.113.12"}} {
		go func() {
			n, err := bootNode(ctx, l.network, base, name, place[0], place[1])
			boots[name] <- boot{n, err}
		}()
	}
	for name, booting := range boots {
		booted := <-booting
		t.Cleanup(func() {
			if err := booted.node.stop(); err != nil {
				t.Error(err)
			}
		})
		if booted.err != nil {
			err = booted.err
			continue
		}
		if name == "a" {
			l.a = booted.node
		} else {
			l.b = booted.node
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range l.nodes() {
		if n.vips, err = followAddresses(n.ns); err != nil {
			t.Fatal(err)
		}
		if err := installBinary(binary, filepath.Join(n.root, "usr/bin/hacheck")); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

func (l *lab) nodes() []*node { return []*node{l.a, l.b} }

// hacheckBinary builds hacheck from this tree as it ships, or takes the one
// HACHECK_LAB_BINARY names.
func hacheckBinary(ctx context.Context, t *testing.T) string {
	t.Helper()
	if path := os.Getenv("HACHECK_LAB_BINARY"); path != "" {
		return path
	}
	return build(ctx, t, "./cmd/hacheck")
}

// build builds one of the module's programs, static as the nodes need it.
func build(ctx context.Context, t *testing.T, pkg string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), filepath.Base(pkg))
	command := exec.CommandContext(ctx, "go", "build", "-trimpath", "-tags", "nethttpomithttp2", "-ldflags", "-s -w", "-o", path, pkg)
	command.Dir = filepath.Join("..", "..")
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := command.CombinedOutput(); err != nil {
		t.Fatalf("building %s: %v\n%s", pkg, err, output)
	}
	return path
}

// installBinary copies and renames, as a package does: a missing check counts
// as healthy for keepalived.
func installBinary(from, to string) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	target, err := os.OpenFile(to+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	if _, err := io.Copy(target, source); err != nil {
		_ = target.Close()
		return err
	}
	if err := target.Close(); err != nil {
		return err
	}
	return os.Rename(to+".new", to)
}

// install puts the configuration on both nodes and starts HAProxy and its
// servers, but not keepalived.
func (l *lab) install(ctx context.Context, c *configuration) error {
	for _, n := range l.nodes() {
		if err := c.install(ctx, n); err != nil {
			return err
		}
	}
	l.servers.killAll()
	if err := l.network.disown(); err != nil {
		return err
	}
	if err := l.serve(ctx, c); err != nil {
		return err
	}
	return l.healthy(ctx, c)
}

// serve starts the configuration's servers, and HAProxy on both nodes.
func (l *lab) serve(ctx context.Context, c *configuration) error {
	addresses, err := c.servers()
	if err != nil {
		return err
	}
	if err := l.servers.start(addresses...); err != nil {
		return err
	}
	for _, n := range l.nodes() {
		if err := n.script(ctx, "systemctl start haproxy"); err != nil {
			return fmt.Errorf("%w\n%s", err, n.run(ctx, "journalctl", "-q", "--no-pager", "-u", "haproxy", "-n", "20").text())
		}
	}
	return nil
}

// healthy waits until the check passes on both nodes.
func (l *lab) healthy(ctx context.Context, c *configuration) error {
	for _, n := range l.nodes() {
		var last result
		err := waitFor(ctx, 20*time.Second, fmt.Sprintf("%q to pass on node %s", strings.Join(c.check, " "), n.name), func() bool {
			last = n.run(ctx, c.asUser(c.check...)...)
			return last.code == 0
		})
		if err != nil {
			return fmt.Errorf("%w; its last answer, exit code %d: %s", err, last.code, last.text())
		}
	}
	return nil
}

// home mends everything and waits until node a holds all VIPs, node b none and
// no hook is at work: the state every scenario begins with.
func (l *lab) home(ctx context.Context, c *configuration) error {
	l.receivers.setDeaf(false)
	addresses, err := c.servers()
	if err != nil {
		return err
	}
	if err := l.servers.start(addresses...); err != nil {
		return err
	}
	for _, n := range l.nodes() {
		err := n.script(ctx, `
			systemctl kill -s CONT haproxy 2>/dev/null || true
			systemctl start haproxy keepalived`)
		if err != nil {
			return err
		}
	}
	if err := l.healthy(ctx, c); err != nil {
		return err
	}
	vips := c.vips()
	atHome := func() bool { return l.a.vips.count(vips) == len(vips) && l.b.vips.count(vips) == 0 }
	if !c.preempts && !atHome() {
		// The operator's way back: with keepalived stopped on b, a takes over
		// as soon as it is allowed to.
		if err := l.b.script(ctx, "systemctl stop keepalived"); err != nil {
			return err
		}
		err := waitFor(ctx, 2*c.interval+15*time.Second, "all VIPs on node a with keepalived stopped on node b", atHome)
		if err != nil {
			return err
		}
		mark := time.Now()
		if err := l.b.script(ctx, "systemctl start keepalived"); err != nil {
			return err
		}
		err = waitFor(ctx, 30*time.Second, "the mail that keepalived is BACKUP again on node b", func() bool {
			return slices.ContainsFunc(l.receivers.mailsSince(mark), func(mail letter) bool {
				return strings.HasPrefix(mail.subject, "["+string(notify.Backup)+"]") && mail.peer == l.b.address
			})
		})
		if err != nil {
			return err
		}
	}
	if err := waitFor(ctx, c.detection()+c.failover()+10*time.Second, "all VIPs on node a", atHome); err != nil {
		return err
	}
	if err := l.quiet(ctx); err != nil {
		return err
	}
	// A hook that keepalived's stop killed leaves its event to the next one,
	// which must not be a scenario's.
	return l.deliver(ctx, c)
}

// deliver runs "hacheck deliver" on both nodes until nothing waits.
func (l *lab) deliver(ctx context.Context, c *configuration) error {
	for _, n := range l.nodes() {
		var last result
		err := waitFor(ctx, time.Minute, "\"hacheck deliver\" to empty the spool of node "+n.name, func() bool {
			waiting, _ := filepath.Glob(filepath.Join(n.root, queueDir, "*.json"))
			if len(waiting) == 0 {
				return true
			}
			last = n.run(ctx, c.asUser("/usr/bin/hacheck", "deliver")...)
			return false
		})
		if err != nil {
			return fmt.Errorf("%w; its last answer, exit code %d: %s", err, last.code, last.text())
		}
	}
	return nil
}

// quiet waits until no hook runs on either node.
func (l *lab) quiet(ctx context.Context) error {
	for _, n := range l.nodes() {
		// Twice the budget, and what a busy machine adds.
		err := waitFor(ctx, 80*time.Second, "the hooks on node "+n.name+" to end", func() bool {
			return n.run(ctx, "pgrep", "-f", "hacheck notify|notify[.]sh").code == 1
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// checkRuns runs the check on a node again and again, as its script user.
type checkRuns struct {
	cancel context.CancelFunc
	done   chan struct{}
	runs   []result
}

func (l *lab) keepChecking(ctx context.Context, n *node, c *configuration, every time.Duration) *checkRuns {
	ctx, cancel := context.WithCancel(ctx)
	runs := &checkRuns{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(runs.done)
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			// A run is never cut off, as that would look like a failure.
			runs.runs = append(runs.runs, n.run(context.WithoutCancel(ctx), c.asUser(c.check...)...))
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	}()
	return runs
}

// end stops the runs and returns them with the number that failed.
func (r *checkRuns) end() (runs []result, failed int) {
	r.cancel()
	<-r.done
	for _, run := range r.runs {
		if run.code != 0 {
			failed++
		}
	}
	return r.runs, failed
}

// transition is something people must be told.
type transition struct {
	node  *node
	state notify.State
	// times is how often; more than once where keepalived calls two hooks.
	times int
	// status is the check's verdict the message must carry; why its reason.
	status string
	why    *regexp.Regexp
}

// subjectLine begins the subject of every mail: "[MASTER] VI_1, VI_2 on lab-a" or,
// at the end of a FAULT, "[RESOLVED] VI_1 on lab-a, now BACKUP".
var subjectLine = regexp.MustCompile(`^(?:\[PLANNED\] )?\[([^\]]+)\] (?:group )?(.+?) on ([\w-]+)(?:, now (\w+))?(?::|$| \()`)

// about says which transitions a mail tells, as its subject has them.
func (mail letter) about() (state string, names []string, host string, ok bool) {
	m := subjectLine.FindStringSubmatch(mail.subject)
	if m == nil {
		return "", nil, "", false
	}
	if state = m[1]; m[4] != "" {
		state = m[4]
	}
	return state, strings.Split(m[2], ", "), m[3], true
}

// verdictLines is the part of a mail that says why, its line breaks folded.
var verdictLines = regexp.MustCompile(`Check (?:! )?\S+: (\w+).*? Reason (?:! )?(.+?) Age `)

// told waits until exactly the wanted mails and posts have come since the mark
// and looks at what they say. It returns the number of mails.
func (l *lab) told(ctx context.Context, t *testing.T, c *configuration, mark time.Time, wanted, allowed []transition) int {
	t.Helper()
	key := func(state, name, host string) string { return state + " " + name + " " + host }
	counts := func() map[string]int {
		found := map[string]int{}
		for _, mail := range l.receivers.mailsSince(mark) {
			if state, names, host, ok := mail.about(); ok {
				for _, name := range names {
					found[key(state, name, host)]++
				}
			}
		}
		return found
	}
	type want struct {
		transition
		subject named
	}
	wants := map[string]want{}
	for i, transition := range append(slices.Clone(wanted), allowed...) {
		for _, subject := range c.subjects {
			if i >= len(wanted) {
				transition.times = 0
			}
			wants[key(string(transition.state), subject.name, transition.node.host())] = want{transition, subject}
		}
	}
	missing := func() []string {
		var missing []string
		found := counts()
		for key, want := range wants {
			if found[key] < want.times*c.recipients {
				missing = append(missing, fmt.Sprintf("%s (%d of %d mails)", key, found[key], want.times*c.recipients))
			}
		}
		slices.Sort(missing)
		return missing
	}
	if err := waitFor(ctx, 30*time.Second, "the mails", func() bool { return len(missing()) == 0 }); err != nil {
		t.Errorf("mails that did not come: %s", strings.Join(missing(), ", "))
	}
	// Only when no hook works any more is the count final.
	if err := l.quiet(ctx); err != nil {
		t.Error(err)
	}
	mails := l.receivers.mailsSince(mark)
	found := counts()
	for key, want := range wants {
		if most := want.times * c.recipients; want.times > 0 && found[key] > most {
			t.Errorf("%s: %d mails, want %d", key, found[key], most)
		}
	}
	for _, mail := range mails {
		state, names, host, ok := mail.about()
		if !ok {
			t.Errorf("the subject %q does not say state, name and node", mail.subject)
			continue
		}
		for _, name := range names {
			want, known := wants[key(state, name, host)]
			if !known {
				t.Errorf("unexpected mail %q", mail.subject)
				continue
			}
			l.checkMail(t, mail, want.transition, want.subject)
		}
		if want := wants[key(state, names[0], host)]; want.times > 0 && len(names) != len(c.subjects) {
			t.Errorf("the mail %q tells of %d instances, want one mail for all %d", mail.subject, len(names), len(c.subjects))
		}
	}
	if c.webhooks {
		l.checkPosts(ctx, t, c, mark, mails)
	}
	if err := l.receivers.takeErrors(); err != nil {
		t.Error(err)
	}
	return len(mails)
}

// checkMail asserts that a mail names the VIPs and says why.
func (l *lab) checkMail(t *testing.T, mail letter, want transition, subject named) {
	t.Helper()
	for _, vip := range subject.vips {
		if !strings.Contains(mail.text, vip.String()) {
			t.Errorf("the mail %q does not name the VIP %s:\n%s", mail.subject, vip, mail.text)
		}
	}
	if want.status == "" {
		return
	}
	why := verdictLines.FindStringSubmatch(strings.Join(strings.Fields(mail.text), " "))
	switch {
	case why == nil:
		t.Errorf("the mail %q does not say why:\n%s", mail.subject, mail.text)
	case why[1] != want.status:
		t.Errorf("the mail %q says the check is %s, want %s: %s", mail.subject, why[1], want.status, why[2])
	case want.why != nil && !want.why.MatchString(why[2]):
		t.Errorf("the mail %q gives the reason %q, want it to match %q", mail.subject, why[2], want.why)
	}
}

// checkPosts asserts that the webhook was told the same as the relay: one post
// an event, with the event's ID as its key and in the Message-ID.
func (l *lab) checkPosts(ctx context.Context, t *testing.T, c *configuration, mark time.Time, mails []letter) {
	t.Helper()
	want := len(mails) / c.recipients
	err := waitFor(ctx, 10*time.Second, "webhook posts", func() bool { return len(l.receivers.postsSince(mark)) >= want })
	posts := l.receivers.postsSince(mark)
	if err != nil || len(posts) != want {
		t.Errorf("%d webhook posts, want %d, one an event", len(posts), want)
	}
	for _, post := range posts {
		event := post.event
		label := fmt.Sprintf("webhook post %s %s from %s", event.State, event.Name, event.Host)
		if post.key != event.ID || event.ID == "" {
			t.Errorf("%s: Idempotency-Key %q, event id %q", label, post.key, event.ID)
		}
		if !slices.ContainsFunc(mails, func(mail letter) bool { return strings.Contains(mail.messageID, event.ID) }) {
			t.Errorf("%s: no mail has its id %s in the Message-ID", label, event.ID)
		}
		if event.Verdict == nil || event.Verdict.Reason == "" {
			t.Errorf("%s has no verdict and so does not say why: notes %q", label, event.Notes)
		}
		var got []netip.Addr
		for _, vip := range event.VIPs {
			address, err := netip.ParseAddr(vip.Address)
			if err != nil {
				t.Errorf("%s: VIP %q: %v", label, vip.Address, err)
			}
			got = append(got, address)
		}
		i := slices.IndexFunc(c.subjects, func(s named) bool { return s.name == event.Name && s.kind == event.Kind })
		if i < 0 {
			t.Errorf("%s is about %s, which the configuration does not notify about", label, event.Kind)
			continue
		}
		wanted := slices.Clone(c.subjects[i].vips)
		slices.SortFunc(got, netip.Addr.Compare)
		slices.SortFunc(wanted, netip.Addr.Compare)
		if !slices.Equal(got, wanted) {
			t.Errorf("%s names the VIPs %v, want %v", label, got, wanted)
		}
	}
}
