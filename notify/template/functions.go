package template

import (
	"cmp"
	"errors"
	"fmt"
	"html"
	"net/url"
	"reflect"
	"strings"
)

// decider is what and and or are made of: whether a value decides, so that it is
// the result and those behind it are not evaluated.
type decider func(value reflect.Value) bool

// builtins are the functions every template has.
func (e *execution) builtins() map[string]any {
	return map[string]any{
		"and": decider(func(value reflect.Value) bool { return !truth(value) }),
		"or":  decider(truth),
		"not": func(value any) bool { return !truth(reflect.ValueOf(value)) },

		"len":   length,
		"index": index,
		"slice": slice,

		"eq": equalsAny,
		"ne": func(a, b any) (bool, error) { equal, err := equal(a, b); return !equal, err },
		"lt": comparison(func(order int) bool { return order < 0 }),
		"le": comparison(func(order int) bool { return order <= 0 }),
		"gt": comparison(func(order int) bool { return order > 0 }),
		"ge": comparison(func(order int) bool { return order >= 0 }),

		"print":    e.print,
		"printf":   e.printf,
		"println":  e.println,
		"html":     e.html,
		"urlquery": e.urlquery,
	}
}

// truth is what if makes of a value: empty texts, lists and maps, zero and nil
// are false, every struct is true.
func truth(value reflect.Value) bool {
	value = concrete(value)
	switch value.Kind() {
	case reflect.Invalid:
		return false
	case reflect.Struct:
		return true
	case reflect.Array, reflect.Map, reflect.Slice, reflect.String:
		return value.Len() > 0
	case reflect.Float32, reflect.Float64:
		return value.Float() != 0
	case reflect.Complex64, reflect.Complex128:
		return value.Complex() != 0
	}
	return !value.IsZero()
}

// length is the length of a text, a list or a map.
func length(of any) (int, error) {
	value, isNil := indirect(reflect.ValueOf(of))
	if isNil {
		return 0, fmt.Errorf("len of %w", ErrNilPointer)
	}
	switch value.Kind() {
	case reflect.Array, reflect.Map, reflect.Slice, reflect.String:
		return value.Len(), nil
	}
	return 0, fmt.Errorf("len of type %T", of)
}

// index is of[1][2] for the keys 1 and 2.
func index(of any, keys ...any) (any, error) {
	if of == nil {
		return nil, errors.New("index of untyped nil")
	}
	for _, key := range keys {
		value, isNil := indirect(reflect.ValueOf(of))
		if isNil || !value.IsValid() {
			return nil, fmt.Errorf("index of %w", ErrNilPointer)
		}
		switch value.Kind() {
		case reflect.Array, reflect.Slice, reflect.String:
			i, err := position(key, value.Len()-1)
			if err != nil {
				return nil, err
			}
			of = value.Index(i).Interface()
		case reflect.Map:
			key, err := mapKey(key, value.Type().Key())
			if err != nil {
				return nil, err
			}
			element := value.MapIndex(key)
			if !element.IsValid() {
				element = reflect.Zero(value.Type().Elem())
			}
			of = element.Interface()
		default:
			return nil, fmt.Errorf("can't index item of type %T", of)
		}
	}
	return of, nil
}

// mapKey makes of a value a key of a map; every integer does for any other.
func mapKey(key any, typ reflect.Type) (reflect.Value, error) {
	value, zero := reflect.ValueOf(key), reflect.Zero(typ)
	switch {
	case key == nil && isNilable(typ):
		return zero, nil
	case key == nil:
		return value, fmt.Errorf("value is nil; should be of type %s", typ)
	case value.Type().AssignableTo(typ) && value.Comparable():
		return value, nil
	case isInteger(value) && isInteger(zero):
		return value.Convert(typ), nil
	}
	return value, fmt.Errorf("value has type %T; should be %s", key, typ)
}

// slice is of[1:2] for the ends 1 and 2, and of[1:2:3] with one more.
func slice(of any, ends ...any) (any, error) {
	if of == nil {
		return nil, errors.New("slice of untyped nil")
	}
	value, isNil := indirect(reflect.ValueOf(of))
	most := 0
	switch kind := value.Kind(); {
	case isNil:
		return nil, fmt.Errorf("slice of %w", ErrNilPointer)
	case len(ends) > 3:
		return nil, fmt.Errorf("too many slice indexes: %d", len(ends))
	case kind == reflect.String && len(ends) == 3:
		return nil, errors.New("cannot 3-index slice a string")
	case kind == reflect.String:
		most = value.Len()
	case kind == reflect.Slice:
		most = value.Cap()
	default:
		return nil, fmt.Errorf("can't slice item of type %T", of)
	}
	at := [3]int{0, value.Len(), most}
	for i, end := range ends {
		var err error
		if at[i], err = position(end, most); err != nil {
			return nil, err
		}
	}
	for i, end := range at[1:] {
		if at[i] > end {
			return nil, fmt.Errorf("invalid slice index: %d > %d", at[i], end)
		}
	}
	if len(ends) < 3 {
		return value.Slice(at[0], at[1]).Interface(), nil
	}
	return value.Slice3(at[0], at[1], at[2]).Interface(), nil
}

// position is an index, from 0 to the most.
func position(index any, most int) (int, error) {
	value := reflect.ValueOf(index)
	switch {
	case value.CanInt() && value.Int() >= 0 && value.Int() <= int64(most):
		return int(value.Int()), nil
	case value.CanUint() && most >= 0 && value.Uint() <= uint64(most):
		return int(value.Uint()), nil
	case isInteger(value):
		return 0, fmt.Errorf("index out of range: %d", index)
	}
	return 0, fmt.Errorf("cannot index slice/array with type %T", index)
}

// equalsAny says whether a value is equal to any of others.
func equalsAny(value any, others ...any) (bool, error) {
	if len(others) == 0 {
		return false, errors.New("missing argument for comparison")
	}
	for _, other := range others {
		if equal, err := equal(value, other); equal || err != nil {
			return equal, err
		}
	}
	return false, nil
}

// equal compares two values of one kind, or with nil, and any two integers.
func equal(a, b any) (bool, error) {
	v, w := reflect.ValueOf(a), reflect.ValueOf(b)
	if order, ok := order(v, w); ok {
		return order == 0, nil
	}
	switch {
	case v.Kind() == reflect.Bool && w.Kind() == reflect.Bool:
		return v.Bool() == w.Bool(), nil
	case v.CanComplex() && w.CanComplex():
		return v.Complex() == w.Complex(), nil
	case v.IsValid() && w.IsValid() && v.Kind() != w.Kind():
		return false, fmt.Errorf("incompatible types for comparison: %T and %T", a, b)
	case isNothing(v) || isNothing(w):
		return isNothing(v) && isNothing(w), nil
	case !w.Comparable() || v.Type() == w.Type() && !v.Comparable():
		return false, fmt.Errorf("non-comparable type %T", b)
	}
	return a == b, nil
}

// comparison is a function of the order of two values.
func comparison(holds func(order int) bool) func(a, b any) (bool, error) {
	return func(a, b any) (bool, error) {
		v, w := reflect.ValueOf(a), reflect.ValueOf(b)
		order, ok := order(v, w)
		switch {
		case ok:
			return holds(order), nil
		case v.Kind() == w.Kind():
			return false, fmt.Errorf("invalid type for comparison: %T", a)
		}
		return false, fmt.Errorf("incompatible types for comparison: %T and %T", a, b)
	}
}

// order is below 0, 0 or above. Two texts have an order, two floating-point
// numbers, and two integers of any types.
func order(a, b reflect.Value) (order int, ok bool) {
	switch {
	case a.Kind() == reflect.String && b.Kind() == reflect.String:
		return cmp.Compare(a.String(), b.String()), true
	case a.CanFloat() && b.CanFloat():
		return cmp.Compare(a.Float(), b.Float()), true
	case a.CanInt() && b.CanInt():
		return cmp.Compare(a.Int(), b.Int()), true
	case a.CanUint() && b.CanUint():
		return cmp.Compare(a.Uint(), b.Uint()), true
	case a.CanInt() && b.CanUint():
		if a.Int() < 0 {
			return -1, true
		}
		return cmp.Compare(uint64(a.Int()), b.Uint()), true
	case a.CanUint() && b.CanInt():
		if b.Int() < 0 {
			return 1, true
		}
		return cmp.Compare(a.Uint(), uint64(b.Int())), true
	}
	return 0, false
}

// print is fmt.Sprint, which stops when there is too much.
func (e *execution) print(values ...any) (string, error) {
	return e.texts(values, func(before, value any) bool { return !isText(before) && !isText(value) }, "")
}

// println is fmt.Sprintln, which stops when there is too much.
func (e *execution) println(values ...any) (string, error) {
	return e.texts(values, func(before, value any) bool { return true }, "\n")
}

// texts writes values one after another, with a space where there is to be one.
func (e *execution) texts(values []any, spaced func(before, value any) bool, end string) (string, error) {
	var text strings.Builder
	for i, value := range values {
		if i > 0 && spaced(values[i-1], value) {
			text.WriteByte(' ')
		}
		if fmt.Fprint(&text, value); text.Len() > e.rules.Output {
			return "", e.tooLong()
		}
	}
	return text.String() + end, nil
}

func isText(value any) bool { return value != nil && reflect.TypeOf(value).Kind() == reflect.String }

// printf is fmt.Sprintf. That makes all of a text before it can be counted, so
// its work is counted before.
func (e *execution) printf(format string, values ...any) (string, error) {
	if err := e.formatting(format, values); err != nil {
		return "", err
	}
	return fmt.Sprintf(format, values...), nil
}

// html escapes the text of its values. Where all that is printed is escaped it
// gives Markup, so that its text is not escaped twice, and leaves Markup as it is.
func (e *execution) html(values ...any) (any, error) {
	if markup, ok := markup(values); ok && e.rules.EscapeHTML {
		return markup, nil
	}
	text, err := e.printed(values)
	if e.rules.EscapeHTML {
		return Markup(escapeHTML(text)), err
	}
	return escapeHTML(text), err
}

// markup is the one value there is, if that is Markup.
func markup(values []any) (text Markup, ok bool) {
	if len(values) == 1 {
		text, ok = values[0].(Markup)
	}
	return text, ok
}

// urlquery escapes the text of its values for the query of a URL.
func (e *execution) urlquery(values ...any) (string, error) {
	text, err := e.printed(values)
	return url.QueryEscape(text), err
}

// printed is the text of values as it is when they are printed one by one.
func (e *execution) printed(values []any) (string, error) {
	for i, value := range values {
		values[i] = printable(reflect.ValueOf(value))
	}
	return e.print(values...)
}

// printable is what fmt is given to print a value: what a pointer points to,
// unless the pointer says itself how it is printed.
func printable(value reflect.Value) any {
	for value.Kind() == reflect.Pointer && !value.IsNil() && !speaks(value.Type()) {
		value = concrete(value.Elem())
	}
	if !value.IsValid() {
		return "<no value>"
	}
	return value.Interface()
}

func speaks(typ reflect.Type) bool {
	return typ.Implements(reflect.TypeFor[fmt.Stringer]()) || typ.Implements(reflect.TypeFor[error]())
}

// escapeHTML escapes a text as text/template does.
func escapeHTML(text string) string {
	return strings.ReplaceAll(html.EscapeString(text), "\x00", "\uFFFD")
}

// concrete is what an interface holds.
func concrete(value reflect.Value) reflect.Value {
	if value.Kind() == reflect.Interface {
		return value.Elem()
	}
	return value
}

// indirect follows pointers and interfaces to the value at their end, or to nil.
func indirect(value reflect.Value) (end reflect.Value, isNil bool) {
	for value.Kind() == reflect.Pointer || value.Kind() == reflect.Interface {
		if value.IsNil() {
			return value, true
		}
		value = value.Elem()
	}
	return value, false
}

func isInteger(value reflect.Value) bool { return value.CanInt() || value.CanUint() }

func isNilable(typ reflect.Type) bool {
	switch typ.Kind() {
	case reflect.Chan, reflect.Func, reflect.Interface, reflect.Map, reflect.Pointer, reflect.Slice:
		return true
	}
	return false
}

// isNothing reports whether there is no value, or nil.
func isNothing(value reflect.Value) bool {
	return !value.IsValid() || isNilable(value.Type()) && value.IsNil()
}
