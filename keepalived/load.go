package keepalived

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// openNonblock keeps the opening of a FIFO from waiting for its writer.
const openNonblock = syscall.O_NONBLOCK | syscall.O_CLOEXEC

// Options say how keepalived was started.
type Options struct {
	// ConfigID is keepalived's -i (--config-id), which @id lines are compared
	// with. Empty means the host name up to the first dot.
	ConfigID string
	// Version is keepalived's version, such as "2.2.7". Empty means the newest
	// known. It decides over \# and \!, which keep a comment sign before 2.2.0
	// only; fractions of a second in interval and timeout, read since 2.3.2;
	// and ${_ENV NAME}, known since 2.4.0.
	Version string
}

// before reports whether the version is older than the one given.
func (o Options) before(wanted ...int) bool {
	if o.Version == "" {
		return false
	}
	parts := strings.Split(strings.TrimPrefix(o.Version, "v"), ".")
	for i, want := range wanted {
		have := 0
		if i < len(parts) {
			digits := strings.TrimLeft(parts[i], "0123456789")
			have, _ = strconv.Atoi(strings.TrimSuffix(parts[i], digits))
		}
		if have != want {
			return have < want
		}
	}
	return false
}

// Load reads a configuration file and what it includes. It fails only if the
// main file cannot be read or is not text. A main file that keepalived itself
// would not read, for its execute bit, is read and has a Problem.
//
// Loading follows no symbolic link that keepalived would not follow, waits for
// no FIFO and reads at most 64 MiB.
func Load(path string, opts Options) (*Config, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read keepalived's configuration %s: %w", path, reason(err))
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("cannot read keepalived's configuration %s: it is not a regular file", path)
	}
	data, err := readFile(path, maxBytes)
	if err != nil {
		return nil, fmt.Errorf("cannot read keepalived's configuration %s: %w", path, reason(err))
	}
	if bytes.IndexByte(data[:min(len(data), 4096)], 0) >= 0 {
		return nil, fmt.Errorf("cannot read keepalived's configuration %s: %w", path, errNotText)
	}
	r := newReader(opts)
	if mode := info.Mode(); mode&0o111 != 0 {
		r.problem(Pos{path, 1}, fmt.Sprintf("the file has an execute bit (mode %04o); keepalived does not read it", mode.Perm()))
	}
	r.read(path, data)
	return r.config, nil
}

var errNotText = errors.New("it is not text: it holds NUL bytes")

// newReader returns a reader with an empty configuration.
func newReader(opts Options) *reader {
	r := &reader{
		config:    &Config{},
		instances: map[string]int{}, groups: map[string]int{},
		scripts: map[string]int{}, trackFiles: map[string]int{},
	}
	r.config.Global.VRRPVersion = 2
	r.config.Global.SMTPConnectTimeout = defaultSMTPTimeout
	id := opts.ConfigID
	if id == "" {
		if host, err := os.Hostname(); err == nil {
			id, _, _ = strings.Cut(host, ".")
		}
	}
	r.lines = &lines{
		opts: opts, configID: id, problem: r.problem,
		generated: maxGenerated, expansions: maxAllExpansions, looks: maxLooks,
	}
	r.lines.setStandardDefinitions()
	return r
}

// read reads a main file and completes the configuration.
func (r *reader) read(path string, data []byte) {
	r.lines.bytes += len(data)
	r.lines.push(path, data, nil)
	r.block(rootBlock, false)
	for _, pos := range r.lines.open {
		r.problem(pos, "the block that begins here is not closed: a } is missing")
	}
	r.config.Files = r.lines.opened
	r.complete()
}

// problem notes a problem. After a thousand it says so and notes no more.
func (r *reader) problem(pos Pos, message string) {
	switch n := len(r.config.Problems); {
	case n < maxProblems-1:
		r.config.Problems = append(r.config.Problems, Problem{pos, message})
	case n == maxProblems-1:
		r.config.Problems = append(r.config.Problems, Problem{pos, "there are more problems; they are left out"})
	}
}
