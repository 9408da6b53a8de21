package template

import (
	"fmt"
	"reflect"
	"strings"
	"text/template/parse"
)

// pipeline evaluates a pipeline, which may be missing, and sets its variables.
func (e *execution) pipeline(dot reflect.Value, pipe *parse.PipeNode) (value reflect.Value, err error) {
	if pipe == nil {
		return value, nil
	}
	for i, command := range pipe.Cmds {
		var piped []reflect.Value
		if i > 0 {
			piped = []reflect.Value{value}
		}
		if value, err = e.command(dot, command, piped); err != nil {
			return value, err
		}
		value = concrete(value)
	}
	for _, declared := range pipe.Decl {
		name := declared.Ident[0]
		if !pipe.IsAssign {
			e.variables = append(e.variables, variable{name, value})
		} else if !e.set(name, value) {
			return value, e.fail(pipe, "undefined variable: %s", name)
		}
	}
	return value, nil
}

// command evaluates one command of a pipeline; piped is what the one before it
// gave, if there is one.
func (e *execution) command(dot reflect.Value, command *parse.CommandNode, piped []reflect.Value) (reflect.Value, error) {
	switch first := command.Args[0].(type) {
	case *parse.IdentifierNode:
		return e.call(dot, first, command, command.Args[1:], piped)
	case *parse.NilNode:
		return reflect.Value{}, e.fail(first, "nil is not a command")
	default:
		value, err := e.operand(dot, first)
		if err == nil && len(command.Args)+len(piped) > 1 {
			err = e.fail(first, "can't give argument to non-function %s", first)
		}
		return value, err
	}
}

// operand evaluates what stands in a command without arguments of its own.
func (e *execution) operand(dot reflect.Value, node parse.Node) (reflect.Value, error) {
	if err := e.step(node); err != nil {
		return reflect.Value{}, err
	}
	switch node := node.(type) {
	case *parse.DotNode:
		return dot, nil
	case *parse.NilNode:
		return reflect.Value{}, nil
	case *parse.BoolNode:
		return reflect.ValueOf(node.True), nil
	case *parse.StringNode:
		return reflect.ValueOf(node.Text), nil
	case *parse.NumberNode:
		return e.number(node)
	case *parse.PipeNode:
		return e.pipeline(dot, node)
	case *parse.IdentifierNode:
		return e.call(dot, node, node, nil, nil)
	case *parse.FieldNode:
		return e.fields(node, dot, node.Ident)
	case *parse.ChainNode:
		value, err := e.operand(dot, node.Node)
		if err != nil {
			return value, err
		}
		return e.fields(node, value, node.Field)
	case *parse.VariableNode:
		value, ok := e.get(node.Ident[0])
		if !ok {
			return value, e.fail(node, "undefined variable: %s", node.Ident[0])
		}
		return e.fields(node, value, node.Ident[1:])
	}
	return reflect.Value{}, e.fail(node, "can't evaluate %s", node)
}

// number gives a number the type that its writing asks for.
func (e *execution) number(node *parse.NumberNode) (reflect.Value, error) {
	hex := strings.HasPrefix(strings.ToLower(node.Text), "0x") && !strings.ContainsAny(node.Text, "pP")
	switch {
	case node.IsComplex:
		return reflect.ValueOf(node.Complex128), nil
	case node.IsFloat && !hex && node.Text[0] != '\'' && strings.ContainsAny(node.Text, ".eEpP"):
		return reflect.ValueOf(node.Float64), nil
	case node.IsInt && int64(int(node.Int64)) == node.Int64:
		return reflect.ValueOf(int(node.Int64)), nil
	}
	return reflect.Value{}, e.fail(node, "%s overflows int", node.Text)
}

// fields follows a chain of names. What is not in a map is nothing, and so is
// all that would be in it.
func (e *execution) fields(at parse.Node, value reflect.Value, names []string) (reflect.Value, error) {
	for _, name := range names {
		if err := e.step(at); err != nil {
			return value, err
		}
		if !value.IsValid() {
			return value, nil
		}
		found, err := field(value, name)
		if err != nil {
			return value, e.fail(at, "%w", err)
		}
		value = found
	}
	return value, nil
}

// field is the field of a struct or the element of a map.
func field(of reflect.Value, name string) (reflect.Value, error) {
	typ := of.Type()
	value, isNil := indirect(of)
	switch value.Kind() {
	case reflect.Struct:
		if field, ok := value.Type().FieldByName(name); ok {
			if !field.IsExported() {
				return value, fmt.Errorf("%s is an unexported field of struct type %s", name, typ)
			}
			return value.FieldByIndexErr(field.Index)
		}
	case reflect.Map:
		if key := reflect.ValueOf(name); key.Type().AssignableTo(value.Type().Key()) {
			return value.MapIndex(key), nil
		}
	case reflect.Interface:
		isNil = true
	case reflect.Pointer:
		if to := value.Type().Elem(); to.Kind() == reflect.Struct {
			_, isNil = to.FieldByName(name)
		}
	}
	if isNil {
		return value, fmt.Errorf("%w evaluating %s.%s", ErrNilPointer, typ, name)
	}
	hint := ""
	if typ.NumMethod() > 0 || reflect.PointerTo(typ).NumMethod() > 0 {
		hint = "; methods are not called"
	}
	return value, fmt.Errorf("can't evaluate field %s in type %s%s", name, typ, hint)
}

// call calls a function. What the command before it gave, if there is one, is
// the last argument.
func (e *execution) call(dot reflect.Value, name *parse.IdentifierNode, at parse.Node, args []parse.Node, piped []reflect.Value) (value reflect.Value, err error) {
	if err := e.step(name); err != nil {
		return value, err
	}
	if decides, ok := e.functions[name.Ident].(decider); ok {
		return e.decide(decides, dot, name, args, piped)
	}
	function := reflect.ValueOf(e.functions[name.Ident])
	if function.Kind() != reflect.Func {
		return value, e.fail(name, "%q is not a defined function", name.Ident)
	}
	typ := function.Type()
	if n := typ.NumOut(); n != 1 && (n != 2 || typ.Out(1) != reflect.TypeFor[error]()) {
		return value, e.fail(name, "function %s gives neither one value nor a value and an error", name.Ident)
	}
	if err := e.checkCount(name, typ.NumIn(), typ.IsVariadic(), len(args), len(piped)); err != nil {
		return value, err
	}
	values := make([]reflect.Value, len(args)+len(piped))
	for i := range values {
		parameter := typ.In(min(i, typ.NumIn()-1))
		if typ.IsVariadic() && i >= typ.NumIn()-1 {
			parameter = parameter.Elem()
		}
		if i < len(args) {
			values[i], err = e.argument(dot, args[i], parameter)
		} else if values[i], err = assignable(piped[0], parameter); err != nil {
			err = e.fail(at, "%w", err)
		}
		if err != nil {
			return value, err
		}
		if err := e.given(at, name.Ident, parameter, values[i]); err != nil {
			return value, err
		}
	}
	if e.joinsTooMuch(name.Ident, values) {
		return value, e.fail(at, "error calling %s: %w", name.Ident, e.tooLong())
	}
	results := function.Call(values)
	value = concrete(results[0])
	if len(results) == 2 && !results[1].IsNil() {
		return value, e.fail(at, "error calling %s: %w", name.Ident, results[1].Interface().(error))
	}
	if value.Kind() == reflect.String {
		return value, e.made(at, value.String())
	}
	return value, nil
}

// decide evaluates and and or: the first argument that decides, or the last.
func (e *execution) decide(decides decider, dot reflect.Value, name *parse.IdentifierNode, args []parse.Node, piped []reflect.Value) (value reflect.Value, err error) {
	if err := e.checkCount(name, 2, true, len(args), len(piped)); err != nil {
		return value, err
	}
	for _, arg := range args {
		if value, err = e.operand(dot, arg); err != nil || decides(value) {
			return value, err
		}
	}
	if len(piped) > 0 {
		value = piped[0]
	}
	return value, nil
}

// checkCount checks how many arguments a function gets, of which some are piped.
func (e *execution) checkCount(name *parse.IdentifierNode, parameters int, variadic bool, args, piped int) error {
	switch {
	case variadic && args+piped < parameters-1:
		return e.fail(name, "wrong number of args for %s: want at least %d got %d", name.Ident, parameters-1, args)
	case !variadic && args+piped != parameters:
		return e.fail(name, "wrong number of args for %s: want %d got %d", name.Ident, parameters, args+piped)
	}
	return nil
}

// argument evaluates an argument of a type, which a literal takes.
func (e *execution) argument(dot reflect.Value, node parse.Node, typ reflect.Type) (reflect.Value, error) {
	if value, ok := literal(node, typ); ok {
		return value, e.step(node)
	}
	value, err := e.operand(dot, node)
	if err != nil {
		return value, err
	}
	if value, err = assignable(value, typ); err != nil {
		return value, e.fail(node, "%w", err)
	}
	return value, nil
}

// literal is a literal's value of a type, if that can have it.
func literal(node parse.Node, typ reflect.Type) (reflect.Value, bool) {
	value := reflect.New(typ).Elem()
	switch node := node.(type) {
	case *parse.BoolNode:
		if typ.Kind() == reflect.Bool {
			value.SetBool(node.True)
			return value, true
		}
	case *parse.StringNode:
		if typ.Kind() == reflect.String {
			value.SetString(node.Text)
			return value, true
		}
	case *parse.NumberNode:
		switch {
		case node.IsInt && value.CanInt():
			value.SetInt(node.Int64)
			return value, true
		case node.IsUint && value.CanUint():
			value.SetUint(node.Uint64)
			return value, true
		case node.IsFloat && value.CanFloat():
			value.SetFloat(node.Float64)
			return value, true
		}
	}
	return value, false
}

// assignable makes of a value one that can be assigned to a type: what an
// interface holds, or what a pointer points to.
func assignable(value reflect.Value, typ reflect.Type) (reflect.Value, error) {
	if !value.IsValid() {
		if isNilable(typ) {
			return reflect.Zero(typ), nil
		}
		return value, fmt.Errorf("invalid value; expected %s", typ)
	}
	if value.Kind() == reflect.Interface && !value.IsNil() && !value.Type().AssignableTo(typ) {
		value = value.Elem()
	}
	switch from := value.Type(); {
	case from.AssignableTo(typ):
		return value, nil
	case from.Kind() == reflect.Pointer && from.Elem().AssignableTo(typ):
		if value.IsNil() {
			return value, fmt.Errorf("dereference of %w of type %s", ErrNilPointer, typ)
		}
		return value.Elem(), nil
	default:
		return value, fmt.Errorf("wrong type for value; expected %s; got %s", typ, from)
	}
}
