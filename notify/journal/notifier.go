package journal

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"hacheck/notify"
)

// TransitionID is the MESSAGE_ID of every transition of an instance or sync
// group: the key of its catalog entry and of
// journalctl MESSAGE_ID=b4b0d1e2c9a64f5f8f7a3ad1c06e7d55.
const TransitionID = "b4b0d1e2c9a64f5f8f7a3ad1c06e7d55"

// DefaultTimeout bounds one attempt.
const DefaultTimeout = 2 * time.Second

// maxTimeout keeps a frozen journald from holding up the other channels.
const maxTimeout = time.Minute

// Config describes one journal channel.
type Config struct {
	// Name is the channel's name; required.
	Name string
	// Socket is where journald listens; empty means the constant Socket.
	Socket string
	// Syslog is the socket of the syslog daemon that takes what journald does
	// not; empty means the constant Syslog, NoSyslog means none.
	Syslog string
	// Identifier is the SYSLOG_IDENTIFIER and syslog's tag; empty means the
	// constant Identifier.
	Identifier string
	// Timeout bounds one attempt, syslog included; 0 means DefaultTimeout, at most a minute.
	Timeout time.Duration
	// Style is the message's.
	Style notify.Style
}

// Notifier writes events to one journald.
type Notifier struct{ cfg Config }

var (
	_ notify.Notifier  = (*Notifier)(nil)
	_ notify.Previewer = (*Notifier)(nil)
)

// New checks the configuration and fills in its defaults. Its errors begin
// with the name of the field as the configuration file spells it.
func New(cfg Config) (*Notifier, error) {
	if cfg.Socket == "" {
		cfg.Socket = Socket
	}
	if cfg.Syslog == "" {
		cfg.Syslog = Syslog
	}
	if cfg.Identifier == "" {
		cfg.Identifier = Identifier
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = DefaultTimeout
	}
	switch {
	case cfg.Name == "":
		return nil, errors.New("name: is missing")
	case !filepath.IsAbs(cfg.Socket):
		return nil, fmt.Errorf("socket: %q is not an absolute path", cfg.Socket)
	case cfg.Syslog != NoSyslog && !filepath.IsAbs(cfg.Syslog):
		return nil, fmt.Errorf("syslog: %q is not an absolute path, nor none", cfg.Syslog)
	case !plainTag(cfg.Identifier):
		return nil, fmt.Errorf("identifier: %q has characters other than letters, digits, '-', '_' and '.', or more than 32", cfg.Identifier)
	case cfg.Timeout < 0 || cfg.Timeout > maxTimeout:
		return nil, fmt.Errorf("timeout: %s is not within 0s to %s", cfg.Timeout, maxTimeout)
	}
	return &Notifier{cfg: cfg}, nil
}

// Name returns the channel's name.
func (n *Notifier) Name() string { return n.cfg.Name }

// plainTag reports whether text can stand as the tag of a line of syslog.
func plainTag(text string) bool {
	return len(text) <= 32 && !strings.ContainsFunc(text, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_' && r != '.'
	})
}

// Notify writes the event to journald, its title as the message, its text and
// facts as fields; or, if journald does not take it, its title to syslog. Both
// count as delivered.
func (n *Notifier) Notify(ctx context.Context, notification notify.Notification) error {
	ctx, cancel := context.WithTimeoutCause(ctx, n.cfg.Timeout,
		fmt.Errorf("took no message within %s: %w", n.cfg.Timeout, context.DeadlineExceeded))
	defer cancel()
	title := n.cfg.Style.Title(notification)
	to := target{socket: n.cfg.Socket, syslog: n.cfg.Syslog, identifier: n.cfg.Identifier}
	return to.send(ctx, priority(notification), title, line(title, notification), n.fields(notification))
}

// line is what syslog gets: the title, and the event to look up the rest by.
func line(title string, notification notify.Notification) string {
	return title + " [event " + oneLine(notification.ID, maxID) + "]"
}

// maxID bounds an event's ID in a line, in bytes; a real one is shorter.
const maxID = 100

// Preview shows the fields journald gets and the line for syslog.
func (n *Notifier) Preview(notification notify.Notification) (string, error) {
	title := n.cfg.Style.Title(notification)
	fields := n.fields(notification)
	fields["MESSAGE"] = title
	fields["PRIORITY"] = strconv.Itoa(int(priority(notification)))
	fields["SYSLOG_IDENTIFIER"] = n.cfg.Identifier
	var out strings.Builder
	fmt.Fprintf(&out, "journal %s\n\n", n.cfg.Socket)
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		value := strings.Map(func(r rune) rune {
			if unicode.IsControl(r) && r != '\n' {
				return unicode.ReplacementChar
			}
			return r
		}, strings.ToValidUTF8(fields[name], "\uFFFD"))
		if strings.Contains(value, "\n") {
			value = "\n  " + strings.ReplaceAll(strings.TrimRight(value, "\n"), "\n", "\n  ")
		}
		fmt.Fprintf(&out, "%s=%s\n", name, value)
	}
	if n.cfg.Syslog != NoSyslog {
		fmt.Fprintf(&out, "\nif journald does not take it, syslog %s\n\n%s\n", n.cfg.Syslog, oneLine(line(title, notification), maxLine))
	}
	return out.String(), nil
}

// priority is the severity in syslog's terms.
func priority(notification notify.Notification) Priority {
	switch notification.Severity() {
	case notify.Critical:
		return Critical
	case notify.Warning:
		return Warning
	}
	return Notice
}

// fields are the facts one filters and reads by. Unknown facts are left out,
// not written empty.
func (n *Notifier) fields(notification notify.Notification) map[string]string {
	event := notification.Event
	all := map[string]string{
		"MESSAGE_ID":         TransitionID,
		"DOCUMENTATION":      event.RunbookURL, // journalctl makes a link of it
		"HACHECK_STORY":      string(notification.Story),
		"HACHECK_EVENT_ID":   event.ID,
		"HACHECK_TIME":       event.Time.Format(time.RFC3339Nano),
		"HACHECK_HOST":       event.Host,
		"HACHECK_ROUTER_ID":  event.RouterID,
		"HACHECK_KIND":       string(event.Kind),
		"HACHECK_INSTANCE":   event.Name,
		"HACHECK_STATE":      string(event.State),
		"HACHECK_PREVIOUS":   string(event.Previous),
		"HACHECK_INTERFACE":  event.Interface,
		"HACHECK_MEMBERS":    strings.Join(event.Members, " "),
		"HACHECK_VIPS":       vips(event.VIPs),
		"HACHECK_TEXT":       n.cfg.Style.Render(notification).Text,
		"HACHECK_NOTES":      strings.Join(event.Notes, "\n"),
		"HACHECK_VRID":       "",
		"HACHECK_PRIORITY":   "",
		"HACHECK_REASON":     "",
		"HACHECK_STATUS":     "",
		"HACHECK_BACKENDS":   "",
		"HACHECK_PREV_SINCE": "",
	}
	if notification.Story == notify.Test {
		delete(all, "MESSAGE_ID") // no transition
	}
	if planned := event.Maintenance; planned != nil {
		all["HACHECK_MAINTENANCE"] = strings.TrimSpace("until " + planned.Until.Format(time.RFC3339) + " " + planned.Reason)
	}
	if event.VirtualRouterID != 0 {
		all["HACHECK_VRID"] = strconv.Itoa(event.VirtualRouterID)
	}
	if event.Priority != nil {
		all["HACHECK_PRIORITY"] = strconv.Itoa(*event.Priority)
	}
	if event.PreviousSince != nil {
		all["HACHECK_PREV_SINCE"] = event.PreviousSince.Format(time.RFC3339Nano)
	}
	if event.Verdict != nil {
		all["HACHECK_STATUS"] = event.Verdict.Status
		all["HACHECK_REASON"] = event.Verdict.Reason
	}
	if event.HAProxy != nil {
		all["HACHECK_BACKENDS"] = backends(*event.HAProxy)
	}
	for name, value := range all {
		if value == "" {
			delete(all, name)
		}
	}
	return all
}

// vips lists addresses as "10.0.0.5/24 eth0 present", separated by ", ".
func vips(list []notify.VIP) string {
	texts := make([]string, len(list))
	for i, vip := range list {
		words := []string{fmt.Sprintf("%s/%d", vip.Address, vip.Prefix)}
		if vip.Device != "" {
			words = append(words, vip.Device)
		}
		texts[i] = strings.Join(append(words, string(vip.Presence)), " ")
	}
	return strings.Join(texts, ", ")
}

// backends sums HAProxy up in one line.
func backends(haproxy notify.HAProxy) string {
	if haproxy.Error != "" {
		return haproxy.Error
	}
	var down []string
	for _, backend := range haproxy.Down {
		down = append(down, backend.Name)
	}
	var parts []string
	for _, part := range [...]struct {
		word  string
		names []string
	}{{"up", haproxy.Up}, {"down", down}, {"unknown", haproxy.Unknown}} {
		if len(part.names) > 0 {
			parts = append(parts, part.word+": "+strings.Join(part.names, " "))
		}
	}
	return strings.Join(parts, "; ")
}
