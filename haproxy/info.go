package haproxy

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// Info is what `show info` says about the process that answered.
type Info struct {
	Version string
	Pid     int
	Uptime  time.Duration // whole seconds
	// Stopping is set for a process that finishes its connections and takes no
	// new ones: after a reload the one before. What it says about its proxies
	// is not what clients meet. A version that does not write it is taken for
	// a process that is not stopping.
	Stopping bool
	// Nbproc and ProcessNum tell processes apart before HAProxy 2.5; after
	// that both are 1.
	Nbproc, ProcessNum int
	Nbthread           int
	// Listeners counts the process's listening sockets, those of the admin
	// socket and of peers included.
	Listeners int
	CurrConns int
}

// ReadInfo reads one answer of `show info` to the empty line that ends it. The
// errors are those of NewStatReader.
func ReadInfo(in *bufio.Reader) (Info, error) {
	const first = "Name: "
	var info Info
	start, err := in.Peek(len(first))
	if string(start) != first {
		return Info{}, notATable("show info", in, start, err)
	}
	var pid bool
	for {
		line, err := in.ReadSlice('\n')
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			return Info{}, fmt.Errorf("%w: a line of show info is longer than %d bytes", ErrFormat, in.Size())
		case errors.Is(err, io.EOF):
			return Info{}, fmt.Errorf("%w within show info", ErrTruncated)
		case err != nil:
			return Info{}, err
		}
		line = trimEOL(line)
		if len(line) == 0 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		text := strings.TrimSpace(string(value))
		var number *int
		switch string(name) {
		case "Version":
			info.Version = text
		case "Pid":
			number, pid = &info.Pid, true
		case "Uptime_sec":
			var seconds int
			if seconds, err = strconv.Atoi(text); err == nil {
				info.Uptime = time.Duration(seconds) * time.Second
			}
		case "Stopping":
			info.Stopping = text != "0"
		case "Nbproc":
			number = &info.Nbproc
		case "Process_num":
			number = &info.ProcessNum
		case "Nbthread":
			number = &info.Nbthread
		case "Listeners":
			number = &info.Listeners
		case "CurrConns":
			number = &info.CurrConns
		}
		if number != nil {
			*number, err = strconv.Atoi(text)
		}
		if err != nil {
			return Info{}, fmt.Errorf("%w: %s of show info is %q, not a number", ErrFormat, name, clip(text))
		}
	}
	if !pid {
		return Info{}, fmt.Errorf("%w: show info has no Pid", ErrFormat)
	}
	return info, nil
}
