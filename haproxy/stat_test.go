package haproxy

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

// readRows reads a whole answer.
func readRows(in io.Reader) ([]Row, error) {
	buffered := bufio.NewReaderSize(in, 16)
	reader, err := NewStatReader(buffered)
	if err != nil {
		return nil, err
	}
	var rows []Row
	for {
		row, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return rows, nil
		}
		if err != nil {
			return rows, err
		}
		rows = append(rows, row)
	}
}

func fixture(t testing.TB, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata/stat", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// The typed rows of a real answer against encoding/csv's reading of it.
func TestStatReaderAgreesWithEncodingCSV(t *testing.T) {
	answer := fixture(t, "sem-show-stat.csv")
	rows, err := readRows(iotest.OneByteReader(strings.NewReader(answer)))
	if err != nil {
		t.Fatal(err)
	}
	records, err := csv.NewReader(strings.NewReader(answer)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	header, records := records[0], records[1:]
	if len(rows) != len(records) || len(rows) != 83 {
		t.Fatalf("%d rows, encoding/csv reads %d", len(rows), len(records))
	}
	number := func(text string) string {
		if text == "" {
			return "-1"
		}
		return text
	}
	for i, row := range rows {
		want := func(name string) string { return records[i][slices.Index(header, name)] }
		for _, c := range []struct{ name, got, want string }{
			{"pxname", row.Proxy, want("# pxname")},
			{"svname", row.Server, want("svname")},
			{"type", fmt.Sprint(int(row.Type)), want("type")},
			{"iid", fmt.Sprint(row.ProxyID), want("iid")},
			{"status", row.Status, want("status")},
			{"weight", fmt.Sprint(row.Weight), number(want("weight"))},
			{"act", fmt.Sprint(row.Active), number(want("act"))},
			{"bck", fmt.Sprint(row.Backup), number(want("bck"))},
			{"check_status", row.CheckStatus, want("check_status")},
			{"check_code", row.CheckCode, want("check_code")},
			{"last_chk", row.LastCheck, want("last_chk")},
			{"agent_status", row.AgentStatus, want("agent_status")},
			{"last_agt", row.LastAgent, want("last_agt")},
			{"tracked", row.Tracked, want("tracked")},
			{"addr", row.Addr, want("addr")},
			{"mode", row.Mode, want("mode")},
		} {
			if c.got != c.want {
				t.Errorf("row %d, %s: %q, want %q", i+1, c.name, c.got, c.want)
			}
		}
	}
}

// Every status of the real answer and those of the time series is known.
func TestParseServerStatus(t *testing.T) {
	rows, err := readRows(strings.NewReader(fixture(t, "sem-show-stat.csv")))
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rows {
		if row.Type != RowServer {
			continue
		}
		if _, err := ParseServerStatus(row.Status); err != nil {
			t.Errorf("%s/%s: %v", row.Proxy, row.Server, err)
		}
	}
	tests := []struct {
		text string
		want ServerStatus
	}{
		{"UP", ServerStatus{State: ServerUp}},
		{"UP 1/3", ServerStatus{State: ServerUp, Health: 1, Of: 3}},
		{"DOWN", ServerStatus{State: ServerDown}},
		{"DOWN 1/2", ServerStatus{State: ServerDown, Health: 1, Of: 2}},
		{"DOWN (agent)", ServerStatus{State: ServerDown, Agent: true}},
		{"MAINT", ServerStatus{State: ServerMaint}},
		{"MAINT (via be_maint_all/s1)", ServerStatus{State: ServerMaint, Detail: "via be_maint_all/s1"}},
		{"MAINT (resolution)", ServerStatus{State: ServerMaint, Detail: "resolution"}},
		{"NOLB", ServerStatus{State: ServerNoLB}},
		{"NOLB 2/3", ServerStatus{State: ServerNoLB, Health: 2, Of: 3}},
		{"DRAIN", ServerStatus{State: ServerDrain}},
		{"DRAIN (agent)", ServerStatus{State: ServerDrain, Agent: true}},
		{"DRAIN 2/4", ServerStatus{State: ServerDrain, Health: 2, Of: 4}},
		{"no check", ServerStatus{State: ServerNoCheck}},
	}
	for _, test := range tests {
		if got, err := ParseServerStatus(test.text); err != nil || got != test.want {
			t.Errorf("%s: %+v, %v; want %+v", test.text, got, err, test.want)
		}
	}
	for _, text := range []string{"", "OPEN", "up", "UP 3", "UP 4/3", "UP -1/3", "UP a/b", "UP (agent", "no check 1/2", strings.Repeat("x", 1000)} {
		got, err := ParseServerStatus(text)
		if !errors.Is(err, ErrFormat) || len(err.Error()) > 200 {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
}

const (
	// HAProxy 1.8's header and a row of it: 82 columns.
	header18 = "# pxname,svname,qcur,qmax,scur,smax,slim,stot,bin,bout,dreq,dresp,ereq,econ,eresp,wretr,wredis,status,weight,act,bck,chkfail,chkdown,lastchg,downtime,qlimit,pid,iid,sid,throttle,lbtot,tracked,type,rate,rate_lim,rate_max,check_status,check_code,check_duration,hrsp_1xx,hrsp_2xx,hrsp_3xx,hrsp_4xx,hrsp_5xx,hrsp_other,hanafail,req_rate,req_rate_max,req_tot,cli_abrt,srv_abrt,comp_in,comp_out,comp_byp,comp_rsp,lastsess,last_chk,last_agt,qtime,ctime,rtime,ttime,agent_status,agent_code,agent_duration,check_desc,agent_desc,check_rise,check_fall,check_health,agent_rise,agent_fall,agent_health,addr,cookie,mode,algo,conn_rate,conn_rate_max,conn_tot,intercepted,dcon,dses,\n"
	short    = "# pxname,svname,status,weight,act,bck,iid,type,check_status,last_chk\n"
)

func TestStatReaderShapes(t *testing.T) {
	row18 := strings.Split(strings.Repeat(",", 83), ",")
	for i, name := range strings.Split(header18, ",") {
		switch name {
		case "# pxname":
			row18[i] = "old"
		case "svname":
			row18[i] = "s1"
		case "status":
			row18[i] = "UP"
		case "weight", "act":
			row18[i] = "1"
		case "bck":
			row18[i] = "0"
		case "iid", "type":
			row18[i] = "2"
		case "check_status":
			row18[i] = "* L4OK"
		case "mode":
			row18[i] = "tcp"
		}
	}
	plain := Row{Proxy: "b", Server: "s", Status: "UP", Weight: 1, Active: 1, ProxyID: 2, Type: RowServer, CheckStatus: "L4OK"}
	quoted := plain
	quoted.LastCheck = "a,\"b\"\r\n\nc"
	tests := []struct {
		name, answer string
		want         []Row
	}{
		{"1.8", header18 + strings.Join(row18, ",") + "\n\n",
			[]Row{{Proxy: "old", Server: "s1", Status: "UP", Weight: 1, Active: 1, ProxyID: 2, Type: RowServer, CheckStatus: "L4OK", Mode: "tcp"}}},
		{"header only", short + "\n", nil},
		{"columns in another order", "# pxname,svname,type,new,iid,bck,act,weight,status,check_status\nb,s,2,?,2,0,1,1,UP,L4OK\n\n", []Row{plain}},
		{"a column twice", "# pxname,svname,status,weight,act,bck,iid,type,check_status,status\nb,s,UP,1,1,0,2,2,L4OK,DOWN\n\n", []Row{plain}},
		{"quotes over lines", short + "b,s,UP,1,1,0,2,2,L4OK,\"a,\"\"b\"\"\r\n\nc\"\n\n", []Row{quoted}},
		{"CRLF", strings.ReplaceAll(short+"b,s,UP,1,1,0,2,2,L4OK,\n\n", "\n", "\r\n"), []Row{plain}},
		{"what follows is not read", short + "\ngarbage", nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			rows, err := readRows(strings.NewReader(test.answer))
			if err != nil || !slices.Equal(rows, test.want) {
				t.Errorf("%+v, %v\nwant %+v", rows, err, test.want)
			}
		})
	}
}

func TestStatReaderErrors(t *testing.T) {
	tests := []struct {
		name, answer string
		kind         error
		text         string
	}{
		{"nothing", "", ErrEmpty, "it closed the connection without an answer"},
		{"within the first word", "# pxna", ErrTruncated, "the answer breaks off within the first line of show stat"},
		{"within the header", header18[:200], ErrTruncated, "the answer breaks off within row 1 of show stat"},
		{"after the header", short, ErrTruncated, "the answer breaks off within row 1 of show stat"},
		{"within a row", short + "b,s,UP,1", ErrTruncated, "the answer breaks off within row 1 of show stat"},
		{"after a row", short + "b,s,UP,1,1,0,2,2,L4OK,\n", ErrTruncated, "the answer breaks off within row 2 of show stat"},
		{"within quotes", short + "b,s,UP,1,1,0,2,2,L4OK,\"x\n\n", ErrTruncated, "the answer breaks off within row 1 of show stat"},
		{"too few columns", short + "b,s,UP\n\n", ErrFormat, "the answer is malformed: row 1 of show stat has 3 columns, 10 were announced"},
		{"not a number", short + "b,s,UP,x,1,0,2,2,L4OK,\n\n", ErrFormat, `the answer is malformed: row 1 of show stat: weight "x" is not a number`},
		{"not a type", short + "b,s,UP,1,1,0,2,7,L4OK,\n\n", ErrFormat, `the answer is malformed: row 1 of show stat: type "7" is not one of 0 to 3`},
		{"text after a quote", short + "b,\"s\"x,UP,1,1,0,2,2,L4OK,\n\n", ErrFormat, "the answer is malformed: row 1 of show stat has text after a closing quote"},
		{"a column lacks", "# pxname,svname,status\n\n", ErrFormat, `the answer is malformed: the header of show stat has no column "type"`},
		{"unknown command", "Unknown command: 'show stat'\n\n", ErrUnknownCommand, "\"show stat\" was answered with \"Unknown command: 'show stat'\" (is this the master's socket? name a worker's `stats socket`)"},
		{"level", "Permission denied\n\n", ErrDenied, "\"show stat\" was answered with \"Permission denied\" (the `stats socket` line needs level user or higher)"},
		{"no such proxy", "No such proxy.\n\n", ErrNoProxy, `"show stat" was answered with "No such proxy."`},
		{"a web server", "HTTP/1.1 400 Bad Request\r\n\r\n", ErrNotHAProxy, `"show stat" was answered with "HTTP/1.1 400 Bad Request" (is this HAProxy's admin socket?)`},
		{"endless line", short + strings.Repeat("x", maxRecord+1), ErrFormat, "the answer is malformed: a row of show stat is longer than 1048576 bytes"},
		{"endless columns", short + strings.Repeat(",", maxColumns+1) + "\n", ErrFormat, "the answer is malformed: a row of show stat has more than 4096 columns"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := readRows(strings.NewReader(test.answer))
			if !errors.Is(err, test.kind) || err.Error() != test.text {
				t.Errorf("got  %v\nwant %s", err, test.text)
			}
		})
	}
}

func TestReadInfo(t *testing.T) {
	answer := fixture(t, "sem-show_info.txt")
	info, err := ReadInfo(bufio.NewReader(strings.NewReader(answer)))
	want := Info{Version: "2.6.12-1+deb12u4", Pid: 25094, Uptime: 75e9, Nbproc: 1, ProcessNum: 1, Nbthread: 2, Listeners: 12}
	if err != nil || info != want {
		t.Errorf("%+v, %v\nwant %+v", info, err, want)
	}
	info, err = ReadInfo(bufio.NewReader(strings.NewReader(strings.Replace(answer, "Stopping: 0", "Stopping: 1", 1))))
	if want.Stopping = true; err != nil || info != want {
		t.Errorf("stopping: %+v, %v", info, err)
	}
	for _, test := range []struct {
		answer, text string
		kind         error
	}{
		{"", "it closed the connection without an answer", ErrEmpty},
		{"Na", "the answer breaks off within the first line of show info", ErrTruncated},
		{answer[:len(answer)-1], "the answer breaks off within show info", ErrTruncated},
		{"Name: x\n\n", "the answer is malformed: show info has no Pid", ErrFormat},
		{"Name: x\nPid: y\n\n", `the answer is malformed: Pid of show info is "y", not a number`, ErrFormat},
		{"Name: " + strings.Repeat("x", 5000), "the answer is malformed: a line of show info is longer than 4096 bytes", ErrFormat},
	} {
		if _, err := ReadInfo(bufio.NewReader(strings.NewReader(test.answer))); !errors.Is(err, test.kind) || err.Error() != test.text {
			t.Errorf("%.20q: %v, want %s", test.answer, err, test.text)
		}
	}
}

func TestReadServersState(t *testing.T) {
	answer := fixture(t, "sem-show_servers_state.txt")
	var found []ServerAddr
	read := func(answer string) error {
		found = nil
		return ReadServersState(bufio.NewReader(strings.NewReader(answer)), func(s ServerAddr) { found = append(found, s) })
	}
	if err := read(answer); err != nil || len(found) != strings.Count(answer, "\n")-3 {
		t.Fatalf("%d servers, %v", len(found), err)
	}
	if first := (ServerAddr{"be_check_up", "s1", "127.0.0.1:18001"}); found[0] != first {
		t.Errorf("first: %+v", found[0])
	}
	if i := slices.IndexFunc(found, func(s ServerAddr) bool { return s.Backend == "be_resolution" }); found[i].Addr != "" {
		t.Errorf("a server without address: %+v", found[i])
	}
	for _, test := range []struct {
		answer, text string
		kind         error
	}{
		{"", "it closed the connection without an answer", ErrEmpty},
		{answer[:len(answer)-1], "the answer breaks off within line 48 of show servers state", ErrTruncated},
		{"1\n\n", "the answer is malformed: show servers state has no header", ErrFormat},
		{"1\n# be_id srv_name\n\n", "the answer is malformed: the header of show servers state lacks be_name, srv_name or srv_addr", ErrFormat},
		{"1\n# be_name srv_name srv_addr srv_port\nx\n\n", "the answer is malformed: line 3 of show servers state has only 1 columns", ErrFormat},
		{"Can't find backend.\n\n", `"show servers state" was answered with "Can't find backend."`, ErrNoProxy},
	} {
		if err := read(test.answer); !errors.Is(err, test.kind) || err.Error() != test.text {
			t.Errorf("%.20q: %v, want %s", test.answer, err, test.text)
		}
	}
}

// FuzzStatReader demands that no input panics or is read past its bounds, and
// that rows are what encoding/csv reads where both accept the input.
func FuzzStatReader(f *testing.F) {
	f.Add(fixture(f, "sem-show-stat.csv"))
	f.Add(short + "b,s,UP,1,1,0,2,2,L4OK,\"a,\"\"b\"\"\n\nc\"\n\n")
	f.Add(header18 + "\n")
	f.Add("Permission denied\n\n")
	f.Add(short + "\"b\",\"s\"\"\",UP,1,1,0,2,2,\"* L4OK\",\n\n")
	f.Fuzz(func(t *testing.T, answer string) {
		rows, err := readRows(strings.NewReader(answer))
		if err != nil {
			return
		}
		// encoding/csv turns CRLF into LF within quotes, skips empty lines and
		// has no end other than the input's.
		if strings.Contains(answer, "\r") {
			return
		}
		reader := csv.NewReader(strings.NewReader(answer))
		reader.FieldsPerRecord = -1
		header, err := reader.Read()
		if err != nil {
			return
		}
		column := slices.Index(header, "last_chk")
		for i, row := range rows {
			record, err := reader.Read()
			if err != nil {
				return
			}
			if record[1] != row.Server || record[0] != row.Proxy && header[0] == "# pxname" {
				t.Fatalf("row %d is %q/%q, encoding/csv reads %q/%q", i+1, row.Proxy, row.Server, record[0], record[1])
			}
			if column >= 0 && record[column] != row.LastCheck {
				t.Fatalf("row %d: last_chk %q, encoding/csv reads %q", i+1, row.LastCheck, record[column])
			}
		}
	})
}

// FuzzParseServerStatus demands no panic, and a state for all that is accepted.
func FuzzParseServerStatus(f *testing.F) {
	for _, text := range []string{"UP 1/3", "DOWN (agent)", "MAINT (via a/b)", "no check", "UP /"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		status, err := ParseServerStatus(text)
		if err == nil && (status.State == 0 || status.Health > status.Of) {
			t.Errorf("%q: %+v", text, status)
		}
	})
}

// FuzzTextAnswers covers the two readers of plain text.
func FuzzTextAnswers(f *testing.F) {
	f.Add(fixture(f, "sem-show_info.txt"))
	f.Add(fixture(f, "sem-show_servers_state.txt"))
	f.Fuzz(func(t *testing.T, answer string) {
		if info, err := ReadInfo(bufio.NewReader(strings.NewReader(answer))); err == nil && !strings.Contains(answer, "\n\n") && !strings.Contains(answer, "\n\r\n") {
			t.Errorf("accepted without its end: %+v", info)
		}
		_ = ReadServersState(bufio.NewReader(strings.NewReader(answer)), func(s ServerAddr) {
			if s.Backend == "" || s.Server == "" {
				t.Errorf("a server without a name: %+v", s)
			}
		})
	})
}

// answer10000 is an answer for 10,000 servers in 1,000 backends.
func answer10000(b *testing.B) string {
	b.Helper()
	lines := strings.SplitAfter(fixture(b, "sem-show-stat.csv"), "\n")
	var all strings.Builder
	all.WriteString(lines[0])
	for range 1000 {
		for range 10 {
			all.WriteString(lines[3])
		}
		all.WriteString(lines[4])
	}
	return all.String() + "\n"
}

func BenchmarkStatReader(b *testing.B) {
	answer := answer10000(b)
	b.Run("this", func(b *testing.B) {
		b.SetBytes(int64(len(answer)))
		b.ReportAllocs()
		for b.Loop() {
			reader, err := NewStatReader(bufio.NewReaderSize(strings.NewReader(answer), 64<<10))
			for err == nil {
				_, err = reader.Next()
			}
			if !errors.Is(err, io.EOF) {
				b.Fatal(err)
			}
		}
	})
	b.Run("encoding-csv", func(b *testing.B) {
		b.SetBytes(int64(len(answer)))
		b.ReportAllocs()
		for b.Loop() {
			reader := csv.NewReader(bufio.NewReaderSize(strings.NewReader(answer), 64<<10))
			reader.ReuseRecord = true
			var err error
			for err == nil {
				_, err = reader.Read()
			}
			if !errors.Is(err, io.EOF) {
				b.Fatal(err)
			}
		}
	})
}
