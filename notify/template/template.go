// Package template executes the templates of text/template over plain data,
// within limits.
//
// The syntax, the built-in functions and the errors are those of text/template,
// whose parser this is. What differs:
//
//   - No method is called but String or Error of a value that is printed, and
//     those of a pointer to it only if it is a pointer that is printed. A program
//     that can call a method by a name it reads must carry every method of
//     everything it links: 2 MB of hacheck.
//   - An execution ends at its limits, whatever the template says.
//   - An execution can escape all it prints for HTML; see [Rules.EscapeHTML].
//   - There is no js, as nothing here writes JavaScript, and no call, as data
//     holds no functions.
//   - range takes integers, arrays, slices and maps whose keys are strings or
//     numbers, and slice no arrays.
//   - What is not a function takes no argument, not even a field of nothing.
package template

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"strings"
	"text/template/parse"
)

// Template is a template that was parsed. It is safe for concurrent use.
type Template struct {
	name string
	// trees are the template's own, under its name, and those it defines.
	trees map[string]*parse.Tree
}

// Functions are what a template may call beside the built-in functions, which
// they replace where the names are the same. Each is a Go function with one
// result, or with an error as a second one.
type Functions map[string]any

// Rules are what a template is executed by.
type Rules struct {
	// Functions has at least the names that Parse knew.
	Functions Functions
	// EscapeHTML escapes the text of every value that is printed, as text and
	// within quoted attributes. Markup, which html gives, is printed as it is.
	EscapeHTML bool
	// Steps bounds how many nodes of the template are executed and evaluated. A
	// text that a function is given or makes takes a step more for each 256 bytes
	// of it, and so does all else that a function is given to write.
	Steps int
	// Output bounds what is given, and each text made on the way, in bytes.
	Output int
}

// Markup is text that is HTML already.
type Markup string

// ErrLimit is the error of an execution that came to one of its limits.
var ErrLimit = errors.New("it is too much")

// ErrNilPointer is the error of an execution that looked for a field of what is
// not there.
var ErrNilPointer = errors.New("nil pointer")

// Parse reads a template. The error says where in it: "name:2: unexpected EOF".
func Parse(name, source string, functions Functions) (*Template, error) {
	trees, err := parse.Parse(name, source, "", "", functions, new(execution).builtins())
	if err != nil {
		return nil, errors.New(strings.TrimPrefix(err.Error(), "template: "))
	}
	return &Template{name: name, trees: trees}, nil
}

// Execute gives what the template says of the data. The error names the place,
// line and column, as "name:3:7: executing "name" at <.Hots>: can't evaluate
// field Hots in type Data", and wraps ErrLimit, ErrNilPointer or what a
// function gave.
func (t *Template) Execute(data any, rules Rules) (string, error) {
	tree, value := t.trees[t.name], reflect.ValueOf(data)
	e := &execution{rules: rules, trees: t.trees, tree: tree, variables: []variable{{"$", value}}}
	e.functions = e.builtins()
	maps.Copy(e.functions, rules.Functions)
	if err := e.list(tree.Root, value, tree.Root); err != nil {
		return "", err
	}
	return e.out.String(), nil
}

// execution is the state of one execution.
type execution struct {
	rules     Rules
	functions map[string]any
	trees     map[string]*parse.Tree
	// tree is what is being executed and variables are those it can see, the
	// innermost last.
	tree      *parse.Tree
	variables []variable
	out       strings.Builder
	// steps is how many were taken, depth how many lists are within each other.
	steps, depth int
}

type variable struct {
	name  string
	value reflect.Value
}

// maxDepth bounds how many lists of nodes are executed within each other. A
// source of 64 KiB can write less than half as many; a template that calls
// itself is stopped before the stack is large.
const maxDepth = 10_000

func (e *execution) write(at parse.Node, text string) error {
	if e.out.Len()+len(text) > e.rules.Output {
		return e.fail(at, "%w", e.givesTooMuch())
	}
	e.out.WriteString(text)
	return nil
}

func (e *execution) givesTooMuch() error {
	return fmt.Errorf("%w: it gives more than %d bytes", ErrLimit, e.rules.Output)
}

// fail makes an error that says where in the template it is.
func (e *execution) fail(at parse.Node, format string, args ...any) error {
	const enough = 60 // bytes; a loop is told with all that is in it
	place, source := e.tree.ErrorContext(at)
	source, _, more := strings.Cut(source, "\n")
	if more || len(source) > enough {
		source = strings.ToValidUTF8(source[:min(len(source), enough)], "") + "…"
	}
	return fmt.Errorf("%s: executing %q at <%s>: %w", place, e.tree.Name, source, fmt.Errorf(format, args...))
}
