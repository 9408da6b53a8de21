// Package journal writes to systemd's journal, events and single messages,
// over its native protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL). It depends
// on no library: that protocol is one datagram, and a sender must be able to
// give up on a journald that is frozen, which the usual one cannot.
//
// A message that journald does not take, because it is not there, stopped or
// frozen, goes to the syslog daemon of this machine, if it has one; see syslog.
// Every failure but an invalid field name is temporary: a journald that is
// not there (ENOENT, ECONNREFUSED) is restarted by systemd.
package journal

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Socket is where journald listens.
const Socket = "/run/systemd/journal/socket"

// Identifier is the SYSLOG_IDENTIFIER of every message, as in
// journalctl -t hacheck.
const Identifier = "hacheck"

// sendTimeout bounds a message whose context has no deadline of its own. A
// journald that lives takes a message in well under a millisecond.
const sendTimeout = time.Second

// Priority is a severity as in syslog(3); lower is more severe.
type Priority int

// The priorities used.
const (
	Critical Priority = 2
	Error    Priority = 3
	Warning  Priority = 4
	Notice   Priority = 5
	Info     Priority = 6
	Debug    Priority = 7
)

// Send writes one message with further fields to this machine's journal, or
// the message alone to its syslog. Names of fields consist of capital letters,
// digits and '_', begin with a letter and have at most 64 characters; MESSAGE,
// PRIORITY and SYSLOG_IDENTIFIER are set by Send. It returns when ctx ends at
// the latest, and after one second if ctx has no deadline.
func Send(ctx context.Context, priority Priority, message string, fields map[string]string) error {
	return target{Socket, Syslog, Identifier}.send(ctx, priority, message, message, fields)
}

// target is where messages go.
type target struct {
	socket     string // of journald
	syslog     string // of syslog, or NoSyslog
	identifier string
}

// send writes a message to journald, or else line to syslog.
func (to target) send(ctx context.Context, priority Priority, message, line string, fields map[string]string) error {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, sendTimeout, fmt.Errorf("took no message within %s: %w", sendTimeout, context.DeadlineExceeded))
		defer cancel()
	}
	datagram, err := encode(to.identifier, priority, message, fields)
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	deadline, _ := ctx.Deadline()
	// A frozen journald must leave syslog its share of the time.
	share := time.Until(deadline)
	if to.syslog != NoSyslog {
		share /= 2
	}
	err = within(ctx, share, func(ctx context.Context) error { return write(ctx, to.socket, datagram) })
	if err == nil {
		return nil
	}
	err = fmt.Errorf("journal %s: %w", to.socket, err)
	if to.syslog == NoSyslog || ctx.Err() != nil {
		return err
	}
	socket, syslogErr := to.syslogSocket()
	if syslogErr == nil {
		text := syslogLine(to.identifier, priority, line, time.Now())
		syslogErr = within(ctx, time.Until(deadline), func(ctx context.Context) error { return writeSyslog(ctx, socket, text) })
	}
	if syslogErr != nil {
		return fmt.Errorf("%w; and syslog %s: %w", err, socket, syslogErr)
	}
	return nil
}

// within lets a receiver have its share of the time. If that passes, the error
// says so.
func within(ctx context.Context, share time.Duration, write func(context.Context) error) error {
	limited, cancel := context.WithTimeoutCause(ctx, share,
		fmt.Errorf("took no message within %s: %w", share.Round(time.Millisecond), context.DeadlineExceeded))
	defer cancel()
	err := write(limited)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		<-limited.Done() // the socket's clock was a little ahead of the context's
	}
	if err != nil && limited.Err() != nil {
		return context.Cause(limited)
	}
	return err
}

// write sends one datagram, or a file with its content if it is too large for
// one.
func write(ctx context.Context, socket string, datagram []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	// Connected, as only then does the kernel say when a full queue has room
	// again: an unconnected sender is told "now" over and over.
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		return hint(err)
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetWriteDeadline(deadline); err != nil {
			return err
		}
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	_, err = conn.Write(datagram)
	if errors.Is(err, unix.EMSGSIZE) || errors.Is(err, unix.ENOBUFS) {
		err = writeFile(conn, datagram)
	}
	return hint(err)
}

// writeFile passes the message as a sealed memory file, the way journald
// takes messages too large for a datagram.
func writeFile(conn *net.UnixConn, content []byte) error {
	fd, err := unix.MemfdCreate("hacheck-journal", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return fmt.Errorf("make a memory file for a message of %d bytes: %w", len(content), err)
	}
	file := os.NewFile(uintptr(fd), "hacheck-journal")
	defer file.Close()
	if _, err := file.Write(content); err != nil {
		return err
	}
	// journald accepts memory files of strangers with exactly these seals only.
	const seals = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE | unix.F_SEAL_SEAL
	if _, err := unix.FcntlInt(file.Fd(), unix.F_ADD_SEALS, seals); err != nil {
		return fmt.Errorf("seal the memory file: %w", err)
	}
	// net.UnixConn passes no files over a connected datagram socket; its
	// deadline and its closing hold for the raw form too.
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	rights := unix.UnixRights(int(file.Fd()))
	var sendErr error
	err = raw.Write(func(socket uintptr) bool {
		sendErr = unix.Sendmsg(int(socket), nil, rights, nil, unix.MSG_NOSIGNAL)
		return sendErr != unix.EAGAIN && sendErr != unix.EINTR
	})
	if err != nil {
		return err
	}
	return os.NewSyscallError("sendmsg", sendErr)
}

// hint says what the two usual errors mean, without the socket's name, which
// the caller gives.
func hint(err error) error {
	err = inner(err)
	switch {
	case errors.Is(err, unix.ENOENT):
		return fmt.Errorf("%w; no journald runs here", err)
	case errors.Is(err, unix.ECONNREFUSED):
		return fmt.Errorf("%w; journald is stopped", err)
	}
	return err
}

// encode writes a message in the native protocol.
func encode(identifier string, priority Priority, message string, fields map[string]string) ([]byte, error) {
	if priority < 0 || priority > Debug {
		return nil, fmt.Errorf("priority %d is not within 0 to 7", priority)
	}
	var out bytes.Buffer
	field(&out, "MESSAGE", message)
	field(&out, "PRIORITY", strconv.Itoa(int(priority)))
	field(&out, "SYSLOG_IDENTIFIER", identifier)
	names := make([]string, 0, len(fields))
	for name := range fields {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if !validName(name) {
			return nil, fmt.Errorf("%q is not the name of a journal field", name)
		}
		field(&out, name, fields[name])
	}
	return out.Bytes(), nil
}

// field writes one field. A value with a line break has its length before it,
// so that no value can pose as a further field.
func field(out *bytes.Buffer, name, value string) {
	value = strings.ToValidUTF8(value, "\uFFFD")
	out.WriteString(name)
	if !strings.Contains(value, "\n") {
		out.WriteByte('=')
		out.WriteString(value)
		out.WriteByte('\n')
		return
	}
	out.WriteByte('\n')
	out.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(value))))
	out.WriteString(value)
	out.WriteByte('\n')
}

// validName reports whether journald takes a field of this name from a
// program and Send does not set it itself.
func validName(name string) bool {
	switch name {
	case "", "MESSAGE", "PRIORITY", "SYSLOG_IDENTIFIER":
		return false
	}
	if len(name) > 64 || name[0] < 'A' || name[0] > 'Z' {
		return false
	}
	return !strings.ContainsFunc(name, func(r rune) bool {
		return (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_'
	})
}
