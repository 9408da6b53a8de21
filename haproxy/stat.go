package haproxy

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// RowType says what a row of `show stat` describes (the column "type").
type RowType int

// The row types of HAProxy's management guide, section 9.1.
const (
	RowFrontend RowType = 0
	RowBackend  RowType = 1
	RowServer   RowType = 2
	RowListener RowType = 3
)

// Row is one line of `show stat`: the columns a verdict can rest on. A number
// that HAProxy left out is -1, a text that it left out is empty.
type Row struct {
	// Proxy is the frontend's or backend's name. One name may belong to a
	// frontend and to a backend; ProxyID tells them apart.
	Proxy string
	// Server is the server's or the listener's name, FRONTEND or BACKEND.
	Server string
	// Type says which of the four the row is.
	Type RowType
	// ProxyID is the column "iid". It is unique within one process and may
	// change with a reload.
	ProxyID int
	// Status is the text HAProxy wrote; ParseServerStatus reads a server's.
	Status string
	// Weight is the effective weight: a backend's is the sum over its usable
	// servers, a server's 0 means that it gets no new connections.
	Weight int
	// Active and Backup are 1 and 0 (or 0 and 1) for a server. For a backend
	// they count only those servers that HAProxy considers up.
	Active, Backup int
	// CheckStatus is the last health check's code such as L4CON or L7STS, INI
	// before the first one ended, empty for a server that HAProxy does not
	// check itself. A leading "* " of a check under way is removed.
	CheckStatus string
	// CheckCode is the layer 5 to 7 code of that check, such as 503.
	CheckCode string
	// LastCheck is the text of that check ("Connection refused", a line the
	// server sent). It is the peer's text: any bytes can be in it.
	LastCheck string
	// AgentStatus and LastAgent are the same for the agent check.
	AgentStatus, LastAgent string
	// Tracked is "backend/server" for a server that follows another's checks.
	Tracked string
	// Addr is the server's address and port. HAProxy leaves it out on a socket
	// of level user, and says only "unix" for a unix socket.
	Addr string
	// Mode is tcp, http or another of HAProxy's proxy modes.
	Mode string
}

// Limits on what is read from a socket that may not be HAProxy's.
const (
	// maxRecord bounds one record: HAProxy itself never writes more than its
	// buffer (16 kB unless tune.bufsize is raised) at once.
	maxRecord = 1 << 20
	// maxColumns bounds a record's columns; HAProxy 3.2 sends fewer than 200.
	maxColumns = 4096
	// statHeader is what every CSV answer of `show stat` begins with, in all
	// versions from 1.8 to 3.2.
	statHeader = "# pxname,svname,"
)

// statColumn is a column that Row has a place for.
type statColumn uint8

const (
	colNone statColumn = iota
	colProxy
	colServer
	colType
	colProxyID
	colStatus
	colWeight
	colActive
	colBackup
	colCheckStatus
	colCheckCode
	colLastCheck
	colAgentStatus
	colLastAgent
	colTracked
	colAddr
	colMode
	statColumns // how many there are
)

// statColumnOf finds the column of a header name; names Row has no place for,
// and those later versions add, are colNone.
func statColumnOf(name []byte) statColumn {
	switch string(name) {
	case "pxname":
		return colProxy
	case "svname":
		return colServer
	case "type":
		return colType
	case "iid":
		return colProxyID
	case "status":
		return colStatus
	case "weight":
		return colWeight
	case "act":
		return colActive
	case "bck":
		return colBackup
	case "check_status":
		return colCheckStatus
	case "check_code":
		return colCheckCode
	case "last_chk":
		return colLastCheck
	case "agent_status":
		return colAgentStatus
	case "last_agt":
		return colLastAgent
	case "tracked":
		return colTracked
	case "addr":
		return colAddr
	case "mode":
		return colMode
	}
	return colNone
}

// StatReader reads one answer of `show stat` as it arrives. It goes by the
// names in the header, so that it reads what HAProxy 1.8 to 3.2 send, and it
// follows the CSV quoting: servers control the text of some columns.
type StatReader struct {
	in      *bufio.Reader
	columns []statColumn
	last    int // the last column that matters
	record  []byte
	fields  []field
	quoted  []byte
	// before has the texts of the row before: most rows repeat most of them.
	before [statColumns]string
	row    int
	done   bool
}

// field is a piece of the record; quoted fields still have their quotes.
type field struct {
	start, end int
	quoted     bool
}

// NewStatReader reads the header of one answer and returns a reader for its
// rows. The errors are ErrEmpty when in ends before anything came,
// ErrTruncated when it ends within the header, and a *RejectedError with
// HAProxy's words when the answer is not a table.
func NewStatReader(in *bufio.Reader) (*StatReader, error) {
	r := &StatReader{in: in}
	start, err := in.Peek(len(statHeader))
	if string(start) != statHeader {
		return nil, notATable("show stat", in, start, err)
	}
	if err := r.readRecord(); err != nil {
		return nil, err
	}
	r.columns = make([]statColumn, len(r.fields))
	var seen uint32
	for i, f := range r.fields {
		name := r.record[f.start:f.end]
		if i == 0 {
			name = bytes.TrimPrefix(name, []byte("# "))
		}
		column := statColumnOf(name)
		if seen&(1<<column) != 0 {
			column = colNone // a repeated name: the first one counts
		}
		seen |= 1 << column
		r.columns[i] = column
		if column != colNone {
			r.last = i
		}
	}
	for _, need := range []struct {
		column statColumn
		name   string
	}{{colType, "type"}, {colStatus, "status"}, {colProxyID, "iid"}, {colWeight, "weight"}, {colActive, "act"}, {colBackup, "bck"}, {colCheckStatus, "check_status"}} {
		if seen&(1<<need.column) == 0 {
			return nil, fmt.Errorf("%w: the header of show stat has no column %q", ErrFormat, need.name)
		}
	}
	return r, nil
}

// Next returns the next row. It returns io.EOF after the empty line that ends
// a complete answer, and ErrTruncated when the input ends without one: what
// was returned before is then worth nothing.
func (r *StatReader) Next() (Row, error) {
	if r.done {
		return Row{}, io.EOF
	}
	if err := r.readRecord(); err != nil {
		return Row{}, err
	}
	if len(r.record) == 0 {
		r.done = true
		return Row{}, io.EOF
	}
	r.row++
	if len(r.fields) <= r.last {
		return Row{}, fmt.Errorf("%w: row %d of show stat has %d columns, %d were announced", ErrFormat, r.row, len(r.fields), len(r.columns))
	}
	row := Row{Weight: -1, Active: -1, Backup: -1, ProxyID: -1}
	for i, column := range r.columns[:r.last+1] {
		if column == colNone {
			continue
		}
		text := r.text(r.fields[i])
		if string(text) != r.before[column] {
			r.before[column] = string(text)
		}
		if err := row.set(column, r.before[column]); err != nil {
			return Row{}, fmt.Errorf("%w: row %d of show stat: %v", ErrFormat, r.row, err)
		}
	}
	return row, nil
}

// set stores one column's text.
func (row *Row) set(column statColumn, value string) (err error) {
	switch column {
	case colProxy:
		row.Proxy = value
	case colServer:
		row.Server = value
	case colType:
		switch value {
		case "0":
			row.Type = RowFrontend
		case "1":
			row.Type = RowBackend
		case "2":
			row.Type = RowServer
		case "3":
			row.Type = RowListener
		default:
			return fmt.Errorf("type %q is not one of 0 to 3", clip(value))
		}
	case colProxyID:
		row.ProxyID, err = statNumber("iid", value)
	case colStatus:
		row.Status = value
	case colWeight:
		row.Weight, err = statNumber("weight", value)
	case colActive:
		row.Active, err = statNumber("act", value)
	case colBackup:
		row.Backup, err = statNumber("bck", value)
	case colCheckStatus:
		row.CheckStatus = strings.TrimPrefix(value, "* ")
	case colCheckCode:
		row.CheckCode = value
	case colLastCheck:
		row.LastCheck = value
	case colAgentStatus:
		row.AgentStatus = strings.TrimPrefix(value, "* ")
	case colLastAgent:
		row.LastAgent = value
	case colTracked:
		row.Tracked = value
	case colAddr:
		row.Addr = value
	case colMode:
		row.Mode = value
	}
	return err
}

func statNumber(column, value string) (int, error) {
	if value == "" {
		return -1, nil
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%s %q is not a number", column, clip(value))
	}
	return n, nil
}

// readRecord reads one record into r.record and r.fields. An empty line gives
// an empty record.
func (r *StatReader) readRecord() error {
	r.record, r.fields = r.record[:0], r.fields[:0]
	if err := r.appendLine(); err != nil {
		return err
	}
	if len(trimEOL(r.record)) == 0 {
		r.record = r.record[:0]
		return nil
	}
	for at := 0; ; {
		if len(r.fields) == maxColumns {
			return fmt.Errorf("%w: a row of show stat has more than %d columns", ErrFormat, maxColumns)
		}
		if at < len(r.record) && r.record[at] == '"' {
			end, err := r.closingQuote(at + 1)
			if err != nil {
				return err
			}
			r.fields = append(r.fields, field{at, end, true})
			at = end
			switch rest := trimEOL(r.record)[end:]; {
			case len(rest) == 0:
				r.record = trimEOL(r.record)
				return nil
			case rest[0] != ',':
				return fmt.Errorf("%w: row %d of show stat has text after a closing quote", ErrFormat, r.row+1)
			}
			at++
			continue
		}
		comma := bytes.IndexByte(r.record[at:], ',')
		if comma < 0 {
			r.record = trimEOL(r.record)
			r.fields = append(r.fields, field{at, len(r.record), false})
			return nil
		}
		r.fields = append(r.fields, field{at, at + comma, false})
		at += comma + 1
	}
}

// closingQuote returns the position behind the quote that closes a field whose
// text begins at start, reading more lines where the text has line breaks.
func (r *StatReader) closingQuote(start int) (int, error) {
	for at := start; ; {
		quote := bytes.IndexByte(r.record[at:], '"')
		if quote < 0 {
			at = len(r.record)
			if err := r.appendLine(); err != nil {
				return 0, err
			}
			continue
		}
		at += quote + 1
		if at == len(r.record) || r.record[at] != '"' {
			return at, nil
		}
		at++
	}
}

// appendLine appends the next line with its line end to the record.
func (r *StatReader) appendLine() error {
	for {
		piece, err := r.in.ReadSlice('\n')
		r.record = append(r.record, piece...)
		if len(r.record) > maxRecord {
			return fmt.Errorf("%w: a row of show stat is longer than %d bytes", ErrFormat, maxRecord)
		}
		switch {
		case err == nil:
			return nil
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF):
			return fmt.Errorf("%w within row %d of show stat", ErrTruncated, r.row+1)
		default:
			return err
		}
	}
}

// text returns the text of a field of the record, valid until the next call.
func (r *StatReader) text(f field) []byte {
	if !f.quoted {
		return r.record[f.start:f.end]
	}
	text := r.record[f.start+1 : f.end-1]
	if !bytes.Contains(text, []byte(`""`)) {
		return text
	}
	r.quoted = r.quoted[:0]
	for i := 0; i < len(text); i++ {
		r.quoted = append(r.quoted, text[i])
		if text[i] == '"' {
			i++ // the second of two
		}
	}
	return r.quoted
}

// trimEOL removes one line end.
func trimEOL(line []byte) []byte {
	line = bytes.TrimSuffix(line, []byte("\n"))
	return bytes.TrimSuffix(line, []byte("\r"))
}

// clip shortens a peer's text for an error. Callers print it with %q.
func clip(text string) string {
	const most = 60
	if len(text) > most {
		return text[:most] + "…"
	}
	return text
}
