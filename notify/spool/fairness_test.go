package spool

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"hacheck/notify"
)

// An entry that its receiver never takes costs the channel a try now and then,
// and the other instances nothing.
func TestEntryThatIsNeverTakenHoldsNoOtherUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spool := open(t, t.TempDir())
		mail := &fake{name: "mail", answer: func(_ context.Context, event notify.Event) error {
			if event.Name == "VI_poison" {
				return errors.New("500 this message breaks the receiver")
			}
			return nil
		}}
		put(t, spool, event("VI_poison", 1), event("VI_1", 2), event("VI_2", 3), event("VI_1", 4))
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		report, err := spool.Drain(ctx, []notify.Notifier{mail}, Policy{Patience: 24 * time.Hour})
		if err != nil || report.Delivered != 3 || report.Remaining != 1 {
			t.Fatalf("%+v, %v", report, err)
		}
		for i, id := range mail.seen() {
			if took := mail.times[i].Sub(began); id == "VI-1-004" && took > 30*time.Second {
				t.Errorf("the others waited %s for the one that is never taken", took)
			}
		}
		if tries := len(mail.seen()) - 3; tries < 8 || tries > 20 {
			t.Errorf("%d tries in an hour", tries)
		}
	})
}

// What is due again on one channel does not wait for the end of another's work.
func TestChannelsDoNotWaitForEachOthersBacklog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spool := open(t, t.TempDir())
		began := time.Now()
		slow := &fake{name: "slow", answer: func(context.Context, notify.Event) error { time.Sleep(14 * time.Second); return nil }}
		down := true
		mail := &fake{name: "mail", answer: func(context.Context, notify.Event) error {
			if down {
				down = false
				return errors.New("connection refused")
			}
			return nil
		}}
		for n := range 50 {
			put(t, spool, event("VI_1", n))
		}
		drain(t, spool, Policy{Patience: time.Hour}, slow, mail)
		if last := mail.times[len(mail.times)-1].Sub(began); len(mail.times) != 51 || last > 10*time.Second {
			t.Errorf("mail had the last of %d after %s", len(mail.times), last)
		}
	})
}

// A relay that was down for an hour is tried every ten minutes; but when
// something happens it is tried at once.
func TestNewEventIsAReasonToTryAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spool := open(t, t.TempDir())
		began := time.Now()
		mail := &fake{name: "mail", answer: func(context.Context, notify.Event) error {
			if time.Since(began) < time.Hour {
				return errors.New("connection refused")
			}
			return nil
		}}
		put(t, spool, event("VI_1", 1))
		var came time.Time
		time.AfterFunc(time.Hour, func() {
			came = time.Now()
			put(t, spool, event("VI_1", 2), event("VI_2", 3))
		})
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Hour)
		defer cancel()
		if _, err := spool.Drain(ctx, []notify.Notifier{mail}, Policy{Patience: 24 * time.Hour}); err != nil {
			t.Fatal(err)
		}
		if tail := mail.seen()[len(mail.ids)-3:]; !slices.Equal(tail, []string{"VI-1-001", "VI-1-002", "VI-2-003"}) &&
			!slices.Equal(tail, []string{"VI-2-003", "VI-1-001", "VI-1-002"}) {
			t.Errorf("in the end mail got %q", tail)
		}
		if took := mail.times[len(mail.times)-1].Sub(came); took > 10*time.Second {
			t.Errorf("the new event was told after %s", took)
		}
		if tries := len(mail.ids) - 3; tries > 20 {
			t.Errorf("%d tries in the hour before", tries)
		}
	})
}

// choosy is a channel that wants nothing of some instances.
type choosy struct {
	fake
	unwanted string
}

func (c *choosy) Skips(notification notify.Notification) (string, bool) {
	wanted := func(event notify.Event) bool { return event.Name != c.unwanted }
	return "not wanted", !slices.ContainsFunc(notification.Events(), wanted)
}

func TestWhatAChannelSkipsCostsItNothing(t *testing.T) {
	for _, policy := range []Policy{{}, {Grouping: &Grouping{Wait: time.Second, FlapThreshold: 100, FlapWindow: time.Second}}} {
		synctest.Test(t, func(t *testing.T) {
			dir := t.TempDir()
			spool := open(t, dir)
			chat := &choosy{fake: fake{name: "chat"}, unwanted: "VI_1"}
			policy.Limits = map[string]Limit{"chat": {Count: 1, Per: time.Hour}}
			for n := range 3 {
				put(t, spool, event("VI_1", n))
				drain(t, spool, policy, chat)
			}
			wantSeen(t, &chat.fake)
			put(t, spool, event("VI_2", 3))
			report := drain(t, spool, policy, chat)
			wantSeen(t, &chat.fake, "VI-2-003")
			if report.Delivered != 1 || report.Remaining != 0 {
				t.Errorf("%+v", report)
			}
			// The limit is used up. What the channel does not want is gone at
			// once all the same, and not counted.
			put(t, spool, event("VI_3", 4), event("VI_1", 5))
			if report := drain(t, open(t, dir), policy, chat); report.Delivered != 0 || report.Remaining != 1 {
				t.Errorf("%+v", report)
			}
			if counters, err := spool.Counters(); err != nil || counters.Channels["chat"].Delivered != 1 {
				t.Errorf("%+v, %v", counters, err)
			}
		})
	}
}

// What is skipped is not given up with the rest of a channel that is down.
func TestWhatAChannelSkipsIsNotGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spool := open(t, t.TempDir())
		chat := &choosy{fake: fake{name: "chat", answer: fail("connection refused")}, unwanted: "VI_1"}
		put(t, spool, event("VI_2", 1), event("VI_1", 2))
		time.Sleep(time.Minute)
		report := drain(t, spool, Policy{MaxAge: time.Nanosecond, MinAttempts: 1}, chat)
		if report.Dead != 1 || report.Remaining != 0 {
			t.Errorf("%+v", report)
		}
		letters, _, err := spool.Dead(t.Context())
		if err != nil || len(letters) != 1 || letters[0].Event.Name != "VI_2" {
			t.Errorf("%+v, %v", letters, err)
		}
	})
}

// More instances than one message may list, or than fit into one entry, are told
// by several.
func TestNoInstanceOfManyIsForgotten(t *testing.T) {
	for _, crowd := range []struct {
		instances int
		note      string
	}{{1300, ""}, {300, strings.Repeat("note ", 1000)}} {
		t.Run(fmt.Sprint(crowd.instances), func(t *testing.T) {
			spool := open(t, t.TempDir())
			mail := &reader{name: "mail"}
			for n := range crowd.instances {
				event := happened(fmt.Sprintf("VI_%d", n), notify.Master)
				event.Notes = []string{crowd.note}
				put(t, spool, event)
			}
			report := drainFor(t, spool, Policy{Grouping: quick(), Patience: time.Minute}, mail)
			names := map[string]int{}
			for _, notification := range mail.got {
				for _, event := range notification.Events() {
					names[event.Name]++
				}
			}
			if len(names) != crowd.instances || len(report.SetAside) > 0 || report.Remaining > 0 {
				t.Errorf("%d messages told of %d instances, want %d; %d files set aside, %d left",
					len(mail.got), len(names), crowd.instances, len(report.SetAside), report.Remaining)
			}
			for name, count := range names {
				if count != 1 {
					t.Errorf("%s was told %d times", name, count)
				}
			}
			if len(mail.got) > 10 {
				t.Errorf("%d messages", len(mail.got))
			}
		})
	}
}

// Of MASTER, BACKUP, MASTER the hook in the middle is the slowest: the last is no
// repeat of the first.
func TestTransitionThatIsWrittenLateIsNotTheLastWord(t *testing.T) {
	spool := open(t, t.TempDir())
	mail, journal := &reader{name: "mail"}, &reader{name: "journal"}
	first, late, last := happened("VI_1", notify.Master), happened("VI_1", notify.Backup), happened("VI_1", notify.Master)
	last = appended(last)
	late.Time, last.Time = first.Time.Add(50*time.Millisecond), first.Time.Add(100*time.Millisecond)
	put(t, spool, first, last)
	policy := Policy{Grouping: quick(), Immediate: []string{"journal"}, Patience: time.Minute}
	policy.Grouping.Wait = time.Second
	timer := time.AfterFunc(300*time.Millisecond, func() { put(t, spool, late) })
	defer timer.Stop()
	report := drainFor(t, spool, policy, mail, journal)
	wantTold(t, mail, "transition: VI_1 MASTER, VI_1 BACKUP, VI_1 MASTER")
	if len(journal.got) != 3 || report.Duplicates != 0 || report.Remaining != 0 {
		t.Errorf("the journal had %d events; %+v", len(journal.got), report)
	}
}

// A reminder that cannot be remembered would come with every drain.
func TestReminderThatCannotBeRememberedIsNotSent(t *testing.T) {
	dir := t.TempDir()
	spool := open(t, dir)
	mail := &reader{name: "mail"}
	fault := happened("VI_1", notify.Fault)
	fault.Time = fault.Time.Add(-time.Hour)
	if err := spool.SaveState(fault); err != nil {
		t.Fatal(err)
	}
	inTheWay := filepath.Join(dir, "states", memoirPrefix+fileStem("INSTANCE\x00VI_1", "VI_1")+".json.tmp")
	if err := os.MkdirAll(filepath.Join(inTheWay, "something"), 0o755); err != nil {
		t.Fatal(err)
	}
	policy := Policy{Grouping: quick(), Reminder: time.Minute, Gather: func(_ context.Context, _ notify.Kind, name string) (notify.Event, bool) {
		return happened(name, notify.Fault), true
	}}
	for range 3 {
		report, err := open(t, dir).Drain(t.Context(), []notify.Notifier{mail}, policy)
		if err != nil || len(report.Warnings) == 0 || !strings.Contains(report.Warnings[0].Error(), "remember what was told of VI_1") {
			t.Errorf("warnings %v, %v", report.Warnings, err)
		}
	}
	wantTold(t, mail)
	if err := os.RemoveAll(inTheWay); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		drainFor(t, open(t, dir), policy, mail)
	}
	wantTold(t, mail, "reminder: VI_1 FAULT")
}

// Two flaps that end together are both said to be over, though one of them had
// its last word already.
func TestFlapsThatEndTogetherAreBothOver(t *testing.T) {
	dir := t.TempDir()
	spool := open(t, dir)
	mail := &reader{name: "mail"}
	policy := Policy{Grouping: quick()}
	policy.Grouping.FlapSettle = 2 * time.Second
	for n := range 6 {
		for _, name := range []string{"VI_1", "VI_2"} {
			put(t, spool, happened(name, []notify.State{notify.Master, notify.Backup}[n%2]))
		}
		time.Sleep(time.Millisecond)
	}
	drainFor(t, spool, policy, mail)
	put(t, spool, happened("VI_2", notify.Master))
	policy.Patience, policy.Grouping.Wait = time.Minute, time.Second
	drainFor(t, open(t, dir), policy, mail)
	if len(mail.got) != 2 || mail.got[0].Story != notify.Flapping || mail.got[1].Story != notify.Settled {
		t.Fatalf("%d messages: %v", len(mail.got), mail.got)
	}
	if got := told(mail.got[1]); got != "settled 13: VI_1 BACKUP, VI_2 MASTER" {
		t.Errorf("in the end: %s", got)
	}
}

// The clock goes back while a drain waits to tell an event.
func TestClockSetBackWhileADrainWaits(t *testing.T) {
	loaded := time.Now()
	waiting := item{made: loaded.Add(-100 * time.Millisecond).Round(0), loaded: loaded}
	before := waiting.when(loaded.Add(50 * time.Millisecond))
	if !before.Equal(waiting.made) {
		t.Errorf("before, the event is of %s, want %s", before, waiting.made)
	}
	if after := waiting.when(loaded.Add(-time.Hour).Round(0)); after.After(loaded.Add(-time.Hour)) {
		t.Errorf("after, the event is of %s: it waits for %s", after, after.Sub(loaded.Add(-time.Hour)))
	}
}

func TestHurryEndsAllPatience(t *testing.T) {
	spool := open(t, t.TempDir())
	mail := &reader{name: "mail"}
	hurry := make(chan struct{})
	policy := Policy{
		Grouping: &Grouping{Wait: time.Hour, Interval: time.Hour, FlapThreshold: 4, FlapWindow: time.Hour, FlapSettle: time.Hour, FlapNotice: time.Hour},
		Hurry:    hurry, Patience: 24 * time.Hour,
	}
	put(t, spool, happened("VI_1", notify.Master), happened("VI_2", notify.Master))
	timer := time.AfterFunc(100*time.Millisecond, func() { close(hurry) })
	defer timer.Stop()
	drainFor(t, spool, policy, mail)
	put(t, spool, happened("VI_1", notify.Backup))
	drainFor(t, spool, policy, mail)
	wantTold(t, mail, "transition: VI_1 MASTER, VI_2 MASTER", "transition: VI_1 BACKUP")
}

// An attempt that is under way when the drain's time is over may still arrive.
func TestAttemptUnderWayMayEnd(t *testing.T) {
	for parting, want := range map[time.Duration]int{0: 0, 5 * time.Second: 1, time.Second: 0} {
		synctest.Test(t, func(t *testing.T) {
			spool := open(t, t.TempDir())
			mail := &fake{name: "mail", answer: func(ctx context.Context, _ notify.Event) error {
				select {
				case <-time.After(3 * time.Second):
					return nil
				case <-ctx.Done():
					return context.Cause(ctx)
				}
			}}
			put(t, spool, event("VI_1", 1), event("VI_1", 2))
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			began := time.Now()
			report, err := spool.Drain(ctx, []notify.Notifier{mail}, Policy{Parting: parting})
			if err != nil || report.Delivered != want || len(mail.seen()) != 1 || report.Remaining != 2-want {
				t.Errorf("parting %s: %+v, %v", parting, report, err)
			}
			if took := time.Since(began); took > 3*time.Second {
				t.Errorf("parting %s: took %s", parting, took)
			}
		})
	}
}

func TestStopDoesNotWaitForTheIntervalBetweenMessages(t *testing.T) {
	spool := open(t, t.TempDir())
	mail := &reader{name: "mail"}
	policy := Policy{Grouping: quick()}
	policy.Grouping.Interval = time.Hour
	policy.Grouping.Wait = 300 * time.Millisecond
	put(t, spool, happened("VI_1", notify.Master))
	drainFor(t, spool, policy, mail)
	put(t, spool, happened("VI_1", notify.Stop))
	drainFor(t, spool, policy, mail)
	wantTold(t, mail, "transition: VI_1 MASTER", "transition: VI_1 STOP")
}

func TestQueueIsBoundedThoughAChannelIsAwaited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spool := open(t, t.TempDir())
		mail := &fake{name: "mail", answer: fail("connection refused")}
		for n := range 5 {
			put(t, spool, event("VI_1", n))
		}
		report := drain(t, spool, Policy{MaxEntries: 2, Awaited: []string{"chat"}}, mail)
		if report.Remaining != 2 {
			t.Errorf("%d entries remain, want 2: %+v", report.Remaining, report)
		}
	})
}

// A journal that is not there does not keep a hook that is done with the rest.
func TestImmediateChannelThatIsDownKeepsNoHook(t *testing.T) {
	spool := open(t, t.TempDir())
	mail, journal := &reader{name: "mail"}, &reader{name: "journal", answer: func() error { return errors.New("no such file or directory") }}
	put(t, spool, happened("VI_1", notify.Master))
	began := time.Now()
	report := drainFor(t, spool, Policy{Grouping: quick(), Immediate: []string{"journal"}, LeaveImmediate: true, Patience: 20 * time.Second}, mail, journal)
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("took %s", took)
	}
	wantTold(t, mail, "transition: VI_1 MASTER")
	if report.Remaining != 1 || report.NextDue.IsZero() {
		t.Errorf("%+v", report)
	}
}

// The disk fills up in the moment in which events become one notification: what
// that tells is not told again, though a journal has still to get one of them.
func TestDiskThatFillsUpWhileEventsAreGrouped(t *testing.T) {
	dir := mountTmpfs(t, "size=256k")
	spool := open(t, dir)
	first, second := happened("VI_1", notify.Master), happened("VI_2", notify.Master)
	mail := &reader{name: "mail"}
	down := true
	journal := &fake{name: "journal", answer: func(_ context.Context, event notify.Event) error {
		if down && event.Name == "VI_1" {
			return errors.New("no such file or directory")
		}
		return nil
	}}
	put(t, spool, first, second)
	// With patience enough for the journal to get the second, and all of it done.
	policy := Policy{Grouping: quick(), Immediate: []string{"journal"}, IgnoreBackoff: true, InitialBackoff: time.Millisecond, Patience: 300 * time.Millisecond}
	var free func()
	spool.Trace(func(step string) {
		if step == "group: written" && free == nil {
			free = fill(t, dir)
		}
	})
	if _, err := spool.Drain(t.Context(), []notify.Notifier{mail, journal}, policy); err != nil {
		t.Fatal(err)
	}
	wantTold(t, mail, "transition: VI_1 MASTER, VI_2 MASTER")
	free()
	down = false
	report := drainFor(t, open(t, dir), policy, mail, journal)
	wantTold(t, mail, "transition: VI_1 MASTER, VI_2 MASTER")
	if report.Remaining != 0 {
		t.Errorf("%+v", report)
	}
}

// Several such entries, which take turns at failing, do not either: neither in a
// drain that stays nor in those of hooks, which wait for no pause.
func TestEntriesThatAreNeverTakenHoldNoOtherUp(t *testing.T) {
	for _, hooks := range []bool{false, true} {
		t.Run(fmt.Sprintf("hooks %t", hooks), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				spool := open(t, t.TempDir())
				mail := &fake{name: "mail", answer: func(_ context.Context, event notify.Event) error {
					if strings.HasPrefix(event.Name, "VI_poison") {
						return errors.New("451 4.7.0 cannot scan this message")
					}
					return nil
				}}
				put(t, spool, event("VI_poison1", 1), event("VI_poison2", 2), event("VI_poison3", 3))
				drainFor := func(limit time.Duration, policy Policy) {
					ctx, cancel := context.WithTimeout(t.Context(), limit)
					defer cancel()
					if _, err := spool.Drain(ctx, []notify.Notifier{mail}, policy); err != nil {
						t.Error(err)
					}
				}
				const others = 8
				for n := range others {
					put(t, spool, event(fmt.Sprintf("VI_%d", n), 10))
					if hooks {
						drainFor(20*time.Second, Policy{Patience: 20 * time.Second, IgnoreBackoff: true})
						time.Sleep(3 * time.Minute)
					}
				}
				if !hooks {
					drainFor(time.Hour, Policy{Patience: 24 * time.Hour})
				}
				taken := slices.DeleteFunc(mail.seen(), func(id string) bool { return strings.HasPrefix(id, "VI-poison") })
				if len(taken) != others {
					t.Errorf("%d of %d others arrived: %q", len(taken), others, taken)
				}
			})
		})
	}
}

// An earlier event that comes behind one which waits because the peer asked for
// it waits as well, and nothing spins meanwhile.
func TestEarlierEventBehindRetryAfterWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spool := open(t, t.TempDir())
		looks := 0
		spool.Trace(func(step string) {
			if step == "drain: listed" {
				looks++
			}
		})
		mail := &fake{name: "mail", answer: func(context.Context, notify.Event) error {
			return &notify.RetryAfterError{After: time.Minute, Err: errors.New("429 too many requests")}
		}}
		late := event("VI_1", 1) // its hook was slow
		put(t, spool, event("VI_1", 100))
		time.AfterFunc(500*time.Millisecond, func() { put(t, spool, late) })
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		if _, err := spool.Drain(ctx, []notify.Notifier{mail}, Policy{Patience: time.Hour, InitialBackoff: 100 * time.Millisecond}); err != nil {
			t.Error(err)
		}
		if most := int(30*time.Second/idlePoll) + 10; looks > most || len(mail.seen()) != 1 {
			t.Errorf("the queue was looked at %d times in 30 s, want %d at most; attempts on %q", looks, most, mail.seen())
		}
	})
}

// A queue that grows too large while its channels are at work loses its oldest
// events, but none of those that are just being delivered, and none twice.
func TestBoundedQueueUnderWork(t *testing.T) {
	spool := open(t, t.TempDir())
	channels := []*fake{
		{name: "slow", answer: func(context.Context, notify.Event) error { time.Sleep(2 * time.Millisecond); return nil }},
		{name: "slower", answer: func(context.Context, notify.Event) error { time.Sleep(3 * time.Millisecond); return nil }},
	}
	for n := range 20 {
		put(t, spool, event("VI_1", n))
	}
	var writer sync.WaitGroup
	writer.Go(func() {
		for n := range 200 {
			put(t, spool, event(fmt.Sprintf("VI_%d", n%50), 1000+n))
		}
	})
	if _, err := spool.Drain(t.Context(), []notify.Notifier{channels[0], channels[1]}, Policy{MaxEntries: 20, Patience: time.Second}); err != nil {
		t.Error(err)
	}
	writer.Wait()
	dead, _, err := spool.Dead(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	given := map[string]bool{}
	for _, letter := range dead {
		for name, outcome := range letter.Channels {
			given[letter.Event.ID+" on "+name] = outcome.State == Dead
		}
	}
	for _, channel := range channels {
		for i, id := range channel.seen() {
			if given[id+" on "+channel.name] {
				t.Errorf("%s had %s, which was given up as well", channel.name, id)
			}
			if slices.Contains(channel.seen()[:i], id) {
				t.Errorf("%s had %s twice", channel.name, id)
			}
		}
	}
}
