//go:build lab

package lab

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hacheck/notify"
)

// Two builds of this tree, so that one can be upgraded to the other and back.
const (
	olderVersion = "9.0.0+git1"
	newerVersion = "9.0.1+git1"
)

// quickStartRelay is the mail server that the quick start names.
const quickStartRelay = "192.0.2.25"

// packageConfiguration is what the quick start makes of the pair: one instance
// that keepalived.conf of the package's examples describes, on a HAProxy that
// was there before.
func packageConfiguration() *configuration {
	web := webConfiguration()
	return &configuration{
		name:  "packages",
		files: []installed{{file: "web/haproxy.cfg", path: "/etc/haproxy/haproxy.cfg"}},
		substitutions: append(web.substitutions, substitution{"web/haproxy.cfg", "", "mode 660 level admin", "mode 660 group haproxy level admin",
			"the socket would belong to root's group, which no script user has"}),
		check:    checkCommand,
		subjects: web.subjects,
		interval: time.Second, fall: 2, rise: 2,
		fault: true, preempts: true, told: true,
		haproxyCfg: web.haproxyCfg,
		backend:    web.backend,
		recipients: 1,
	}
}

// packages installs the deb on nodes that have never seen hacheck, follows the
// quick start word for word, fails over, upgrades and downgrades under a running
// keepalived, and removes everything again; then once more by the Chinese pages.
func (l *lab) packages(ctx context.Context, t *testing.T) {
	c := packageConfiguration()
	older, newer := l.buildDeb(ctx, t, olderVersion), l.buildDeb(ctx, t, newerVersion)
	if err := l.receivers.relayAlsoOn(l.network, quickStartRelay); err != nil {
		t.Fatal(err)
	}
	for _, quickStart := range []string{"docs/quickstart.md", "docs/zh-CN/quickstart.md"} {
		t.Run(quickStart, func(t *testing.T) {
			if err := l.bare(ctx, c); err != nil {
				t.Fatal(err)
			}
			before := l.files(ctx, t)
			l.followQuickStart(ctx, t, c, older, quickStart)
			if t.Failed() {
				return
			}
			l.typeLooks(ctx, t, path.Dir(quickStart))
			if quickStart == "docs/quickstart.md" {
				l.step(ctx, t, c, "upgrade and downgrade", func(t *testing.T, row *row) { l.upgrade(ctx, t, c, older, newer, row) })
				l.step(ctx, t, c, "three accounts, one spool", func(t *testing.T, row *row) { l.threeAccounts(ctx, t, c, row) })
				l.step(ctx, t, c, "remove and install again", func(t *testing.T, row *row) { l.remove(ctx, t, c, newer, row) })
			}
			l.purge(ctx, t, before)
		})
	}
}

// buildDeb builds the deb of this tree under a version.
func (l *lab) buildDeb(ctx context.Context, t *testing.T, version string) string {
	t.Helper()
	out := t.TempDir()
	command := exec.CommandContext(ctx, "go", "run", "./packaging/release", "-out", out, "-version", version, "-platforms", runtime.GOARCH)
	command.Dir = filepath.Join("..", "..")
	if output, err := command.CombinedOutput(); err != nil {
		t.Fatalf("building the packages of version %s: %v\n%s", version, err, output)
	}
	debs, err := filepath.Glob(filepath.Join(out, "*.deb"))
	if err != nil || len(debs) != 1 {
		t.Fatalf("the build of version %s made the debs %q", version, debs)
	}
	return debs[0]
}

// bare takes everything of hacheck from both nodes and leaves a HAProxy that
// works and no keepalived.conf. The nodes' interface gets the name that the
// documentation uses.
func (l *lab) bare(ctx context.Context, c *configuration) error {
	for _, n := range l.nodes() {
		if err := n.script(ctx, `
			systemctl stop keepalived haproxy
			rm -rf /usr/bin/hacheck /etc/hacheck /var/lib/hacheck /run/hacheck /etc/keepalived /usr/local/lib/hacheck-bench
			rm -rf /etc/systemd/system/keepalived.service.d/hacheck.conf
			mkdir /etc/keepalived
			systemctl daemon-reload
			if [ -e /sys/class/net/host0 ]; then
				ip link set host0 down; ip link set host0 name eth0; ip link set eth0 up
			fi
			# What haproxy is started with must not be in the way of the VIP.
			sysctl -q -w net.ipv4.ip_nonlocal_bind=1`); err != nil {
			return err
		}
		for _, file := range c.files {
			text, err := c.text(file.file, n.name)
			if err != nil {
				return err
			}
			if err := n.write(file.path, text, 0o644); err != nil {
				return err
			}
		}
	}
	return l.serve(ctx, c)
}

// files lists what could be left behind on node a: files outside of the
// folders that change by themselves, accounts and units.
func (l *lab) files(ctx context.Context, t *testing.T) []string {
	t.Helper()
	found := l.a.run(ctx, "sh", "-c", `
		find /etc /usr /var /run/hacheck /root -xdev \( -path /var/log -o -path /var/cache -o -path /var/lib/dpkg -o -path /var/lib/apt \
			-o -path /var/lib/systemd -o -path /usr/share/man \) -prune -o -print 2>/dev/null
		find /usr/share/man /var/lib/systemd /var/lib/dpkg -name '*hacheck*'
		getent passwd | cut -d: -f1 | sed 's/^/account /'; getent group | cut -d: -f1 | sed 's/^/group /'
		systemctl list-unit-files --no-legend --plain | awk '{print "unit " $1}'`)
	lines := strings.Split(found.stdout, "\n")
	slices.Sort(lines)
	return lines
}

// upgrade puts the newer package over the older one and back, again and again,
// under a keepalived that checks every second. keepalived takes a check it
// cannot start for a healthy one, so that nothing it does would show the gap:
// the kernel's process accounting tells how many processes it made and what
// each became, and every run that was hacheck's has left its verdict.
func (l *lab) upgrade(ctx context.Context, t *testing.T, c *configuration, older, newer string, row *row) {
	const rounds = 4
	for _, n := range l.nodes() {
		if err := n.take(newer, "/root/newer.deb"); err != nil {
			t.Fatal(err)
		}
		if err := n.take(older, "/root/older.deb"); err != nil {
			t.Fatal(err)
		}
	}
	// /run of the node is a tmpfs that only its own processes see.
	verdicts, err := watchVerdicts(fmt.Sprintf("/proc/%d/root/run/hacheck/verdict", l.a.leader))
	if err != nil {
		t.Fatal(err)
	}
	defer verdicts.Close()
	accounts, err := accountProcesses(filepath.Join(t.TempDir(), "acct"))
	if err != nil {
		t.Fatal(err)
	}
	defer accounts.stop()
	vrrp, err := l.a.keepalivedChild()
	if err != nil {
		t.Fatal(err)
	}
	// Between two checks both counts are about the same runs.
	between := func() (processCount, int) {
		if err := waitFor(ctx, 10*time.Second, "a moment between two checks", func() bool { return !hasChild(vrrp) }); err != nil {
			t.Error(err)
		}
		return accounts.count(vrrp), verdicts.count()
	}
	mark := time.Now()
	begin, seen := between()
	for range rounds {
		for _, deb := range []string{"/root/newer.deb", "/root/older.deb"} {
			if err := l.a.script(ctx, `DEBIAN_FRONTEND=noninteractive apt-get -q -y --allow-downgrades -o Dpkg::Use-Pty=0 install "$1" >/root/apt.log 2>&1 || { cat /root/apt.log; exit 1; }`, deb); err != nil {
				t.Fatal(err)
			}
		}
	}
	last := accounts.count(vrrp).runs
	if err := waitFor(ctx, 20*time.Second, "five checks after the last change", func() bool { return accounts.count(vrrp).runs >= last+5 }); err != nil {
		t.Error(err)
	}
	got, wrote := between()
	wrote -= seen
	got.runs, got.without, got.failed = got.runs-begin.runs, got.without-begin.without, got.failed-begin.failed
	row.checks, row.failed = got.runs, got.failed
	row.note = fmt.Sprintf("%d upgrades and downgrades, %d runs of the check, %d verdicts", 2*rounds, got.runs, wrote)
	t.Logf("%d upgrades and downgrades in %s: keepalived made %d processes, %d of them without the program, %d failed; %d verdicts",
		2*rounds, time.Since(mark).Round(time.Second), got.runs, got.without, got.failed, wrote)
	if got.runs == 0 || got.runs != wrote {
		t.Errorf("keepalived ran the check %d times, and it gave %d verdicts", got.runs, wrote)
	}
	if got.without != 0 || got.failed != 0 {
		t.Errorf("%d runs were without the program, %d failed", got.without, got.failed)
	}
	if moved := slices.Concat(l.a.vips.since(c.vips(), mark), l.b.vips.since(c.vips(), mark)); len(moved) != 0 {
		t.Errorf("a VIP moved: %v", moved)
	}
	if after, err := l.a.keepalivedChild(); err != nil || after != vrrp {
		t.Errorf("keepalived was restarted: its process was %d and is %d (%v)", vrrp, after, err)
	}
	if said := l.a.run(ctx, "/usr/bin/hacheck", "version").text(); !strings.Contains(said, olderVersion) {
		t.Errorf("after the last downgrade hacheck says %q", said)
	}
	l.places(c, row)
	// The other node for what follows.
	for _, n := range l.nodes() {
		if err := n.script(ctx, `dpkg --install --force-downgrade /root/newer.deb >/root/apt.log 2>&1 || { cat /root/apt.log; exit 1; }`); err != nil {
			t.Error(err)
		}
	}
}

// take copies a file into the node.
func (n *node) take(from, to string) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := os.Create(filepath.Join(n.root, to))
	if err != nil {
		return err
	}
	_, err = io.Copy(target, source)
	return errors.Join(err, target.Close())
}

// keepalivedChild is the process of the node's keepalived that runs VRRP and
// its scripts, as this machine numbers it.
func (n *node) keepalivedChild() (int, error) {
	all := map[int]process{}
	for _, p := range processes() {
		all[p.pid] = p
	}
	var found []int
	for _, p := range all {
		if p.comm != "keepalived" || all[p.parent].comm != "keepalived" {
			continue
		}
		for at := p; at.pid != 0; at = all[at.parent] {
			if at.pid == n.leader {
				found = append(found, p.pid)
				break
			}
		}
	}
	if len(found) != 1 {
		return 0, fmt.Errorf("node %s has %d keepalived processes below keepalived, want 1", n.name, len(found))
	}
	return found[0], nil
}

// threeAccounts has root's hooks, two unprivileged script users' and the delivery
// unit's account, which is one of them, work on one spool and one run directory, with the modes the
// package gives them and keepalived's umask 0177.
func (l *lab) threeAccounts(ctx context.Context, t *testing.T, c *configuration, row *row) {
	const conf = "/etc/keepalived/keepalived.conf"
	scriptUser := func(account string) {
		if err := l.a.script(ctx, `sed -i "s/^ *script_user .*/    script_user $1/" `+conf+`; grep -q "script_user $1" `+conf+`; systemctl reload keepalived`, account); err != nil {
			t.Fatal(err)
		}
	}
	mark := time.Now()
	// keepalived.conf holds a password, and the mail settings that the unit needs.
	for owner, warned := range map[string]bool{"root:root": true, "root:haproxy": false} {
		said := l.a.run(ctx, "sh", "-ec", `chown "$1" `+conf+`; chmod 0640 `+conf+`; exec hacheck config check`, "sh", owner)
		if said.code != 0 || strings.Contains(said.stderr, "the account hacheck cannot read "+conf) != warned {
			t.Errorf("with keepalived.conf 0640 of %s hacheck config check ends with %d: %s", owner, said.code, said.text())
		}
	}
	if err := l.a.script(ctx, "chown root:haproxy "+conf); err != nil {
		t.Fatal(err)
	}
	// The relay answers nobody: what the hooks write stays for the unit.
	l.receivers.setDeaf(true)
	defer l.receivers.setDeaf(false)
	if err := l.a.script(ctx, "systemctl stop hacheck-deliver.path hacheck-deliver.timer hacheck-deliver.service"); err != nil {
		t.Fatal(err)
	}
	const another = "keepalived_script"
	if err := l.a.script(ctx, `useradd --system --no-create-home --shell /usr/sbin/nologin `+another); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := l.a.script(ctx, "userdel "+another); err != nil {
			t.Error(err)
		}
	}()
	for _, account := range []string{"root", "hacheck haproxy", another + " haproxy", "root"} {
		scriptUser(account)
		began := time.Now()
		if err := l.a.script(ctx, killHAProxy); err != nil {
			t.Fatal(err)
		}
		if err := l.atB(ctx, c, began, c.detection()+c.failover(), row); err != nil {
			t.Fatal(err)
		}
		if err := l.a.script(ctx, startHAProxy); err != nil {
			t.Fatal(err)
		}
		vips := c.vips()
		if err := waitFor(ctx, 30*time.Second, "the VIP to return to node a", func() bool { return l.a.vips.count(vips) == len(vips) }); err != nil {
			t.Fatal(err)
		}
		user, _, _ := strings.Cut(account, " ")
		// root's events are given to the account that delivers them; only the
		// verdicts tell whom they are from.
		if err := waitFor(ctx, 5*time.Second, "an event and a verdict of the script user "+account, func() bool {
			return l.a.run(ctx, "sh", "-ec", `find "$1" -name '*.json' -newermt "@$2" | grep -q . && find /run/hacheck/verdict -type f -user "$3" | grep -q .`,
				"sh", queueDir, fmt.Sprint(began.Unix()), user).code == 0
		}); err != nil {
			t.Errorf("%v; the spool and the verdicts are:\n%s", err, l.a.run(ctx, "ls", "-lR", "/var/lib/hacheck", "/run/hacheck").text())
		}
	}
	if err := l.quiet(ctx); err != nil {
		t.Error(err)
	}
	waiting := l.a.run(ctx, "/usr/bin/hacheck", "queue")
	if waiting.code != 0 || !strings.Contains(waiting.stdout, "VI_1") {
		t.Errorf("the queue says %q with the relay deaf", waiting.text())
	}
	l.receivers.setDeaf(false)
	if err := l.a.script(ctx, "systemctl start hacheck-deliver.path hacheck-deliver.timer hacheck-deliver.service"); err != nil {
		t.Error(err)
	}
	if err := waitFor(ctx, time.Minute, "the unit to empty the spool", func() bool {
		left, err := filepath.Glob(filepath.Join(l.a.root, queueDir, "*.json"))
		return err == nil && len(left) == 0
	}); err != nil {
		t.Errorf("%v:\n%s", err, l.a.run(ctx, "ls", "-lR", "/var/lib/hacheck").text())
	}
	var subjects []string
	for _, mail := range l.receivers.mailsSince(mark) {
		if mail.peer == l.a.address {
			subjects = append(subjects, mail.subject)
		}
	}
	row.mails = len(subjects)
	if len(subjects) == 0 || !strings.Contains(subjects[len(subjects)-1], string(notify.Master)) {
		t.Errorf("node a's mails are %q, want the last to say that it is MASTER", subjects)
	}
	if denied := l.a.run(ctx, "journalctl", "-q", "--no-pager", "--since", "@"+fmt.Sprint(mark.Unix()), "--grep", `permission denied|cannot be written|not permitted`); denied.code == 0 {
		t.Errorf("somebody was refused:\n%s", denied.text())
	}
	row.exit = ""
	for _, account := range []string{"hacheck", another} {
		check := l.a.run(ctx, "setpriv", "--reuid", account, "--regid", "haproxy", "--clear-groups", "--", "/usr/bin/hacheck", "haproxy")
		row.exit += fmt.Sprint(check.code) + " "
		if check.code != 0 || check.stderr != "" {
			t.Errorf("as %s:haproxy the check answers %d: %s", account, check.code, check.text())
		}
	}
	row.note = fmt.Sprintf("root, hacheck:haproxy, %s:haproxy and the unit: %q", another, subjects)
}

// remove takes the package from a node whose keepalived needs it, which it must
// refuse, and then from one that does not, which must lose nothing.
func (l *lab) remove(ctx context.Context, t *testing.T, c *configuration, newer string, row *row) {
	mark := time.Now()
	apt := func(words ...string) result {
		return l.a.run(ctx, append([]string{"env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-y", "-o", "Dpkg::Use-Pty=0"}, words...)...)
	}
	if refused := apt("remove", "hacheck"); refused.code == 0 || !strings.Contains(refused.text(), "keepalived takes a script it cannot find for healthy") {
		t.Fatalf("apt remove with keepalived running: exit code %d: %s", refused.code, refused.text())
	}
	if check := l.a.run(ctx, c.check...); check.code != 0 {
		t.Errorf("after the refusal the check answers %d: %s", check.code, check.text())
	}
	if err := l.unmoved(ctx, c, mark, 3*time.Second); err != nil {
		t.Error(err)
	}
	// An event that nobody takes, and then no hacheck.
	l.receivers.setDeaf(true)
	defer l.receivers.setDeaf(false)
	if err := l.a.script(ctx, "systemctl stop keepalived"); err != nil {
		t.Fatal(err)
	}
	if err := waitFor(ctx, 10*time.Second, "the STOP event on the disk of node a", func() bool {
		return l.a.run(ctx, "grep", "-rqE", `"state": *"STOP"`, queueDir).code == 0
	}); err != nil {
		t.Error(err)
	}
	if removed := apt("remove", "hacheck"); removed.code != 0 {
		t.Fatalf("apt remove with keepalived stopped: exit code %d: %s", removed.code, removed.text())
	}
	if l.a.run(ctx, "test", "-e", "/usr/bin/hacheck").code == 0 {
		t.Error("removed, but /usr/bin/hacheck is there")
	}
	if l.a.run(ctx, "sh", "-c", `test -e /etc/hacheck/hacheck.yaml && grep -rq STOP "$1"`, "sh", queueDir).code != 0 {
		t.Errorf("removal took the configuration or the event that waits:\n%s", l.a.run(ctx, "ls", "-lR", "/etc/hacheck", "/var/lib/hacheck").text())
	}
	l.receivers.setDeaf(false)
	if err := l.a.script(ctx, `DEBIAN_FRONTEND=noninteractive apt-get -q -y -o Dpkg::Use-Pty=0 install /root/newer.deb >/root/apt.log 2>&1 || { cat /root/apt.log; exit 1; }`); err != nil {
		t.Fatal(err)
	}
	var stop letter
	if err := waitFor(ctx, 90*time.Second, "the mail about the STOP from before", func() bool {
		for _, mail := range l.receivers.mailsSince(mark) {
			if mail.peer == l.a.address && strings.Contains(mail.subject, "STOP") {
				stop = mail
				return true
			}
		}
		return false
	}); err != nil {
		t.Errorf("%v; the queue says: %s", err, l.a.run(ctx, "/usr/bin/hacheck", "queue").text())
	}
	row.mails, row.note = len(l.receivers.mailsSince(mark)), "kept through removal: "+stop.subject
	l.places(c, row)
	if err := l.a.script(ctx, "systemctl start keepalived"); err != nil {
		t.Error(err)
	}
}

// purge takes everything away and looks for what is left.
func (l *lab) purge(ctx context.Context, t *testing.T, before []string) {
	t.Helper()
	for _, n := range l.nodes() {
		if err := n.script(ctx, `
			systemctl stop keepalived
			rm -f /etc/systemd/system/keepalived.service.d/hacheck.conf /root/*.deb /root/apt.log
			DEBIAN_FRONTEND=noninteractive apt-get -q -y -o Dpkg::Use-Pty=0 purge hacheck 2>&1 || exit 1`); err != nil {
			t.Error(err)
		}
	}
	for _, left := range l.files(ctx, t) {
		if !slices.Contains(before, left) && !notHachecks.MatchString(left) {
			t.Errorf("left after the purge: %s", left)
		}
	}
}

// notHachecks is what other packages write or rewrite meanwhile.
var notHachecks = regexp.MustCompile(`^/var/(backups|spool)/|^/etc/(passwd|group|shadow|gshadow|subuid|subgid)-$|^/etc/keepalived|^/etc/systemd/system/keepalived\.service\.d$|^/etc/\.pwd\.lock$`)

// processCount is what the children of one process became.
type processCount struct {
	runs    int // children that ended
	without int // of them, those that never became hacheck
	failed  int // of them, those that ended with another code than 0, or by a signal
}

// accounts is the kernel's record of every process that ended (acct(5)).
type accounts struct{ path string }

func accountProcesses(path string) (*accounts, error) {
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		return nil, err
	}
	if err := unix.Acct(path); err != nil {
		return nil, fmt.Errorf("switching process accounting on: %w", err)
	}
	return &accounts{path}, nil
}

// stop switches it off, for which unix.Acct has no way.
func (a *accounts) stop() { _, _, _ = unix.Syscall(unix.SYS_ACCT, 0, 0, 0) }

// count reads the records of a process's children.
func (a *accounts) count(parent int) processCount {
	// struct acct_v3 of acct(5), 64 bytes.
	const (
		size     = 64
		exitcode = 4
		ppid     = 20
		comm     = 48
	)
	data, err := os.ReadFile(a.path)
	if err != nil {
		return processCount{}
	}
	var count processCount
	for ; len(data) >= size; data = data[size:] {
		number := func(at int) uint32 { return binary.NativeEndian.Uint32(data[at:]) }
		if number(ppid) != uint32(parent) {
			continue
		}
		count.runs++
		name, _, _ := strings.Cut(string(data[comm:size]), "\x00")
		if name != "hacheck" {
			count.without++
		}
		if number(exitcode) != 0 {
			count.failed++
		}
	}
	return count
}

// hasChild reports whether a process has a child now.
func hasChild(parent int) bool {
	return slices.ContainsFunc(processes(), func(p process) bool { return p.parent == parent })
}

// verdictWatch counts the verdicts that are renamed into their folder.
type verdictWatch struct {
	*os.File
	seen atomic.Int64
}

func watchVerdicts(dir string) (*verdictWatch, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, err
	}
	w := &verdictWatch{File: os.NewFile(uintptr(fd), "inotify")}
	if _, err := unix.InotifyAddWatch(fd, dir, unix.IN_MOVED_TO); err != nil {
		return nil, errors.Join(fmt.Errorf("watching %s: %w", dir, err), w.Close())
	}
	go func() {
		buffer := make([]byte, 64<<10)
		for {
			n, err := w.Read(buffer)
			if err != nil {
				return
			}
			// struct inotify_event of inotify(7): 16 bytes, the last four the
			// length of the name that follows.
			for left := buffer[:n]; len(left) >= unix.SizeofInotifyEvent; {
				name := binary.NativeEndian.Uint32(left[12:])
				w.seen.Add(1)
				left = left[unix.SizeofInotifyEvent+name:]
			}
		}
	}()
	return w, nil
}

func (w *verdictWatch) count() int { return int(w.seen.Load()) }
