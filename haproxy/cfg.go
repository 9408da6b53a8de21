package haproxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Want names the parts of a configuration a caller needs. What nobody asks
// for is skipped line by line before it costs anything: of a megabyte of
// `server` lines a caller that wants sockets and binds pays for the reading.
type Want uint

// The parts of a configuration. Proxies that have binds, or servers, are listed
// whenever these are wanted, without what is not: a frontend is not listed for
// its servers, nor a backend for its binds.
const (
	WantSockets Want = 1 << iota // Config.Sockets and Config.StatsTimeout
	WantBinds                    // Proxy.Binds
	WantServers                  // Proxy.Servers
)

// ConfigOptions says how a configuration is to be read.
type ConfigOptions struct {
	// Env looks a variable up in the environment HAProxy runs in. Nil means
	// that nothing is known about it.
	Env func(name string) (value string, set bool)
	// EnvPartial says that variables which Env does not have may be set all
	// the same, so that nothing is concluded from their absence.
	EnvPartial bool
	// Version is HAProxy's version, such as "2.6.12", where it is known. It
	// decides the conditions version_atleast() and version_before().
	Version string
	// Only restricts what is read. Zero means everything.
	Only Want
}

// Config is what HAProxy's configuration says, in the order of its files.
type Config struct {
	// Files are the files that were read, directories resolved.
	Files []string
	// Unread are the files and directories that could not be read. What stands
	// in them is missing from all else.
	Unread []string
	// Size is how many bytes the files that were read have.
	Size int64
	// Sockets are the admin sockets, in the order in which they are declared.
	Sockets []StatsSocket
	// StatsTimeout is after how long without input HAProxy closes an admin
	// connection (`stats timeout`, 10 s if it is not written).
	StatsTimeout time.Duration
	// Proxies are the frontend, backend and listen sections.
	Proxies []Proxy
	// Problems are the findings about what could not be read or decided, at
	// most maxProblems of them. HAProxy may refuse such a file, or read it
	// otherwise than is told here.
	Problems []Problem
}

// Pos is a place in a configuration.
type Pos struct {
	File string
	Line int // from 1; 0 for the file as a whole
}

// String returns "file:line", or the file alone if there is no line.
func (p Pos) String() string {
	if p.Line == 0 {
		return p.File
	}
	return p.File + ":" + strconv.Itoa(p.Line)
}

// Problem is a finding about the configuration.
type Problem struct {
	Pos     Pos
	Message string
}

// String returns "file:line: message".
func (p Problem) String() string { return p.Pos.String() + ": " + p.Message }

// StatsSocket is one address of a `stats socket` line of a global section.
type StatsSocket struct {
	// Address is the address as HAProxy takes it, variables expanded; see
	// ParseAddress.
	Address string
	// Level is user, operator (the default) or admin.
	Level string
	// Mode, User and Group are as written, empty if they are not: the octal
	// mode of the file, a name or a number for its owner and group.
	Mode, User, Group string
	// Conditional marks what stands under an .if that cannot be decided here.
	Conditional bool
	// Unresolved marks an address with a variable whose value is known to
	// HAProxy alone, so that the address is another one there.
	Unresolved bool
	Pos        Pos
}

// ProxyKind is the kind of a proxy section.
type ProxyKind string

// The kinds of proxy sections.
const (
	Frontend ProxyKind = "frontend"
	Backend  ProxyKind = "backend"
	Listen   ProxyKind = "listen" // both in one
)

// HasFrontend reports whether such a section accepts connections, so that
// `show stat` has a FRONTEND row for it.
func (k ProxyKind) HasFrontend() bool { return k == Frontend || k == Listen }

// HasBackend reports whether such a section has servers, so that `show stat`
// has a BACKEND row for it.
func (k ProxyKind) HasBackend() bool { return k == Backend || k == Listen }

// Proxy is a frontend, backend or listen section with its defaults applied.
type Proxy struct {
	Kind ProxyKind
	Name string
	// Mode is tcp, http or what else was written; tcp if nothing was.
	Mode string
	// Disabled proxies do not exist for HAProxy: no listener, no statistics.
	Disabled bool
	// Detour is "source" if the section says from which interface or address
	// of a client its servers are connected to, so that another connection from
	// this node takes another way. It comes with WantServers.
	Detour string
	// AllBackups is `option allbackups`: without it only the first backup server
	// that is up serves when no other server is. It comes with WantServers, and is
	// true where a condition that cannot be decided here may make it so.
	AllBackups bool
	// UseServer says the same way that a `use-server` or `force-persist` rule leads
	// clients to servers which balancing leaves out.
	UseServer bool
	Binds     []Bind
	Servers   []Server
	// Conditional marks what stands under an .if that cannot be decided here.
	Conditional bool
	Pos         Pos
}

// Bind is one listening address of a frontend or listen section, after lists
// and port ranges were taken apart.
type Bind struct {
	// Raw is the first word of the `bind` line.
	Raw string
	// Network is one of the Network constants.
	Network string
	// Addr is the address for tcp, udp and quic: 0.0.0.0 or :: for a wildcard.
	// It is the zero Addr where Host is a name, and for other networks.
	Addr netip.Addr
	// Host is the host where it is a name, which HAProxy resolves at its start.
	Host string
	// Port is from 1 to 65535 for tcp, udp and quic, else 0.
	Port int
	// Path is the path for unix, with `unix-bind prefix` before it, the name
	// for abns and abnsz, and what follows the @ for fd and other.
	Path string
	// Name is the listener's name, as in the rows of `option socket-stats`.
	Name string
	// Interface and Namespace are where the socket is bound; empty for none.
	Interface, Namespace string
	// Transparent listeners are bound even to addresses this node does not
	// have.
	Transparent bool
	// SSL listeners expect TLS, AcceptProxy ones a PROXY protocol header first.
	SSL, AcceptProxy bool
	// V4V6 makes an IPv6 wildcard accept IPv4 too, V6Only forbids it; with
	// neither the kernel's net.ipv6.bindv6only decides.
	V4V6, V6Only bool
	// Conditional marks what stands under an .if that cannot be decided here.
	Conditional bool
	// Unresolved marks a line with a variable whose value is known to HAProxy
	// alone, so that the address may be another one there.
	Unresolved bool
	Pos        Pos
}

// Server is a `server` line, or a `server-template` line, of a backend or
// listen section, with the section's default-server lines applied that stand
// before it, as HAProxy does.
type Server struct {
	// Name is the server's name, or the prefix of a template.
	Name string
	// Network is one of the Network constants.
	Network string
	// Address is the IP address or host name for tcp, udp and quic, the path
	// for unix, the name for abns.
	Address string
	// Port is the port. It is 0 if the connection goes to the port the client
	// used, perhaps with an offset, and for networks without ports.
	Port int
	// Check says that HAProxy checks the server's health itself, AgentCheck
	// that it asks an agent, Track (backend/server or server) that it takes
	// over another server's state.
	Check, AgentCheck bool
	Track             string
	// Checked is any of the three: without it HAProxy calls the server UP
	// whatever happens to it.
	Checked bool
	// Inter is the time between checks, Rise and Fall are how many of them
	// change the state. Zero means not written; HAProxy then takes 2 s, 2, 3.
	// They do nothing for a server that is not checked.
	Inter      time.Duration
	Rise, Fall int
	// Weight is from 0 to 256, 1 if it is not written.
	Weight int
	// Backup servers serve when no other can.
	Backup bool
	// Disabled servers start in maintenance.
	Disabled bool
	// SSL servers expect TLS.
	SSL bool
	// Detour is the option that makes HAProxy reach the server by another way
	// than a plain connection from this node: namespace, socks4, or source with
	// an interface or usesrc.
	Detour string
	// Template marks a `server-template` line, which stands for the servers
	// Name+First to Name+Last, from 1 to 3 for "1-3".
	Template    bool
	First, Last int
	// Conditional marks what stands under an .if that cannot be decided here.
	Conditional bool
	Pos         Pos
}

const (
	// maxFileSize bounds one file. 100,000 servers are 10 MB.
	maxFileSize = 64 << 20
	// maxProblems bounds Config.Problems, so that a file that is no
	// configuration does not fill memory with findings.
	maxProblems = 200
	// defaultStatsTimeout is HAProxy's (configuration manual, `stats timeout`).
	defaultStatsTimeout = 10 * time.Second
)

// LoadConfig reads HAProxy's configuration from files and directories in the
// order in which HAProxy was given them with -f. A directory stands for its
// *.cfg files in lexical order. An error is returned only if no file could be
// read at all, and wraps [fs.ErrNotExist], [fs.ErrPermission] or ctx's cause;
// all other findings, a missing file among several too, are Problems. Reading
// stops when ctx ends, between files and every few thousand lines.
//
// What HAProxy would refuse is read as far as it makes sense, because the
// running process may have been started before the mistake was made.
func LoadConfig(ctx context.Context, paths []string, opts ConfigOptions) (*Config, error) {
	l := newLoader(opts)
	var firstErr error
	failed := func(path string, err error) {
		if firstErr == nil {
			firstErr = err
		}
		l.cfg.Unread = append(l.cfg.Unread, path)
		l.cfg.problem(Pos{File: path}, "%v", readError(err))
	}
	for _, path := range paths {
		files, err := configFiles(path)
		if err != nil {
			failed(path, err)
			continue
		}
		for _, file := range files {
			if err := context.Cause(ctx); err != nil {
				return nil, fmt.Errorf("reading HAProxy's configuration %s: %w", file, err)
			}
			if err := l.openFile(ctx, file); err != nil {
				failed(file, err)
			}
			if err := context.Cause(ctx); err != nil {
				return nil, fmt.Errorf("reading HAProxy's configuration %s: %w", file, err)
			}
		}
	}
	switch {
	case len(l.cfg.Files) > 0:
		return l.cfg, nil
	case firstErr != nil:
		return nil, fmt.Errorf("reading HAProxy's configuration: %w%s", firstErr, hint(firstErr))
	case len(paths) > 0:
		return nil, fmt.Errorf("reading HAProxy's configuration: no *.cfg file in %s: %w", strings.Join(paths, ", "), fs.ErrNotExist)
	default:
		return nil, fmt.Errorf("reading HAProxy's configuration: no file is named: %w", fs.ErrNotExist)
	}
}

// hint says what to do about an error of the file system.
func hint(err error) string {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return " (the account that runs this needs to read the file and to search its directories)"
	case errors.Is(err, fs.ErrNotExist):
		return " (is HAProxy installed here, and is its configuration elsewhere?)"
	}
	return ""
}

// readError takes the path off an error that is shown with its position.
func readError(err error) error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return fmt.Errorf("not read: %w", pe.Err)
	}
	return err
}

// configFiles lists what one -f argument stands for. In a directory these are
// the regular files whose name ends in the first ".cfg" it has and does not
// begin with a dot, as in HAProxy's cfgfiles_expand_directories().
func configFiles(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return []string{path}, nil
	}
	entries, err := os.ReadDir(path) // sorted by name
	if err != nil {
		return nil, err
	}
	var files []string
	for _, e := range entries {
		name := e.Name()
		if name[0] == '.' || strings.Index(name, ".cfg") != len(name)-len(".cfg") || len(name) < len(".cfg") {
			continue
		}
		file := filepath.Join(path, name)
		if info, err := os.Stat(file); err == nil && !info.Mode().IsRegular() {
			continue
		}
		files = append(files, file)
	}
	return files, nil
}

// openFile reads a regular file, if it is one. Opening anything else must not
// block, which a FIFO without a writer would.
func (l *loader) openFile(ctx context.Context, path string) error {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return &fs.PathError{Op: "read", Path: path, Err: errors.New("not a regular file")}
	case info.Size() > maxFileSize:
		return &fs.PathError{Op: "read", Path: path, Err: fmt.Errorf("larger than %d MiB", maxFileSize>>20)}
	}
	l.cfg.Size += info.Size()
	l.cfg.Files = append(l.cfg.Files, path)
	return l.file(ctx, path, io.LimitReader(f, maxFileSize))
}

// problem adds a finding. It is the only place that does, and keeps the bound.
func (c *Config) problem(pos Pos, format string, args ...any) {
	switch n := len(c.Problems); {
	case n < maxProblems-1:
		c.Problems = append(c.Problems, Problem{pos, fmt.Sprintf(format, args...)})
	case n == maxProblems-1:
		c.Problems = append(c.Problems, Problem{pos, "too many findings; the rest is left out"})
	}
}
