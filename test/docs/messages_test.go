package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"hacheck/config"
	"hacheck/notify"
	"hacheck/notify/exec"
)

// messagePages are the page about messages in each language, with the first
// cells of the headers of its tables.
var messagePages = []struct {
	path                                      string
	tag, setting, kind, code, field, function string
	delivered, never, again, other, anyOther  string
}{
	{"docs/messages.md", "in the subject", "setting", "type", "exit code", "field", "function",
		"delivered", "given up", "tried again", "any other", ", "},
	{"docs/zh-CN/messages.md", "主题里", "设置", "类型", "退出码", "字段", "函数",
		"已送达", "放弃", "再试", "其他", "、"},
}

var codePattern = regexp.MustCompile("`([^`]+)`")

// codes are the texts in code font of some rows' cells.
func codes(rows []row, cell int) []string {
	var found []string
	for _, r := range rows {
		for _, match := range codePattern.FindAllStringSubmatch(r.cells[cell], -1) {
			found = append(found, match[1])
		}
	}
	return found
}

// tables gives the rows of all tables with that first header cell.
func (p *page) tables(t *testing.T, header string) []row {
	t.Helper()
	var rows []row
	for i, found := range p.rows {
		if found.cells[0] != header {
			continue
		}
		for next := i + 2; next < len(p.rows) && p.rows[next].line == p.rows[next-1].line+1; next++ {
			rows = append(rows, p.rows[next])
		}
	}
	if rows == nil {
		t.Fatalf("%s has no table that begins with %q", p.path, header)
	}
	return rows
}

// TestTemplateFields compares the fields that are documented with those there
// are.
func TestTemplateFields(t *testing.T) {
	var want []string
	seen := map[reflect.Type]bool{reflect.TypeFor[time.Time](): true}
	var add func(reflect.Type)
	add = func(of reflect.Type) {
		for of.Kind() == reflect.Pointer || of.Kind() == reflect.Slice {
			of = of.Elem()
		}
		if of.Kind() != reflect.Struct || seen[of] {
			return
		}
		seen[of] = true
		for i := range of.NumField() {
			if field := of.Field(i); field.IsExported() {
				want = append(want, "."+field.Name)
				add(field.Type)
			}
		}
	}
	add(reflect.TypeFor[notify.TemplateData]())
	slices.Sort(want)
	want = slices.Compact(want)
	for _, m := range messagePages {
		p := readPage(t, repository(t), m.path)
		var got []string
		for cell := range 2 {
			for _, code := range codes(p.tables(t, m.field), cell) {
				if strings.HasPrefix(code, ".") && !slices.Contains(got, code) {
					got = append(got, code)
				}
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s has the fields\n%s\nand templates have\n%s", m.path, got, want)
		}
	}
}

// TestTemplateFunctions compares the functions with those of the code.
func TestTemplateFunctions(t *testing.T) {
	own := functionNames(t, "notify/template.go")
	all := append(functionNames(t, "notify/template/functions.go"), own...)
	for _, m := range messagePages {
		p := readPage(t, repository(t), m.path)
		var told []string
		for _, code := range codes(p.table(t, m.function), 0) {
			name, _, _ := strings.Cut(code, " ")
			told = append(told, name)
			if !slices.Contains(own, name) {
				t.Errorf("%s has the function %s, which templates have not", m.path, name)
			}
		}
		for _, name := range own {
			if !slices.Contains(told, name) {
				t.Errorf("%s does not have the function %s", m.path, name)
			}
		}
		_, after, _ := strings.Cut(read(t, m.path), "| "+m.function+" |")
		after, _, _ = strings.Cut(after, "\n## ")
		for _, name := range all {
			if !strings.Contains(after, "`"+name+"`") && !strings.Contains(after, "`"+name+" ") {
				t.Errorf("%s does not name the function %s", m.path, name)
			}
		}
	}
}

// functionNames are the keys of the tables of functions in a file.
func functionNames(t *testing.T, path string) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(repository(t), path), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	ast.Inspect(file, func(node ast.Node) bool {
		literal, ok := node.(*ast.CompositeLit)
		if !ok {
			return true
		}
		for _, element := range literal.Elts {
			if pair, ok := element.(*ast.KeyValueExpr); ok {
				if key, ok := pair.Key.(*ast.BasicLit); ok {
					if name, err := strconv.Unquote(key.Value); err == nil {
						names = append(names, name)
					}
				}
			}
		}
		return true
	})
	if len(names) < 7 {
		t.Fatalf("only the functions %q were found in %s", names, path)
	}
	return names
}

// TestExecExitCodes runs a program with each of the documented exit codes.
func TestExecExitCodes(t *testing.T) {
	program := "/usr/local/bin/exits"
	write(t, program, "#!/bin/sh\nexit $1\n")
	if err := os.Chmod(program, 0o755); err != nil {
		t.Fatal(err)
	}
	outcome := func(code string) string {
		channel, err := exec.New(exec.Config{Name: "exits", Command: []string{program, code}})
		if err != nil {
			t.Fatal(err)
		}
		switch err := channel.Notify(t.Context(), notify.Notification{Story: notify.Test}); {
		case err == nil:
			return "delivered"
		case !strings.Contains(err.Error(), "exit code "+code):
			t.Fatalf("exit code %s: %v", code, err)
			return ""
		case notify.IsPermanent(err):
			return "never"
		}
		return "again"
	}
	final := 0
	for code := range 130 {
		if outcome(strconv.Itoa(code)) == "never" {
			final++
		}
	}
	for _, m := range messagePages {
		p := readPage(t, repository(t), m.path)
		words := map[string]string{m.delivered: "delivered", m.never: "never", m.again: "again"}
		told := 0
		for _, r := range p.table(t, m.code) {
			said, _, _ := strings.Cut(strings.ReplaceAll(r.cells[1], "：", ":"), ":")
			for code := range strings.SplitSeq(r.cells[0], m.anyOther) {
				if code == m.other {
					continue
				}
				if got := outcome(code); got != words[said] {
					t.Errorf("%s:%d: %s is said to be %q and is %q", m.path, r.line, code, said, got)
				}
				if words[said] == "never" {
					told++
				}
			}
		}
		if told != final {
			t.Errorf("%s names %d exit codes that are final, there are %d", m.path, told, final)
		}
	}
}

// TestGroupingDefaults compares the table of settings with the code's defaults.
func TestGroupingDefaults(t *testing.T) {
	defaults := map[string]string{}
	for _, section := range config.Reference() {
		if section.Path == "notify" {
			for _, s := range section.Settings {
				defaults[s.Key] = s.Default
			}
		}
	}
	for _, m := range messagePages {
		for _, r := range readPage(t, repository(t), m.path).table(t, m.setting) {
			key, value := strings.Trim(r.cells[0], "`"), strings.Trim(r.cells[1], "`")
			if got, ok := defaults[key]; !ok || got != value {
				t.Errorf("%s:%d: the default of %s is %q", m.path, r.line, key, got)
			}
		}
	}
}

// TestChannelTypes compares the table of channels with the types there are.
func TestChannelTypes(t *testing.T) {
	var want []string
	for _, section := range config.Reference() {
		if section.Path == "notify.channels[]" && section.Type == "" {
			for _, s := range section.Settings {
				if s.Key == "type" {
					want = s.Choices
				}
			}
		}
	}
	for _, m := range messagePages {
		var got []string
		for _, r := range readPage(t, repository(t), m.path).table(t, m.kind) {
			got = append(got, strings.Trim(r.cells[0], "`"))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s has the channels\n%s\nand there are\n%s", m.path, got, want)
		}
	}
}

// TestSubjects has each documented tag come out of the story it belongs to.
func TestSubjects(t *testing.T) {
	began := time.Date(2026, 1, 14, 3, 0, 0, 0, time.UTC)
	event := func(state, previous notify.State) notify.Event {
		return notify.Event{ID: "1", Time: began.Add(time.Minute), Host: "lb-a", Kind: notify.Instance, Name: "VI_1",
			State: state, Previous: previous, PreviousSince: &began, Known: true}
	}
	planned := event(notify.Backup, notify.Master)
	planned.Maintenance = &notify.Maintenance{Until: began.Add(time.Hour)}
	several := []notify.Event{event(notify.Master, notify.Backup), event(notify.Backup, notify.Master)}
	subjects := map[string]notify.Notification{
		"[MASTER]":           {Event: event(notify.Master, notify.Backup)},
		"[BACKUP]":           {Event: event(notify.Backup, notify.Master)},
		"[FAULT]":            {Event: event(notify.Fault, notify.Master)},
		"[RESOLVED]":         {Event: event(notify.Backup, notify.Fault)},
		"[FLAPPING]":         {Event: event(notify.Master, notify.Backup), Story: notify.Flapping, Earlier: several, Count: 4, Since: &began},
		"[SETTLED: MASTER]":  {Event: event(notify.Master, notify.Backup), Story: notify.Settled, Earlier: several, Count: 4, Since: &began},
		"[PLANNED]":          {Event: planned},
		"[MAINTENANCE OVER]": {Event: event(notify.Master, notify.Backup), Story: notify.Summary, Earlier: several},
		"[TEST]":             {Event: event("", ""), Story: notify.Test},
	}
	toEnglish := strings.NewReplacer("频繁切换", "FLAPPING", "已稳定", "SETTLED", "已恢复", "RESOLVED",
		"维护结束", "MAINTENANCE OVER", "测试", "TEST", "计划内", "PLANNED")
	for i, language := range []notify.Language{notify.English, notify.SimplifiedChinese} {
		m, told := messagePages[i], 0
		for _, tag := range codes(readPage(t, repository(t), m.path).table(t, m.tag), 0) {
			notification, ok := subjects[toEnglish.Replace(tag)]
			if !ok {
				t.Errorf("%s: nobody knows a message with %s", m.path, tag)
				continue
			}
			told++
			if subject := notify.Render(notification, language).Subject; !strings.Contains(subject, tag) {
				t.Errorf("%s: the subject of %s is %q", m.path, tag, subject)
			}
		}
		if told != len(subjects) {
			t.Errorf("%s names %d tags of %d", m.path, told, len(subjects))
		}
	}
}
