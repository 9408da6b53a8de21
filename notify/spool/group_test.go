package spool

import (
	"context"
	"encoding/json"
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

// quick are the rules of grouping, a hundred times as fast as in real life.
func quick() *Grouping {
	return &Grouping{
		Wait: 50 * time.Millisecond, Interval: 300 * time.Millisecond,
		FlapThreshold: 4, FlapWindow: 3 * time.Second, FlapSettle: 400 * time.Millisecond, FlapNotice: 5 * time.Second,
	}
}

// reader is a channel that keeps what it was told.
type reader struct {
	name   string
	answer func() error

	mu    sync.Mutex
	got   []notify.Notification
	times []time.Time
}

func (r *reader) Name() string { return r.name }

func (r *reader) Notify(_ context.Context, notification notify.Notification) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.answer != nil {
		if err := r.answer(); err != nil {
			return err
		}
	}
	r.got = append(r.got, notification)
	r.times = append(r.times, time.Now())
	return nil
}

// told says a notification in short: "flapping 7: VI_1 MASTER, VI_1 BACKUP".
func told(notification notify.Notification) string {
	var parts []string
	for _, event := range notification.Events() {
		parts = append(parts, event.Name+" "+string(event.State))
	}
	story := string(notification.Story)
	if notification.Count > 0 {
		story += fmt.Sprintf(" %d", notification.Count)
	}
	return story + ": " + strings.Join(parts, ", ")
}

func wantTold(t *testing.T, r *reader, want ...string) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	got := make([]string, len(r.got))
	for i, notification := range r.got {
		got[i] = told(notification)
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s was told\n  %s\nwant\n  %s", r.name, strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// happened is an event of this moment.
func happened(name string, state notify.State) notify.Event {
	now := time.Now()
	return notify.Event{ID: NewID(now), Time: now, Host: "lb-a", Kind: notify.Instance, Name: name, State: state, Known: true, VIPs: []notify.VIP{}}
}

func drainFor(t *testing.T, spool *Spool, policy Policy, channels ...notify.Notifier) Report {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	report, err := spool.Drain(ctx, channels, policy)
	if err != nil {
		t.Fatal(err)
	}
	for _, warning := range report.Warnings {
		t.Error(warning)
	}
	return report
}

func TestFailoverOfTwoInstancesIsOneNotification(t *testing.T) {
	spool := open(t, t.TempDir())
	mail, journal := &reader{name: "mail"}, &reader{name: "journal"}
	first, second := happened("VI_1", notify.Master), happened("VI_2", notify.Master)
	put(t, spool, first, second)
	began := time.Now()
	policy := Policy{Grouping: quick(), Immediate: []string{"journal"}}
	policy.Grouping.Wait = time.Second
	report := drainFor(t, spool, policy, mail, journal)
	wantTold(t, mail, "transition: VI_1 MASTER, VI_2 MASTER")
	wantTold(t, journal, ": VI_1 MASTER", ": VI_2 MASTER")
	if mail.got[0].ID != second.ID {
		t.Errorf("the notification has ID %s, want that of its last event", mail.got[0].ID)
	}
	if wait := mail.times[0].Sub(first.Time); wait < policy.Grouping.Wait {
		t.Errorf("told after %s, before others could come", wait)
	}
	if early := journal.times[0].Sub(began); early > policy.Grouping.Wait/2 {
		t.Errorf("the immediate channel waited %s", early)
	}
	if report.Remaining != 0 || report.Held != 0 {
		t.Errorf("left behind: %+v", report)
	}
}

func TestEventThatComesDuringTheWaitJoins(t *testing.T) {
	spool := open(t, t.TempDir())
	mail := &reader{name: "mail"}
	put(t, spool, happened("VI_1", notify.Master))
	policy := Policy{Grouping: quick()}
	policy.Grouping.Wait = 500 * time.Millisecond
	timer := time.AfterFunc(200*time.Millisecond, func() { put(t, spool, happened("VI_2", notify.Master)) })
	defer timer.Stop()
	if report := drainFor(t, spool, policy, mail); report.Late.IsZero() {
		t.Error("the report does not say that an event came later")
	}
	wantTold(t, mail, "transition: VI_1 MASTER, VI_2 MASTER")
}

func TestOneTransitionReportedTwiceIsToldOnce(t *testing.T) {
	dir := t.TempDir()
	spool := open(t, dir)
	mail := &reader{name: "mail"}
	first, again := happened("VI_1", notify.Master), appended(happened("VI_1", notify.Master))
	again.Time = again.Time.Add(300 * time.Millisecond)
	put(t, spool, first, again, happened("VI_2", notify.Master))
	report := drainFor(t, spool, Policy{Grouping: quick()}, mail)
	wantTold(t, mail, "transition: VI_1 MASTER, VI_2 MASTER")
	if report.Duplicates != 1 {
		t.Errorf("%d duplicates, want 1", report.Duplicates)
	}
	// A third report comes when the notification is gone.
	put(t, spool, appended(happened("VI_1", notify.Master)))
	if report = drainFor(t, open(t, dir), Policy{Grouping: quick()}, mail); report.Duplicates != 1 || report.Remaining != 0 {
		t.Errorf("the late report: %+v", report)
	}
	if len(mail.got) != 1 {
		t.Errorf("%d notifications", len(mail.got))
	}
	if counters, err := spool.Counters(); err != nil || counters.Duplicates != 2 || counters.Channels["mail"].Delivered != 1 {
		t.Errorf("counters %+v, %v", counters, err)
	}
}

// appended is an event as a plain notify tells it.
func appended(event notify.Event) notify.Event {
	priority := 150
	event.Priority = &priority
	return event
}

// The hooks of a flap are stamped in another order than they were called in: none
// repeats another.
func TestNoTransitionOfAFlapIsTakenForARepeat(t *testing.T) {
	spool := open(t, t.TempDir())
	mail := &reader{name: "mail"}
	began := time.Now()
	for n, state := range []notify.State{notify.Master, notify.Master, notify.Backup, notify.Backup} {
		event := happened("VI_1", state)
		event.Time = began.Add(time.Duration(n) * 2 * sameHook)
		put(t, spool, event)
	}
	report := drainFor(t, spool, Policy{Grouping: quick(), Patience: time.Minute}, mail)
	if len(mail.got) == 0 || len(mail.got[0].Events()) != 4 || report.Duplicates != 0 {
		t.Errorf("told %v, %d repeats", mail.got, report.Duplicates)
	}
}

func TestTheSameStateLaterIsNewsAgain(t *testing.T) {
	spool := open(t, t.TempDir())
	mail := &reader{name: "mail"}
	early := happened("VI_1", notify.Backup)
	early.Time = early.Time.Add(-sameEvent - time.Second)
	put(t, spool, early, happened("VI_1", notify.Backup))
	drainFor(t, spool, Policy{Grouping: quick()}, mail)
	wantTold(t, mail, "transition: VI_1 BACKUP, VI_1 BACKUP")
}

// flapWithHooks lets instances change so often, ending in BACKUP, with a hook for each
// event that drains as keepalived's hooks do.
func flapWithHooks(t *testing.T, spool *Spool, policy Policy, pause time.Duration, count int, names []string, channels ...notify.Notifier) {
	t.Helper()
	var hooks sync.WaitGroup
	for n := range count {
		state := notify.Master
		if (count-n)%2 == 1 {
			state = notify.Backup
		}
		for _, name := range names {
			put(t, spool, happened(name, state))
		}
		for range names {
			hooks.Go(func() { drainFor(t, spool, policy, channels...) })
		}
		time.Sleep(pause)
	}
	hooks.Wait()
	if left, err := spool.names(queueDir); err != nil || len(left) != 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
}

func TestFlapOfTwentyTransitionsIsThreeNotifications(t *testing.T) {
	for pause, want := range map[time.Duration][]notify.Story{
		20 * time.Millisecond:  {notify.Transition, notify.Flapping, notify.Settled},
		150 * time.Millisecond: {notify.Transition, notify.Transition, notify.Settled},
		250 * time.Millisecond: {notify.Transition, notify.Transition, notify.Settled},
	} {
		for _, names := range [][]string{{"VI_1"}, {"VI_1", "VI_2"}} {
			t.Run(fmt.Sprint(pause, names), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					spool := open(t, t.TempDir())
					mail := &reader{name: "mail"}
					grouping := quick()
					grouping.FlapWindow = 10 * time.Second
					flapWithHooks(t, spool, Policy{Grouping: grouping, Patience: time.Minute}, pause, 20, names, mail)
					var stories []notify.Story
					for _, notification := range mail.got {
						t.Log(notification.Time.Format("05.000"), told(notification))
						stories = append(stories, notification.Story)
					}
					if !slices.Equal(stories, want) {
						t.Fatalf("told %q, want %q", stories, want)
					}
					last := mail.got[2]
					if last.State != notify.Backup || last.Count != 20*len(names) || len(last.Latest()) != len(names) {
						t.Errorf("in the end: %s", told(last))
					}
				})
			})
		}
	}
}

// However slowly an instance flaps, twenty transitions are three notifications by
// default, the last of which says how it ended.
func TestSlowFlapOfTwentyTransitionsIsThreeNotifications(t *testing.T) {
	for _, pause := range []time.Duration{time.Second, 7 * time.Second, 14 * time.Second, 17 * time.Second, 19900 * time.Millisecond, 24 * time.Second} {
		t.Run(pause.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				spool := open(t, t.TempDir())
				mail := &reader{name: "mail"}
				var last notify.Event
				var runs sync.WaitGroup
				for n := range 20 {
					last = happened("VI_1", []notify.State{notify.Master, notify.Backup}[n%2])
					put(t, spool, last)
					runs.Go(func() {
						if _, err := spool.Drain(t.Context(), []notify.Notifier{mail}, Policy{Grouping: usual(), Patience: time.Hour}); err != nil {
							t.Error(err)
						}
					})
					time.Sleep(pause)
				}
				runs.Wait()
				for _, notification := range mail.got {
					t.Log(notification.Time.Format("04:05.000"), told(notification))
				}
				if n := len(mail.got); n != 3 {
					t.Fatalf("%d notifications, want 3", n)
				}
				end := mail.got[2]
				if end.ID != last.ID && end.ID != last.ID+settledSuffix || end.Story == notify.Settled && end.Count != 20 {
					t.Errorf("in the end: %s", told(end))
				}
			})
		})
	}
}

func TestFlapThatEndsWithItsNoticeIsSaidToHaveSettled(t *testing.T) {
	dir := t.TempDir()
	spool := open(t, dir)
	mail, journal := &reader{name: "mail"}, &reader{name: "journal"}
	policy := Policy{Grouping: quick(), Immediate: []string{"journal"}}
	for n := range 6 {
		put(t, spool, happened("VI_1", []notify.State{notify.Master, notify.Backup}[n%2]))
		time.Sleep(time.Millisecond)
	}
	drainFor(t, spool, policy, mail, journal)
	// Another process, after nothing else has happened.
	policy.Patience = time.Minute
	drainFor(t, open(t, dir), policy, mail, journal)
	wantTold(t, mail, "flapping 6: VI_1 MASTER, VI_1 BACKUP, VI_1 MASTER, VI_1 BACKUP, VI_1 MASTER, VI_1 BACKUP", "settled 6: VI_1 BACKUP")
	if len(journal.got) != 6 {
		t.Errorf("the journal had %d events, want 6", len(journal.got))
	}
	if first, second := mail.got[0], mail.got[1]; first.ID == second.ID || !first.Time.Equal(second.Time) {
		t.Errorf("the end of the flap is %s of %s, its notice %s of %s", second.ID, second.Time, first.ID, first.Time)
	}
}

// putFlap puts transitions of an instance, a tenth of a second apart.
func putFlap(t *testing.T, spool *Spool, transitions int) {
	t.Helper()
	for n := range transitions {
		put(t, spool, happened("VI_1", []notify.State{notify.Master, notify.Backup}[n%2]))
		time.Sleep(100 * time.Millisecond)
	}
}

// A drain that finds all of a flap in the queue stays for its end, with patience
// enough: there may be no other.
func TestDrainStaysForTheEndOfAFlapItHasJustTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spool := open(t, t.TempDir())
		mail := &reader{name: "mail"}
		putFlap(t, spool, 6)
		drainFor(t, spool, Policy{Grouping: usual(), Patience: 30 * time.Second}, mail)
		wantTold(t, mail, "flapping 6: VI_1 MASTER, VI_1 BACKUP, VI_1 MASTER, VI_1 BACKUP, VI_1 MASTER, VI_1 BACKUP", "settled 6: VI_1 BACKUP")
	})
}

func TestFlapThatGoesOnIsToldAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spool := open(t, t.TempDir())
		mail := &reader{name: "mail"}
		policy := Policy{Grouping: quick(), Patience: time.Minute}
		policy.Grouping.FlapNotice = 600 * time.Millisecond
		flapWithHooks(t, spool, policy, 50*time.Millisecond, 40, []string{"VI_1"}, mail)
		count := 0
		for i, notification := range mail.got {
			if want := notify.Flapping; i > 0 && i < len(mail.got)-1 && notification.Story != want {
				t.Errorf("notification %d is %s", i, told(notification))
			}
			if notification.Count < count {
				t.Errorf("the count fell from %d to %d", count, notification.Count)
			}
			count = notification.Count
		}
		if n := len(mail.got); n < 4 || n > 7 {
			t.Errorf("%d notifications in 2 s, with one every 600 ms", n)
		}
		if last := mail.got[len(mail.got)-1]; last.Story != notify.Settled || last.Count != 40 {
			t.Errorf("in the end: %s", told(last))
		}
	})
}

func TestCrashedHAProxyThatComesBackIsNoFlap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spool := open(t, t.TempDir())
		mail := &reader{name: "mail"}
		var hooks sync.WaitGroup
		for _, state := range []notify.State{notify.Fault, notify.Backup, notify.Master} {
			put(t, spool, happened("VI_1", state))
			hooks.Go(func() { drainFor(t, spool, Policy{Grouping: quick(), Patience: time.Minute}, mail) })
			time.Sleep(100 * time.Millisecond)
		}
		hooks.Wait()
		wantTold(t, mail, "transition: VI_1 FAULT", "transition: VI_1 BACKUP, VI_1 MASTER")
	})
}

func TestMutedMaintenanceIsToldAsOneSummary(t *testing.T) {
	spool := open(t, t.TempDir())
	mail, journal := &reader{name: "mail"}, &reader{name: "journal"}
	end := time.Now().Add(600 * time.Millisecond)
	maintenance := &notify.Maintenance{Until: end, Reason: "kernel", Mute: true}
	var events []notify.Event
	for _, state := range []notify.State{notify.Fault, notify.Backup, notify.Master} {
		event := happened("VI_1", state)
		event.Maintenance = maintenance
		events = append(events, event)
		time.Sleep(time.Millisecond)
	}
	put(t, spool, events...)
	muted := func() time.Time {
		if time.Now().Before(end) {
			return end
		}
		return time.Time{}
	}
	policy := Policy{Grouping: quick(), Immediate: []string{"journal"}, Muted: muted}
	if report := drainFor(t, spool, policy, mail, journal); report.Held != 3 || !report.NextDue.Equal(end) || report.Interrupted {
		t.Errorf("muted: %+v", report)
	}
	wantTold(t, mail)
	wantTold(t, journal, ": VI_1 FAULT", ": VI_1 BACKUP", ": VI_1 MASTER")
	policy.Patience = time.Minute
	drainFor(t, spool, policy, mail, journal)
	wantTold(t, mail, "summary: VI_1 FAULT, VI_1 BACKUP, VI_1 MASTER")
	if len(journal.got) != 3 {
		t.Errorf("the journal had %d events", len(journal.got))
	}
}

func TestMaintenanceEndedByHandIsToldAtOnce(t *testing.T) {
	spool := open(t, t.TempDir())
	mail := &reader{name: "mail"}
	event := happened("VI_1", notify.Backup)
	event.Maintenance = &notify.Maintenance{Until: time.Now().Add(time.Hour), Mute: true}
	put(t, spool, event)
	var off sync.Once
	var mu sync.Mutex
	until := event.Maintenance.Until
	policy := Policy{Grouping: quick(), Patience: 2 * time.Hour, Muted: func() time.Time {
		off.Do(func() {
			time.AfterFunc(150*time.Millisecond, func() { mu.Lock(); until = time.Time{}; mu.Unlock() })
		})
		mu.Lock()
		defer mu.Unlock()
		return until
	}}
	drainFor(t, spool, policy, mail)
	wantTold(t, mail, "summary: VI_1 BACKUP")
}

// What is due before the end of a maintenance is not forgotten for it.
func TestMaintenanceHidesNoEarlierTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spool := open(t, t.TempDir())
		mail := &reader{name: "mail"}
		end := time.Now().Add(time.Hour)
		planned := happened("VI_1", notify.Backup)
		planned.Maintenance = &notify.Maintenance{Until: end, Mute: true}
		repeat := happened("VI_2", notify.Master)
		first := appended(repeat)
		first.ID, first.Time = NewID(time.Now()), first.Time.Add(-time.Millisecond)
		put(t, spool, planned, first, repeat)
		policy := Policy{Grouping: usual(), Muted: func() time.Time { return end }}
		report := drainFor(t, spool, policy, mail)
		wantTold(t, mail, "transition: VI_2 MASTER")
		if report.Duplicates != 1 || report.Held != 1 || !report.NextDue.Equal(end) {
			t.Errorf("%+v", report)
		}
	})
}

func TestLastingFaultIsToldAgain(t *testing.T) {
	dir := t.TempDir()
	spool := open(t, dir)
	mail, journal := &reader{name: "mail"}, &reader{name: "journal"}
	var faults []notify.Event
	for _, name := range []string{"VI_1", "VI_2"} {
		fault := happened(name, notify.Fault)
		faults = append(faults, fault)
		put(t, spool, fault)
		if err := spool.SaveState(fault); err != nil {
			t.Fatal(err)
		}
	}
	well := happened("VI_3", notify.Backup)
	if err := spool.SaveState(well); err != nil {
		t.Fatal(err)
	}
	policy := Policy{
		Grouping: quick(), Immediate: []string{"journal"}, Reminder: 1500 * time.Millisecond,
		Gather: func(_ context.Context, kind notify.Kind, name string) (notify.Event, bool) {
			event := happened(name, "")
			event.Kind = kind
			return event, true
		},
	}
	drainFor(t, spool, policy, mail, journal)
	time.Sleep(time.Until(mail.times[0].Add(policy.Reminder + 10*time.Millisecond)))
	drainFor(t, open(t, dir), policy, mail, journal)
	drainFor(t, open(t, dir), policy, mail, journal) // too early for another one
	wantTold(t, mail, "transition: VI_1 FAULT, VI_2 FAULT", "reminder: VI_1 FAULT, VI_2 FAULT")
	reminder := mail.got[1]
	if reminder.Since == nil || !reminder.Since.Equal(faults[0].Time) || reminder.Previous != notify.Fault || reminder.ID == faults[1].ID {
		t.Errorf("the reminder is of %v, after %s, ID %s", reminder.Since, reminder.Previous, reminder.ID)
	}
	wantTold(t, journal, ": VI_1 FAULT", ": VI_2 FAULT", "reminder: VI_1 FAULT, VI_2 FAULT")
}

func TestChannelIsUsedNoFasterThanItsLimit(t *testing.T) {
	dir := t.TempDir()
	spool := open(t, dir)
	chat, mail := &reader{name: "chat"}, &reader{name: "mail"}
	for n := range 5 {
		put(t, spool, event(fmt.Sprintf("VI_%d", n), n))
	}
	limit := Limit{Count: 2, Per: 400 * time.Millisecond}
	policy := Policy{Limits: map[string]Limit{"chat": limit}}
	if report := drainFor(t, spool, policy, chat, mail); report.Remaining != 3 || report.Deferred != 0 || report.NextDue.IsZero() {
		t.Errorf("after the first: %+v", report)
	}
	policy.Patience = time.Minute
	drainFor(t, open(t, dir), policy, chat, mail) // another process knows what this one has used
	if len(chat.got) != 5 || len(mail.got) != 5 {
		t.Fatalf("chat had %d, mail %d", len(chat.got), len(mail.got))
	}
	for i := limit.Count; i < len(chat.times); i++ {
		// Two clocks are read: when it was used and when this channel was called.
		if gap := chat.times[i].Sub(chat.times[i-limit.Count]); gap < limit.Per-20*time.Millisecond {
			t.Errorf("notification %d came %s after number %d", i, gap, i-limit.Count)
		}
	}
}

func TestPatientDrainTriesAgain(t *testing.T) {
	spool := open(t, t.TempDir())
	failures := 3
	mail := &reader{name: "mail", answer: func() error {
		if failures--; failures >= 0 {
			return errors.New("connection refused")
		}
		return nil
	}}
	put(t, spool, event("VI_1", 0), event("VI_1", 1), event("VI_2", 0))
	report := drainFor(t, spool, Policy{Patience: time.Minute, InitialBackoff: 20 * time.Millisecond, IgnoreBackoff: true}, mail)
	// After each failure it is the other instance's turn.
	wantTold(t, mail, ": VI_2 MASTER", ": VI_1 MASTER", ": VI_1 MASTER")
	if report.Delivered != 3 || report.Deferred != 0 || report.Remaining != 0 {
		t.Errorf("%+v", report)
	}
}

func TestClockSetBackHoldsNothingUp(t *testing.T) {
	dir := t.TempDir()
	spool := open(t, dir)
	mail := &reader{name: "mail"}
	// All of this was remembered before the clock went back by an hour.
	ahead := happened("VI_1", notify.Master)
	ahead.Time = ahead.Time.Add(time.Hour)
	memory := memoir{
		Version: formatVersion, Kind: notify.Instance, Name: "VI_1",
		Newest: sighting{ID: "before", State: notify.Master, Time: ahead.Time},
		Told:   []time.Time{ahead.Time, ahead.Time},
		Flap:   &flap{Since: ahead.Time, Count: 5, Told: ahead.Time, Last: ahead},
	}
	data, err := json.Marshal(memory)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "states", memoirPrefix+"x.json"), data, 0o640); err != nil {
		t.Fatal(err)
	}
	put(t, spool, ahead, happened("VI_2", notify.Master))
	began := time.Now()
	drainFor(t, spool, Policy{Grouping: quick(), Patience: 10 * time.Second}, mail)
	if took := time.Since(began); took > 5*time.Second || len(mail.got) == 0 {
		t.Errorf("took %s for %d notifications", took, len(mail.got))
	}
	var names []string
	for _, notification := range mail.got {
		for _, event := range notification.Latest() {
			names = append(names, event.Name)
		}
	}
	slices.Sort(names)
	if !slices.Equal(slices.Compact(names), []string{"VI_1", "VI_2"}) {
		t.Errorf("told of %q", names)
	}
}

func TestLaterEventsWaitForAGroup(t *testing.T) {
	spool := open(t, t.TempDir())
	down := true
	mail := &reader{name: "mail", answer: func() error {
		if down {
			return errors.New("connection refused")
		}
		return nil
	}}
	policy := Policy{Grouping: quick(), IgnoreBackoff: true}
	put(t, spool, happened("VI_1", notify.Master), happened("VI_2", notify.Master))
	drainFor(t, spool, policy, mail)
	time.Sleep(policy.Grouping.Interval)
	put(t, spool, happened("VI_1", notify.Backup))
	drainFor(t, spool, policy, mail)
	down = false
	report := drainFor(t, spool, policy, mail)
	wantTold(t, mail, "transition: VI_1 MASTER, VI_2 MASTER", "transition: VI_1 BACKUP")
	if report.Remaining != 0 {
		t.Errorf("%+v", report)
	}
}

func TestDroppedMemberIsNotTold(t *testing.T) {
	spool := open(t, t.TempDir())
	mail := &reader{name: "mail"}
	first, second := happened("VI_1", notify.Master), happened("VI_2", notify.Master)
	put(t, spool, first, second)
	spool.step = func(step string) {
		if step == "drain: scanned" {
			if err := spool.Drop(t.Context(), second.ID); err != nil {
				t.Error(err)
			}
		}
	}
	drainFor(t, spool, Policy{Grouping: quick()}, mail)
	wantTold(t, mail, "transition: VI_1 MASTER")
}

func TestManyEventsOfAFlapFitIntoOneEntry(t *testing.T) {
	spool := open(t, t.TempDir())
	mail := &reader{name: "mail"}
	for n := range 1200 {
		state := notify.Master
		if n%2 == 1 {
			state = notify.Backup
		}
		event := happened("VI_1", state)
		event.Notes = []string{strings.Repeat("note ", 2000)}
		put(t, spool, event)
	}
	drainFor(t, spool, Policy{Grouping: quick(), Patience: time.Minute}, mail)
	if len(mail.got) != 1 && len(mail.got) != 2 {
		t.Fatalf("%d notifications", len(mail.got))
	}
	if got := mail.got[0]; got.Count < maxTimes || len(got.Earlier) > maxEarlier {
		t.Errorf("count %d, %d listed", got.Count, len(got.Earlier))
	}
}

// What is too large for one entry is told in several: the end of flaps and a
// reminder like the events themselves.
func TestWhatFitsIntoNoEntryIsToldInSeveral(t *testing.T) {
	large := func(event notify.Event) notify.Event {
		event.Notes = []string{strings.Repeat("note ", maxEvent/8)}
		return event
	}
	byFirst := func(a, b notify.Notification) int { return strings.Compare(a.Events()[0].Name, b.Events()[0].Name) }
	t.Run("end of flaps", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			spool := open(t, t.TempDir())
			mail := &reader{name: "mail"}
			for n := range 6 {
				for _, name := range []string{"VI_1", "VI_2"} {
					event := happened(name, []notify.State{notify.Master, notify.Backup}[n%2])
					if n == 5 {
						event = large(event)
					}
					put(t, spool, event)
				}
				time.Sleep(100 * time.Millisecond)
			}
			drainFor(t, spool, Policy{Grouping: usual()}, mail)
			before := len(mail.got)
			time.Sleep(time.Minute)
			drainFor(t, spool, Policy{Grouping: usual()}, mail)
			mail.got = mail.got[before:]
			slices.SortFunc(mail.got, byFirst)
			wantTold(t, mail, "settled 12: VI_1 BACKUP", "settled 12: VI_2 BACKUP")
		})
	})
	t.Run("reminder", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			spool := open(t, t.TempDir())
			mail := &reader{name: "mail"}
			remember(t, spool, happened("VI_1", notify.Fault), happened("VI_2", notify.Fault), happened("VI_3", notify.Fault))
			time.Sleep(5 * time.Hour)
			policy := reminding()
			policy.Gather = func(_ context.Context, _ notify.Kind, name string) (notify.Event, bool) {
				if name == "VI_3" {
					return happened(name, ""), true
				}
				return large(happened(name, "")), true
			}
			drainFor(t, spool, policy, mail)
			slices.SortFunc(mail.got, byFirst)
			wantTold(t, mail, "reminder: VI_1 FAULT", "reminder: VI_2 FAULT, VI_3 FAULT")
		})
	})
}
