// Package webhook delivers events as HTTP requests. It knows HTTP, what a
// receiver expects and what its answers mean.
//
// Which failures are final: every 4xx answer but 408, 425 and 429, every
// redirect, as they are not followed, and what a receiver refuses for good in
// the body of an answer. Everything else is temporary: network and TLS errors,
// 408, 425, 429 and 5xx, what a receiver puts off in a body, and an answer with
// a good status that is none of the receiver's. A wait that is asked for is
// passed on: the longer one of Retry-After and of the body.
package webhook

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"hacheck/notify"
	"hacheck/notify/secret"
)

// contentType is what every body is.
const contentType = "application/json; charset=utf-8"

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

// Notify makes one attempt: one POST, or one for each instance where the
// receiver wants that, until a first temporary failure. The notification's ID
// is the Idempotency-Key, the same at each attempt; that of a second POST ends
// in "-2".
func (n *Notifier) Notify(ctx context.Context, notification notify.Notification) error {
	ctx, cancel := context.WithTimeoutCause(ctx, n.cfg.Timeout,
		fmt.Errorf("not finished within %s: %w", n.cfg.Timeout, context.DeadlineExceeded))
	defer cancel()

	target, secrets, err := n.load()
	if err != nil {
		return fmt.Errorf("webhook: %w", err)
	}
	posts, err := n.preset.posts(n.told(notification, secrets, time.Now()))
	if err != nil {
		return &notify.PermanentError{Err: fmt.Errorf("webhook %s: write the body: %w", show(target), err)}
	}
	client, err := n.client(ctx)
	if err != nil {
		return fmt.Errorf("webhook %s: %w", show(target), err)
	}
	var refused error
	for i, post := range posts {
		id := notification.ID
		if i > 0 {
			id = fmt.Sprintf("%s-%d", id, i+1)
		}
		// One that is refused for good must not keep the others back.
		switch err := n.send(ctx, client, target, secrets, post, id); {
		case err == nil:
		case notify.IsPermanent(err):
			refused = cmp.Or(refused, err)
		default:
			return err
		}
	}
	return refused
}

// told gathers what posts are made of.
func (n *Notifier) told(notification notify.Notification, s secrets, now time.Time) told {
	return told{
		notification: notification,
		message:      n.cfg.Style.Render(notification),
		alone: func(event notify.Event) notify.Message {
			return n.cfg.Style.Render(notify.Notification{Event: event})
		},
		chatID: n.cfg.ChatID, topic: cmp.Or(s.topic, n.cfg.Topic), labels: n.cfg.Labels,
		token: s.token, key: s.key, now: now,
	}
}

// send makes one POST and judges its answer.
func (n *Notifier) send(ctx context.Context, client *http.Client, target *url.URL, s secrets, post post, id string) error {
	s.hidden = append(slices.Clone(post.fleeting), s.hidden...)
	request, err := n.request(ctx, target, s, post, id)
	if err != nil {
		return fmt.Errorf("webhook %s: %s", show(target), shorten(s.hide(err.Error())))
	}
	response, err := client.Do(request)
	if err != nil {
		return n.unanswered(ctx, target, s, err)
	}
	defer response.Body.Close()
	if err = n.judge(ctx, response, s); err != nil {
		return wrap("webhook "+show(target), err)
	}
	return nil
}

// secrets is what a request carries and an error must not.
type secrets struct {
	key, token, topic string
	headers           map[string]string
	hidden            []string
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
		if text, err = secret.ReadLine(n.cfg.URLFile); err != nil {
			return nil, s, fmt.Errorf("read url_file: %w", err)
		}
	}
	// A blank behind the URL would be taken for a part of its token.
	target, err := parseURL(strings.TrimSpace(text))
	if err != nil {
		return nil, s, fmt.Errorf("url_file: %s: %w", n.cfg.URLFile, err)
	}
	if n.cfg.SecretFile != "" {
		if s.key, err = secret.Read(n.cfg.SecretFile); err != nil {
			return nil, s, fmt.Errorf("read secret_file: %w", err)
		}
	}
	if n.cfg.TokenFile != "" {
		if s.token, err = secret.ReadLine(n.cfg.TokenFile); err != nil {
			return nil, s, fmt.Errorf("read token_file: %w", err)
		}
		if !validToken(s.token) {
			return nil, s, fmt.Errorf("token_file: %s: holds a character that is in no token (its text is not shown)", n.cfg.TokenFile)
		}
	}
	if n.cfg.TopicFile != "" {
		if s.topic, err = secret.ReadLine(n.cfg.TopicFile); err != nil {
			return nil, s, fmt.Errorf("read topic_file: %w", err)
		}
		if !validTopic(s.topic) {
			return nil, s, fmt.Errorf("topic_file: %s: must hold 1 to 64 letters, digits, '_' and '-'", n.cfg.TopicFile)
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
		s.headers[http.CanonicalHeaderKey(name)] = value
	}
	s.hidden = n.hidden(target, s)
	return target, s, nil
}

// hidden lists the texts no error may hold, the longest first.
func (n *Notifier) hidden(target *url.URL, s secrets) []string {
	var long []string
	for _, text := range []string{s.key, s.token, s.topic} {
		if text != "" {
			long = append(long, text)
		}
	}
	// The vendor's own address is known to everybody.
	var list []string
	if n.cfg.URLFile != "" || n.cfg.URL != n.preset.home {
		list = append(userOf(target), target.String(), target.RequestURI(), target.EscapedPath(), target.Path, target.RawQuery, target.Fragment)
	}
	for _, values := range target.Query() {
		for _, value := range values {
			list = append(list, value, url.QueryEscape(value))
		}
	}
	list = append(list, strings.Split(target.EscapedPath(), "/")...)
	list = append(list, strings.Split(target.Path, "/")...)
	for _, value := range s.headers {
		list = append(list, value)
		list = append(list, strings.Fields(value)...) // Bearer TOKEN
	}
	if proxy, err := n.proxy(); err == nil && proxy != nil {
		if by, err := proxy(&http.Request{URL: target}); err == nil && by != nil {
			list = append(list, userOf(by)...)
		}
	}
	for _, text := range list {
		if len(text) >= minHidden && !slices.Contains(wellKnown(), text) {
			long = append(long, text)
		}
	}
	// A short secret may be a part of a longer one.
	slices.SortFunc(long, func(a, b string) int { return len(b) - len(a) })
	return long
}

// userOf is what a URL says before an '@', and the form in which that is sent.
func userOf(target *url.URL) []string {
	if target.User == nil {
		return nil
	}
	user := target.User.Username()
	password, _ := target.User.Password()
	basic := base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
	return []string{target.User.String(), password, user, basic}
}

// wellKnown are the parts of the vendors' paths that everybody knows: to hide
// "webhook" would only make "invalid webhook url" unreadable.
func wellKnown() []string {
	return []string{"robot", "send", "cgi-bin", "webhook", "webhooks", "open-apis", "hook", "services", "workflows", "triggers", "manual", "paths", "invoke", "true"}
}

// show is all of a URL that an error may hold.
func show(target *url.URL) string { return target.Scheme + "://" + target.Host }

// request makes the request.
func (n *Notifier) request(ctx context.Context, target *url.URL, s secrets, post post, id string) (*http.Request, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address(target, post).String(), bytes.NewReader(post.body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("User-Agent", n.cfg.UserAgent)
	for name, values := range post.header {
		request.Header[name] = values
	}
	for name, value := range s.headers {
		request.Header.Set(name, value)
	}
	request.Header.Set("Content-Type", contentType)
	request.Header.Set("Idempotency-Key", headerToken(id))
	return request, nil
}

// address is where a post goes.
func address(target *url.URL, post post) *url.URL {
	full := *target
	if post.path != "" {
		full.Path = strings.TrimRight(full.Path, "/") + post.path
		if full.RawPath != "" {
			full.RawPath = strings.TrimRight(full.RawPath, "/") + post.path
		}
	}
	if len(post.query) > 0 {
		query := full.Query()
		for name, values := range post.query {
			query[name] = values
		}
		full.RawQuery = query.Encode()
	}
	return &full
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

// proxy tells which proxy a request goes through; nil for none at all.
func (n *Notifier) proxy() (func(*http.Request) (*url.URL, error), error) {
	switch n.cfg.Proxy {
	case "":
		return http.ProxyFromEnvironment, nil
	case NoProxy:
		return nil, nil
	}
	address, err := url.Parse(n.cfg.Proxy)
	if err != nil {
		return nil, errors.New("proxy: is not a valid URL")
	}
	return http.ProxyURL(address), nil
}

// client makes a client of its own for one attempt: attempts are rare, and a
// renewed CA file counts at the next one. Its connections end with ctx.
func (n *Notifier) client(ctx context.Context) (*http.Client, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: n.cfg.InsecureSkipVerify}
	if n.cfg.CAFile != "" {
		pool, err := secret.ReadCAs(n.cfg.CAFile)
		if err != nil {
			return nil, fmt.Errorf("read ca_file: %w", err)
		}
		config.RootCAs = pool
	}
	proxy, err := n.proxy()
	if err != nil {
		return nil, err
	}
	return &http.Client{
		Transport: &http.Transport{
			Proxy: proxy,
			// A transport gives up waiting for a connection that hangs in its
			// TLS handshake, but not the connection.
			DialContext: func(_ context.Context, network, address string) (net.Conn, error) {
				conn, err := new(net.Dialer).DialContext(ctx, network, address)
				if err == nil {
					context.AfterFunc(ctx, func() { conn.Close() })
				}
				return conn, err
			},
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

// shorten makes one bounded line of text that a peer may have written.
func shorten(text string) string {
	// A mebibyte of blanks must not be worked through for 200 bytes.
	text = notify.OneLine(text[:min(len(text), 8*maxExcerpt)], maxExcerpt)
	if len(text) > maxExcerpt {
		text = strings.ToValidUTF8(text[:maxExcerpt], "") + "…"
	}
	return text
}
