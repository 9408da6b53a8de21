package spool

import (
	"errors"
	"testing"
	"time"

	"hacheck/notify"
)

// What an attempt makes of an outcome depends on nothing but what it is given.
func TestOutcomeAfterAnAttempt(t *testing.T) {
	now := time.Date(2026, 3, 14, 9, 0, 0, 0, time.UTC)
	policy := Policy{MaxRetryAfter: 10 * time.Minute, InitialBackoff: time.Minute}.withDefaults()
	refused, wrong := errors.New("connection refused"), &notify.PermanentError{Err: errors.New("no such user")}
	asked := &notify.RetryAfterError{Err: errors.New("slow down"), After: time.Hour}
	failed := Outcome{State: Pending, Attempts: 7, LastError: "reset", Next: now, Asked: true}
	for _, test := range []struct {
		name        string
		before      Outcome
		err         error
		age         time.Duration
		interrupted bool
		want        Outcome // without the last attempt
		pause       time.Duration
	}{
		{"it arrived", failed, nil, 0, false, Outcome{State: Done, Attempts: 8}, 0},
		{"it arrived in the last moment", failed, nil, 0, true, Outcome{State: Done, Attempts: 8}, 0},
		{"it never will", Outcome{State: Pending}, wrong, 0, false, Outcome{State: Dead, Attempts: 1, LastError: "no such user"}, 0},
		{"it is old", failed, refused, 72 * time.Hour, false, Outcome{State: Dead, Attempts: 8, LastError: "gave up after 72h0m0s and 8 attempts: connection refused"}, 0},
		{"it is old and was hardly tried", Outcome{State: Pending}, refused, 72 * time.Hour, false, Outcome{State: Pending, Attempts: 1, LastError: "connection refused"}, time.Minute},
		{"it is old in a second", Outcome{State: Pending, Attempts: 20}, refused, 72*time.Hour - time.Second, false, Outcome{State: Pending, Attempts: 21, LastError: "connection refused"}, time.Second},
		{"the peer asks for more than may be", Outcome{State: Pending}, asked, 0, false, Outcome{State: Pending, Attempts: 1, LastError: "slow down (the peer asks to wait 1h0m0s)", Asked: true}, 10 * time.Minute},
		{"the time was over", failed, refused, 0, true, Outcome{State: Pending, Attempts: 8, LastError: "interrupted: connection refused"}, 0},
		{"a first failure", Outcome{State: Pending}, refused, 0, false, Outcome{State: Pending, Attempts: 1, LastError: "connection refused"}, time.Minute},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := policy.after(test.before, test.err, now.Add(-test.age), now, test.interrupted)
			var pause time.Duration
			if !got.Next.IsZero() {
				pause = got.Next.Sub(now)
			}
			exact := test.pause == 0 || test.want.Asked || test.pause == time.Second
			if spread := test.pause / 5; exact && pause != test.pause || pause < test.pause-spread || pause > test.pause+spread {
				t.Errorf("the pause is %s, want %s", pause, test.pause)
			}
			if !got.LastAttempt.Equal(now) {
				t.Errorf("the last attempt was at %s", got.LastAttempt)
			}
			got.Next, got.LastAttempt = time.Time{}, time.Time{}
			if got != test.want {
				t.Errorf("got  %+v\nwant %+v", got, test.want)
			}
		})
	}
}
