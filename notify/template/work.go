package template

import (
	"fmt"
	"reflect"
	"strings"
	"text/template/parse"
)

// stepBytes is how many bytes of text are as much work as a step.
const stepBytes = 256

// step counts one step, at a node.
func (e *execution) step(at parse.Node) error { return e.take(at, 1) }

func (e *execution) take(at parse.Node, steps int) error {
	if err := e.spend(steps); err != nil {
		return e.fail(at, "%w", err)
	}
	return nil
}

func (e *execution) spend(steps int) error {
	if e.steps += steps; e.steps > e.rules.Steps {
		return fmt.Errorf("%w: it takes more than %d steps, where %d bytes of text count as one; does a loop in it come to no end?",
			ErrLimit, e.rules.Steps, stepBytes)
	}
	return nil
}

// given counts an argument of a function: its text, or all of it for a parameter
// of any type that the function may write as text.
func (e *execution) given(at parse.Node, function string, parameter reflect.Type, value reflect.Value) error {
	value, _ = indirect(value)
	switch {
	case value.Kind() == reflect.String:
		return e.take(at, value.Len()/stepBytes)
	case parameter.Kind() != reflect.Interface || !e.writes(function):
		return nil
	case e.large(value):
		return e.fail(at, "error calling %s: %w", function, e.tooLong())
	}
	return e.take(at, work(value, e.largest())/stepBytes)
}

// writes reports whether a function may write values of any type as text.
func (e *execution) writes(function string) bool {
	switch function {
	case "print", "printf", "println", "html", "urlquery":
		return true
	}
	_, foreign := e.rules.Functions[function]
	return foreign
}

// joinsTooMuch reports whether a given function that puts a text between those of a
// list, as strings.Join does, would make too long a text: it makes all of it before
// it can be counted.
func (e *execution) joinsTooMuch(function string, values []reflect.Value) bool {
	if _, foreign := e.rules.Functions[function]; !foreign {
		return false
	}
	gaps, between := 0, 0
	for _, value := range values {
		switch value, _ = indirect(value); {
		case value.Kind() == reflect.String:
			between = max(between, value.Len())
		case value.Kind() == reflect.Slice && value.Type().Elem().Kind() == reflect.String:
			gaps = max(gaps, value.Len()-1)
		}
	}
	return gaps*between > e.rules.Output
}

// made checks and counts a text made on the way.
func (e *execution) made(at parse.Node, text string) error {
	if len(text) > e.rules.Output {
		return e.fail(at, "%w", e.tooLong())
	}
	return e.take(at, len(text)/stepBytes)
}

func (e *execution) tooLong() error {
	return fmt.Errorf("%w: a text of more than %d bytes", ErrLimit, e.rules.Output)
}

// formatting counts what printf does beside writing each value once: each verb
// can be as wide as the largest number there is and, where it names its value by
// number, write the longest.
func (e *execution) formatting(format string, values []any) error {
	widest, longest := largestNumber(format), 0
	for _, value := range values {
		value := reflect.ValueOf(value)
		if strings.Contains(format, "*") {
			widest = max(widest, width(value))
		}
		if strings.Contains(format, "[") {
			value, _ = indirect(value)
			longest = max(longest, work(value, e.largest()))
		}
	}
	done := len(format) + strings.Count(format, "%")*(leastWork+widest+longest)
	if done > e.largest() {
		return e.tooLong()
	}
	return e.spend(done / stepBytes)
}

// leastWork is what it takes to write the shortest value.
const leastWork = 16

// largest is the most work for one text. A value that takes more has a longer
// text than there may be: of all that takes leastWork at least a byte is seen.
func (e *execution) largest() int { return leastWork * e.rules.Output }

// large reports whether a value has too long a text, without making it.
func (e *execution) large(value reflect.Value) bool {
	value, _ = indirect(value)
	return work(value, e.largest()) > e.largest()
}

// work is what it takes to write a value as text, in bytes; it is not looked at
// any further than that is more than the most. What a pointer within it points
// to is not written.
func work(value reflect.Value, most int) int {
	done := leastWork
	switch value.Kind() {
	case reflect.String:
		done += value.Len()
	case reflect.Interface:
		return work(value.Elem(), most)
	case reflect.Array, reflect.Slice:
		for i := 0; i < value.Len() && done <= most; i++ {
			done += work(value.Index(i), most-done)
		}
	case reflect.Map:
		for entries := value.MapRange(); done <= most && entries.Next(); {
			done += work(entries.Key(), most-done) + work(entries.Value(), most-done)
		}
	case reflect.Struct:
		for i := 0; i < value.NumField() && done <= most; i++ {
			done += work(value.Field(i), most-done)
		}
	}
	return done
}

// mostWidth is how far fmt takes a width.
const mostWidth = 1_000_000

// width is the width or the precision a value can be.
func width(value reflect.Value) int {
	switch {
	case value.CanInt():
		return int(min(max(value.Int(), -value.Int()), mostWidth))
	case value.CanUint():
		return int(min(value.Uint(), mostWidth))
	}
	return 0
}

// largestNumber is the largest number in a text.
func largestNumber(text string) int {
	largest, number := 0, 0
	for _, c := range []byte(text) {
		if c < '0' || c > '9' {
			number = 0
			continue
		}
		number = min(10*number+int(c-'0'), mostWidth)
		largest = max(largest, number)
	}
	return largest
}
