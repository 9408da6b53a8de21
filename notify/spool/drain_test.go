package spool

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"hacheck/notify"
)

// fake is a channel for the faults and the timing that no real peer shows on
// demand. It notes what it was asked to deliver.
type fake struct {
	name   string
	answer func(ctx context.Context, event notify.Event) error

	mu    sync.Mutex
	ids   []string
	times []time.Time
}

func (f *fake) Name() string { return f.name }

func (f *fake) Notify(ctx context.Context, event notify.Notification) error {
	f.mu.Lock()
	f.ids = append(f.ids, event.ID)
	f.times = append(f.times, time.Now())
	f.mu.Unlock()
	if f.answer == nil {
		return nil
	}
	return f.answer(ctx, event.Event)
}

func (f *fake) seen() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.ids)
}

type answer = func(context.Context, notify.Event) error

func fail(text string) answer {
	return func(context.Context, notify.Event) error { return errors.New(text) }
}

// hang waits for its deadline, as a channel on a tarpit should.
func hang(ctx context.Context, _ notify.Event) error {
	<-ctx.Done()
	return fmt.Errorf("read from 192.0.2.1:25: %w", context.Cause(ctx))
}

func wantSeen(t *testing.T, channel *fake, want ...string) {
	t.Helper()
	if got := channel.seen(); !slices.Equal(got, want) {
		t.Errorf("%s got %q, want %q", channel.name, got, want)
	}
}

// outcomes gives one event's outcomes, wherever it is.
func outcomes(t *testing.T, spool *Spool, id string) map[string]Outcome {
	t.Helper()
	for _, list := range []func(context.Context) ([]Entry, []Damaged, error){spool.List, spool.Dead} {
		entries, _, err := list(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			if entry.Event.ID == id {
				return entry.Channels
			}
		}
	}
	t.Fatalf("no event %s in the spool", id)
	return nil
}

func TestEachChannelHasItsOwnOutcome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spool := open(t, t.TempDir())
		put(t, spool, event("VI_1", 1))
		mail, hook, journal := &fake{name: "mail"}, &fake{name: "hook", answer: fail("503")}, &fake{name: "journal"}
		report := drain(t, spool, Policy{}, mail, hook, journal)
		if report.Delivered != 2 || report.Deferred != 1 || report.Remaining != 1 || report.Busy || report.Interrupted {
			t.Errorf("%+v", report)
		}
		failure := report.Channels["hook"].Failures[0]
		if failure.ID != "VI-1-001" || failure.Name != "VI_1" || failure.State != notify.Master || failure.Attempts != 1 ||
			failure.Err.Error() != "503" || failure.Dead || !failure.At.Equal(time.Now()) {
			t.Errorf("failure %+v at %s", failure, time.Now())
		}
		if pause := time.Until(report.NextDue); pause < 4*time.Second || pause > 6*time.Second {
			t.Errorf("next attempt in %s, want 5 s and a fifth of it", pause)
		}

		drain(t, spool, Policy{}, mail, hook, journal) // too early
		wantSeen(t, hook, "VI-1-001")
		time.Sleep(time.Until(report.NextDue))
		hook.answer = nil
		report = drain(t, spool, Policy{}, mail, hook, journal)
		if report.Delivered != 1 || report.Remaining != 0 || !report.NextDue.IsZero() {
			t.Errorf("%+v", report)
		}
		wantSeen(t, mail, "VI-1-001")
		wantSeen(t, journal, "VI-1-001")
		wantSeen(t, hook, "VI-1-001", "VI-1-001")
	})
}

func TestPermanentFailureIsADeadLetterWithItsReason(t *testing.T) {
	spool := open(t, t.TempDir())
	put(t, spool, event("VI_1", 1), event("VI_1", 2))
	mail := &fake{name: "mail", answer: func(_ context.Context, event notify.Event) error {
		if event.ID == "VI-1-001" {
			return fmt.Errorf("mail: %w", &notify.PermanentError{Err: errors.New("550 rejected")})
		}
		return nil
	}}
	report := drain(t, spool, Policy{}, mail, &fake{name: "journal"})
	// A message that is refused for good does not hold up the next one.
	wantSeen(t, mail, "VI-1-001", "VI-1-002")
	if report.Dead != 1 || report.Delivered != 3 || report.Remaining != 0 {
		t.Errorf("%+v", report)
	}
	got := outcomes(t, spool, "VI-1-001")
	if got["mail"].State != Dead || got["mail"].LastError != "mail: 550 rejected" || got["journal"].State != Done {
		t.Errorf("outcomes: %+v", got)
	}
}

func TestOrderPerInstanceAndChannel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spool := open(t, t.TempDir())
		put(t, spool, event("VI_1", 1), event("VI_2", 2), event("VI_1", 3), event("VI_2", 4))
		mail := &fake{name: "mail", answer: func(_ context.Context, event notify.Event) error {
			if event.ID == "VI-1-001" {
				return errors.New("451 greylisted")
			}
			return nil
		}}
		journal := &fake{name: "journal"}
		drain(t, spool, Policy{}, mail, journal)
		wantSeen(t, journal, "VI-1-001", "VI-2-002", "VI-1-003", "VI-2-004")
		wantSeen(t, mail, "VI-1-001") // left alone after its failure
		drain(t, spool, Policy{}, mail, journal)
		wantSeen(t, mail, "VI-1-001", "VI-2-002", "VI-2-004") // VI_1 waits for its first
		time.Sleep(6 * time.Second)
		mail.answer = nil
		drain(t, spool, Policy{}, mail, journal)
		wantSeen(t, mail, "VI-1-001", "VI-2-002", "VI-2-004", "VI-1-001", "VI-1-003")
	})
}

func TestADeadRelayCostsOneAttemptADrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spool := open(t, t.TempDir())
		for n := range 30 {
			put(t, spool, event(fmt.Sprintf("VI_%d", n), n))
		}
		mail, hook := &fake{name: "mail"}, &fake{name: "hook", answer: hang}
		start := time.Now()
		report := drain(t, spool, Policy{}, mail, hook)
		if took := time.Since(start); took != 15*time.Second {
			t.Errorf("took %s, want one timeout of 15 s", took)
		}
		if len(mail.seen()) != 30 || len(hook.seen()) != 1 || report.Remaining != 30 {
			t.Errorf("mail got %d, hook %d, %d remain", len(mail.seen()), len(hook.seen()), report.Remaining)
		}
		for _, at := range mail.times {
			if at.Sub(start) > time.Second {
				t.Errorf("a mail was sent after %s: it waited for the other channel", at.Sub(start))
			}
		}
		if want := "read from 192.0.2.1:25: no answer within 15s"; outcomes(t, spool, "VI-0-000")["hook"].LastError != want {
			t.Errorf("recorded %q, want %q", outcomes(t, spool, "VI-0-000")["hook"].LastError, want)
		}
	})
}

func TestAnEventPutWhileAChannelHangsIsDeliveredOnTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spool := open(t, t.TempDir())
		put(t, spool, event("VI_1", 1))
		mail, hook := &fake{name: "mail"}, &fake{name: "hook", answer: hang}
		start := time.Now()
		go func() {
			time.Sleep(2 * time.Second)
			if err := spool.Put(event("VI_2", 2)); err != nil {
				t.Error(err)
			}
			report, err := spool.Drain(context.Background(), []notify.Notifier{mail, hook}, Policy{})
			if err != nil || !report.Busy || report.Remaining != 2 {
				t.Errorf("the second drainer: %+v, %v", report, err)
			}
		}()
		drain(t, spool, Policy{}, mail, hook)
		wantSeen(t, mail, "VI-1-001", "VI-2-002")
		if late := mail.times[1].Sub(start.Add(2 * time.Second)); late > 2*idlePoll {
			t.Errorf("the second mail left %s after its put", late)
		}
	})
}

func TestRetryAfterIsKeptByEveryEntryOfTheChannel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spool := open(t, t.TempDir())
		put(t, spool, event("VI_1", 1), event("VI_2", 2))
		asked := 7 * time.Minute
		mail := &fake{name: "mail", answer: func(context.Context, notify.Event) error {
			return &notify.RetryAfterError{Err: errors.New("429"), After: asked}
		}}
		report := drain(t, spool, Policy{}, mail)
		if got := time.Until(report.NextDue); got != asked {
			t.Errorf("next attempt in %s, want %s", got, asked)
		}
		time.Sleep(asked - time.Second)
		put(t, spool, event("VI_3", 3))
		drain(t, spool, Policy{IgnoreBackoff: true}, mail)
		wantSeen(t, mail, "VI-1-001")
		time.Sleep(time.Second)
		asked = 30 * 24 * time.Hour
		report = drain(t, spool, Policy{}, mail)
		wantSeen(t, mail, "VI-1-001", "VI-1-001")
		if got := time.Until(report.NextDue); got != time.Hour {
			t.Errorf("a pause of 30 days became %s, want MaxRetryAfter", got)
		}
	})
}

func TestIgnoreBackoffTriesOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spool := open(t, t.TempDir())
		put(t, spool, event("VI_1", 1))
		mail := &fake{name: "mail", answer: fail("no route")}
		drain(t, spool, Policy{}, mail)
		put(t, spool, event("VI_1", 2))
		drain(t, spool, Policy{}, mail)
		wantSeen(t, mail, "VI-1-001")
		drain(t, spool, Policy{IgnoreBackoff: true}, mail)
		wantSeen(t, mail, "VI-1-001", "VI-1-001")
		mail.answer = nil
		drain(t, spool, Policy{IgnoreBackoff: true}, mail)
		wantSeen(t, mail, "VI-1-001", "VI-1-001", "VI-1-001", "VI-1-002")
	})
}

func TestAgeLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spool := open(t, t.TempDir())
		first, second, third := event("VI_1", 1), event("VI_1", 2), event("VI_1", 3)
		second.Time, third.Time = first.Time, first.Time
		put(t, spool, first, second, third)
		mail := &fake{name: "mail", answer: fail("no route")}
		var report Report
		for report.Dead == 0 {
			report = drain(t, spool, Policy{}, mail)
			time.Sleep(max(0, time.Until(report.NextDue)))
			if time.Since(first.Time) > 80*time.Hour {
				t.Fatal("not given up after 80 h")
			}
		}
		// The others have waited as long for the same relay.
		if report.Dead != 3 || report.Remaining != 0 {
			t.Errorf("%+v", report)
		}
		got := outcomes(t, spool, first.ID)["mail"]
		want := fmt.Sprintf("gave up after 72h0m0s and %d attempts: no route", got.Attempts)
		if got.State != Dead || got.LastError != want {
			t.Errorf("reason %q, want %q", got.LastError, want)
		}
		want = "gave up after 72h0m0s and 0 attempts: the channel has failed for as long: no route"
		if got := outcomes(t, spool, "VI-1-003")["mail"]; got.LastError != want {
			t.Errorf("reason %q, want %q", got.LastError, want)
		}
		if n := len(mail.seen()); n < 400 || n > 560 {
			t.Errorf("%d attempts in 72 h", n)
		}
	})
}

// The clock was far ahead when the event was made, and was set right since.
func TestAnEventOfTheFutureGrowsOldToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spool := open(t, t.TempDir())
		future := event("VI_1", 1)
		future.Time = future.Time.AddDate(50, 0, 0)
		put(t, spool, future)
		mail := &fake{name: "mail", answer: fail("no route")}
		began := time.Now()
		report := drain(t, spool, Policy{}, mail)
		for report.Dead == 0 && time.Since(began) < 80*time.Hour {
			time.Sleep(max(0, time.Until(report.NextDue)))
			report = drain(t, spool, Policy{}, mail)
		}
		want := fmt.Sprintf("gave up after 72h0m0s and %d attempts: no route", len(mail.seen()))
		if got := outcomes(t, spool, future.ID)["mail"]; got.State != Dead || got.LastError != want {
			t.Errorf("after %s it is %s: %q, want %q", time.Since(began), got.State, got.LastError, want)
		}
	})
}

func TestAnEventWithAWrongClockIsNotGivenUpAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spool := open(t, t.TempDir())
		boot := event("VI_1", 1)
		boot.Time = time.Unix(100, 0)
		put(t, spool, boot)
		mail := &fake{name: "mail", answer: fail("no route")}
		for n := range 7 {
			if report := drain(t, spool, Policy{}, mail); report.Dead != 0 {
				t.Fatalf("dead after %d attempts", n+1)
			}
			time.Sleep(12 * time.Minute)
		}
		if report := drain(t, spool, Policy{}, mail); report.Dead != 1 {
			t.Errorf("not dead after 8 attempts: %+v", report)
		}
	})
}

func TestClockSetBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spool := open(t, t.TempDir())
		put(t, spool, event("VI_1", 1))
		mail := &fake{name: "mail", answer: fail("no route")}
		drain(t, spool, Policy{}, mail)
		for _, ahead := range []time.Duration{3 * time.Hour, 10 * 365 * 24 * time.Hour} {
			before := len(mail.seen())
			entries, _, _ := spool.List(context.Background())
			outcome := entries[0].Channels["mail"]
			outcome.Next = time.Now().Add(ahead)
			if ahead > 24*time.Hour {
				outcome.LastAttempt = outcome.Next.Add(-time.Minute)
			}
			if _, _, err := spool.alter(entryName(entries[0].Event), []string{"mail"}, "mail", outcome); err != nil {
				t.Fatal(err)
			}
			drain(t, spool, Policy{}, mail)
			if len(mail.seen()) != before+1 {
				t.Errorf("an attempt due in %s was not made", ahead)
			}
		}
	})
}

func TestCancelledDrainReturnsAtOnceAndKeepsWhatItHas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spool := open(t, t.TempDir())
		put(t, spool, event("VI_1", 1), event("VI_2", 2))
		mail, hook := &fake{name: "mail"}, &fake{name: "hook", answer: hang}
		ctx, cancel := context.WithTimeout(context.Background(), 900*time.Millisecond)
		defer cancel()
		start := time.Now()
		report, err := spool.Drain(ctx, []notify.Notifier{mail, hook}, Policy{})
		if err != nil || !report.Interrupted || report.Remaining != 2 {
			t.Errorf("%+v, %v", report, err)
		}
		if took := time.Since(start); took > 900*time.Millisecond+grace {
			t.Errorf("took %s", took)
		}
		// The channel had no fair chance: the next drainer need not wait.
		if time.Until(report.NextDue) > 0 {
			t.Errorf("next attempt in %s", time.Until(report.NextDue))
		}
		got := outcomes(t, spool, "VI-1-001")["hook"]
		if got.State != Pending || got.Attempts != 1 || !strings.HasPrefix(got.LastError, "interrupted: read from") {
			t.Errorf("outcome %+v", got)
		}
		hook.answer = nil
		drain(t, spool, Policy{}, mail, hook)
		wantSeen(t, mail, "VI-1-001", "VI-2-002")
		wantSeen(t, hook, "VI-1-001", "VI-1-001", "VI-2-002")

		ctx, cancel = context.WithCancel(context.Background())
		cancel()
		put(t, spool, event("VI_3", 3))
		report, err = spool.Drain(ctx, []notify.Notifier{mail}, Policy{})
		if err != nil || !report.Interrupted || report.Remaining != 1 || report.NextDue.IsZero() || len(mail.seen()) != 2 {
			t.Errorf("with a context that has ended: %+v, %v", report, err)
		}
	})
}

func TestAMisbehavingChannelHarmsOnlyItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spool := open(t, t.TempDir())
		put(t, spool, event("VI_1", 1))
		release := make(chan struct{})
		deaf := &fake{name: "deaf", answer: func(context.Context, notify.Event) error {
			<-release
			return nil
		}}
		bomb := &fake{name: "bomb", answer: func(context.Context, notify.Event) error { panic("password=hunter2") }}
		index := &fake{name: "index", answer: func(context.Context, notify.Event) error {
			var none []int
			_ = none[len(none)]
			return nil
		}}
		quitter := &fake{name: "quitter", answer: func(context.Context, notify.Event) error { runtime.Goexit(); return nil }}
		mail := &fake{name: "mail"}
		channels := []notify.Notifier{deaf, bomb, index, quitter, mail}
		start := time.Now()
		report := drain(t, spool, Policy{}, channels...)
		if took := time.Since(start); took != 15*time.Second+grace {
			t.Errorf("took %s", took)
		}
		if report.Delivered != 1 || report.Deferred != 4 {
			t.Errorf("%+v", report)
		}
		got := outcomes(t, spool, "VI-1-001")
		for name, want := range map[string]string{
			"deaf":    "the channel ignored its deadline: no answer within 15s",
			"bomb":    "the channel panicked with a string",
			"index":   "the channel panicked: runtime error: index out of range [0] with length 0",
			"quitter": "the channel ended its goroutine",
		} {
			if got[name].LastError != want {
				t.Errorf("%s: %q, want %q", name, got[name].LastError, want)
			}
		}
		// It is not called again while it still hangs.
		time.Sleep(time.Minute)
		drain(t, spool, Policy{}, channels...)
		if len(deaf.seen()) != 1 {
			t.Errorf("deaf was called %d times", len(deaf.seen()))
		}
		close(release)
		synctest.Wait()
		time.Sleep(time.Minute)
		drain(t, spool, Policy{}, channels...)
		if len(deaf.seen()) != 2 || outcomes(t, spool, "VI-1-001")["deaf"].State != Done {
			t.Errorf("deaf was called %d times: %+v", len(deaf.seen()), outcomes(t, spool, "VI-1-001"))
		}
	})
}

func TestAwaitedChannel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spool := open(t, t.TempDir())
		put(t, spool, event("VI_1", 1))
		journal, mail := &fake{name: "journal"}, &fake{name: "mail/ops"}
		awaiting := Policy{Awaited: []string{"mail"}}
		for range 2 {
			if report := drain(t, spool, awaiting, journal); report.Remaining != 1 || report.Deferred+report.Dead != 0 {
				t.Errorf("%+v", report)
			}
		}
		wantSeen(t, journal, "VI-1-001")
		// It can be used at last, under a name that was not known before.
		if report := drain(t, spool, Policy{}, journal, mail); report.Remaining != 0 || report.Delivered != 1 {
			t.Errorf("%+v", report)
		}
		wantSeen(t, mail, "VI-1-001")

		put(t, spool, event("VI_1", 2))
		drain(t, spool, awaiting, journal)
		time.Sleep(73 * time.Hour)
		if report := drain(t, spool, awaiting, journal); report.Remaining != 0 || report.Dead != 1 {
			t.Errorf("past the age limit: %+v", report)
		}
		if got, want := outcomes(t, spool, "VI-1-002")["mail"].LastError, "gave up after 73h0m0s and 0 attempts: the channel could not be used"; got != want {
			t.Errorf("given up because %q, want %q", got, want)
		}
	})
}

func TestConfigurationChanges(t *testing.T) {
	spool := open(t, t.TempDir())
	put(t, spool, event("VI_1", 1))
	// Without channels, as with a broken configuration, nothing is touched.
	if report := drain(t, spool, Policy{}); report.Remaining != 1 || !report.NextDue.IsZero() {
		t.Errorf("%+v", report)
	}
	mail, hook := &fake{name: "mail"}, &fake{name: "hook", answer: fail("no route")}
	drain(t, spool, Policy{}, mail, hook)
	// The hook channel leaves: what only it lacks is a dead letter.
	const reason = "the channel is no longer configured; before that: no route"
	for range 2 { // and again after a retry
		report := drain(t, spool, Policy{}, mail)
		if report.Remaining != 0 || report.Delivered != 0 || report.Dead != 1 || report.Channels["hook"].Dead != 1 {
			t.Errorf("%+v", report)
		}
		if failures := report.Channels["hook"].Failures; len(failures) != 1 || !failures[0].Dead || failures[0].ID != "VI-1-001" ||
			failures[0].Name != "VI_1" || failures[0].Err.Error() != reason {
			t.Errorf("failures %+v", failures)
		}
		dead, _, err := spool.Dead(context.Background())
		if err != nil || len(dead) != 1 || dead[0].Channels["hook"].LastError != reason {
			t.Errorf("dead letters %+v, %v", dead, err)
		}
		if err := spool.Retry(context.Background(), "VI-1-001"); err != nil {
			t.Fatal(err)
		}
	}
	wantSeen(t, mail, "VI-1-001")
	_, err := spool.Drain(context.Background(), []notify.Notifier{mail, mail}, Policy{})
	if err == nil || err.Error() != `drain the spool: two channels are named "mail"` {
		t.Errorf("two channels of one name: %v", err)
	}
}

// What a channel of the past lacks is told as given up also where the last of the
// others has just had it.
func TestLastDeliveryGivesUpWhatIsAbsent(t *testing.T) {
	spool := open(t, t.TempDir())
	put(t, spool, event("VI_1", 1))
	mail, hook := &fake{name: "mail", answer: fail("busy")}, &fake{name: "hook", answer: fail("no route")}
	drain(t, spool, Policy{}, mail, hook)
	mail.answer = nil
	report := drain(t, spool, Policy{IgnoreBackoff: true}, mail)
	if report.Delivered != 1 || report.Dead != 1 || len(report.Channels["hook"].Failures) != 1 {
		t.Errorf("%+v", report)
	}
}

func TestQueueAndDeadLettersAreBounded(t *testing.T) {
	spool := open(t, t.TempDir())
	for n := range 10 {
		put(t, spool, event("VI_1", n))
	}
	mail := &fake{name: "mail", answer: fail("no route")}
	report := drain(t, spool, Policy{MaxEntries: 6}, mail)
	if report.Dead != 4 || report.Remaining != 6 || report.Expunged != 0 {
		t.Errorf("%+v", report)
	}
	wantSeen(t, mail, "VI-1-004")
	want := "queue full: at most 6 entries and 268435456 bytes are kept"
	if got := outcomes(t, spool, "VI-1-000")["mail"]; got.State != Dead || got.LastError != want {
		t.Errorf("%+v", got)
	}
	report = drain(t, spool, Policy{MaxEntries: 3}, mail)
	if report.Dead != 3 || report.Remaining != 3 || report.Expunged != 4 {
		t.Errorf("%+v", report)
	}
	// Each entry has a little over 200 bytes.
	report = drain(t, spool, Policy{MaxBytes: 700}, mail)
	if report.Remaining == 0 || report.Remaining > 2 {
		t.Errorf("%+v", report)
	}
	letters, _, _ := spool.Dead(context.Background())
	if len(letters) == 0 || letters[0].Event.ID < "VI-1-004" {
		t.Errorf("the oldest dead letters were kept: %d", len(letters))
	}
}

func TestLeftoversOfKilledProcesses(t *testing.T) {
	dir := t.TempDir()
	spool := open(t, dir)
	complete, err := newEntry(Entry{Event: event("VI_1", 1)})
	if err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-2 * tmpAge)
	for name, content := range map[string]string{
		"a.put":    string(complete),
		"b.put":    string(complete[:50]),
		"c.record": string(complete),
	} {
		path := filepath.Join(dir, "spool", "tmp", name)
		if err := errors.Join(os.WriteFile(path, []byte(content), 0o640), os.Chtimes(path, old, old)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "spool", "tmp", "young.put"), complete[:10], 0o640); err != nil {
		t.Fatal(err)
	}
	orphan := markerName(entryName(event("VI_1", 9)), "mail")
	if err := os.WriteFile(filepath.Join(dir, "spool", "queue", orphan), nil, 0o640); err != nil {
		t.Fatal(err)
	}
	mail := &fake{name: "mail"}
	report := drain(t, spool, Policy{}, mail)
	wantSeen(t, mail, "VI-1-001")
	if report.Recovered != 1 || report.Remaining != 0 {
		t.Errorf("%+v", report)
	}
	if left, _ := spool.names(tmpDir); !slices.Equal(left, []string{"young.put"}) {
		t.Errorf("tmp has %q", left)
	}
	if left, _ := spool.names(queueDir); len(left) != 0 {
		t.Errorf("queue has %q", left)
	}
}

func TestAnEntryDroppedDuringItsAttemptStaysDropped(t *testing.T) {
	spool := open(t, t.TempDir())
	put(t, spool, event("VI_1", 1))
	mail := &fake{name: "mail", answer: func(ctx context.Context, event notify.Event) error {
		if err := spool.Drop(ctx, event.ID); err != nil {
			t.Error(err)
		}
		return errors.New("no route")
	}}
	if report := drain(t, spool, Policy{}, mail); report.Remaining != 0 {
		t.Errorf("%+v", report)
	}
}

func TestBackoffIsExponentialBoundedAndSpread(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		policy := Policy{
			InitialBackoff: time.Duration(rapid.Int64Range(int64(time.Millisecond), int64(time.Hour)).Draw(t, "initial")),
			MaxBackoff:     time.Duration(rapid.Int64Range(int64(time.Millisecond), int64(1000*time.Hour)).Draw(t, "max")),
		}.withDefaults()
		attempts := rapid.IntRange(1, 1<<40).Draw(t, "attempts")
		want := policy.MaxBackoff
		if attempts < 40 {
			want = time.Duration(min(float64(policy.InitialBackoff)*float64(int64(1)<<(attempts-1)), float64(want)))
		}
		got := policy.backoff(attempts)
		if float64(got) < 0.7999*float64(want) || float64(got) > 1.2001*float64(want) {
			t.Fatalf("pause %s after %d attempts, want about %s", got, attempts, want)
		}
	})
}

// TestEveryScheduleKeepsThePromises lets channels fail at random and drains
// whenever the report says that something is due.
func TestEveryScheduleKeepsThePromises(t *testing.T) {
	const (
		ok = iota
		temporary
		busy
		permanent
	)
	rapid.Check(t, func(r *rapid.T) {
		names := []string{"mail", "hook"}
		plan := make(map[string][]int)
		for _, name := range names {
			plan[name] = rapid.SliceOfN(rapid.IntRange(ok, permanent), 0, 12).Draw(r, name)
		}
		var events []notify.Event
		instances := rapid.SliceOfN(rapid.IntRange(1, 3), 1, 8).Draw(r, "instances")
		var wrong string
		note := func(format string, args ...any) { wrong += fmt.Sprintf(format, args...) + "\n" }
		synctest.Test(t, func(t *testing.T) {
			spool := open(t, t.TempDir())
			for n, instance := range instances {
				events = append(events, event(fmt.Sprintf("VI_%d", instance), n))
			}
			put(t, spool, events...)
			var mu sync.Mutex
			arrived := make(map[string][]string) // by channel
			refused := make(map[string]bool)     // by channel and ID
			var channels []notify.Notifier
			for _, name := range names {
				var notBefore time.Time
				again := make(map[string]time.Time)
				calls := 0
				channels = append(channels, &fake{name: name, answer: func(_ context.Context, event notify.Event) error {
					mu.Lock()
					defer mu.Unlock()
					if now := time.Now(); now.Before(notBefore) || now.Before(again[event.ID]) {
						note("%s: %s came too early", name, event.ID)
					}
					next := ok
					if calls < len(plan[name]) {
						next = plan[name][calls]
					}
					calls++
					switch next {
					case temporary:
						again[event.ID] = time.Now().Add(4 * time.Second)
						return errors.New("temporary")
					case busy:
						notBefore = time.Now().Add(time.Minute)
						return &notify.RetryAfterError{Err: errors.New("busy"), After: time.Minute}
					case permanent:
						refused[name+event.ID] = true
						return &notify.PermanentError{Err: errors.New("permanent")}
					}
					arrived[name] = append(arrived[name], event.ID)
					return nil
				}})
			}
			for round := 0; ; round++ {
				report := drain(t, spool, Policy{}, channels...)
				if report.Remaining == 0 {
					break
				}
				if report.NextDue.IsZero() || round > 60 {
					note("stuck in round %d: %+v", round, report)
					break
				}
				time.Sleep(time.Until(report.NextDue))
			}
			for _, name := range names {
				var want []string
				for _, instance := range []string{"VI_1", "VI_2", "VI_3"} {
					var got, inOrder []string
					for _, event := range events {
						if event.Name == instance && !refused[name+event.ID] {
							inOrder = append(inOrder, event.ID)
						}
					}
					for _, id := range arrived[name] {
						if slices.Contains(inOrder, id) {
							got = append(got, id)
						}
					}
					if !slices.Equal(got, inOrder) {
						note("%s: %s arrived as %q, want %q", name, instance, got, inOrder)
					}
					want = append(want, inOrder...)
				}
				if len(arrived[name]) != len(want) {
					note("%s: arrived %q", name, arrived[name])
				}
			}
		})
		if wrong != "" {
			r.Fatal(wrong)
		}
	})
}

func TestDrainDeliversWhatItLoadsWhileTheChannelsStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spool := open(t, t.TempDir())
		put(t, spool, event("VI_1", 0))
		var waiting atomic.Bool
		listed := make(chan struct{})
		spool.step = func(step string) {
			if step == "drain: listed" && waiting.CompareAndSwap(true, false) {
				close(listed)
				// The list has the second event. This clock goes on when nothing else
				// does: the channel ends its work before the event is loaded.
				time.Sleep(time.Millisecond)
			}
		}
		first := true
		mail := &fake{name: "mail"}
		mail.answer = func(context.Context, notify.Event) error {
			if first {
				first = false
				put(t, spool, event("VI_2", 0))
				waiting.Store(true)
				<-listed
			}
			return nil
		}
		// For an immediate channel the drain does not stay: what it has loaded is all.
		report := drain(t, spool, Policy{Immediate: []string{"mail"}, LeaveImmediate: true}, mail)
		if report.Delivered != 2 || report.Remaining != 0 {
			t.Errorf("%d delivered, %d remain; want 2 and 0", report.Delivered, report.Remaining)
		}
	})
}
