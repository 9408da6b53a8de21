// Package exec delivers notifications by running a command of the operator's:
// a message gateway, a ticket system, a script. The command gets the
// notification as one JSON document on its standard input, the same that the
// generic webhook posts, and the facts a short script needs in its environment.
//
// Its exit code is the outcome, as in sysexits.h:
//
//	0                    delivered
//	64 EX_USAGE          permanent: the command line is wrong
//	65 EX_DATAERR        permanent: the document is not to its liking
//	66 EX_NOINPUT        permanent: it misses an input that is not the document
//	67 EX_NOUSER         permanent: no such recipient
//	68 EX_NOHOST         permanent: no such host
//	77 EX_NOPERM         permanent: the service does not let it
//	78 EX_CONFIG         permanent: its own configuration is wrong
//	75 EX_TEMPFAIL       temporary
//	every other one      temporary, 69 to 74 and 76 of sysexits.h among them
//
// It runs as the account that delivers, which is root when keepalived's hook
// does; in the root directory, with the umask 0022 whatever keepalived's is,
// without files that keepalived left open, and in a process group of its own,
// which is killed as a whole when its time is over. What it writes to either
// output ends up, shortened, in the error.
//
// A command that is killed by a signal, is not done in time, cannot be started
// or may not be run is a temporary failure: an operator can mend each of them,
// and no notification may be lost until then.
package exec

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"hacheck/notify"
)

// Notifier runs one command.
type Notifier struct{ cfg Config }

var (
	_ notify.Notifier  = (*Notifier)(nil)
	_ notify.Previewer = (*Notifier)(nil)
)

// Name returns the channel's name.
func (n *Notifier) Name() string { return n.cfg.Name }

// Notify makes one attempt: one run of the command.
func (n *Notifier) Notify(ctx context.Context, notification notify.Notification) error {
	ctx, cancel := context.WithTimeoutCause(ctx, n.cfg.Timeout,
		fmt.Errorf("not done within %s: %w", n.cfg.Timeout, context.DeadlineExceeded))
	defer cancel()
	input, err := n.input(notification)
	if err != nil {
		return &notify.PermanentError{Err: fmt.Errorf("exec %s: write the document: %w", n.program(), err)}
	}
	if err := checkOwners(n.cfg.Command[0]); err != nil {
		return fmt.Errorf("exec %s: %w", n.program(), err)
	}
	ended, err := n.run(ctx, input, environment(notification))
	if err != nil {
		return fmt.Errorf("exec %s: %w", n.program(), err)
	}
	return n.judge(ended)
}

// Preview shows what the command is given. Its arguments are counted only, as
// a secret may be among them.
func (n *Notifier) Preview(notification notify.Notification) (string, error) {
	if err := checkOwners(n.cfg.Command[0]); err != nil {
		return "", fmt.Errorf("exec %s: %w", n.program(), err)
	}
	input, err := n.input(notification)
	if err != nil {
		return "", &notify.PermanentError{Err: fmt.Errorf("exec %s: write the document: %w", n.program(), err)}
	}
	var out strings.Builder
	fmt.Fprintf(&out, "exec %s (", n.program())
	if count := len(n.cfg.Command) - 1; count > 0 {
		fmt.Fprintf(&out, "arguments: %d, not shown; ", count)
	}
	fmt.Fprintf(&out, "timeout: %s)\n\nenvironment:\n", n.cfg.Timeout)
	for _, variable := range environment(notification) {
		fmt.Fprintf(&out, "  %s\n", variable)
	}
	fmt.Fprintf(&out, "\nstandard input:\n%s", input)
	return out.String(), nil
}

// Warnings tells what would keep the command from being run, at this moment
// and for this account. It is for a check of the configuration.
func (n *Notifier) Warnings() []string {
	program := n.cfg.Command[0]
	err := checkOwners(program)
	if err == nil {
		if err = unix.Access(program, unix.X_OK); err != nil {
			err = startHint(program, err)
		}
	}
	if err != nil {
		return []string{"command: " + n.program() + ": " + err.Error()}
	}
	return nil
}

// program is the command's file as errors show it.
func (n *Notifier) program() string { return notify.OneLine(n.cfg.Command[0], maxShown) }

// input is what the command reads.
func (n *Notifier) input(notification notify.Notification) ([]byte, error) {
	document, err := notify.Document(notification, n.cfg.Style.Render(notification))
	return append(document, '\n'), err
}

// maxVariable bounds what a notification puts into one variable, in characters.
const maxVariable = 256

// environment is all of the command's environment, whoever runs hacheck:
// keepalived, systemd, cron or a person.
func environment(notification notify.Notification) []string {
	story := notification.Story
	if story == "" {
		story = notify.Transition
	}
	variables := []string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"LANG=C.UTF-8",
	}
	for _, fact := range [...]struct{ name, value string }{
		{"HACHECK_EVENT_ID", notification.ID},
		{"HACHECK_INSTANCE", notification.Name},
		{"HACHECK_STATE", string(notification.State)},
		{"HACHECK_STORY", string(story)},
		{"HACHECK_SEVERITY", string(notification.Severity())},
	} {
		variables = append(variables, fact.name+"="+notify.OneLine(fact.value, maxVariable))
	}
	return variables
}

// ending is how a run ended.
type ending struct {
	code   int
	signal unix.Signal // 0 if it exited by itself
	output string      // the last of what it wrote
}

// The exit codes of sysexits.h whose cause the same document meets again.
const (
	exitUsage    = 64
	exitDataErr  = 65
	exitNoInput  = 66
	exitNoUser   = 67
	exitNoHost   = 68
	exitTempFail = 75
	exitNoPerm   = 77
	exitConfig   = 78
)

// meaning words an exit code and tells whether it is final.
func meaning(code int) (text string, permanent bool) {
	switch code {
	case exitUsage:
		return "wrong usage", true
	case exitDataErr:
		return "bad data", true
	case exitNoInput:
		return "no input", true
	case exitNoUser:
		return "no such user", true
	case exitNoHost:
		return "no such host", true
	case exitNoPerm:
		return "not permitted", true
	case exitConfig:
		return "bad configuration", true
	case exitTempFail:
		return "for now", false
	// What shells make of a command they cannot run themselves.
	case 126:
		return "a command in it cannot be executed", false
	case 127:
		return "a command in it was not found", false
	}
	return "", false
}

// judge makes the outcome of an attempt out of how the command ended.
func (n *Notifier) judge(ended ending) error {
	said := n.said(ended.output)
	if ended.signal != 0 {
		return fmt.Errorf("exec %s: killed by %s%s", n.program(), unix.SignalName(ended.signal), said)
	}
	if ended.code == 0 {
		return nil
	}
	text, permanent := meaning(ended.code)
	if text != "" {
		text = " (" + text + ")"
	}
	err := fmt.Errorf("exec %s: exit code %d%s%s", n.program(), ended.code, text, said)
	if permanent {
		return &notify.PermanentError{Err: err}
	}
	return err
}

// Bounds of what an error shows, in bytes, and of an argument that may be a
// secret: hiding "-v" or "5" would only make errors unreadable.
const (
	maxShown  = 240
	minHidden = 8
)

// said quotes the last of what a command wrote, without its arguments: it may
// repeat them, and a URL with a token may be one.
func (n *Notifier) said(output string) string {
	var hidden []string
	for _, argument := range n.cfg.Command[1:] {
		if option, value, found := strings.Cut(argument, "="); found && strings.HasPrefix(option, "-") {
			argument = value
		}
		if len(argument) >= minHidden && !strings.HasPrefix(argument, "/") {
			hidden = append(hidden, argument)
		}
	}
	// One argument may be a part of another.
	slices.SortFunc(hidden, func(a, b string) int { return len(b) - len(a) })
	for _, argument := range hidden {
		output = strings.ReplaceAll(output, argument, "***")
	}
	if output = lastOf(notify.OneLine(output, len(output)), maxShown); output == "" {
		return ""
	}
	return fmt.Sprintf(", it said %q", output)
}

// lastOf is the end of text, of at most limit bytes: programs say last why
// they give up.
func lastOf(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	return "…" + strings.ToValidUTF8(text[len(text)-limit:], "")
}

// startHint says what the usual failures to start a command mean.
func startHint(program string, err error) error {
	var cause unix.Errno
	if !errors.As(err, &cause) {
		return err
	}
	_, missing := os.Lstat(program)
	switch {
	case cause == unix.EACCES:
		return fmt.Errorf("%w; make it executable for this account: chmod 0755", cause)
	case cause == unix.ENOEXEC:
		return fmt.Errorf("%w; a script begins with #! and the path of its interpreter", cause)
	case cause == unix.ENOENT && missing == nil:
		return fmt.Errorf("%w; the interpreter its first line names is missing", cause)
	}
	return cause
}
