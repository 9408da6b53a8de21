package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"hacheck/notify"
)

const (
	// crashNodes is how many of them are alive at a time: most wait for others
	// to be grouped with.
	crashNodes = 24
	// stopLimit is what keepalived gives its stop hook.
	stopLimit = time.Second
)

// doomed instances are refused for good by the channel that crashNode adds, so
// that their events end among the dead letters.
const doomed = "VI_doomed"

// slow instances are those whose messages the receivers take so late that a hook
// that was told to stop does not live to see it.
const slow = "VI_slow"

func newCrashNode(t *testing.T, receivers *receivers) *node {
	return newNode(t, receivers.channels(fmt.Sprintf(
		"    - {type: webhook, name: gone, url: 'http://%s/gone', only: {instances: ['%s*']}}\n", receivers.hook, doomed)))
}

// A hook is killed, at every step that leaves something on disk or on the wire,
// at random times and as keepalived stops it. What it had recorded is delivered
// by a later run: nothing is lost, nothing comes more than twice, and what comes
// twice comes under the same key.
func TestKilledHooksLoseNothing(t *testing.T) {
	t.Parallel()
	receivers := startReceivers(t)
	receivers.answerWith(func(came arrival) error {
		pause := rand.N(5 * time.Millisecond) // so that kills fall into the dialogue, too
		if slices.ContainsFunc(came.names, func(name string) bool { return strings.HasPrefix(name, slow) }) {
			pause = stopLimit + stopLimit/2
		}
		time.Sleep(pause)
		return nil
	})
	steps := stepsOfALife(t)
	for _, step := range []string{
		"put: created", "put: durable", "state: renamed", "drain: locked", "group: written", "group: detached",
		"drain: trying", "drain: delivered", "record: durable", "record: removed", "record: moved to dead", "drain: unlocked",
	} {
		if !slices.Contains(steps, step) {
			t.Errorf("the program passes %q, without %q", steps, step)
		}
	}
	c := crash{steps: steps}
	var nodes sync.WaitGroup
	for range crashNodes {
		n := newCrashNode(t, receivers)
		nodes.Go(func() {
			for {
				turn, more := c.next()
				if !more {
					return
				}
				c.run(t, n, fmt.Sprintf("%dx", turn), planOf(turn, steps))
			}
		})
	}
	nodes.Wait()
	c.judge(t, receivers)
}

// stepsOfALife are the steps of hooks that nobody kills.
func stepsOfALife(t *testing.T) []string {
	receivers := startReceivers(t)
	n := newCrashNode(t, receivers)
	notes := filepath.Join(n.dir, "steps")
	for _, failover := range [][]string{{"VI_1", "VI_2"}, {doomed}} {
		var hooks sync.WaitGroup
		for _, name := range failover {
			hooks.Go(func() {
				command := n.command("notify", "MASTER", name)
				command.Env = append(os.Environ(), noteSteps+"="+notes)
				if output, err := command.CombinedOutput(); err != nil {
					t.Errorf("%v\n%s", err, output)
				}
			})
		}
		hooks.Wait()
	}
	return stepsOf(t, notes)
}

// plan is how one hook ends.
type plan struct {
	step  string // killed when it gets there,
	count int    // for that time,
	after time.Duration
	stop  bool // killed after that time; as keepalived does it if stop is set
	slow  bool // with receivers that take their time

	// companion is set if a hook for another instance runs beside it and lives.
	companion bool
}

// planOf takes turns: half of the hooks are killed at steps, a quarter at random
// times, a quarter as keepalived does it when it stops.
func planOf(turn int, steps []string) plan {
	p := plan{companion: turn%3 == 0}
	quarter, way := turn/4, turn%4
	switch {
	case way == 0 && quarter%2 == 0:
		p.after = rand.N(40 * time.Millisecond) // until shortly after the event is on disk
	case way == 0:
		p.after = rand.N(700 * time.Millisecond) // until all is delivered
	case way == 1:
		p.after, p.stop = rand.N(400*time.Millisecond), true
		p.slow = quarter%4 == 0
	default:
		next := 2*quarter + way - 2
		p.step, p.count = steps[next%len(steps)], 1+next/len(steps)%3/2
	}
	return p
}

// crash is what becomes of the hooks.
type crash struct {
	steps []string // at which hooks are killed

	mu       sync.Mutex
	started  int
	killed   map[string]int // by how
	at       map[string]int // by the step they were killed at
	returned int
	leftover int             // spools that a later run had to deliver from
	owed     map[string]bool // instances whose event was recorded
}

// next counts the hooks, and reports whether another is to be killed: until
// there are enough of them, and some were killed at every step.
func (c *crash) next() (turn int, more bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	killed := 0
	for _, count := range c.killed {
		killed += count
	}
	c.started++
	return c.started, (killed < killedHooks || len(c.spared()) > 0) && c.started <= 3*killedHooks
}

// spared are the steps at which no hook was killed.
func (c *crash) spared() []string {
	return slices.DeleteFunc(slices.Clone(c.steps), func(step string) bool { return c.at[step] > 0 })
}

func (c *crash) run(t *testing.T, n *node, id string, p plan) {
	name, state := "VI_"+id+"a", notify.Master
	if p.step == "record: moved to dead" {
		name = doomed + id
	}
	if p.stop {
		state = notify.Stop
	}
	if p.slow {
		name = slow + id
	}
	companion := make(chan struct{})
	go func() {
		defer close(companion)
		if p.companion {
			other := "VI_" + id + "b"
			if output, err := n.command("notify", string(state), other).CombinedOutput(); err != nil {
				t.Errorf("the hook beside it: %v\n%s", err, output)
			}
			c.owe(other)
		}
	}()

	var stdout bytes.Buffer
	hook := n.command("notify", string(state), name)
	hook.Stdout = &stdout
	if p.step != "" {
		hook.Env = append(os.Environ(), fmt.Sprintf("%s=%d %s", killAt, p.count, p.step))
	}
	if err := hook.Start(); err != nil {
		t.Error(err)
		return
	}
	how := "at a step"
	var asked atomic.Bool
	switch {
	case p.stop:
		how = "as keepalived stops"
		// It gets the signal, and its end a second later.
		term := time.AfterFunc(p.after, func() { asked.Store(hook.Process.Signal(syscall.SIGTERM) == nil) })
		kill := time.AfterFunc(p.after+stopLimit, func() { hook.Process.Kill() })
		defer term.Stop()
		defer kill.Stop()
	case p.step == "":
		how = "at random"
		kill := time.AfterFunc(p.after, func() { hook.Process.Kill() })
		defer kill.Stop()
	}
	err := hook.Wait()
	<-companion
	var exit *exec.ExitError
	c.mu.Lock()
	switch {
	case asked.Load() || errors.As(err, &exit) && exit.ProcessState.Sys().(syscall.WaitStatus).Signaled():
		if c.killed == nil {
			c.killed, c.at = map[string]int{}, map[string]int{}
		}
		c.killed[how]++
		if p.step != "" {
			c.at[p.step]++
		}
	case err != nil && !strings.HasPrefix(name, doomed):
		t.Errorf("%+v: %v", p, err)
	}
	if strings.Contains(stdout.String(), " recorded as ") {
		c.returned++
	}
	c.mu.Unlock()
	if strings.Contains(stdout.String(), " recorded as ") {
		c.owe(name)
	}
	c.deliver(t, n, p)
}

func (c *crash) owe(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.owed == nil {
		c.owed = map[string]bool{}
	}
	c.owed[name] = true
}

// deliver lets a later run deliver what the killed hook left behind, if it left
// anything.
func (c *crash) deliver(t *testing.T, n *node, p plan) {
	t.Helper()
	c.oweSpooled(t, n)
	temporary, _ := filepath.Glob(filepath.Join(n.dir, "state/spool/tmp/*"))
	if len(temporary) == 0 && len(n.queued()) == 0 {
		return
	}
	c.mu.Lock()
	c.leftover++
	c.mu.Unlock()
	output, err := n.command("deliver", "--until-empty").CombinedOutput()
	if err != nil && !strings.Contains(string(output), "given up") {
		t.Errorf("%+v: deliver: %v\n%s", p, err, output)
	}
	if left := n.queued(); len(left) > 0 {
		t.Errorf("%+v: still in the queue: %v\n%s", p, left, output)
	}
	if left, _ := filepath.Glob(filepath.Join(n.dir, "state/spool/tmp/*")); len(left) > 0 {
		t.Errorf("%+v: still in tmp: %v", p, left)
	}
}

// oweSpooled owes what is on the disk, and makes what killed hooks left half done
// look a while old.
func (c *crash) oweSpooled(t *testing.T, n *node) {
	t.Helper()
	for _, event := range n.queued() {
		c.owe(event.Name)
	}
	temporary, _ := filepath.Glob(filepath.Join(n.dir, "state/spool/tmp/*"))
	for _, file := range temporary {
		content, err := os.ReadFile(file)
		var entry struct{ Event notify.Event }
		if err == nil && strings.HasSuffix(file, ".put") && json.Unmarshal(content, &entry) == nil {
			c.owe(entry.Event.Name)
		}
		// A later run waits for a minute before it takes the process for dead.
		old := time.Now().Add(-2 * time.Minute)
		if err := os.Chtimes(file, old, old); err != nil {
			t.Error(err)
		}
	}
}

// judge counts what arrived.
func (c *crash) judge(t *testing.T, receivers *receivers) {
	t.Helper()
	receivers.check(t)
	total := 0
	for _, count := range c.killed {
		total += count
	}
	if total < killedHooks {
		t.Errorf("%d hooks were killed, want %d", total, killedHooks)
	}
	for how, least := range map[string]int{"at a step": killedHooks / 3, "at random": killedHooks / 10, "as keepalived stops": killedHooks / 10} {
		if c.killed[how] < least {
			t.Errorf("%d hooks were killed %s, want at least %d", c.killed[how], how, least)
		}
	}
	if spared := c.spared(); len(spared) > 0 {
		t.Errorf("no hook was killed at %q", spared)
	}
	t.Logf("killed at each step: %v", c.at)
	t.Logf("%d hooks killed (%v), %d of them after they had said that the event is recorded; %d spools with something left; %d transitions recorded",
		total, c.killed, c.returned, c.leftover, len(c.owed))
	mails, posts := receivers.keys("mail"), receivers.keys("hook")
	for _, channel := range []struct {
		name string
		keys map[string][]string
	}{{"mail", mails}, {"hook", posts}} {
		lost, twice := 0, 0
		for name := range c.owed {
			if len(channel.keys[name]) == 0 {
				lost++
				t.Errorf("%s never told of %s", channel.name, name)
			}
		}
		for name, keys := range channel.keys {
			if len(keys) > 2 {
				t.Errorf("%s told of %s %d times", channel.name, name, len(keys))
			}
			if len(keys) > 1 {
				twice++
			}
			for _, key := range keys {
				if key == "" || key != posts[name][0] {
					t.Errorf("%s told of %s under %q, the webhook under %q", channel.name, name, keys, posts[name])
				}
			}
		}
		t.Logf("%s: %d messages told of %d transitions, %d lost, %d told twice", channel.name, len(receivers.on(channel.name)), len(channel.keys), lost, twice)
	}
}

// Hooks of one spool are killed by the dozen, and who follows is killed too: each
// death costs one repeat at most, and nothing is lost. In the end several
// runs deliver at a time.
func TestKilledStormLosesNothing(t *testing.T) {
	t.Parallel()
	const storms, hooks = 4, 30
	receivers := startReceivers(t)
	n := newNode(t, receivers.channels(""))
	var c crash
	killed := 0
	for storm := range storms {
		var running sync.WaitGroup
		for i := range hooks {
			running.Go(func() {
				name := fmt.Sprintf("VI_%dx%d", storm, i)
				var stdout bytes.Buffer
				hook := n.command("notify", "MASTER", name)
				hook.Stdout = &stdout
				if err := hook.Start(); err != nil {
					t.Error(err)
					return
				}
				// Most find another at work and are back soon.
				within := 100 * time.Millisecond
				if i%4 == 0 {
					within = time.Second
				}
				kill := time.AfterFunc(rand.N(within), func() { hook.Process.Kill() })
				defer kill.Stop()
				if err := hook.Wait(); err != nil {
					c.mu.Lock()
					killed++
					c.mu.Unlock()
				}
				if strings.Contains(stdout.String(), " recorded as ") {
					c.owe(name)
				}
			})
		}
		running.Wait()
	}
	c.oweSpooled(t, n)
	var delivering sync.WaitGroup
	for range 4 {
		delivering.Go(func() {
			if output, err := n.command("deliver", "--until-empty").CombinedOutput(); err != nil {
				t.Errorf("deliver: %v\n%s", err, output)
			}
		})
	}
	delivering.Wait()
	if left := n.queued(); len(left) > 0 {
		t.Errorf("%d events still wait", len(left))
	}
	receivers.check(t)
	for _, channel := range []string{"mail", "hook"} {
		told, repeats := receivers.told(channel), 0
		for name := range c.owed {
			if len(told[name]) == 0 {
				t.Errorf("%s never told of %s", channel, name)
			}
		}
		for name, keys := range told {
			if slices.Sort(keys); keys[0] != keys[len(keys)-1] {
				t.Errorf("%s told of %s under %q", channel, name, keys)
			}
		}
		messages := map[string]bool{}
		for _, came := range receivers.on(channel) {
			if messages[came.key] {
				repeats++
			}
			messages[came.key] = true
		}
		if repeats > killed {
			t.Errorf("%s: %d messages came again after %d deaths", channel, repeats, killed)
		}
		t.Logf("%s: %d of %d hooks killed, %d transitions recorded, %d told, %d messages came again", channel, killed, storms*hooks, len(c.owed), len(told), repeats)
	}
	for _, lock := range []string{"spool/lock", "spool/change", "states/.lock"} {
		n.checkFree(lock)
	}
}
