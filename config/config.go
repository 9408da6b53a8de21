// Package config reads /etc/hacheck/hacheck.yaml: strictly, with every mistake
// at its place, into typed values and the checks and notifiers built from them.
//
// The sections of the file cannot hurt each other: a mistake in the notify
// section, down to broken YAML, leaves the checks working, and one in a check
// leaves the notifications working.
package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"hacheck/regular"
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

	// mistakes are those found, by the top-level key they stand under, or ""
	// for the file as a whole.
	mistakes map[string]Errors
	// broken is a mistake after which a part of the file is not YAML; nil if all is.
	broken *Error
	// unread is why the file could not be read at all.
	unread error
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
		mistakes: map[string]Errors{},
	}
}

const (
	checksKey = "checks"
	notifyKey = "notify"
)

func (c *Config) settings() []setting {
	return []setting{
		{"timeout", "deadline of a check; keep it below keepalived's interval and timeout", duration{&c.Timeout, MinTimeout, MaxTimeout}},
		{"state_dir", "where events wait for delivery; must survive a reboot", directory{&c.StateDir}},
		{"run_dir", "where the last verdicts are kept for the notify hook", directory{&c.RunDir}},
		{"haproxy", "where HAProxy is found", group{"haproxy", &c.HAProxy}},
		{"keepalived", "where keepalived is found", group{"keepalived", &c.Keepalived}},
		{checksKey, "the checks by name, for 'hacheck check NAME'", checkMap{c}},
		{notifyKey, "channels and messages", notifySection{group{notifyKey, &c.Notify}, &c.Notify}},
	}
}

// Load reads the file at path. Its absence is fine unless mustExist is set,
// as when an operator named it. The Config is usable, with what could be read,
// even when the file holds mistakes: CheckErrors, NotifyErrors and StateErrors
// tell them. The error is about the file as a whole: missing, not permitted,
// too large.
func Load(path string, mustExist bool) (*Config, error) {
	c := Default()
	c.Path = path
	data, err := readFile(path, maxFileSize)
	if errors.Is(err, fs.ErrNotExist) && !mustExist {
		return c, nil
	}
	if err != nil {
		c.unread = fmt.Errorf("cannot read the configuration: %w", err)
		if errors.Is(err, fs.ErrPermission) {
			c.unread = fmt.Errorf("%w (running as uid %d; give this user read access, for example by the file's group)", c.unread, os.Geteuid())
		}
		return c, c.unread
	}
	c.Exists = true
	c.parse(data)
	return c, nil
}

// readFile reads a regular file of at most limit bytes, or the null device, which
// stands for none.
func readFile(path string, limit int64) ([]byte, error) {
	if path == os.DevNull {
		return nil, nil
	}
	return regular.Read(path, limit)
}

// CheckErrors are the mistakes outside the notify section, as one error; nil
// if there are none. Each is an *Error.
func (c *Config) CheckErrors() error {
	return c.mistakesIn(func(key string) bool { return key != notifyKey })
}

// NotifyErrors are the mistakes in the notify section, or why the file could
// not be read; nil if there are none.
func (c *Config) NotifyErrors() error {
	if c.unread != nil {
		return c.unread
	}
	return c.mistakesIn(func(key string) bool { return key == notifyKey })
}

// StateErrors are the mistakes after which it is not sure which state directory
// is meant; nil if there are none.
func (c *Config) StateErrors() error {
	if c.unread != nil {
		return c.unread
	}
	return c.mistakesIn(func(key string) bool {
		switch key {
		case "timeout", "run_dir", "haproxy", "keepalived", checksKey, notifyKey:
			return false
		default: // state_dir, a word that may be meant to be it, or no file at all
			return true
		}
	})
}

// ChannelDoubts are the mistakes after which it is not sure that there is no
// notify section: a word that may be meant to be it, or a file that cannot be
// understood; nil if there is one, or no such mistake.
func (c *Config) ChannelDoubts() error {
	if _, found := c.mistakes[notifyKey]; found || c.unread != nil {
		return nil // NotifyErrors tells
	}
	if c.broken != nil { // whatever section it is in, the rest of the file may count as that
		return c.broken
	}
	return c.mistakesIn(func(key string) bool {
		return !slices.ContainsFunc(c.settings(), func(known setting) bool { return known.key == key })
	})
}

func (c *Config) mistakesIn(counts func(key string) bool) error {
	var all Errors
	for key, mistakes := range c.mistakes {
		if counts(key) {
			all = append(all, mistakes...)
		}
	}
	return all.orNil()
}

// parse reads the file as YAML and, where it is not, section by section.
func (c *Config) parse(data []byte) {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	document, err := parseYAML(c.Path, data)
	if err == nil {
		c.read(document)
		return
	}
	sections := cutSections(data)
	if len(sections) == 0 {
		c.mistakes[""], c.broken = Errors{err}, err
		return
	}
	for _, text := range sections {
		document, err := parseYAML(c.Path, text.data)
		if err != nil {
			c.mistakes[text.key], c.broken = append(c.mistakes[text.key], err), err
			continue
		}
		c.read(document)
	}
}

// read reads the sections of a document, each with its own mistakes.
func (c *Config) read(document *yaml.Node) {
	whole := &reader{file: c.Path}
	settings := c.settings()
	whole.pairs(document, "the configuration", func(key, val *yaml.Node) {
		part := &reader{file: c.Path}
		part.setting(key, val, "the configuration", settings)
		c.mistakes[key.Value] = append(c.mistakes[key.Value], part.errors...)
	})
	c.mistakes[""] = append(c.mistakes[""], whole.errors...)
	for _, channel := range c.Notify.Channels {
		if channel.Language == "" {
			channel.Language = c.Notify.Language
		}
	}
}

// parseYAML gives the document, an empty mapping if there is nothing in it.
func parseYAML(path string, data []byte) (*yaml.Node, *Error) {
	loader := yaml.NewDecoder(bytes.NewReader(data))
	var document, second yaml.Node
	if err := loader.Decode(&document); err == io.EOF {
		return &yaml.Node{Kind: yaml.MappingNode}, nil
	} else if err != nil {
		return nil, syntaxError(path, err)
	}
	switch err := loader.Decode(&second); {
	case err == io.EOF:
		return document.Content[0], nil
	case err != nil:
		return nil, syntaxError(path, err)
	default:
		return nil, &Error{File: path, Line: second.Line, Column: second.Column, Message: "a second document begins here", Hint: "one is all that is read; remove the line ---"}
	}
}

// sectionText is a part of the file that stands under one top-level key, with
// the lines of the others emptied, so that line numbers stay right.
type sectionText struct {
	key  string
	data []byte
}

// cutSections cuts the file on its text, not on its YAML, so that what is
// broken in one section does not reach the others: a section begins at its key
// in the first column and ends at the next line that begins there with anything
// but a comment.
func cutSections(data []byte) []sectionText {
	var sections []sectionText
	above := 0
	for line := range bytes.Lines(data) {
		if startsSection(line) {
			key, _, _ := bytes.Cut(line, []byte(":"))
			sections = append(sections, sectionText{
				key:  string(bytes.Trim(key, "\"' \r\n")),
				data: bytes.Repeat([]byte("\n"), above),
			})
		}
		if last := len(sections) - 1; last >= 0 {
			sections[last].data = append(sections[last].data, line...)
		}
		above++
	}
	return sections
}

func startsSection(line []byte) bool {
	switch line[0] {
	case ' ', '\t', '\r', '\n', '#', '-', '[', ']', '{', '}', '%', '?', ':':
		return false // brackets and list items may stand unindented in a value
	default:
		return true
	}
}

func syntaxError(path string, err error) *Error {
	mistake := &Error{File: path, Message: "this is not YAML: " + err.Error(), Hint: "indent with spaces, quote texts that hold ': ' or start with a special character"}
	var located *yaml.LoadError
	if errors.As(err, &located) {
		mistake.Message = "this is not YAML: " + located.Message
		mistake.Line, mistake.Column = located.Mark.Line, max(located.Mark.Column, 1)
		if strings.HasPrefix(located.Message, "unknown anchor") {
			// The name is not repeated: it may be a password that begins with '*'.
			mistake.Message, mistake.Hint = "this is not YAML: an alias names no anchor", "quote texts that begin with '*'"
		}
	}
	return mistake
}

// Show gives the configuration in force as YAML. Secrets are not in it: the
// file names them by path only, and what may carry one is masked.
func (c *Config) Show() ([]byte, error) {
	return yaml.Marshal(showSection(c.settings()))
}
