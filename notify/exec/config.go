package exec

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"hacheck/notify"
)

// DefaultTimeout bounds one run of a command.
const DefaultTimeout = 10 * time.Second

// MaxTimeout keeps one command that hangs from holding up the others for long.
const MaxTimeout = 5 * time.Minute

// Config describes one channel that runs a command.
type Config struct {
	// Name is the channel's name; required.
	Name string
	// Command is the absolute path of what is run, and its arguments, each as
	// it is: no shell sees them. Every account of the machine can read
	// arguments while the command runs, so a password has no place there;
	// hacheck itself never shows them.
	Command []string
	// Timeout bounds one run; 0 means DefaultTimeout, at most 5 minutes.
	Timeout time.Duration
	// Style is the message's.
	Style notify.Style
}

// maxArguments bounds the command line, in bytes. Linux takes 128 KiB in one
// argument; nobody writes that into a configuration.
const maxArguments = 16 << 10

// New checks the configuration and fills in its defaults. It does not look at
// the command's file, which Notify and Warnings do. Its errors begin with the
// name of the field as the configuration file spells it, and show no argument.
func New(cfg Config) (*Notifier, error) {
	if cfg.Timeout == 0 {
		cfg.Timeout = DefaultTimeout
	}
	switch {
	case cfg.Name == "":
		return nil, errors.New("name: is missing")
	case len(cfg.Command) == 0 || cfg.Command[0] == "":
		return nil, errors.New("command: is missing; give a list: the absolute path of a program, then its arguments")
	case !filepath.IsAbs(cfg.Command[0]):
		if strings.ContainsAny(cfg.Command[0], " \t") {
			return nil, errors.New("command[0]: is not an absolute path; give each argument as an item of its own")
		}
		return nil, fmt.Errorf("command[0]: %q is not an absolute path", cfg.Command[0])
	case cfg.Timeout < 0 || cfg.Timeout > MaxTimeout:
		return nil, fmt.Errorf("timeout: %s is not within 0s to %s", cfg.Timeout, MaxTimeout)
	}
	total := 0
	for i, argument := range cfg.Command {
		if strings.Contains(argument, "\x00") {
			return nil, fmt.Errorf("command[%d]: holds a NUL byte", i)
		}
		total += len(argument)
	}
	if total > maxArguments {
		return nil, fmt.Errorf("command: has %d bytes, more than %d", total, maxArguments)
	}
	return &Notifier{cfg: cfg}, nil
}
