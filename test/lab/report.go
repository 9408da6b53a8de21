//go:build lab

package lab

import (
	"fmt"
	"io"
	"sync"
	"text/tabwriter"
	"time"
)

// row is one line of the table.
type row struct {
	configuration, scenario string
	// took is from the fault until the last VIP was on its new node; negative
	// if nothing was to move.
	took time.Duration
	// here and there are the VIPs on node a and node b after it.
	here, there int
	// checks and failed count the check's runs on node a meanwhile.
	checks, failed int
	mails          int
	exit           string
	note           string
	ok             bool
}

// report collects rows.
type report struct {
	mu   sync.Mutex
	rows []row
}

func (r *report) add(added row) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rows = append(r.rows, added)
}

// print writes the table. It says what the numbers are, for readers who see
// nothing else.
func (r *report) print(w io.Writer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fmt.Fprintf(w, "\nms: from the fault on node a until the last VIP was on node b, by netlink. VIPs a/b: on node a, on node b, afterwards.\n"+
		"failed: failed runs of the check on node a, of all that the lab made. exit: of the check on node a, afterwards.\n\n")
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "configuration\tscenario\tms\tVIPs a/b\tfailed\tmails\texit\t\tnote")
	for _, row := range r.rows {
		took := "-"
		if row.took >= 0 {
			took = fmt.Sprint(row.took.Milliseconds())
		}
		verdict := "ok"
		if !row.ok {
			verdict = "FAILED"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%d/%d\t%d/%d\t%d\t%s\t%s\t%s\n", row.configuration, row.scenario, took,
			row.here, row.there, row.failed, row.checks, row.mails, row.exit, verdict, row.note)
	}
	_ = table.Flush()
}
