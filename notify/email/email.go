// Package email delivers events by mail through a relay. It knows SMTP (RFC
// 5321) and how a mail is laid out; what the mail says comes from notify.
//
// Which failures are final: a relay that answers 5yz to the mail itself (to
// its sender, its recipients or its content) will answer so again, and the
// failure is permanent. Everything else is temporary: 4yz, a connection that
// cannot be made or breaks, TLS that fails, and every refusal before the mail
// was judged (greeting, EHLO, AUTH), as those are mended by an operator and
// no alert may be lost until then. For the same reason 530, 534, 535 and 538
// (RFC 4954, section 6) are temporary wherever they come.
package email

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/textproto"
	"strconv"
	"strings"
	"time"

	"hacheck/notify"
	"hacheck/notify/secret"
)

// Notifier delivers to one relay.
type Notifier struct {
	cfg   Config
	from  *mail.Address
	to    []*mail.Address
	shown []*mail.Address
}

var _ notify.Notifier = (*Notifier)(nil)

// Name returns the channel's name.
func (n *Notifier) Name() string { return n.cfg.Name }

// partialError tells that some recipients got the mail and some did not. It
// comes as the cause of a *notify.PermanentError if the relay refused all of
// the others for good. Otherwise it is temporary, and a further attempt
// repeats the mail, with the same Message-ID, to those who got it: use
// Config.Split where that matters.
type partialError struct {
	accepted []string // who got the mail
	rejected []rejection
}

// rejection is the relay's answer to one recipient.
type rejection struct {
	address string
	reply   string // in one line, beginning with its code
	// permanent is set for an answer that will not change by itself.
	permanent bool
}

func (e *partialError) Error() string {
	return fmt.Sprintf("delivered to %s, but not to %s", strings.Join(e.accepted, ", "), rejections(e.rejected))
}

// rejections writes who was rejected and why.
func rejections(list []rejection) string {
	texts := make([]string, len(list))
	for i, one := range list {
		texts[i] = fmt.Sprintf("%s (%s)", one.address, one.reply)
	}
	return strings.Join(texts, ", ")
}

// Notify makes one attempt: one connection and one transaction for all
// recipients. A rejected recipient does not stop the others.
func (n *Notifier) Notify(ctx context.Context, notification notify.Notification) error {
	ctx, cancel := context.WithTimeoutCause(ctx, n.cfg.Timeout,
		fmt.Errorf("not finished within %s: %w", n.cfg.Timeout, context.DeadlineExceeded))
	defer cancel()

	letter, err := n.compose(notification)
	if err != nil {
		return &notify.PermanentError{Err: err}
	}
	a := attempt{Notifier: n, mode: n.cfg.TLS, letter: letter}
	if n.cfg.Username != "" {
		if a.password, err = secret.ReadLine(n.cfg.PasswordFile); err != nil {
			return fmt.Errorf("smtp %s: read password_file: %w", n.relay(), err)
		}
	}
	rejected, err := a.deliver(ctx)
	if a.mode == Opportunistic && step(err) == stepStartTLS && ctx.Err() == nil {
		// RFC 7435, section 3: a relay whose TLS is broken is no worse than
		// one that has none. The connection cannot be used any more.
		a.mode = NoTLS
		rejected, err = a.deliver(ctx)
	}
	return a.judge(ctx, rejected, err)
}

// attempt is one attempt's own state.
type attempt struct {
	*Notifier
	mode     TLSMode
	letter   []byte
	password string
}

// relay is the relay's address as errors show it.
func (n *Notifier) relay() string {
	return net.JoinHostPort(n.cfg.Host, strconv.Itoa(n.cfg.Port))
}

// judge makes the outcome of an attempt out of what happened: rejected are
// the recipients the relay did not take, err is what ended the dialogue.
func (a attempt) judge(ctx context.Context, rejected []rejection, err error) error {
	awaitEnd(ctx, err)
	var fault *fault
	switch {
	case err == nil && len(rejected) == 0:
		return nil
	case err == nil && len(rejected) < len(a.to):
		partial := fmt.Errorf("smtp %s: %w", a.relay(), &partialError{accepted: a.accepted(rejected), rejected: rejected})
		return classify(partial, allPermanent(rejected))
	case err == nil:
		return classify(fmt.Errorf("smtp %s: no recipient was accepted: %s", a.relay(), rejections(rejected)), allPermanent(rejected))
	case ctx.Err() != nil:
		return fmt.Errorf("smtp %s: %s: %w", a.relay(), step(err), context.Cause(ctx))
	case errors.As(err, &fault):
		reply := fault.reply()
		final := fault.judged && reply != nil && permanent(reply.Code) && allPermanent(rejected)
		return classify(fmt.Errorf("smtp %s: %s: %s", a.relay(), fault.step, a.text(fault)), final)
	}
	return fmt.Errorf("smtp %s: %s", a.relay(), a.shorten(err.Error()))
}

// clockSkew is how far a socket's deadline can be ahead of the end of the
// context it was taken from.
const clockSkew = 100 * time.Millisecond

// awaitEnd waits for the end of ctx if err comes from a deadline taken from it
// that fired a little early, so that the outcome names the context's cause. A
// reply that the deadline cut short is a protocol error to textproto.
func awaitEnd(ctx context.Context, err error) {
	var timeout net.Error
	var short textproto.ProtocolError
	deadline, ok := ctx.Deadline()
	cut := errors.As(err, &timeout) && timeout.Timeout() || errors.As(err, &short)
	if ok && cut && time.Until(deadline) < clockSkew {
		<-ctx.Done()
	}
}

// accepted are the recipients that are not among the rejected.
func (n *Notifier) accepted(rejected []rejection) []string {
	refused := make(map[string]bool, len(rejected))
	for _, one := range rejected {
		refused[one.address] = true
	}
	var accepted []string
	for _, to := range n.to {
		if !refused[to.Address] {
			accepted = append(accepted, to.Address)
		}
	}
	return accepted
}

// classify marks err as permanent if it is final.
func classify(err error, final bool) error {
	if final {
		return &notify.PermanentError{Err: err}
	}
	return err
}

// allPermanent reports whether none of the rejected may be accepted later.
func allPermanent(rejected []rejection) bool {
	for _, one := range rejected {
		if !one.permanent {
			return false
		}
	}
	return true
}

// permanent reports whether a reply code will not change by itself.
func permanent(code int) bool {
	switch code {
	case 530, 534, 535, 538:
		return false
	}
	return code >= 500 && code <= 599
}

// The steps of a dialogue, as errors name them.
const (
	stepConnect  = "connect"
	stepTLS      = "TLS handshake"
	stepGreeting = "wait for the greeting"
	stepHello    = "EHLO"
	stepStartTLS = "STARTTLS"
	stepAuth     = "AUTH"
	stepMail     = "MAIL FROM"
	stepRcpt     = "RCPT TO"
	stepData     = "DATA"
	stepEnd      = "end of DATA"
)

// fault is what ended a dialogue.
type fault struct {
	step string
	err  error
	// judged is set once the relay judges the mail and not the connection.
	judged bool
	// hint says what an operator can do.
	hint string
}

func (f *fault) Error() string { return f.step + ": " + f.err.Error() }

func (f *fault) Unwrap() error { return f.err }

// reply is the relay's answer, nil if there was none.
func (f *fault) reply() *textproto.Error {
	var reply *textproto.Error
	errors.As(f.err, &reply)
	return reply
}

// step names the step at which err ended the dialogue.
func step(err error) string {
	var fault *fault
	if errors.As(err, &fault) {
		return fault.step
	}
	return ""
}

// text words the cause of a fault in one line.
func (a attempt) text(f *fault) string {
	text := a.shorten(f.err.Error())
	if reply := f.reply(); reply != nil {
		text = a.replyText(reply)
	}
	if f.hint != "" {
		text += "; " + f.hint
	}
	return text
}

// maxReply bounds what a relay's answer adds to an error, in characters.
const maxReply = 240

// replyText writes a reply in one bounded line.
func (a attempt) replyText(reply *textproto.Error) string {
	return strings.TrimSpace(strconv.Itoa(reply.Code) + " " + a.shorten(reply.Msg))
}

// shorten makes one bounded line of text that a peer may have written,
// without the password: the relay may repeat what it was told, in clear or in
// the forms in which AUTH sends it.
func (a attempt) shorten(text string) string {
	if a.password != "" {
		encode := base64.StdEncoding.EncodeToString
		text = strings.NewReplacer(
			encode([]byte("\x00"+a.cfg.Username+"\x00"+a.password)), "***",
			encode([]byte(a.password)), "***",
			a.password, "***",
		).Replace(text)
	}
	return notify.OneLine(text, maxReply)
}
