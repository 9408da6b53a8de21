package main

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// report is what a run found.
type report struct {
	Rounds int `json:"rounds"`
	// Load is the machine's load average of the last minute as the run began.
	Load string `json:"load"`
	// Systemd is whether both contestants looked at a unit; Unit is the answer,
	// or why there is none.
	Systemd bool   `json:"systemd"`
	Unit    string `json:"unit"`
	// LeastRSS is what this program itself takes, in MB. A child is this
	// program until its exec, and the kernel counts that: less is not seen.
	LeastRSS    float64      `json:"least_rss_mb"`
	Contestants []figures    `json:"contestants"`
	Comparisons []comparison `json:"comparisons"`
}

// figures are a contestant's medians.
type figures struct {
	Name   string  `json:"name"`
	Wall   float64 `json:"wall_ms"`
	CPU    float64 `json:"cpu_ms"`
	MaxRSS float64 `json:"max_rss_mb"`
}

// comparison is one value beside what it may be.
type comparison struct {
	What  string  `json:"what"`
	Value float64 `json:"value"`
	// Budget is the most Value may be; 0 if there is no budget for it.
	Budget float64 `json:"budget,omitempty"`
}

func (r *report) compare(what string, value, budget float64) {
	r.Comparisons = append(r.Comparisons, comparison{what, value, budget})
}

// print writes the report for people.
func (r *report) print(w io.Writer) error {
	fmt.Fprintf(w, "Medians of %d interleaved runs each, whole processes; load %s at the beginning.\n", r.Rounds, r.Load)
	if r.Systemd {
		fmt.Fprintf(w, "The script asks systemd about haproxy.service, the check finds its HAProxy's unit: %s.\n", r.Unit)
	} else {
		fmt.Fprintf(w, "The script's systemctl is a stand-in that costs nothing but its start; the check found: %s.\n", r.Unit)
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "\twall ms\tCPU ms\tmax RSS MB\t")
	for _, c := range r.Contestants {
		fmt.Fprintf(table, "%s\t%.2f\t%.2f\t%.1f\t\n", c.Name, c.Wall, c.CPU, c.MaxRSS)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(w, "Bench itself has %.1f MB in the end: a max RSS up to that says only that it is not more.\n\n", r.LeastRSS)
	for _, c := range r.Comparisons {
		verdict := "no budget"
		switch {
		case c.Budget == 0:
		case c.Value > c.Budget:
			verdict = fmt.Sprintf("budget %g: OVER", c.Budget)
		default:
			verdict = fmt.Sprintf("budget %g: within", c.Budget)
		}
		if _, err := fmt.Fprintf(w, "%-58s %7.2f  (%s)\n", c.What, c.Value, verdict); err != nil {
			return err
		}
	}
	return nil
}
