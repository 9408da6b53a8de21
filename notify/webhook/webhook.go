// Package webhook delivers events as HTTP requests. It knows HTTP, what a
// receiver expects and what its answers mean.
//
// Which failures are final: every 4xx answer but 408, 425 and 429, and every
// redirect, as they are not followed. Everything else is temporary: network
// and TLS errors, 408, 425, 429 and 5xx; a Retry-After is passed on.
package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"hacheck/notify"
	"hacheck/notify/secret"
)

// Bounds of an answer: its header and its body, in bytes; the excerpt of its
// body an error shows, in bytes; and the longest wait it can ask for.
const (
	maxHeader     = 64 << 10
	maxBody       = 64 << 10
	maxExcerpt    = 200
	maxRetryAfter = 24 * time.Hour
)

// Notifier delivers to one receiver.
type Notifier struct {
	cfg    Config
	preset preset
}

var _ notify.Notifier = (*Notifier)(nil)

// Name returns the channel's name.
func (n *Notifier) Name() string { return n.cfg.Name }

// Notify makes one attempt: one POST. The event's ID is its Idempotency-Key,
// the same at each attempt.
func (n *Notifier) Notify(ctx context.Context, notification notify.Notification) error {
	ctx, cancel := context.WithTimeoutCause(ctx, n.cfg.Timeout,
		fmt.Errorf("not finished within %s: %w", n.cfg.Timeout, context.DeadlineExceeded))
	defer cancel()

	target, secrets, err := n.load()
	if err != nil {
		return fmt.Errorf("webhook: %w", err)
	}
	body, err := n.preset.payload(notification, n.cfg.Style.Render(notification))
	if err != nil {
		return &notify.PermanentError{Err: fmt.Errorf("webhook %s: write the body: %w", show(target), err)}
	}
	request, err := n.request(ctx, target, secrets, body, notification.ID)
	if err != nil {
		return fmt.Errorf("webhook %s: %s", show(target), secrets.hide(err.Error()))
	}
	client, err := n.client()
	if err != nil {
		return fmt.Errorf("webhook %s: %w", show(target), err)
	}
	response, err := client.Do(request)
	if err != nil {
		return n.unanswered(ctx, target, secrets, err)
	}
	defer response.Body.Close()
	if err = n.judge(ctx, response, secrets); err != nil {
		return wrap("webhook "+show(target), err)
	}
	return nil
}

// secrets is what a request carries and an error must not.
type secrets struct {
	key     string
	headers map[string]string
	hidden  []string
}

// hide removes the secrets from text: a receiver may repeat what it was sent.
func (s secrets) hide(text string) string {
	for _, hidden := range s.hidden {
		text = strings.ReplaceAll(text, hidden, "***")
	}
	return text
}

// minHidden is the length, in bytes, from which a part of the URL or a
// header's value is taken for a secret: "/" and "1" would only make the
// errors unreadable.
const minHidden = 4

// load reads the files the configuration names.
func (n *Notifier) load() (*url.URL, secrets, error) {
	var s secrets
	text := n.cfg.URL
	if n.cfg.URLFile != "" {
		var err error
		if text, err = secret.Read(n.cfg.URLFile); err != nil {
			return nil, s, fmt.Errorf("read url_file: %w", err)
		}
	}
	target, err := parseURL(text)
	if err != nil {
		return nil, s, fmt.Errorf("url_file: %w", err)
	}
	if n.cfg.SecretFile != "" {
		if s.key, err = secret.Read(n.cfg.SecretFile); err != nil {
			return nil, s, fmt.Errorf("read secret_file: %w", err)
		}
	}
	s.headers = make(map[string]string)
	if n.cfg.HeadersFile != "" {
		text, err := secret.Read(n.cfg.HeadersFile)
		if err != nil {
			return nil, s, fmt.Errorf("read headers_file: %w", err)
		}
		if s.headers, err = parseHeaders(text); err != nil {
			return nil, s, fmt.Errorf("headers_file: %w", err)
		}
	}
	for name, value := range n.cfg.Headers {
		s.headers[name] = value
	}
	s.hidden = hidden(target, s.key, s.headers)
	return target, s, nil
}

// hidden lists the texts no error may hold, the longest first.
func hidden(target *url.URL, key string, headers map[string]string) []string {
	list := []string{target.String(), target.RequestURI(), target.EscapedPath(), target.Path, target.RawQuery, target.Fragment}
	if target.User != nil {
		password, _ := target.User.Password()
		list = append(list, target.User.String(), password, target.User.Username())
	}
	for _, values := range target.Query() {
		list = append(list, values...)
	}
	list = append(list, strings.Split(target.EscapedPath(), "/")...)
	list = append(list, strings.Split(target.Path, "/")...)
	for _, value := range headers {
		list = append(list, value)
		list = append(list, strings.Fields(value)...) // Bearer TOKEN
	}
	long := []string{}
	if key != "" {
		long = append(long, key)
	}
	for _, text := range list {
		if len(text) >= minHidden {
			long = append(long, text)
		}
	}
	// A short secret may be a part of a longer one.
	slices.SortFunc(long, func(a, b string) int { return len(b) - len(a) })
	return long
}

// show is all of a URL that an error may hold.
func show(target *url.URL) string { return target.Scheme + "://" + target.Host }

// request makes the request.
func (n *Notifier) request(ctx context.Context, target *url.URL, s secrets, body []byte, id string) (*http.Request, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, target.String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("User-Agent", n.cfg.UserAgent)
	for name, value := range s.headers {
		request.Header.Set(name, value)
	}
	request.Header.Set("Content-Type", "application/json; charset=utf-8")
	request.Header.Set("Idempotency-Key", headerToken(id))
	if s.key != "" {
		n.preset.sign(request, body, s.key, time.Now())
	}
	return request, nil
}

// headerToken keeps a header valid whatever the ID holds.
func headerToken(id string) string {
	return strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' {
			return '-'
		}
		return r
	}, id)
}

// client makes a client of its own for one attempt: attempts are rare, and a
// renewed CA file counts at the next one.
func (n *Notifier) client() (*http.Client, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: n.cfg.InsecureSkipVerify}
	if n.cfg.CAFile != "" {
		pool, err := secret.ReadCAs(n.cfg.CAFile)
		if err != nil {
			return nil, fmt.Errorf("read ca_file: %w", err)
		}
		config.RootCAs = pool
	}
	return &http.Client{
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			TLSClientConfig:        config,
			DisableKeepAlives:      true,
			MaxResponseHeaderBytes: maxHeader,
		},
		// A redirected POST loses its body or goes to a host nobody named.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

// clockSkew is how far a socket's deadline can be ahead of the context's end.
const clockSkew = 100 * time.Millisecond

// unanswered words an attempt that got no answer.
func (n *Notifier) unanswered(ctx context.Context, target *url.URL, s secrets, err error) error {
	// A socket's deadline can fire a little before the context it was taken
	// from ends.
	var timeout net.Error
	if deadline, ok := ctx.Deadline(); ok && errors.As(err, &timeout) && timeout.Timeout() && time.Until(deadline) < clockSkew {
		<-ctx.Done()
	}
	if ctx.Err() != nil {
		return fmt.Errorf("webhook %s: no answer: %w", show(target), context.Cause(ctx))
	}
	// The client's own error repeats the whole URL.
	if outer := (*url.Error)(nil); errors.As(err, &outer) {
		err = outer.Err
	}
	return fmt.Errorf("webhook %s: %s", show(target), shorten(s.hide(err.Error())))
}

// wrap puts a prefix before an outcome and keeps its class.
func wrap(prefix string, err error) error {
	var permanent *notify.PermanentError
	var later *notify.RetryAfterError
	switch {
	case errors.As(err, &permanent):
		return &notify.PermanentError{Err: fmt.Errorf("%s: %w", prefix, permanent.Err)}
	case errors.As(err, &later):
		return &notify.RetryAfterError{Err: fmt.Errorf("%s: %w", prefix, later.Err), After: later.After}
	}
	return fmt.Errorf("%s: %w", prefix, err)
}

// judge makes an outcome of an answer.
func (n *Notifier) judge(ctx context.Context, response *http.Response, s secrets) error {
	if good(response.StatusCode) && n.preset.answered == nil {
		return nil // the status says it all: a body that stalls changes nothing
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxBody))
	// The secrets go first: a cut excerpt could hold the half of one.
	body = []byte(s.hide(string(body)))
	switch {
	case !good(response.StatusCode):
		// What came in time is shown; the status alone decides.
		return status(response, body, time.Now())
	case ctx.Err() != nil:
		return fmt.Errorf("read the answer: %w", context.Cause(ctx))
	case err != nil:
		return fmt.Errorf("read the answer: %s", shorten(err.Error()))
	}
	return n.preset.answered(body)
}

// good reports whether a status says that the request was accepted.
func good(code int) bool { return code >= 200 && code <= 299 }

// status makes an outcome of an answer outside 2xx.
func status(response *http.Response, body []byte, now time.Time) error {
	code := response.StatusCode
	text := strings.TrimSpace(strconv.Itoa(code) + " " + http.StatusText(code))
	if excerpt := shorten(string(body)); excerpt != "" {
		text += ": " + excerpt
	}
	switch {
	case code >= 300 && code <= 399:
		where := ""
		if location, err := response.Location(); err == nil && location.Host != "" {
			where = " at " + show(location)
		}
		return &notify.PermanentError{Err: fmt.Errorf("%s; redirects are not followed, put the final URL%s into the configuration", text, where)}
	case code == http.StatusRequestTimeout, code == http.StatusTooEarly, code == http.StatusTooManyRequests, code >= 500:
		err := errors.New(text)
		if after, ok := retryAfter(response.Header.Get("Retry-After"), now); ok {
			return &notify.RetryAfterError{Err: err, After: after}
		}
		return err
	case code >= 400:
		return &notify.PermanentError{Err: errors.New(text)}
	}
	return errors.New(text) // 1xx as a final answer: not HTTP, perhaps not for long
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

// shorten makes one bounded line of text that a peer may have written.
func shorten(text string) string {
	// A mebibyte of blanks must not be worked through for 200 bytes.
	text = strings.ToValidUTF8(text[:min(len(text), 8*maxExcerpt)], "\uFFFD")
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, text)
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > maxExcerpt {
		text = strings.ToValidUTF8(text[:maxExcerpt], "") + "…"
	}
	return text
}
