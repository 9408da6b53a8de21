package template

import (
	"errors"
	"fmt"
	"iter"
	"reflect"
	"slices"
	"text/template/parse"
)

// The ends of a turn of a loop that it did not run into.
var (
	errBreak    = errors.New("break")
	errContinue = errors.New("continue")
)

// list executes the nodes of a list, which may be missing; at is what asks for it.
func (e *execution) list(at parse.Node, dot reflect.Value, list *parse.ListNode) error {
	if list == nil {
		return nil
	}
	if err := e.step(at); err != nil {
		return err
	}
	if e.depth == maxDepth {
		return e.fail(at, "%w: it is nested more than %d times; does a template in it call itself without end?", ErrLimit, maxDepth)
	}
	e.depth++
	defer func() { e.depth-- }()
	for _, node := range list.Nodes {
		if err := e.node(dot, node); err != nil {
			return err
		}
	}
	return nil
}

func (e *execution) node(dot reflect.Value, node parse.Node) error {
	if err := e.step(node); err != nil {
		return err
	}
	switch node := node.(type) {
	case *parse.TextNode:
		return e.write(node, string(node.Text))
	case *parse.ActionNode:
		return e.action(dot, node)
	case *parse.IfNode:
		return e.branch(dot, &node.BranchNode)
	case *parse.WithNode:
		return e.branch(dot, &node.BranchNode)
	case *parse.RangeNode:
		return e.loop(dot, node)
	case *parse.TemplateNode:
		return e.template(dot, node)
	case *parse.BreakNode:
		return errBreak
	case *parse.ContinueNode:
		return errContinue
	}
	return e.fail(node, "unknown node")
}

// action evaluates a pipeline and prints what it gives, unless that went into a
// variable.
func (e *execution) action(dot reflect.Value, node *parse.ActionNode) error {
	value, err := e.pipeline(dot, node.Pipe)
	if err != nil || len(node.Pipe.Decl) > 0 {
		return err
	}
	plain := printable(value)
	if e.large(reflect.ValueOf(plain)) {
		return e.fail(node, "%w", e.givesTooMuch())
	}
	text := fmt.Sprint(plain)
	if _, ok := plain.(Markup); !ok && e.rules.EscapeHTML {
		text = escapeHTML(text)
	}
	return e.write(node, text)
}

// branch executes an if or a with, which differ in what the dot becomes.
func (e *execution) branch(dot reflect.Value, node *parse.BranchNode) error {
	defer e.forget(len(e.variables))
	value, err := e.pipeline(dot, node.Pipe)
	switch {
	case err != nil:
		return err
	case !truth(value):
		return e.list(node.Pipe, dot, node.ElseList)
	case node.NodeType == parse.NodeWith:
		return e.list(node.Pipe, value, node.List)
	}
	return e.list(node.Pipe, dot, node.List)
}

func (e *execution) loop(dot reflect.Value, node *parse.RangeNode) error {
	defer e.forget(len(e.variables))
	value, err := e.pipeline(dot, node.Pipe)
	if err != nil {
		return err
	}
	value, _ = indirect(value)
	variables := node.Pipe.Decl
	if len(variables) > 1 && isInteger(value) {
		return e.fail(node.Pipe, "can't use %v to iterate over more than one variable", value)
	}
	turns := elements(value)
	if turns == nil && e.large(value) {
		return e.fail(node.Pipe, "range can't iterate over a value of type %s", value.Type())
	} else if turns == nil {
		return e.fail(node.Pipe, "range can't iterate over %v", value)
	}
	outside, empty := len(e.variables), true
	for key, element := range turns {
		empty = false
		if len(variables) > 1 {
			e.set(variables[0].Ident[0], key)
		}
		if len(variables) > 0 {
			e.set(variables[len(variables)-1].Ident[0], element)
		}
		err := e.list(node.Pipe, element, node.List)
		e.forget(outside)
		if err == errBreak {
			break
		} else if err != nil && err != errContinue {
			return err
		}
	}
	if empty {
		return e.list(node.Pipe, dot, node.ElseList)
	}
	return nil
}

// elements are the turns of a loop over a value: none over nothing, and nil if
// there is no looping over it. Those of an integer have no key.
func elements(value reflect.Value) iter.Seq2[reflect.Value, reflect.Value] {
	switch kind := value.Kind(); {
	case kind == reflect.Invalid:
		return func(func(key, element reflect.Value) bool) {}
	case value.CanInt():
		return count(value.Int(), value.Type())
	case value.CanUint():
		return count(value.Uint(), value.Type())
	case kind == reflect.Array || kind == reflect.Slice:
		return func(yield func(key, element reflect.Value) bool) {
			for i := range value.Len() {
				if !yield(reflect.ValueOf(i), value.Index(i)) {
					return
				}
			}
		}
	case kind == reflect.Map:
		keys := value.MapKeys()
		for _, key := range keys {
			if _, ok := order(key, key); !ok {
				return nil
			}
		}
		slices.SortFunc(keys, func(a, b reflect.Value) int { order, _ := order(a, b); return order })
		return func(yield func(key, element reflect.Value) bool) {
			for _, key := range keys {
				if !yield(key, value.MapIndex(key)) {
					return
				}
			}
		}
	}
	return nil
}

// count gives the integers below an end, in the end's own type.
func count[T int64 | uint64](end T, as reflect.Type) iter.Seq2[reflect.Value, reflect.Value] {
	return func(yield func(key, element reflect.Value) bool) {
		for i := T(0); i < end; i++ {
			if !yield(reflect.Value{}, reflect.ValueOf(i).Convert(as)) {
				return
			}
		}
	}
}

// template executes another template, which sees none of the variables here.
func (e *execution) template(dot reflect.Value, node *parse.TemplateNode) error {
	called := e.trees[node.Name]
	if called == nil {
		return e.fail(node, "template %q not defined", node.Name)
	}
	value, err := e.pipeline(dot, node.Pipe)
	if err != nil {
		return err
	}
	tree, variables := e.tree, e.variables
	e.tree, e.variables = called, []variable{{"$", value}}
	err = e.list(node, value, called.Root)
	e.tree, e.variables = tree, variables
	return err
}

// set gives the innermost variable of a name another value, and says whether
// there is one.
func (e *execution) set(name string, value reflect.Value) bool {
	for i := len(e.variables) - 1; i >= 0; i-- {
		if e.variables[i].name == name {
			e.variables[i].value = value
			return true
		}
	}
	return false
}

// get gives the value of the innermost variable of a name.
func (e *execution) get(name string) (value reflect.Value, ok bool) {
	for _, variable := range slices.Backward(e.variables) {
		if variable.name == name {
			return variable.value, true
		}
	}
	return reflect.Value{}, false
}

// forget leaves so many variables as there were before.
func (e *execution) forget(but int) { e.variables = e.variables[:but] }
