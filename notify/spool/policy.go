package spool

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"hacheck/notify"
)

// Policy is how patient a drain is. A zero or negative field stands for its
// default.
type Policy struct {
	// AttemptTimeout is the time one attempt on one channel has (15 s).
	AttemptTimeout time.Duration
	// InitialBackoff is the pause after the first failure (5 s); it doubles
	// with every further one up to MaxBackoff (10 min). Each pause is
	// lengthened or shortened by up to a fifth, so that the nodes of a site do
	// not come back to their relay at the same moment.
	InitialBackoff time.Duration
	MaxBackoff     time.Duration
	// MaxRetryAfter bounds the pause a peer may ask for (1 h).
	MaxRetryAfter time.Duration
	// MaxAge is how old an event may become, counted from its own time, or from
	// its first failure if that time lies an hour ahead or more, before a channel
	// that keeps failing gives it up (72 h). MinAttempts (8) is how often it has
	// then been tried at least: a clock that was wrong when the event was made, as
	// after a boot without a battery, must not kill it at the first failure.
	MaxAge      time.Duration
	MinAttempts int
	// MaxEntries and MaxBytes bound the queue (10,000 and 256 MiB): the oldest
	// entries beyond them are given up as "queue full". They bound the dead
	// letters likewise: the oldest beyond them are deleted.
	MaxEntries int
	MaxBytes   int64
	// Awaited names channels that are configured and cannot be used now or by
	// this process, such as a mail relay whose settings cannot be read: until
	// MaxAge an entry stays for them though all others have had it, then they are
	// given up.
	Awaited []string
	// IgnoreBackoff makes an entry due although its pause is not over. It is
	// for who has a reason to try again: a hook with a new event, a person. A
	// pause that the peer asked for is kept all the same.
	IgnoreBackoff bool
	// Patience is how long a drain with nothing to do stays for what becomes
	// due later; 0 leaves it for the next drain. Events that wait for others to
	// be grouped with are waited for in any case.
	Patience time.Duration
	// Enough, asked several times a second, ends the drain when it says so, as
	// soon as the attempts under way are made: what is due is left for the next
	// one. nil means never.
	Enough func() bool
	// Hurry, once it is closed, ends the patience: the process is about to end.
	// Nothing waits for others to be grouped with or for a flap to settle any
	// more, and the drain ends when what is due has been tried. nil means never.
	Hurry <-chan struct{}
	// Parting is how long an attempt under way may last after the end of the
	// drain's context; no other is begun then. An attempt that is cut off may
	// have arrived all the same, and is made again later.
	Parting time.Duration
	// Grouping makes one notification of events that belong together, and holds
	// back what comes too often; nil leaves every event its own.
	Grouping *Grouping
	// Immediate names the channels that get every event at once and alone,
	// such as the journal.
	Immediate []string
	// LeaveImmediate spends no Patience on them: what they alone have not had is
	// left for the next drain.
	LeaveImmediate bool
	// Limits bounds, by channel name, how many notifications go out in a time.
	Limits map[string]Limit
	// Muted gives the end of the maintenance in force that keeps notifications
	// back, zero if none does: it may begin and end while a drain is at work.
	// What happened under it goes out as one Summary when it is over. Immediate
	// channels are not muted. nil means never.
	Muted func() time.Time
	// Reminder is after how long a FAULT that lasts is told again, and again;
	// 0 means never. Gather then looks at the node anew and gives the event to
	// tell, with an ID and the present time. It reports false if the FAULT does
	// not last, whatever was told last: its instance is no longer configured, or
	// keepalived does not run. It is called beside the drain, for one FAULT at a
	// time, returns soon after the end of ctx, and may outlast the drain until then.
	Reminder time.Duration
	Gather   func(ctx context.Context, kind notify.Kind, name string) (event notify.Event, lasts bool)
}

// Grouping is how events become notifications. All fields are set.
type Grouping struct {
	// Wait is how long the first event of a notification waits for others.
	Wait time.Duration
	// Interval is the least time between two notifications about one instance
	// or sync group.
	Interval time.Duration
	// An instance that has had FlapThreshold transitions within FlapWindow
	// flaps: it is told once, and then held back until there was none for
	// FlapSettle, or told again every FlapNotice while it goes on. FlapSettle is
	// longer than FlapWindow/(FlapThreshold-1), the slowest pace of a flap, which
	// would be over after each transition otherwise.
	//
	// A third notification about one instance within FlapWindow waits for
	// FlapSettle as well, though there were fewer transitions: nobody can tell
	// yet that it does not flap, and a flap is to be three notifications at most,
	// of its beginning, that it flaps or of its second transition, and of its
	// end. It is the price that an instance which changes three times within a
	// minute, as a keepalived that starts and then finds a fault, is told the
	// third change FlapSettle later. A STOP never waits.
	FlapThreshold int
	FlapWindow    time.Duration
	FlapSettle    time.Duration
	FlapNotice    time.Duration
}

// MaxLimit is the greatest Count of a Limit: the time of each notification is
// remembered.
const MaxLimit = 1000

// Limit is the most notifications a channel takes in a time. A Count of 0 means
// any number; one above MaxLimit counts as that.
type Limit struct {
	Count int
	Per   time.Duration
}

// grace is how long an attempt may take to notice that its time is over.
const grace = 250 * time.Millisecond

func (p Policy) withDefaults() Policy {
	orDefault(&p.AttemptTimeout, 15*time.Second)
	orDefault(&p.InitialBackoff, 5*time.Second)
	orDefault(&p.MaxBackoff, 10*time.Minute)
	orDefault(&p.MaxRetryAfter, time.Hour)
	orDefault(&p.MaxAge, 72*time.Hour)
	orDefault(&p.MinAttempts, 8)
	orDefault(&p.MaxEntries, 10_000)
	orDefault(&p.MaxBytes, 256<<20)
	return p
}

func orDefault[T int | int64 | time.Duration](field *T, value T) {
	if *field <= 0 {
		*field = value
	}
}

// backoff is the pause after the given number of attempts, jitter included.
func (p Policy) backoff(attempts int) time.Duration {
	pause := p.InitialBackoff
	for n := 1; n < attempts && pause < p.MaxBackoff; n++ {
		pause *= 2
	}
	pause = min(pause, p.MaxBackoff)
	return time.Duration(float64(pause) * (0.8 + 0.4*rand.Float64()))
}

// hurried reports whether Hurry is closed.
func (p Policy) hurried() bool {
	select {
	case <-p.Hurry:
		return true
	default:
		return false
	}
}

// grouping are the rules of grouping now; nil for none. Who is in a hurry waits for
// nothing that may belong to a message, but word of a flap is held back all the
// same: a keepalived that is restarted again and again is one.
func (p Policy) grouping() *Grouping {
	if p.Grouping == nil || !p.hurried() {
		return p.Grouping
	}
	hurried := *p.Grouping
	hurried.Wait, hurried.Interval = 0, 0
	return &hurried
}

// due reports whether a pending outcome may be tried now.
func (p Policy) due(outcome Outcome, now time.Time) bool {
	if !outcome.Next.After(now) || (p.IgnoreBackoff && !outcome.Asked) {
		return true
	}
	// A clock that was set back must not turn a pause of minutes into years.
	return outcome.LastAttempt.After(now) ||
		outcome.Next.Sub(now) > p.MaxBackoff+p.MaxBackoff/5+p.MaxRetryAfter
}

// old reports whether an event has passed the age limit.
func (p Policy) old(made, now time.Time) bool { return now.Sub(made) >= p.MaxAge }

// gaveUp words the end of a channel's patience.
func gaveUp(made, now time.Time, attempts int, cause string) string {
	return fmt.Sprintf("gave up after %s and %d attempts: %s", now.Sub(made).Round(time.Second), attempts, cause)
}
