package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	"net/http"
	"net/mail"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"hacheck/notify"
)

// arrival is one message that a receiver took.
type arrival struct {
	channel string
	// key is the Message-ID or the Idempotency-Key.
	key string
	// names are the instances told of, each once, and notification is what the
	// webhook said.
	names        []string
	notification notify.Notification
	at           time.Time
}

// receivers are a real mail relay and a real web server on loopback. They
// outlive the processes that send to them and note what arrives.
type receivers struct {
	mail, hook string // addresses, host and port

	mu       sync.Mutex
	arrivals []arrival
	problems []string
	answer   func(arrival) error // answerWith's
}

// instanceNames are the names the tests give to instances.
var instanceNames = regexp.MustCompile(`VI_[0-9A-Za-z]+`)

func startReceivers(t *testing.T) *receivers {
	t.Helper()
	r := &receivers{}
	mails, posts := listenLoopback(t), listenLoopback(t)
	r.mail, r.hook = mails.Addr().String(), posts.Addr().String()
	r.serveMail(t, mails)
	r.servePosts(t, posts)
	return r
}

func (r *receivers) serveMail(t *testing.T, listener net.Listener) {
	server := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &mailbox{r: r}, nil }))
	server.Domain = "localhost"
	server.ErrorLog = quiet{}
	go server.Serve(listener)
	t.Cleanup(func() { server.Close() })
}

func (r *receivers) servePosts(t *testing.T, listener net.Listener) {
	server := &http.Server{Handler: http.HandlerFunc(r.post)}
	go server.Serve(listener)
	t.Cleanup(func() { server.Close() })
}

// quiet keeps clients that are killed in the middle of a dialogue out of the
// test's output.
type quiet struct{}

func (quiet) Printf(string, ...any) {}
func (quiet) Println(...any)        {}

type mailbox struct{ r *receivers }

func (m *mailbox) Mail(string, *smtp.MailOptions) error { return nil }
func (m *mailbox) Rcpt(string, *smtp.RcptOptions) error { return nil }
func (m *mailbox) Reset()                               {}
func (m *mailbox) Logout() error                        { return nil }

func (m *mailbox) Data(body io.Reader) error {
	content, err := io.ReadAll(body)
	if err != nil {
		return err // killed in the middle
	}
	text, header, err := readMail(content)
	if err != nil {
		m.r.complain("a mail cannot be read: %v\n%s", err, content)
		return nil
	}
	key, _, _ := strings.Cut(strings.TrimPrefix(header.Get("Message-ID"), "<"), "@")
	if err := m.r.take(arrival{channel: "mail", key: key, names: namesIn(text)}); err != nil {
		return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: err.Error()}
	}
	return nil
}

func (r *receivers) post(w http.ResponseWriter, request *http.Request) {
	if request.URL.Path == "/gone" {
		http.NotFound(w, request)
		return
	}
	body, err := io.ReadAll(request.Body)
	if err != nil {
		return // killed in the middle
	}
	came := arrival{channel: "hook", key: request.Header.Get("Idempotency-Key")}
	if err := json.Unmarshal(body, &came.notification); err != nil {
		r.complain("a post cannot be read: %v\n%s", err, body)
		return
	}
	for _, event := range came.notification.Events() {
		if !slices.Contains(came.names, event.Name) {
			came.names = append(came.names, event.Name)
		}
	}
	if err := r.take(came); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
	}
}

// take notes a message unless it is to be refused.
func (r *receivers) take(came arrival) error {
	r.mu.Lock()
	answer := r.answer
	r.mu.Unlock()
	if answer != nil {
		if err := answer(came); err != nil {
			return err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	came.at = time.Now()
	r.arrivals = append(r.arrivals, came)
	return nil
}

func (r *receivers) complain(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.problems = append(r.problems, fmt.Sprintf(format, args...))
}

// answerWith has the receivers ask before they take a message: an error is a
// temporary failure. The answer may take its time.
func (r *receivers) answerWith(answer func(arrival) error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = answer
}

// on gives what arrived on a channel, in its order.
func (r *receivers) on(channel string) []arrival {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(r.arrivals), func(came arrival) bool { return came.channel != channel })
}

// keys gives the keys of the messages that told of each instance, one for each
// time.
func (r *receivers) keys(channel string) map[string][]string {
	keys := map[string][]string{}
	for _, came := range r.on(channel) {
		for _, name := range came.names {
			keys[name] = append(keys[name], came.key)
		}
	}
	return keys
}

// told is like keys, and takes the word of the webhook for what a mail under the
// same key tells of: the text of a mail names the first of many only.
func (r *receivers) told(channel string) map[string][]string {
	names := map[string][]string{}
	for _, came := range r.on("hook") {
		names[came.key] = came.names
	}
	keys := map[string][]string{}
	for _, came := range r.on(channel) {
		for _, name := range names[came.key] {
			keys[name] = append(keys[name], came.key)
		}
	}
	return keys
}

// check fails the test if something arrived that is no message.
func (r *receivers) check(t *testing.T) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, problem := range r.problems {
		t.Error(problem)
	}
}

// channels is the notify section with both receivers, and more of it.
func (r *receivers) channels(more string) string {
	host, port, _ := net.SplitHostPort(r.mail)
	return fmt.Sprintf(`notify:
  channels:
    - {type: smtp, host: %s, port: %s, tls: none, from: lb@example.org, to: ops@example.org}
    - {type: webhook, name: hook, url: 'http://%s/'}
%s`, host, port, r.hook, more)
}

// namesIn are the instances that a text names, each once.
func namesIn(text string) []string {
	names := map[string]bool{}
	for _, name := range instanceNames.FindAllString(text, -1) {
		names[name] = true
	}
	return slices.Sorted(maps.Keys(names))
}

// readMail gives the plain text of a mail, its subject before it.
func readMail(content []byte) (string, mail.Header, error) {
	message, err := mail.ReadMessage(bytes.NewReader(content))
	if err != nil {
		return "", nil, err
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(message.Header.Get("Subject"))
	if err != nil {
		return "", nil, err
	}
	text, err := plainText(message.Header.Get("Content-Type"), message.Header.Get("Content-Transfer-Encoding"), message.Body)
	return subject + "\n\n" + text, message.Header, err
}

func plainText(contentType, encoding string, body io.Reader) (string, error) {
	kind, parameters, err := mime.ParseMediaType(contentType)
	if err != nil {
		return "", err
	}
	if kind != "multipart/alternative" {
		if encoding == "quoted-printable" {
			body = quotedprintable.NewReader(body)
		}
		text, err := io.ReadAll(body)
		return string(text), err
	}
	parts := multipart.NewReader(body, parameters["boundary"])
	for {
		part, err := parts.NextPart() // decodes quoted-printable
		if err != nil {
			return "", fmt.Errorf("no plain text: %w", err)
		}
		if strings.HasPrefix(part.Header.Get("Content-Type"), "text/plain") {
			text, err := io.ReadAll(part)
			return string(text), err
		}
	}
}

// listenAgain listens where somebody has listened before.
func listenAgain(t *testing.T, address string) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	return listener
}
