package notify

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Notifier makes one attempt to deliver one notification over one transport. It
// does not retry, group or remember: the spool does.
type Notifier interface {
	// Name is the channel's name in the configuration; outcomes are kept
	// under it, so it is unique and stable.
	Name() string
	// Notify delivers the notification or says why not. A failure that no later
	// attempt can mend is a *PermanentError; one that names its own waiting
	// time is a *RetryAfterError; every other error is temporary. No error
	// text holds a secret. It returns when ctx ends at the latest.
	Notify(ctx context.Context, notification Notification) error
}

// Previewer is a Notifier that can show what it would send. What is secret, and
// what differs between attempts, is masked.
type Previewer interface {
	// Preview gives the whole payload as text, with what addresses it: method
	// and host, sender and recipient. Like Notify it reads the channel's files,
	// and its errors are those that Notify would give before any contact.
	Preview(notification Notification) (string, error)
}

// Skipper is a Notifier that does not want every notification.
type Skipper interface {
	// Skips reports whether Notify would deliver nothing of the notification,
	// and succeed, and why. It is quick and opens nothing, so that one who
	// keeps to a rate limit can ask before a message is counted.
	Skips(notification Notification) (reason string, skip bool)
}

// PermanentError marks a failure that trying again cannot mend.
type PermanentError struct{ Err error }

func (e *PermanentError) Error() string { return e.Err.Error() }

// Unwrap gives the cause.
func (e *PermanentError) Unwrap() error { return e.Err }

// RetryAfterError marks a temporary failure whose peer said when to come back.
type RetryAfterError struct {
	Err   error
	After time.Duration
}

func (e *RetryAfterError) Error() string {
	return fmt.Sprintf("%v (the peer asks to wait %s)", e.Err, e.After)
}

// Unwrap gives the cause.
func (e *RetryAfterError) Unwrap() error { return e.Err }

// IsPermanent reports whether err says that trying again is of no use.
func IsPermanent(err error) bool {
	var permanent *PermanentError
	return errors.As(err, &permanent)
}
