package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"hacheck/notify"
)

// verdict is what a receiver says, in the body of its answer, of a request.
type verdict int

const (
	// unclear: nothing the vendor documents. A captive portal, a proxy and a
	// connection that broke off say such things, with a status of 200 even.
	unclear verdict = iota
	// accepted: it has the message.
	accepted
	// later: not now.
	later
	// refused: not ever.
	refused
)

// answer is what the body of an answer says.
type answer struct {
	verdict verdict
	// said names the vendor's code and message; not bounded, not cleaned.
	said string
	// wait is how long the receiver asks to wait; 0 if it does not say.
	wait time.Duration
}

// judge makes an outcome of an answer.
func (n *Notifier) judge(ctx context.Context, response *http.Response, s secrets) error {
	code := response.StatusCode
	if good(code) && n.preset.answered == nil {
		return nil // the status says it all: a body that stalls changes nothing
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxBody))
	if good(code) && err != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("read the answer: %w", context.Cause(ctx))
		}
		return fmt.Errorf("read the answer: %s", shorten(s.hide(err.Error())))
	}
	// Of a bad status what came in time is shown.
	var a answer
	if n.preset.answered != nil {
		a = n.preset.answered(code, body)
	}
	said := a.said
	if said == "" {
		said = string(body)
	}
	// The secrets go first: a cut excerpt could hold the half of one.
	return outcome(response, a, shorten(s.hide(said)), n.cfg.Preset, time.Now())
}

// outcome is what status and body say together.
func outcome(response *http.Response, a answer, said string, preset Preset, now time.Time) error {
	code := response.StatusCode
	text := strings.TrimSpace(strconv.Itoa(code) + " " + http.StatusText(code))
	if good(code) && a.verdict == unclear {
		text += fmt.Sprintf(", but the answer is none of %s", preset)
	}
	if said != "" {
		text += ": " + said
	}
	switch {
	case good(code) && a.verdict == accepted:
		return nil
	case code >= 300 && code <= 399:
		where := ""
		if location, err := response.Location(); err == nil && location.Host != "" {
			where = " at " + show(location)
		}
		return &notify.PermanentError{Err: fmt.Errorf("%s; redirects are not followed, put the final URL%s into the configuration", text, where)}
	case good(code) && a.verdict == refused, code >= 400 && code <= 499 && !again(code) && a.verdict != later:
		return &notify.PermanentError{Err: errors.New(text)}
	}
	// A receiver that gives two times may keep either of them.
	after, asked := retryAfter(response.Header.Get("Retry-After"), now)
	if after = max(after, min(a.wait, maxRetryAfter)); asked || after > 0 {
		return &notify.RetryAfterError{Err: errors.New(text), After: after}
	}
	return errors.New(text)
}

// good reports whether a status says that the request was accepted.
func good(code int) bool { return code >= 200 && code <= 299 }

// again reports whether a status of 4xx says to try again.
func again(code int) bool {
	return code == http.StatusRequestTimeout || code == http.StatusTooEarly || code == http.StatusTooManyRequests
}

// decode reads a body that must be one JSON object.
func decode(body []byte, into any) bool {
	trimmed := strings.TrimSpace(string(body))
	return strings.HasPrefix(trimmed, "{") && json.Unmarshal([]byte(trimmed), into) == nil
}

// seconds makes a duration of a number that a receiver gave, which may be any.
func seconds(number float64) time.Duration {
	switch {
	case !(number > 0): // NaN, too
		return 0
	case number >= maxRetryAfter.Seconds():
		return maxRetryAfter
	}
	return time.Duration(number * float64(time.Second))
}

// retryAfter reads the header of RFC 9110, section 10.2.3: seconds or a date.
// The answer is within 0 to maxRetryAfter.
func retryAfter(value string, now time.Time) (time.Duration, bool) {
	value = strings.TrimSpace(value)
	if value == "" {
		return 0, false
	}
	if strings.Trim(value, "0123456789") == "" {
		seconds, err := strconv.ParseInt(value, 10, 64)
		if err != nil || seconds > int64(maxRetryAfter/time.Second) {
			return maxRetryAfter, true
		}
		return time.Duration(seconds) * time.Second, true
	}
	date, err := http.ParseTime(value)
	if err != nil {
		return 0, false
	}
	return min(max(date.Sub(now), 0), maxRetryAfter), true
}
