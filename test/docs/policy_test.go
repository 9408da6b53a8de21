package docs

import (
	"bufio"
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"hacheck/checks"
	"hacheck/haproxy"
)

// columns are those of show stat that a verdict rests on.
const columns = "# pxname,svname,status,weight,act,bck,iid,type,check_status,agent_status,addr,"

// policy says, by the first cell of the table, what HAProxy sends.
var policy = map[string]struct{ status, weight, check, agent string }{
	"`UP`":                    {"UP", "1", "L4OK", ""},
	"`UP 1/3`":                {"UP 1/3", "1", "L4CON", ""},
	"`UP` `INI`":              {"UP 1/3", "1", "INI", ""},
	"`UP` 0":                  {"UP", "0", "L4OK", ""},
	"`no check` `check`":      {"no check", "1", "", ""},
	"`no check` agent":        {"no check", "1", "", "L7OK"},
	"`no check` 0":            {"no check", "0", "", ""},
	"`DOWN`":                  {"DOWN", "1", "L4CON", ""},
	"`DOWN 1/2`":              {"DOWN 1/2", "1", "L4OK", ""},
	"`DOWN (agent)`":          {"DOWN (agent)", "1", "L4OK", "L7STS"},
	"`MAINT`":                 {"MAINT", "1", "L4OK", ""},
	"`MAINT (via shop/app1)`": {"MAINT (via shop/app1)", "1", "", ""},
	"`MAINT (resolution)`":    {"MAINT (resolution)", "1", "", ""},
	"`NOLB`":                  {"NOLB", "1", "L7OKC", ""},
	"`NOLB 1/2`":              {"NOLB 1/2", "1", "L4CON", ""},
	"`DRAIN`":                 {"DRAIN", "1", "L4OK", ""},
	"`DRAIN 2/3`":             {"DRAIN 2/3", "1", "L4CON", ""},
	"`DRAIN (agent)`":         {"DRAIN (agent)", "1", "L4OK", "L7OK"},
	"anything else":           {"SLEEPING", "1", "L4OK", ""},
	"其他任何说法":                  {"SLEEPING", "1", "L4OK", ""},
	"`OPEN`":                  {status: "OPEN"},
	"`FULL` `maxconn`":        {status: "FULL"},
	"`PAUSED`":                {status: "PAUSED"},
	"`STOP`":                  {status: "STOP"},
}

// policyKey shortens a cell to what is in code font, a weight of 0 and the word
// agent: the rest differs between the languages.
func policyKey(cell string) string {
	var key []string
	for i, part := range strings.Split(cell, "`") {
		switch {
		case i%2 == 1:
			key = append(key, "`"+part+"`")
		case strings.Contains(part, " 0"):
			key = append(key, "0")
		case strings.Contains(part, "agent"):
			key = append(key, "agent")
		}
	}
	if len(key) == 0 {
		return cell
	}
	return strings.ReplaceAll(strings.Join(key, " "), " `check_status`", "")
}

// TestPolicyTable holds the tables of every status against what the check makes
// of it.
func TestPolicyTable(t *testing.T) {
	for _, table := range []struct {
		path, server, frontend string
		meaning                map[string]checks.Status
	}{
		{"docs/checks.md", "HAProxy says of a server", "HAProxy says of a frontend", map[string]checks.Status{
			"usable": checks.Pass, "not usable": checks.Fail, "dialled": checks.Unknown, "open": checks.Pass, "not open": checks.Fail,
		}},
		{"docs/zh-CN/checks.md", "HAProxy 对服务器的说法", "HAProxy 对前端的说法", map[string]checks.Status{
			"可用": checks.Pass, "不可用": checks.Fail, "由 hacheck 连接": checks.Unknown, "开放": checks.Pass, "不开放": checks.Fail,
		}},
	} {
		p := readPage(t, repository(t), table.path)
		said := map[string]bool{}
		for kind, header := range []string{table.frontend, table.server} {
			for _, r := range p.table(t, header) {
				key := policyKey(r.cells[0])
				row, ok := policy[key]
				if !ok {
					t.Errorf("%s:%d: nobody knows what HAProxy sends for %q (%s)", p.path, r.line, r.cells[0], key)
					continue
				}
				said[strings.Fields(row.status)[0]] = true
				said[row.status] = true
				words, _, _ := strings.Cut(strings.NewReplacer("：", ":", "（", ":").Replace(r.cells[1]), ":")
				want, ok := table.meaning[words]
				if !ok {
					t.Errorf("%s:%d: %q is none of the meanings", p.path, r.line, words)
					continue
				}
				var got checks.Status
				if kind == 0 {
					got = judgeFrontend(t, row.status)
				} else {
					got = judgeServer(t, fmt.Sprintf("be,s1,%s,%s,1,0,2,2,%s,%s,127.0.0.1:1,", row.status, row.weight, row.check, row.agent))
				}
				if got != want {
					t.Errorf("%s:%d: %s is said to be %s, and hacheck says %s", p.path, r.line, r.cells[0], words, got)
				}
			}
		}
		for _, word := range statusWords(t) {
			if !said[word] {
				t.Errorf("%s does not say what %q means", p.path, word)
			}
		}
	}
}

// statusWords are the words that haproxy.ParseServerStatus knows.
func statusWords(t *testing.T) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(repository(t), "haproxy/stat_status.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	words := []string{"no check"}
	ast.Inspect(file, func(node ast.Node) bool {
		if clause, ok := node.(*ast.CaseClause); ok {
			for _, expression := range clause.List {
				if literal, ok := expression.(*ast.BasicLit); ok && literal.Kind == token.STRING {
					if word, err := strconv.Unquote(literal.Value); err == nil && !slices.Contains(words, word) {
						words = append(words, word)
					}
				}
			}
		}
		return true
	})
	if len(words) < 6 {
		t.Fatalf("only %q were found in the code", words)
	}
	return words
}

// judgeServer is what the check says, by HAProxy's word alone, of a backend with
// one server: Unknown means that it would be dialled.
func judgeServer(t *testing.T, row string) checks.Status {
	t.Helper()
	results, err := answering(t, "fe,FRONTEND,OPEN,,,,1,0,,,,\nbe,BACKEND,UP,1,1,0,2,1,,,,\n"+row+"\n").Backends(t.Context())
	if err != nil || len(results) != 1 {
		t.Fatalf("%s: %v, %v", row, results, err)
	}
	return results[0].Status
}

// judgeFrontend is what the listeners' part says of a HAProxy with one frontend.
func judgeFrontend(t *testing.T, status string) checks.Status {
	t.Helper()
	result := answering(t, "fe,FRONTEND,"+status+",,,,1,0,,,,\n").Run(t.Context())
	for _, part := range result.Parts {
		if part.Name == "listeners" {
			return part.Status
		}
	}
	t.Fatalf("there is no part listeners: %+v", result)
	return 0
}

// answering is the check before a socket that answers with these rows. A real
// HAProxy cannot be brought into some of the states from outside.
func answering(t *testing.T, rows string) *checks.HAProxy {
	t.Helper()
	path := filepath.Join(t.TempDir(), "admin.sock")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go answerStat(conn, rows)
		}
	}()
	address, err := haproxy.ParseAddress(path)
	if err != nil {
		t.Fatal(err)
	}
	check := checks.NewHAProxy(func(context.Context, haproxy.Want) (*haproxy.Config, error) { return nil, fmt.Errorf("there is none") })
	check.Unit, check.Sockets = "", []haproxy.Address{address}
	check.WantListeners.Skip = true
	return check
}

func answerStat(conn net.Conn, rows string) {
	defer conn.Close()
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return
	}
	for command := range strings.SplitSeq(strings.TrimSpace(line), ";") {
		words := strings.Fields(command)
		if slices.Equal(words, []string{"show", "info"}) {
			io.WriteString(conn, "Name: HAProxy\nVersion: 2.6.12\nPid: 1\nStopping: 0\n\n")
			continue
		}
		types := 0
		if len(words) == 5 {
			types, _ = strconv.Atoi(words[3])
		}
		io.WriteString(conn, columns+"\n")
		for row := range strings.Lines(rows) {
			kind, _ := strconv.Atoi(strings.Split(row, ",")[7])
			if types <= 0 || types&(1<<kind) != 0 {
				io.WriteString(conn, row)
			}
		}
		io.WriteString(conn, "\n")
	}
}
