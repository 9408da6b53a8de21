package spool

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"hacheck/notify"
)

// While the unit's run waits out a pause of minutes, a person mends the relay
// and asks for another try.
func TestDrainerThatWaitsCanBeWoken(t *testing.T) {
	for what, wake := range map[string]func(t *testing.T, spool *Spool, id string){
		"an impatient drain": func(t *testing.T, spool *Spool, _ string) {
			if report := drain(t, spool, Policy{IgnoreBackoff: true}, &fake{name: "mail"}); !report.Busy || len(report.Warnings) != 0 {
				t.Errorf("%+v", report)
			}
		},
		"retry": func(t *testing.T, spool *Spool, id string) {
			if err := spool.Retry(t.Context(), id); err != nil {
				t.Error(err)
			}
		},
		"retry all": func(t *testing.T, spool *Spool, _ string) {
			if _, err := spool.RetryAll(t.Context()); err != nil {
				t.Error(err)
			}
		},
	} {
		for name, failure := range map[string]error{
			"backoff":       errors.New("connection refused"),
			"asked to wait": &notify.RetryAfterError{Err: errors.New("busy"), After: time.Hour},
			"given up":      &notify.PermanentError{Err: errors.New("unknown key")},
		} {
			if what == "an impatient drain" && name != "backoff" {
				continue // it respects both
			}
			t.Run(what+" after "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					dir := t.TempDir()
					spool := open(t, dir)
					var mended time.Time
					mail := &fake{name: "mail", answer: func(context.Context, notify.Event) error {
						if mended.IsZero() {
							return failure
						}
						return nil
					}}
					// It keeps the entry, and the drain, for another channel.
					chat := &fake{name: "chat", answer: fail("connection refused")}
					put(t, spool, event("VI_1", 1))
					time.AfterFunc(12*time.Minute, func() {
						mended = time.Now()
						wake(t, open(t, dir), "VI-1-001")
					})
					ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
					defer cancel()
					if _, err := spool.Drain(ctx, []notify.Notifier{mail, chat}, Policy{Patience: 24 * time.Hour}); err != nil {
						t.Fatal(err)
					}
					if late := mail.times[len(mail.times)-1].Sub(mended); late < 0 || late > 10*time.Second {
						t.Errorf("it was tried again %s after the call", late)
					}
					if n := len(mail.times); n > 20 {
						t.Errorf("%d attempts", n)
					}
				})
			})
		}
	}
}

func TestDrainEndsWhenItIsEnough(t *testing.T) {
	for name, answer := range map[string]answer{
		"while it waits out a pause": fail("connection refused"),
		"amid a long queue":          func(context.Context, notify.Event) error { time.Sleep(10 * time.Second); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				spool := open(t, t.TempDir())
				for n := range 90 {
					put(t, spool, event("VI_1", n))
				}
				began := time.Now()
				policy := Policy{
					Patience: 24 * time.Hour, AttemptTimeout: time.Minute,
					Enough: func() bool { return time.Since(began) >= 5*time.Minute },
				}
				report := drain(t, spool, policy, &fake{name: "mail", answer: answer})
				if took := time.Since(began); took < 5*time.Minute || took > 5*time.Minute+15*time.Second {
					t.Errorf("it took %s", took)
				}
				if report.Interrupted || !report.Enough || report.Remaining == 0 || report.NextDue.IsZero() {
					t.Errorf("%+v", report)
				}
			})
		})
	}
}

// A person asks for another try just as a pass ends for which another follows.
func TestWokenBetweenTwoPasses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spool := open(t, t.TempDir())
		mended := false
		mail := &fake{name: "mail", answer: func(context.Context, notify.Event) error {
			if !mended {
				return &notify.RetryAfterError{After: time.Hour, Err: errors.New("429 too many requests")}
			}
			return nil
		}}
		first := event("VI_1", 1)
		spool.Trace(func(step string) {
			if step == "drain: unlocked" && !mended {
				mended = true
				put(t, spool, event("VI_2", 2))
				if err := spool.Retry(t.Context(), first.ID); err != nil {
					t.Error(err)
				}
			}
		})
		put(t, spool, first)
		report, err := spool.Drain(t.Context(), []notify.Notifier{mail}, Policy{Patience: time.Minute})
		if err != nil || report.Remaining != 0 {
			t.Errorf("%d remain though a person asked for another try: %v", report.Remaining, err)
		}
	})
}

// What was given up for its age is tried again when a person asks for it, also
// by a drain that has given up on the channel.
func TestRetryOfWhatADrainGaveUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spool := open(t, t.TempDir())
		down := true
		mail := &fake{name: "mail", answer: func(context.Context, notify.Event) error {
			if down {
				return errors.New("connection refused")
			}
			return nil
		}}
		put(t, spool, event("VI_1", 1))
		time.AfterFunc(19*time.Minute, func() { put(t, spool, event("VI_2", 2)) })
		time.AfterFunc(30*time.Minute, func() {
			down = false
			if _, err := spool.RetryAll(t.Context()); err != nil {
				t.Error(err)
			}
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if _, err := spool.Drain(ctx, []notify.Notifier{mail}, Policy{Patience: 10 * time.Hour, MaxAge: 20 * time.Minute}); err != nil {
			t.Error(err)
		}
		dead, _, err := spool.Dead(t.Context())
		if err != nil || len(dead) != 0 {
			t.Errorf("%d events are still given up: %v", len(dead), err)
		}
	})
}
