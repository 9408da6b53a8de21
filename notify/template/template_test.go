package template_test

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	texttemplate "text/template"
	"time"

	"hacheck/notify/template"
)

// The data of the tests: what data can be made of, without methods of its own.
type (
	state  string
	level  int
	flag   bool
	Inner  struct{ Deep, Same string }
	hidden struct{ Shown string }
	record struct {
		Inner
		*Outer
		hidden

		Name, Empty   string
		State         state
		Level         level
		Yes, No       bool
		Flag          flag
		Int           int
		Small         int8
		Unsigned      uint16
		Float         float64
		Complex       complex128
		Complex64     complex64
		Zero          int
		List          []string
		None          []string
		Array         [3]int
		Records       []record
		ByName        map[string]int
		ByState       map[state]string
		ByNumber      map[int]string
		ByAny         map[any]any
		ByBool        map[bool]string
		Anything      map[string]any
		NoMap         map[string]string
		Any, NoAny    any
		Anys          []any
		Pointer       *record
		NoPointer     *record
		Number        *int
		PointerToThat **int
		Lasted        time.Duration
		Markup        template.Markup
		Odd           string
		secret        string
	}
	Outer struct{ Same, Far string }
)

func data() record {
	number := 7
	pointer := &number
	child := record{Name: "child", Outer: &Outer{Far: "away"}, Int: 2, List: []string{"x"}}
	return record{
		Inner: Inner{Deep: "deep", Same: "inner"}, Outer: &Outer{Same: "outer", Far: "far"}, hidden: hidden{Shown: "shown"},
		Name: "lb-a", State: "MASTER", Level: 2, Yes: true, Int: 42, Small: -3, Unsigned: 5, Float: 2.5, Complex: 1 + 2i, Complex64: 1 + 2i, Flag: true,
		List: []string{"a", "b", "c"}, Array: [3]int{7, 8, 9}, Records: []record{child, {Name: "second"}},
		ByName: map[string]int{"one": 1, "two": 2, "Ten": 10}, ByState: map[state]string{"MASTER": "m", "BACKUP": "b"},
		ByNumber: map[int]string{3: "three", -1: "minus one", 0: "zero"}, ByAny: map[any]any{"x": 1, 2: "y"},
		ByBool:   map[bool]string{true: "t", false: "f"},
		Anything: map[string]any{"text": "t", "list": []any{1, "two", nil}, "map": map[string]any{"in": 1}, "nil": nil},
		Any:      "in an interface", Anys: []any{1, "two", nil, 4.5, []int{6}}, Pointer: &child, Number: pointer, PointerToThat: &pointer,
		Lasted: time.Hour, Markup: "<b>", Odd: "<a href=\"x\">'&\x00 ü</a>", secret: "s",
	}
}

// functions are given ones, of all kinds of parameters.
func functions() map[string]any {
	return map[string]any{
		"join":    strings.Join,
		"double":  func(n int) int { return 2 * n },
		"state":   func(s state) string { return string(s) + "!" },
		"small":   func(n int8, u uint8, f float32, b bool) string { return fmt.Sprint(n, u, f, b) },
		"sum":     func(first int, more ...int) int { return first + len(more) },
		"name":    func(r record) string { return r.Name },
		"pointer": func(r *record) bool { return r == nil },
		"list":    func(values ...any) []any { return values },
		"typed":   func(v any) string { return fmt.Sprintf("%T", v) },
		"nothing": func() any { return nil },
		"fails":   func(fail bool) (string, error) { return "fine", map[bool]error{true: errors.New("it failed")}[fail] },
		"lower":   strings.ToLower,
	}
}

var wide = template.Rules{Functions: functions(), Steps: 200_000, Output: 64 << 10}

// ours executes a source with this package.
func ours(source string, data any, rules template.Rules) (string, error) {
	parsed, err := template.Parse("text", source, rules.Functions)
	if err != nil {
		return "", err
	}
	return parsed.Execute(data, rules)
}

// theirs executes a source with text/template.
func theirs(source string, data any) (string, error) {
	parsed, err := texttemplate.New("text").Funcs(functions()).Parse(source)
	if err != nil {
		return "", errors.New(strings.TrimPrefix(err.Error(), "template: "))
	}
	var out strings.Builder
	if err := parsed.Execute(&out, data); err != nil {
		return "", errors.New(strings.TrimPrefix(err.Error(), "template: "))
	}
	return out.String(), nil
}

// source is a template with the error it ends in, if its words are other ones
// than those of text/template.
type source struct {
	line          int
	text, problem string
}

// sources reads the templates of testdata/sources.txt.
func sources(t testing.TB) []source {
	t.Helper()
	file, err := os.ReadFile("testdata/sources.txt")
	if err != nil {
		t.Fatal(err)
	}
	var all []source
	for i, line := range strings.Split(strings.TrimSuffix(string(file), "\n"), "\n") {
		switch problem, own := strings.CutPrefix(line, "! "); {
		case own:
			all[len(all)-1].problem = problem
		case !strings.HasPrefix(line, "#"):
			all = append(all, source{line: i + 1, text: strings.ReplaceAll(line, "⏎", "\n")})
		}
	}
	return all
}

func TestAgainstTextTemplate(t *testing.T) {
	data := data()
	for _, test := range sources(t) {
		want, problem := theirs(test.text, data)
		if problem != nil && test.problem != "" {
			problem = errors.New(test.problem)
		}
		got, err := ours(test.text, data, wide)
		if got != want || fmt.Sprint(err) != fmt.Sprint(problem) {
			t.Errorf("line %d: %s\n     gives %q, error %v\ninstead of %q, error %v", test.line, test.text, got, err, want, problem)
		}
	}
}

// FuzzAgainstTextTemplate gives any source that calls no method and stays within
// the limits to both.
func FuzzAgainstTextTemplate(f *testing.F) {
	for _, test := range sources(f) {
		f.Add(test.text)
	}
	data := data()
	f.Fuzz(func(t *testing.T, source string) {
		got, err := ours(source, data, wide)
		if err != nil && slices.ContainsFunc([]string{
			template.ErrLimit.Error(), `function "js" not defined`, `function "call" not defined`, // not here
			"methods are not called", "can't give argument", "can't slice item of type [3]int", "range can't iterate over map[",
		}, func(known string) bool { return strings.Contains(err.Error(), known) }) {
			return
		}
		if want, problem := theirs(source, data); got != want || (err == nil) != (problem == nil) {
			t.Errorf("%s\n     gives %q, error %v\ninstead of %q, error %v", source, got, err, want, problem)
		}
	})
}

// What the package comment says differs from text/template.
func TestDiffers(t *testing.T) {
	when := struct {
		Time  time.Time
		Array *[3]int
		Map   map[any]int
	}{time.Date(2026, 1, 14, 3, 14, 7, 0, time.UTC), &[3]int{}, map[any]int{true: 1}}
	for source, problem := range map[string]string{
		"{{.Time.Year}}":               `text:1:7: executing "text" at <.Time.Year>: can't evaluate field Year in type time.Time; methods are not called`,
		"a\n{{.Time.Format \"2006\"}}": `text:2:7: executing "text" at <.Time.Format>: can't evaluate field Format in type time.Time; methods are not called`,
		"{{js 1}}":                     `text:1: function "js" not defined`,
		"{{call .Time}}":               `text:1: function "call" not defined`,
		"{{slice .Array 1}}":           `text:1:2: executing "text" at <slice .Array 1>: error calling slice: can't slice item of type *[3]int`,
		"{{range .Map}}{{end}}":        `text:1:8: executing "text" at <.Map>: range can't iterate over map[true:1]`,
		"{{define \"x\"}}{{.a.b 1}}{{end}}{{template \"x\"}}": `text:1:18: executing "x" at <.a.b>: can't give argument to non-function .a.b`,
	} {
		if got, err := ours(source, when, wide); got != "" || err == nil || err.Error() != problem {
			t.Errorf("%s\n     gives %q, error %v\ninstead of error %s", source, got, err, problem)
		}
	}
	if got, err := ours("{{.Time}}", when, wide); got != "2026-01-14 03:14:07 +0000 UTC" || err != nil {
		t.Errorf("a time is %q, error %v", got, err)
	}
}

func TestEscapesHTML(t *testing.T) {
	rules := wide
	rules.EscapeHTML = true
	for source, want := range map[string]string{
		"<p>{{.Odd}}</p>": "<p>&lt;a href=&#34;x&#34;&gt;&#39;&amp;\uFFFD ü&lt;/a&gt;</p>",
		"{{.Markup}} {{html .Markup}} {{print .Markup}} {{html .Markup 1}}":                    "<b> <b> &lt;b&gt; &lt;b&gt;1",
		"{{html \"<\"}} {{\"<\" | html | html}} {{$x := html \"<\"}}{{$x}} {{\"<\"}}":          "&lt; &lt; &lt; &lt;",
		"{{define \"x\"}}{{.}}{{end}}{{template \"x\" \"<\"}}{{range list \"<\"}}{{.}}{{end}}": "&lt;&lt;",
		"{{printf \"<%s>\" .Markup}}{{list \"&\"}}":                                            "&lt;&lt;b&gt;&gt;[&amp;]",
	} {
		if got, err := ours(source, data(), rules); got != want || err != nil {
			t.Errorf("%s\n     gives %q, error %v\ninstead of %q", source, got, err, want)
		}
	}
}

// However long a template would take or however much it would give, it ends soon
// and says where it was.
func TestLimits(t *testing.T) {
	const (
		steps  = ": it is too much: it takes more than 200000 steps, where 256 bytes of text count as one; does a loop in it come to no end?"
		deep   = ": it is too much: it is nested more than 10000 times; does a template in it call itself without end?"
		output = ": it is too much: it gives more than 65536 bytes"
		text   = "it is too much: a text of more than 65536 bytes"
	)
	for _, test := range []struct{ source, problem string }{
		{"{{range 1000000000}}{{end}}", `text:1:8: executing "text" at <1000000000>` + steps},
		{"{{range 1000000}}{{range 1000000}}x{{end}}{{end}}", output},
		{`{{define "x"}}{{template "x" .}}{{end}}{{template "x" .}}`, `executing "x" at <{{template "x" .}}>` + deep},
		{`{{define "x"}}{{template "x" .}}{{template "x" .}}{{end}}{{block "y" .}}{{template "x"}}{{end}}`, deep},
		{strings.Repeat("{{if 1}}", 11_000) + strings.Repeat("{{end}}", 11_000), deep},
		{"{{range 100000}}{{$x := print " + strings.Repeat("1 ", 1000) + "}}{{end}}", steps},
		{"{{range 100000}}{{$x := $.NoMap" + strings.Repeat(".x", 1000) + "}}{{end}}", steps},
		{`{{$s := "x"}}{{range 100}}{{$s = print $s $s}}{{end}}`, "error calling print: " + text},
		{`{{$s := printf "%60000d" 1}}{{range 100000}}{{$s = lower $s}}{{end}}`, `executing "text" at <lower $s>` + steps},
		{`{{range 100000}}{{$x := printf "%60000d" 1}}{{end}}`, steps},
		{`{{printf "%999999d%999999d" 1 2}}`, `text:1:2: executing "text" at <printf "%999999d%999999d" 1 2>: error calling printf: ` + text},
		{`{{printf "%*d" 1000000 1}}`, text}, {`{{printf "%.1000000f" 1.5}}`, text},
		{`{{$s := printf "%60000d" 1}}{{printf "` + strings.Repeat("%[1]s", 1000) + `" $s}}`, text},
		{`{{$s := printf "%60000d" 1}}{{print ` + strings.Repeat("$s ", 100) + `}}`, text},
		{`{{$s := printf "%60000d" 1}}{{html ` + strings.Repeat("$s ", 100) + `}}`, text},
		// What is not seen in the end is work all the same.
		{`{{$s := printf "%60000d" 1}}{{printf "" ` + strings.Repeat("$s ", 10_000) + `}}`, steps},
		{`{{$s := printf "%60000d" 1}}{{range 1000}}{{$x := printf "%.0s" $s}}{{end}}`, steps},
		{`{{$s := printf "%60000d" 1}}{{range 1000}}{{$x := printf "` + strings.Repeat("%.0[1]s", 10) + `" $s}}{{end}}`, steps},
		{`{{range 1000}}{{$x := printf "` + strings.Repeat("%.0[1]s", 1000) + `" ""}}{{end}}`, ""},
		{`{{range 10000}}{{$x := printf "` + strings.Repeat("%.0[1]s", 1000) + `" ""}}{{end}}`, steps},
		{`{{range 100000}}{{$x := printf "%.0v" $.Pointer}}{{end}}`, steps},
		{`{{$a := printf "%60000s" "a"}}{{$b := printf "%60000s" "b"}}{{range 1000}}{{$x := eq $a $b}}{{end}}`, steps},
		{`{{$s := printf "%60000s" "<"}}{{html $s $s}}`, text}, {`{{$s := printf "%60000s" "<"}}{{urlquery $s}}`, ""},
		{`{{$s := slice (printf "%60000s" "<") 0}}{{urlquery (urlquery $s $s)}}`, text},
		{`{{long}}`, `text:1:2: executing "text" at <long>: ` + text},
		{strings.Repeat("(", 10) + "{{" + strings.Repeat("(", 20_000), "text:1: max expression depth exceeded"},
	} {
		rules := wide
		rules.Functions = maps.Clone(wide.Functions)
		rules.Functions["long"] = func() string { return strings.Repeat("x", 1<<20) }
		got, err := ours(test.source, data(), rules)
		if source := test.source[:min(len(test.source), 60)]; test.problem == "" && err != nil || test.problem != "" && (err == nil || got != "" || !strings.HasSuffix(err.Error(), test.problem)) {
			t.Errorf("%s\n  has error %v\ninstead of %s", source, err, test.problem)
		} else if strings.Contains(test.problem, "it is too much") && !errors.Is(err, template.ErrLimit) {
			t.Errorf("%s: %v is no ErrLimit", source, err)
		}
	}
	if _, err := ours("{{.NoPointer.Name}}", data(), wide); !errors.Is(err, template.ErrNilPointer) {
		t.Errorf("%v is no ErrNilPointer", err)
	}
}

// spoken counts how often it is printed.
type spoken struct{ times *int }

func (s spoken) String() string { *s.times++; return "" }

// What has too long a text is not written to find that out.
func TestWritesNothingTooLong(t *testing.T) {
	times := 0
	data := struct {
		Many  []spoken
		Words map[string]any
	}{make([]spoken, 100_000), map[string]any{}}
	for i := range data.Many {
		data.Many[i].times = &times
	}
	for i := range 1000 {
		data.Words[strings.Repeat("x", i)] = []any{1.5, strings.Repeat("y", 1000), data.Many[0]}
	}
	rules := wide
	rules.Functions = maps.Clone(wide.Functions)
	rules.Functions["upper"] = func(value any) string { return strings.ToUpper(fmt.Sprint(value)) }
	for source, problem := range map[string]string{
		"{{.Many}}":                    "<{{.Many}}>: it is too much: it gives more than 65536 bytes",
		"{{.}}":                        "<{{.}}>: it is too much: it gives more than 65536 bytes",
		"{{range .}}{{end}}":           "<.>: range can't iterate over a value of type struct {",
		"{{print .Many}}":              "<print .Many>: error calling print: it is too much: a text of more than 65536 bytes",
		"{{.Many | println}}":          "<println>: error calling println: it is too much: a text of more than 65536 bytes",
		"{{printf \"%.0v\" .Words}}":   "error calling printf: it is too much: a text of more than 65536 bytes",
		"{{html .Many}}":               "<html .Many>: error calling html: it is too much: a text of more than 65536 bytes",
		"{{upper .Many}}":              "<upper .Many>: error calling upper: it is too much: a text of more than 65536 bytes",
		"{{len .Many}} {{len .Words}}": "",
	} {
		_, err := ours(source, data, rules)
		if problem == "" && err != nil || problem != "" && (err == nil || !strings.Contains(err.Error(), problem)) || times > 0 {
			t.Errorf("%s\n  has error %v after %d texts\ninstead of %s", source, err, times, problem)
		}
		times = 0
	}
}

// What is no function that a template can call is an error when it is called.
func TestOddFunctions(t *testing.T) {
	rules := template.Rules{Steps: 100, Output: 100, Functions: template.Functions{
		"three": 3, "none": func() {}, "two": func() (int, int) { return 1, 2 },
	}}
	for source, problem := range map[string]string{
		"{{three}}": `text:1:2: executing "text" at <three>: "three" is not a defined function`,
		"{{none}}":  `text:1:2: executing "text" at <none>: function none gives neither one value nor a value and an error`,
		"{{two}}":   `text:1:2: executing "text" at <two>: function two gives neither one value nor a value and an error`,
	} {
		if _, err := ours(source, nil, rules); err == nil || err.Error() != problem {
			t.Errorf("%s: error %v instead of %s", source, err, problem)
		}
	}
	parsed, err := template.Parse("text", "{{three}}", rules.Functions)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parsed.Execute(nil, template.Rules{Steps: 100, Output: 100}); err == nil || !strings.Contains(err.Error(), "not a defined function") {
		t.Errorf("a function that is not there any more: error %v", err)
	}
}
