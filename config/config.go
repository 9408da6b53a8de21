// Package config reads /etc/hacheck/hacheck.yaml: strictly, with every mistake
// at its place, into typed values and the checks and notifiers built from them.
//
// The file is read in two halves that cannot hurt each other: everything but
// the notify section decides checks, the notify section decides messages. A
// mistake in one half, down to broken YAML, leaves the other working.
package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"go.yaml.in/yaml/v4"
)

// Places used when neither a flag nor the file names others.
const (
	DefaultPath     = "/etc/hacheck/hacheck.yaml"
	DefaultStateDir = "/var/lib/hacheck"
	DefaultRunDir   = "/run/hacheck"
)

// DefaultTimeout is the deadline of a check. It is below one second because
// keepalived's vrrp_script has a default timeout of its interval, 1 s, and
// releases up to 2.3.2 start the next run beside one that has not ended.
const DefaultTimeout = 900 * time.Millisecond

// maxFileSize bounds the configuration file: 1 MiB is far above any real one.
const maxFileSize = 1 << 20

// Config is the whole configuration with defaults applied.
type Config struct {
	// Path is the file that was read; Exists is false if there was none.
	Path   string
	Exists bool

	// Timeout is the deadline of a check that names none of its own, from 10 ms to 60 s.
	Timeout time.Duration
	// StateDir holds the spool, RunDir the last verdicts.
	StateDir, RunDir string
	HAProxy          HAProxy
	Keepalived       Keepalived
	// Checks are the declared checks by name.
	Checks map[string]*Check
	Notify Notify

	checkErrors, notifyErrors Errors
}

// HAProxy says where HAProxy is found. Empty values are looked up: the running
// process, then the distribution's defaults.
type HAProxy struct {
	// Configuration lists haproxy.cfg files and directories, in order.
	Configuration []string
	// Socket is the admin socket as in haproxy.cfg: a path, ipv4@…, abns@….
	Socket string
}

func (h *HAProxy) settings() []setting {
	return []setting{
		{"cfg", "haproxy.cfg files or directories, in HAProxy's order; empty: those the running HAProxy was started with", texts{&h.Configuration}},
		{"socket", "admin socket as haproxy.cfg writes it (path, ipv4@addr:port, abns@name); empty: the first 'stats socket' of haproxy.cfg", text{&h.Socket}},
	}
}

// Keepalived says where keepalived is found.
type Keepalived struct {
	// Configuration is keepalived.conf; empty: the file the running
	// keepalived was started with.
	Configuration string
}

func (k *Keepalived) settings() []setting {
	return []setting{
		{"conf", "keepalived.conf; empty: the file the running keepalived was started with", text{&k.Configuration}},
	}
}

// Default is the configuration without a file.
func Default() *Config {
	return &Config{
		Timeout:  DefaultTimeout,
		StateDir: DefaultStateDir,
		RunDir:   DefaultRunDir,
		Checks:   map[string]*Check{},
		Notify:   defaultNotify(),
	}
}

func (c *Config) settings() []setting {
	return []setting{
		{"timeout", "deadline of a check; keep it below keepalived's interval and timeout", duration{&c.Timeout, MinTimeout, MaxTimeout}},
		{"state_dir", "where events wait for delivery; must survive a reboot", text{&c.StateDir}},
		{"run_dir", "where the last verdicts are kept for the notify hook", text{&c.RunDir}},
		{"haproxy", "where HAProxy is found", group{"haproxy", &c.HAProxy}},
		{"keepalived", "where keepalived is found", group{"keepalived", &c.Keepalived}},
		{"checks", "the checks by name, for 'hacheck check NAME'", checkMap{c}},
	}
}

const notifyKey = "notify"

func (c *Config) notifySettings() []setting {
	return []setting{{notifyKey, "channels and messages", group{notifyKey, &c.Notify}}}
}

// Load reads the file at path. Its absence is fine unless mustExist is set,
// as when an operator named it. The Config is usable, with what could be read,
// even when the file holds mistakes: CheckErrors and NotifyErrors tell them.
// The error is about the file as a whole: missing, not permitted, too large.
func Load(path string, mustExist bool) (*Config, error) {
	c := Default()
	c.Path = path
	file, err := os.Open(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !mustExist:
		return c, nil
	case errors.Is(err, fs.ErrPermission):
		return c, fmt.Errorf("cannot read the configuration: %w (running as uid %d; give this user read access, for example by the file's group)", err, os.Geteuid())
	case err != nil:
		return c, fmt.Errorf("cannot read the configuration: %w", err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxFileSize+1))
	if err != nil {
		return c, fmt.Errorf("cannot read the configuration: %w", err)
	}
	if len(data) > maxFileSize {
		return c, fmt.Errorf("cannot read the configuration %s: it is larger than %d bytes", path, maxFileSize)
	}
	c.Exists = true
	c.parse(data)
	return c, nil
}

// CheckErrors are the mistakes outside the notify section, as one error; nil
// if there are none. Each is an *Error.
func (c *Config) CheckErrors() error { return c.checkErrors.orNil() }

// NotifyErrors are the mistakes in the notify section, as one error; nil if
// there are none.
func (c *Config) NotifyErrors() error { return c.notifyErrors.orNil() }

func (c *Config) parse(data []byte) {
	checks, notify := splitNotify(data)
	c.checkErrors = readHalf(c.Path, checks, c.settings())
	c.notifyErrors = readHalf(c.Path, notify, c.notifySettings())
	for _, channel := range c.Notify.Channels {
		if channel.Language == "" {
			channel.Language = c.Notify.Language
		}
	}
}

// splitNotify gives the file twice: once with the lines of the notify section
// emptied and once with only those lines. Line numbers stay right in both.
// The cut is made on text, not on YAML, so that YAML broken in one half does
// not reach the other: a section begins at its key in the first column and
// ends at the next line that begins there with anything but a comment.
func splitNotify(data []byte) (checks, notify []byte) {
	inNotify := false
	for line := range bytes.Lines(data) {
		if startsSection(line) {
			inNotify = isNotifyKey(line)
		}
		kept, blanked := &checks, &notify
		if inNotify {
			kept, blanked = &notify, &checks
		}
		*kept = append(*kept, line...)
		*blanked = append(*blanked, '\n')
	}
	return checks, notify
}

func startsSection(line []byte) bool {
	switch line[0] {
	case ' ', '\t', '\r', '\n', '#':
		return false
	case '-', ']', '}':
		// A list may stand unindented below its key; brackets close a value.
		return bytes.HasPrefix(line, []byte("---"))
	default:
		return true
	}
}

func isNotifyKey(line []byte) bool {
	key, _, found := bytes.Cut(line, []byte(":"))
	return found && string(bytes.Trim(key, `"' `)) == notifyKey
}

func readHalf(path string, data []byte, settings []setting) Errors {
	var document yaml.Node
	if err := yaml.Unmarshal(data, &document); err != nil {
		return Errors{syntaxError(path, err)}
	}
	if len(document.Content) == 0 {
		return nil
	}
	r := &reader{file: path}
	r.section(document.Content[0], "the configuration", settings)
	return r.errors
}

func syntaxError(path string, err error) *Error {
	mistake := &Error{File: path, Message: "this is not YAML: " + err.Error(), Hint: "indent with spaces, quote texts that hold ': ' or start with a special character"}
	var located *yaml.LoadError
	if errors.As(err, &located) {
		mistake.Message = "this is not YAML: " + located.Message
		mistake.Line, mistake.Column = located.Mark.Line, max(located.Mark.Column, 1)
	}
	return mistake
}

// Show gives the configuration in force as YAML. Secrets are not in it: the
// file names them by path only, and what may carry one is masked.
func (c *Config) Show() ([]byte, error) {
	return yaml.Marshal(showSection(append(c.settings(), c.notifySettings()...)))
}
