package spool

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"hacheck/notify"
)

// remember saves the states of some events.
func remember(t *testing.T, spool *Spool, events ...notify.Event) {
	t.Helper()
	for _, event := range events {
		if err := spool.SaveState(event); err != nil {
			t.Fatal(err)
		}
	}
}

// reminding is a policy with a reminder every four hours of FAULTs that last.
func reminding() Policy {
	return Policy{
		Grouping: usual(), Reminder: 4 * time.Hour,
		Gather: func(_ context.Context, _ notify.Kind, name string) (notify.Event, bool) {
			return happened(name, notify.Fault), true
		},
	}
}

func TestFaultThatDoesNotLastIsNotToldAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spool := open(t, t.TempDir())
		mail := &reader{name: "mail"}
		remember(t, spool, happened("VI_1", notify.Fault), happened("VI_GONE", notify.Fault))
		policy := reminding()
		asked := 0
		policy.Gather = func(_ context.Context, _ notify.Kind, name string) (notify.Event, bool) {
			asked++
			return happened(name, notify.Fault), name != "VI_GONE"
		}
		time.Sleep(5 * time.Hour)
		for range 60 {
			drainFor(t, spool, policy, mail)
			time.Sleep(time.Minute)
		}
		wantTold(t, mail, "reminder: VI_1 FAULT")
		if asked != 2 {
			t.Errorf("the node was looked at %d times within an hour, want 2", asked)
		}
	})
}

// fortySlowFaults is a spool of 40 FAULTs that last for five hours, of a node on
// which looking at each takes long: keepalived.conf is on a file system that hangs.
func fortySlowFaults(t *testing.T) (*Spool, Policy) {
	t.Helper()
	spool := open(t, t.TempDir())
	for n := range 40 {
		remember(t, spool, happened(fmt.Sprintf("VI_%d", n), notify.Fault))
	}
	time.Sleep(5 * time.Hour) // in the test's own time
	policy := reminding()
	policy.Gather = func(_ context.Context, _ notify.Kind, name string) (notify.Event, bool) {
		time.Sleep(400 * time.Millisecond)
		return happened(name, notify.Fault), true
	}
	return spool, policy
}

func TestNewsComeBeforeReminders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spool, policy := fortySlowFaults(t)
		mail := &reader{name: "mail"}
		news := happened("VI_NEW", notify.Master)
		put(t, spool, news)
		drainFor(t, spool, policy, mail)
		if late := toldAfter(t, mail, news); late > policy.Grouping.Wait+idlePoll {
			t.Errorf("the news were told after %s", late)
		}
		if n := len(mail.got); n != 2 {
			t.Errorf("%d messages, want the news and a reminder", n)
		}
		if n := len(mail.got[len(mail.got)-1].Events()); n < 24 || n > 26 {
			t.Errorf("%d FAULTs in the first reminder, want those looked at in 10 s", n)
		}
	})
}

// A drain that stays for a dead channel reminds the others, and does not flood
// the dead one when it is back.
func TestDrainThatStaysReminds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spool := open(t, t.TempDir())
		up := time.Now().Add(25 * time.Minute)
		mail, chat := &reader{name: "mail"}, &reader{name: "chat"}
		chat.answer = func() error {
			if time.Now().Before(up) {
				return fmt.Errorf("connection refused")
			}
			return nil
		}
		fault := happened("VI_1", notify.Fault)
		remember(t, spool, fault)
		put(t, spool, fault)
		ctx, cancel := context.WithTimeout(t.Context(), 40*time.Minute)
		defer cancel()
		policy := reminding()
		policy.Patience, policy.Reminder = time.Hour, 10*time.Minute
		report, err := spool.Drain(ctx, []notify.Notifier{mail, chat}, policy)
		if err != nil || report.Remaining != 0 {
			t.Errorf("%+v, %v", report, err)
		}
		if n := len(mail.got); n < 3 {
			t.Errorf("mail had %d messages in 25 minutes, with one in ten", n)
		}
		wantTold(t, chat, "transition: VI_1 FAULT", "reminder: VI_1 FAULT")
	})
}

// An event that comes while the node is looked at for a reminder does not wait for
// that, though all that is known about the node hangs.
func TestNewsDoNotWaitForAReminder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spool, policy := fortySlowFaults(t)
		mail := &reader{name: "mail"}
		came := make(chan notify.Event, 1)
		time.AfterFunc(time.Second, func() {
			news := happened("VI_0", notify.Backup)
			put(t, spool, news)
			remember(t, spool, news)
			came <- news
		})
		drainFor(t, spool, policy, mail)
		if late := toldAfter(t, mail, <-came); late > policy.Grouping.Wait+2*idlePoll {
			t.Errorf("the news were told after %s", late)
		}
		if len(mail.got) != 2 || mail.got[1].Story != notify.Reminder {
			t.Fatalf("%d messages, want the news and a reminder", len(mail.got))
		}
		for _, event := range mail.got[1].Events() {
			if event.Name == "VI_0" {
				t.Error("the reminder tells of a FAULT that is over")
			}
		}
	})
}

// A FAULT that was looked at and not told of again leaves no trace: the next word
// about its instance comes as soon as any.
func TestReminderThatIsNotSentHoldsNothingBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spool := open(t, t.TempDir())
		mail := &reader{name: "mail"}
		remember(t, spool, happened("VI_1", notify.Fault))
		time.Sleep(5 * time.Hour)
		policy := reminding()
		policy.Gather = func(_ context.Context, _ notify.Kind, name string) (notify.Event, bool) {
			return happened(name, notify.Fault), false
		}
		drainFor(t, spool, policy, mail)
		news := happened("VI_1", notify.Backup)
		put(t, spool, news)
		drainFor(t, spool, policy, mail)
		if late := toldAfter(t, mail, news); late > policy.Grouping.Wait+idlePoll {
			t.Errorf("the news were told after %s", late)
		}
	})
}

// A drain that ends while the node is looked at leaves the reminder to the next.
func TestReminderOfADrainThatEndsIsSentByTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spool := open(t, t.TempDir())
		mail := &reader{name: "mail"}
		remember(t, spool, happened("VI_1", notify.Fault))
		time.Sleep(5 * time.Hour)
		policy := reminding()
		gather := policy.Gather
		policy.Gather = func(ctx context.Context, kind notify.Kind, name string) (notify.Event, bool) {
			<-ctx.Done()
			return gather(ctx, kind, name)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := spool.Drain(ctx, []notify.Notifier{mail}, policy); err != nil {
			t.Fatal(err)
		}
		wantTold(t, mail)
		policy.Gather = gather
		drainFor(t, spool, policy, mail)
		wantTold(t, mail, "reminder: VI_1 FAULT")
	})
}
