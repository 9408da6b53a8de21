package journal

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode"

	"golang.org/x/sys/unix"
)

// Syslog is where a syslog daemon listens.
const Syslog = "/dev/log"

// NoSyslog stands in place of a socket for no fallback to syslog.
const NoSyslog = "none"

// facility is "daemon" (RFC 3164, section 4.1.1).
const facility = 3

// maxLine bounds a line for syslog, in bytes (RFC 3164, section 4.1).
const maxLine = 1024

// syslogLine writes a message the way syslog(3) does: RFC 3164 without the
// host, which the daemon adds to what comes from its own machine.
func syslogLine(identifier string, priority Priority, message string, now time.Time) []byte {
	line := fmt.Sprintf("<%d>%s %s[%d]: ", facility*8+int(priority), now.Format(time.Stamp), identifier, os.Getpid())
	return []byte(line + oneLine(message, maxLine-len(line)))
}

// oneLine makes valid UTF-8 without control characters of text, with single
// blanks between its words, of at most limit bytes.
func oneLine(text string, limit int) string {
	text = strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "\uFFFD"))), " ")
	if len(text) > limit {
		text = strings.ToValidUTF8(text[:max(0, limit-len("…"))], "") + "…"
	}
	return text
}

// writeSyslog sends one line to the syslog daemon at a socket.
func writeSyslog(ctx context.Context, socket string, line []byte) error {
	conn, err := new(net.Dialer).DialContext(ctx, "unixgram", socket)
	if errors.Is(err, unix.EPROTOTYPE) {
		// Some daemons listen for connections, in which a line break ends each
		// message.
		conn, err = new(net.Dialer).DialContext(ctx, "unix", socket)
		line = append(line, '\n')
	}
	if err != nil {
		return inner(err)
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetWriteDeadline(deadline); err != nil {
			return err
		}
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	_, err = conn.Write(line)
	return inner(err)
}

// inner is the cause of an error of package net, without the socket's name.
func inner(err error) error {
	if outer := (*net.OpError)(nil); errors.As(err, &outer) {
		return outer.Err
	}
	return err
}

// syslogSocket is where a syslog daemon may listen, and why none does. Under systemd /dev/log
// leads to journald itself, and the daemon that journald passes messages on to
// listens beside it (systemd.io/WRITING_SYSLOG_DAEMONS).
func (to target) syslogSocket() (string, error) {
	own := to.journaldsOwn()
	if own == "" {
		return to.syslog, nil
	}
	behind := filepath.Join(filepath.Dir(to.socket), "syslog")
	if _, err := os.Stat(behind); err != nil {
		return to.syslog, fmt.Errorf("is journald's own socket %s, and no syslog daemon listens at %s", own, behind)
	}
	return behind, nil
}

// journaldsOwn is the socket of journald that the syslog socket stands for,
// by a link or a bind mount; empty if it is another one.
func (to target) journaldsOwn() string {
	own := filepath.Join(filepath.Dir(to.socket), "dev-log")
	there, err := os.Stat(to.syslog)
	if err == nil {
		if here, err := os.Stat(own); err == nil && os.SameFile(here, there) {
			return own
		}
		return ""
	}
	// A link outlives the socket it leads to.
	link, err := os.Readlink(to.syslog)
	if err != nil {
		return ""
	}
	if !filepath.IsAbs(link) {
		link = filepath.Join(filepath.Dir(to.syslog), link)
	}
	if link == own {
		return own
	}
	return ""
}
