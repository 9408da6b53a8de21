package checks

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Require says how many of several things must be good: any, all, a count or a
// percentage. The zero value is "any".
type Require struct {
	all     bool
	count   int
	percent float64
}

// The two requirements that have names.
var (
	RequireAny = Require{count: 1}
	RequireAll = Require{all: true}
)

// ParseRequire reads "any", "all", "N" (N ≥ 1) or "N%" (0 < N ≤ 100).
func ParseRequire(text string) (Require, error) {
	trimmed := strings.TrimSpace(text)
	switch strings.ToLower(trimmed) {
	case "any":
		return RequireAny, nil
	case "all":
		return RequireAll, nil
	}
	if number, ok := strings.CutSuffix(trimmed, "%"); ok {
		percent, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		if err != nil || !(percent > 0 && percent <= 100) {
			return Require{}, fmt.Errorf("%q is not a requirement: a percentage is above 0%% and at most 100%%", text)
		}
		return Require{percent: percent}, nil
	}
	count, err := strconv.Atoi(trimmed)
	if err != nil || count < 1 {
		return Require{}, fmt.Errorf("%q is not a requirement: use any, all, a number from 1, or a percentage such as 50%%", text)
	}
	return Require{count: count}, nil
}

// String gives the form that ParseRequire reads.
func (r Require) String() string {
	switch {
	case r.all:
		return "all"
	case r.percent > 0:
		return strconv.FormatFloat(r.percent, 'f', -1, 64) + "%"
	case r.count > 1:
		return strconv.Itoa(r.count)
	default:
		return "any"
	}
}

// Of returns how many of total must be good. A percentage is rounded up; a
// count above total stays as it is, so that a mistyped count fails instead of
// weakening itself. With total 0 the answer is 0 for all and a percentage.
func (r Require) Of(total int) int {
	switch {
	case r.all:
		return total
	case r.percent > 0:
		return int(math.Ceil(float64(total) * r.percent / 100))
	case r.count > 1:
		return r.count
	default:
		return 1
	}
}

// MarshalText gives the form that ParseRequire reads.
func (r Require) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads what ParseRequire reads.
func (r *Require) UnmarshalText(text []byte) error {
	parsed, err := ParseRequire(string(text))
	if err != nil {
		return err
	}
	*r = parsed
	return nil
}
