package journal

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

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
	// Identifier is the SYSLOG_IDENTIFIER; empty means the constant
	// Identifier.
	Identifier string
	// Timeout bounds one attempt; 0 means DefaultTimeout, at most a minute.
	Timeout time.Duration
	// Style is the message's.
	Style notify.Style
}

// Notifier writes events to one journald.
type Notifier struct{ cfg Config }

var _ notify.Notifier = (*Notifier)(nil)

// New checks the configuration and fills in its defaults. Its errors begin
// with the name of the field as the configuration file spells it.
func New(cfg Config) (*Notifier, error) {
	if cfg.Socket == "" {
		cfg.Socket = Socket
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
	case cfg.Timeout < 0 || cfg.Timeout > maxTimeout:
		return nil, fmt.Errorf("timeout: %s is not within 0s to %s", cfg.Timeout, maxTimeout)
	}
	return &Notifier{cfg: cfg}, nil
}

// Name returns the channel's name.
func (n *Notifier) Name() string { return n.cfg.Name }

// Notify writes the event: its title as the message, its text and facts as
// fields.
func (n *Notifier) Notify(ctx context.Context, notification notify.Notification) error {
	ctx, cancel := context.WithTimeoutCause(ctx, n.cfg.Timeout,
		fmt.Errorf("journald took no message within %s: %w", n.cfg.Timeout, context.DeadlineExceeded))
	defer cancel()
	title := n.cfg.Style.Title(notification)
	text := n.cfg.Style.Render(notification).Text
	return send(ctx, n.cfg.Socket, n.cfg.Identifier, priority(notification), title, fields(notification.Event, text))
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
func fields(event notify.Event, text string) map[string]string {
	all := map[string]string{
		"MESSAGE_ID":         TransitionID,
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
		"HACHECK_TEXT":       text,
		"HACHECK_NOTES":      strings.Join(event.Notes, "\n"),
		"HACHECK_VRID":       "",
		"HACHECK_PRIORITY":   "",
		"HACHECK_REASON":     "",
		"HACHECK_STATUS":     "",
		"HACHECK_BACKENDS":   "",
		"HACHECK_PREV_SINCE": "",
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
