package haproxy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// What can go wrong at the admin socket, for errors.Is. They differ in what
// they say about HAProxy: ErrNoSocket, ErrRefused, ErrTimeout and ErrBusy mean
// that it does not serve this socket; the others come from a live process, or
// say that this account may not ask.
var (
	// ErrNoSocket: the path does not exist.
	ErrNoSocket = errors.New("there is no socket of this name")
	// ErrPermission: this account may not connect to the socket.
	ErrPermission = errors.New("this account may not connect to it")
	// ErrRefused: nobody listens. HAProxy never removes its socket, so that
	// this is what a stopped HAProxy looks like.
	ErrRefused = errors.New("nobody listens on it, haproxy is not running")
	// ErrTimeout: no complete answer by the deadline.
	ErrTimeout = errors.New("haproxy did not answer in time")
	// ErrBusy: the queue of waiting connections stayed full until the
	// deadline. A frozen HAProxy gets there after some ten clients.
	ErrBusy = errors.New("its queue of waiting connections is full, haproxy accepts none (frozen, or are its `stats maxconn` clients all taken?)")
	// ErrEmpty: closed before a single byte.
	ErrEmpty = errors.New("it closed the connection without an answer")
	// ErrReset: broken off by the peer, as when a process ends.
	ErrReset = errors.New("it broke the connection off")
	// ErrTruncated: the answer ends without the empty line that completes it.
	ErrTruncated = errors.New("the answer breaks off")
	// ErrTooLong: the answer is longer than any real one.
	ErrTooLong = errors.New("the answer is too long")
	// ErrFormat: the answer is not of the form HAProxy documents.
	ErrFormat = errors.New("the answer is malformed")
	// ErrStopping: until the deadline only processes answered that are on
	// their way out.
	ErrStopping = errors.New("only processes that are stopping answered")

	// ErrDenied, ErrUnknownCommand, ErrNoProxy and ErrNotHAProxy tell the
	// reasons of a RejectedError apart.
	ErrDenied         = errors.New("the socket's level does not permit the command")
	ErrUnknownCommand = errors.New("the command is not known there")
	ErrNoProxy        = errors.New("there is no such proxy")
	ErrNotHAProxy     = errors.New("the answer is not HAProxy's")
)

// RejectedError is a command answered by a text instead of data.
type RejectedError struct {
	// Command is what was asked.
	Command string
	// Text is the answer's first line, at most 200 bytes.
	Text string
}

// Error quotes the answer and says what it usually means.
func (e *RejectedError) Error() string {
	hint := ""
	switch e.kind() {
	case ErrUnknownCommand:
		hint = " (is this the master's socket? name a worker's `stats socket`)"
	case ErrDenied:
		hint = " (the `stats socket` line needs level user or higher)"
	case ErrNotHAProxy:
		hint = " (is this HAProxy's admin socket?)"
	}
	return fmt.Sprintf("%q was answered with %q%s", e.Command, e.Text, hint)
}

// Is reports whether target is the kind of rejection this is.
func (e *RejectedError) Is(target error) bool { return target == e.kind() }

// kind goes by the words of HAProxy's src/cli.c and src/stats.c. Before them
// stands "[3]: " or "[err]: " where the `stats socket` line has severity-output.
func (e *RejectedError) kind() error {
	text := e.Text
	if strings.HasPrefix(text, "[") {
		if _, after, found := strings.Cut(text, "]: "); found {
			text = after
		}
	}
	switch {
	case strings.HasPrefix(text, "Unknown command"):
		return ErrUnknownCommand
	case strings.HasPrefix(text, "Permission denied"):
		return ErrDenied
	case strings.HasPrefix(text, "No such proxy"), strings.HasPrefix(text, "Can't find backend"):
		return ErrNoProxy
	}
	return ErrNotHAProxy
}

const (
	// maxAnswer bounds one connection's answer: some 200,000 servers.
	maxAnswer = 64 << 20
	// maxCommand bounds a command line. HAProxy reads one into a buffer of
	// tune.bufsize (16 kB unless set) and waits for ever for the end of a
	// longer one.
	maxCommand = 6 << 10
	// fallbackTimeout bounds an exchange whose context has no deadline.
	fallbackTimeout = 10 * time.Second
	// maxRetries bounds how often a broken answer is asked for again.
	maxRetries = 3
)

// Client asks one HAProxy process over its admin socket. Each command line has
// a connection of its own, as HAProxy's CLI expects of programs. A Client has
// no state: it may be used by several goroutines.
type Client struct {
	addr Address
}

// NewClient returns a client for the socket at addr. It does not connect.
func NewClient(addr Address) *Client { return &Client{addr: addr} }

// Addr returns the socket's address.
func (c *Client) Addr() Address { return c.addr }

// StatQuery selects rows of `show stat`.
type StatQuery struct {
	// Proxy is the proxy's name. Where a frontend and a backend have the same
	// name, HAProxy answers for one of them: use ProxyID then.
	Proxy string
	// ProxyID is a Row's ProxyID, valid for the process that gave it. Without
	// Proxy and ProxyID all proxies are asked for.
	ProxyID int
	// Frontends, Backends and Servers say which rows; none of them means all.
	Frontends, Backends, Servers bool
}

// command returns the query as HAProxy's CLI takes it. The name's characters
// are those HAProxy allows in one, so that no other command can hide in it.
func (q StatQuery) command() (string, error) {
	who := "-1"
	switch {
	case q.ProxyID > 0:
		who = "#" + strconv.Itoa(q.ProxyID)
	case q.Proxy != "":
		if !ValidProxyName(q.Proxy) {
			return "", fmt.Errorf("%q cannot be the name of a proxy: letters, digits, - _ . : only", clip(q.Proxy))
		}
		who = q.Proxy
	}
	types := 0
	for bit, wanted := range [...]bool{q.Frontends, q.Backends, q.Servers} {
		if wanted {
			types |= 1 << bit
		}
	}
	if types == 0 {
		types = -1
	}
	return "show stat " + who + " " + strconv.Itoa(types) + " -1", nil
}

// ValidProxyName reports whether HAProxy would accept name for a proxy: letters,
// digits and "-_.:" (configuration manual, section 4).
func ValidProxyName(name string) bool {
	for i := 0; i < len(name); i++ {
		switch c := name[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_', c == '.', c == ':':
		default:
			return false
		}
	}
	return name != "" && len(name) <= 1024
}

// Snapshot is what one process said about itself and its proxies at one time.
type Snapshot struct {
	Info Info
	Rows []Row
}

// Stat asks for the process and, on the same connection, for the rows of the
// queries; a query for a proxy that does not exist gives no rows. An answer of
// a process that is stopping is thrown away and asked for again on a new
// connection, which the new process will get, and so is an answer that broke
// off; ErrStopping or the last failure is returned when ctx ends before.
//
// Queries that do not fit one command line take several connections. Should a
// reload come between, all is asked again: the rows are of one process.
func (c *Client) Stat(ctx context.Context, queries ...StatQuery) (Snapshot, error) {
	commands := make([]string, len(queries))
	for i, q := range queries {
		var err error
		if commands[i], err = q.command(); err != nil {
			return Snapshot{}, err
		}
	}
	lines := joinCommands("show info", commands)
	ctx, cancel := bounded(ctx)
	defer cancel()
	pause := pacer{}
	var stopping error
	for broken := 0; ; {
		snapshot, err := c.statOnce(ctx, lines)
		switch {
		case err == nil:
			return snapshot, nil
		case stopping != nil && errors.Is(err, ErrTimeout):
			// The deadline fell into one of many attempts, all of which had
			// been answered: this is not a process that hangs.
			return Snapshot{}, stopping
		case errors.Is(err, ErrStopping):
			stopping = err
		case errors.Is(err, ErrEmpty), errors.Is(err, ErrReset), errors.Is(err, ErrTruncated):
			if broken++; broken > maxRetries {
				return Snapshot{}, err
			}
		default:
			return Snapshot{}, err
		}
		if !pause.wait(ctx) {
			return Snapshot{}, err
		}
	}
}

// Info asks for the process alone, with Stat's patience for a reload.
func (c *Client) Info(ctx context.Context) (Info, error) {
	snapshot, err := c.Stat(ctx)
	return snapshot.Info, err
}

// ServerAddrs asks for the addresses of the servers of the named backends, or
// of all when none is named; a backend that does not exist gives none. It is
// needed on a socket of level user only, where rows come without Addr.
func (c *Client) ServerAddrs(ctx context.Context, backends ...string) ([]ServerAddr, error) {
	commands := []string{"show servers state"}
	if len(backends) > 0 {
		commands = commands[:0]
	}
	for _, backend := range backends {
		if !ValidProxyName(backend) {
			return nil, fmt.Errorf("%q cannot be the name of a backend: letters, digits, - _ . : only", clip(backend))
		}
		commands = append(commands, "show servers state "+backend)
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	var servers []ServerAddr
	for _, line := range joinCommands("", commands) {
		err := c.exchange(ctx, line.text, func(in *bufio.Reader) error {
			for range line.commands {
				err := ReadServersState(in, func(s ServerAddr) { servers = append(servers, s) })
				if err != nil && !errors.Is(err, ErrNoProxy) {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return servers, nil
}

// commandLine is one connection's worth of commands.
type commandLine struct {
	text     string
	commands int // how many, the one that every line begins with not counted
}

// joinCommands joins commands to lines that HAProxy can take, each beginning
// with first unless that is empty.
func joinCommands(first string, commands []string) []commandLine {
	lines := []commandLine{{text: first}}
	for _, command := range commands {
		last := &lines[len(lines)-1]
		if last.commands > 0 && len(last.text)+1+len(command) > maxCommand {
			lines = append(lines, commandLine{text: first})
			last = &lines[len(lines)-1]
		}
		if last.text != "" {
			last.text += ";"
		}
		last.text += command
		last.commands++
	}
	return lines
}

// statOnce asks once. It returns ErrStopping for a process that is stopping and
// when two connections reached two processes.
func (c *Client) statOnce(ctx context.Context, lines []commandLine) (Snapshot, error) {
	var snapshot Snapshot
	for i, line := range lines {
		err := c.exchange(ctx, line.text, func(in *bufio.Reader) error {
			info, err := ReadInfo(in)
			if err != nil {
				return err
			}
			if info.Stopping || i > 0 && info.Pid != snapshot.Info.Pid {
				return fmt.Errorf("%w (pid %d)", ErrStopping, info.Pid)
			}
			snapshot.Info = info
			for range line.commands {
				if err := appendRows(in, &snapshot.Rows); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return Snapshot{}, err
		}
	}
	return snapshot, nil
}

// appendRows reads one answer of `show stat`.
func appendRows(in *bufio.Reader, rows *[]Row) error {
	reader, err := NewStatReader(in)
	if errors.Is(err, ErrNoProxy) {
		return nil
	}
	if err != nil {
		return err
	}
	for {
		row, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		*rows = append(*rows, row)
	}
}

// exchange sends one command line on a connection of its own and has read take
// the answers, after which the peer must close. Errors name the socket.
func (c *Client) exchange(ctx context.Context, line string, read func(*bufio.Reader) error) error {
	if err := c.converse(ctx, line, read); err != nil {
		return fmt.Errorf("admin socket %s: %w", c.addr, err)
	}
	return nil
}

func (c *Client) converse(ctx context.Context, line string, read func(*bufio.Reader) error) error {
	conn, err := c.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	// A deadline in the past wakes whatever waits when ctx ends for any reason.
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()

	peer := &peerReader{ctx: ctx, conn: conn, left: maxAnswer}
	if _, err := io.WriteString(conn, line+"\n"); err != nil {
		return peer.explain(err)
	}
	in := bufio.NewReaderSize(peer, 64<<10)
	if err := read(in); err != nil {
		return err
	}
	switch _, err := in.ReadByte(); {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		return err
	}
	return fmt.Errorf("%w: something follows the last answer", ErrFormat)
}

// dial connects, waiting for a place in a full queue as long as ctx allows.
func (c *Client) dial(ctx context.Context) (net.Conn, error) {
	network, address := c.addr.DialArgs()
	pause := pacer{}
	full := false
	for {
		var dialer net.Dialer
		conn, err := dialer.DialContext(ctx, network, address)
		var netErr net.Error
		switch {
		case err == nil:
			return conn, nil
		case errors.Is(err, syscall.EAGAIN) && network == "unix":
			if full = true; !pause.wait(ctx) {
				return nil, ErrBusy
			}
		case errors.Is(err, fs.ErrNotExist):
			return nil, ErrNoSocket
		case errors.Is(err, fs.ErrPermission):
			return nil, ErrPermission
		case errors.Is(err, syscall.ECONNREFUSED):
			return nil, ErrRefused
		case full && (ctx.Err() != nil || errors.As(err, &netErr) && netErr.Timeout()):
			return nil, ErrBusy
		case ctx.Err() != nil:
			return nil, ended(ctx, "the connection was not accepted")
		case errors.As(err, &netErr) && netErr.Timeout():
			// The dialler's own clock may be a moment ahead of ctx's.
			return nil, timeoutError("the connection was not accepted")
		default:
			return nil, fmt.Errorf("cannot connect: %w", err)
		}
	}
}

// peerReader reads from the socket, bounded, with errors that say what happened
// to the conversation.
type peerReader struct {
	ctx  context.Context
	conn net.Conn
	got  bool
	left int
}

// Read implements io.Reader.
func (p *peerReader) Read(b []byte) (int, error) {
	if p.left == 0 {
		return 0, fmt.Errorf("%w: more than %d MB", ErrTooLong, maxAnswer>>20)
	}
	n, err := p.conn.Read(b[:min(len(b), p.left)])
	p.left -= n
	p.got = p.got || n > 0
	if err != nil && !errors.Is(err, io.EOF) {
		err = p.explain(err)
	}
	return n, err
}

// explain turns an error of the connection into one of this package's.
func (p *peerReader) explain(err error) error {
	switch {
	case p.ctx.Err() != nil && p.got:
		return ended(p.ctx, "the answer was not complete")
	case p.ctx.Err() != nil:
		return ended(p.ctx, "connected, but not one byte came: is it frozen or overloaded, or are its `stats maxconn` clients all taken?")
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return ErrReset
	default:
		return err
	}
}

// ended returns the error for a context that ended: a timeout, unless somebody
// gave up on purpose.
func ended(ctx context.Context, how string) error {
	if cause := context.Cause(ctx); !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("%s: %w", how, cause)
	}
	return timeoutError(how)
}

// timeoutError is ErrTimeout and [context.DeadlineExceeded], and says how far it
// got: the latter's words would add nothing.
type timeoutError string

func (e timeoutError) Error() string { return ErrTimeout.Error() + ": " + string(e) }

func (e timeoutError) Unwrap() []error { return []error{ErrTimeout, context.DeadlineExceeded} }

// bounded gives ctx a deadline if it has none.
func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, fallbackTimeout)
}

// pacer spaces attempts: 1 ms, then twice as long each time, up to 20 ms.
type pacer struct{ last time.Duration }

// wait reports whether there is time for another attempt.
func (p *pacer) wait(ctx context.Context) bool {
	p.last = min(max(2*p.last, time.Millisecond), 20*time.Millisecond)
	timer := time.NewTimer(p.last)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// notATable reads an answer that does not begin as it should. start and err are
// what looking at its beginning gave.
func notATable(command string, in *bufio.Reader, start []byte, err error) error {
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	switch atEnd := err != nil; {
	case atEnd && len(start) == 0:
		return ErrEmpty
	case atEnd && (strings.HasPrefix(statHeader, string(start)) || strings.HasPrefix("Name: ", string(start))):
		return fmt.Errorf("%w within the first line of %s", ErrTruncated, command)
	}
	// A text: as far as the empty line that ends each answer, which leaves the
	// reader at the next one.
	rejected := &RejectedError{Command: command}
	const most = 200
	for read, begun := 0, false; read < 16<<10; {
		line, err := in.ReadSlice('\n')
		read += len(line)
		full := errors.Is(err, bufio.ErrBufferFull)
		if err != nil && !full && !errors.Is(err, io.EOF) {
			return err
		}
		if text := rejected.Text + string(line); strings.TrimSpace(text) != "" && !begun {
			begun = !full
			rejected.Text = strings.TrimLeft(text, " \t\r\n")
			rejected.Text = rejected.Text[:min(len(rejected.Text), most)]
		}
		if errors.Is(err, io.EOF) || !full && len(trimEOL(line)) == 0 {
			break
		}
	}
	rejected.Text = strings.TrimSpace(rejected.Text)
	return rejected
}
